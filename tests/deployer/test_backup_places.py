"""Places for backups: what `to` means to restic and pgBackRest, that one's configuration, and a restore's options."""

from dataclasses import replace
from pathlib import Path

import pytest

from deployer.backup_host import room
from deployer.conftest import fleet_of
from deployer.test_backup import ALONE
from deployer.test_services import words_of
from slipway.deploy.backup import configuration, copy, place
from slipway.deploy.backup.branches import Backup, Choice, Target
from slipway.deploy.errors import Refused
from slipway.deploy.server import services


@pytest.mark.parametrize(
    ("to", "kind", "database"),
    [
        ("sftp:backup@nas.example:shop", "sftp", "shop/database"),
        ("sftp://backup@nas.example:2222//srv/shop", "sftp", "/srv/shop/database"),
        ("s3:https://s3.example/bucket/shop/", "s3", "/shop/database"),
        ("s3:s3.amazonaws.com/bucket", "s3", "/database"),
        ("gs:bucket:/shop", "gcs", "/shop/database"),
        ("azure:container:/shop", "azure", "/shop/database"),
        ("/mnt/nas/shop", "posix", "/mnt/nas/shop/database"),
    ],
)
def test_places(to, kind, database):
    found = place.parse(to)
    assert (found.kind, found.database) == (kind, database)
    assert place.of_files(to) == to.rstrip("/") + "/files"


@pytest.mark.parametrize("to", ["rest:https://nas.example/", "b2:bucket:/shop", "s3:http://minio.example/bucket"])
def test_a_place_that_cannot_keep_the_database_is_refused(data, to):
    """Of an app with its database elsewhere it is fine, as far as restic knows it."""
    with pytest.raises(Refused, match=r"backup\.to: pgBackRest, which keeps the database, knows"):
        fleet_of(data, {"hosts": ALONE, "backup": {"to": to}})
    elsewhere = {"one": {"roles": ["web", "worker", "beat"]}}
    assert fleet_of(data, {"hosts": elsewhere, "backup": {"to": to}}).backup["to"] == to


@pytest.mark.parametrize(
    "to",
    [
        "sftp:backup:hunter2@nas.example:shop",
        "sftp://backup:hunter2@nas.example/shop",
        "s3:https://AKIA:hunter2/x@s3.example/bucket",
        "s3:https://hunter2@s3.example/bucket",
        "s3:AKIA:hunter2@s3.example/bucket",
        "rest:https://backup:hunter2@nas.example:8000/",
        "https://backup:hunter2@nas.example/",
        "rclone:nas,secret_access_key=hunter2:/shop",
    ],
)
def test_a_place_with_a_password_is_refused(data, to):
    """It would be in a file whose hash is told, in logs, and in errors: this one does not show it, either."""
    elsewhere = {"one": {"roles": ["web", "worker", "beat"]}}
    with pytest.raises(
        Refused, match=r"backup\.to: has a password or key in it: .*/etc/default/APP\.backup"
    ) as refused:
        fleet_of(data, {"hosts": elsewhere, "backup": {"to": to}})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "to",
    [
        *("sftp:nas.example:shop@home", "sftp:backup@nas.example:shop@home", "sftp://nas.example:22/shop@home"),
        *("s3:https://minio.example:9000/bucket/shop@home", "s3:https://s3.example/bucket/shop@home"),
        *("rest:http://nas.example:8000/shop@home", "gs:bucket:/shop@home", "b2:bucket:shop@home", "/mnt/key=a@b"),
    ],
)
def test_a_place_may_have_signs_of_an_address_in_its_path(to):
    assert not place.has_credentials(to)


def test_a_place_s_port_user_and_keys():
    assert place.parse("sftp://backup@nas.example:2222//srv/shop").where == "backup@nas.example:2222"
    assert place.parse("sftp:backup@nas.example:shop").where == "backup@nas.example"
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "RESTIC_PASSWORD": "p"}
    options = place.options(place.parse("s3:https://s3.example:9000/bucket/shop"), keys)
    assert options == {
        **{"type": "s3", "path": "/shop/database", "s3-endpoint": "s3.example", "storage-port": "9000"},
        **{"s3-bucket": "bucket", "s3-uri-style": "path", "s3-region": "us-east-1"},
        **{"s3-key": "id", "s3-key-secret": "secret"},
    }
    assert place.options(place.parse("/mnt/shop"), {}) == {"type": "posix", "path": "/repository"}
    shared = place.options(place.parse("azure:c:/x"), {"AZURE_ACCOUNT_NAME": "n", "AZURE_ACCOUNT_KEY": "k"})
    assert (shared["azure-key-type"], shared["azure-account"], shared["azure-key"]) == ("shared", "n", "k")


def test_a_bucket_of_one_s_own_has_a_certificate(settings, tmp_path):
    """That of SSL_CERT_FILE, as for restic; pgBackRest's container has a copy."""
    (tmp_path / "minio.crt").write_text("a certificate")
    bucket = replace(settings, to="s3:https://minio.example/bucket/shop")
    bucket.keys["SSL_CERT_FILE"] = str(tmp_path / "minio.crt")
    options, files = configuration.described(bucket)
    assert options["storage-ca-file"] == "/etc/pgbackrest/ca.crt" and files == {"ca.crt": "a certificate"}
    assert "storage-ca-file" not in place.options(place.parse("/mnt/shop"), bucket.keys)


def test_pgbackrest_s_configuration(settings):
    """The password is in no environment. A repository that only grows is never pruned."""
    settings.keys["RESTIC_PASSWORD"] = "a-password"
    text = configuration.text(settings, {"path": "/repository"}, 1 << 30, "/data")
    assert "repo1-cipher-pass=a-password\n" in text and "[shop]\npg1-path=/data\n" in text
    assert "archive-push-queue-max=1073741824\n" in text and "repo1-retention-full=7\n" in text
    grows = configuration.text(replace(settings, keep="all"), {}, 1, "/data")
    assert "expire-auto=n\n" in grows and "retention" not in grows


@pytest.mark.parametrize(("free", "most"), [(0.1, 1 / 16), (1, 0.25), (8, 2), (40, 10), (400, 16)])
def test_waiting_wal_takes_a_part_of_the_disk(settings, host, monkeypatch, free, most):
    room(monkeypatch, int(free * (1 << 30)))
    assert configuration.queue(settings) == most * (1 << 30)


# ---- the options of a restore ----


def choice(target, **values):
    base = Backup("20261124-030000F", "full", 1000, "000000010000000000000002", 5, 300_000_000)
    return Choice(**{"base": base, "target": target, "end": 0, "wal": 0, "segments": 0, **values})


def test_the_options_of_a_restore():
    """A point is the end of what was before; a time is written in UTC."""
    options = choice(Target(2, lsn=600)).options()
    assert options[:2] == ["--set=20261124-030000F", "--target-timeline=2"]
    assert options[-3:] == ["--type=lsn", "--target=0/258", "--target-exclusive"]
    assert choice(Target(1, at=1.5)).options()[-2:] == ["--type=time", "--target=1970-01-01 00:00:01.500000+00"]
    assert choice(Target(1)).options()[-1] == "--type=standby"


def test_the_room_that_a_restore_needs():
    """The sum of the files, of what the WAL adds to them, and of WAL that waits."""
    assert choice(Target(1), wal=300_000_000, segments=75).bytes > 300_000_000 + 1_200_000_000 + (512 << 20)
    assert choice(Target(1), wal=1_000_000, segments=2000).bytes < 1_100_000_000


def test_a_copy_has_at_least_the_living_one_s_connections(settings):
    Path(settings.etc, "shop-postgres").write_text("COMMAND='-c max_connections=500'\n")
    control = "max_connections setting:              100\nmax_prepared_xacts setting:           3\n"
    assert {"max_connections=500", "max_prepared_transactions=3"} <= {*copy.limits(settings, control)}
    more = copy.limits(settings, control.replace("100", "900"))
    assert "max_connections=900" in more


def test_a_service_with_backups_archives(data):
    """Each segment of WAL goes to its place, for which it needs a network if that is elsewhere."""
    elsewhere, folder = (
        fleet_of(data, {"hosts": ALONE, "backup": {"to": to}})
        for to in ("sftp:backup@nas.example:shop", "/mnt/nas/shop")
    )
    described = services.description(elsewhere, elsewhere.services[0], "")
    words = {*words_of(described)}
    known = "type=bind,source=/etc/default/shop-postgres.pgbackrest,target=/etc/pgbackrest,readonly"
    command = f"archive_command={services.ARCHIVE.format(app='shop')}"
    assert "\nBACKUP=yes\n" in described.content
    assert {"archive_mode=on", "archive_timeout=300", command, known} <= words and not {"--network=none", "-p"} & words
    place = "type=bind,source=/var/backups/shop/place,target=/repository,bind-propagation=rprivate"
    assert {"--network=none", place} <= {*words_of(services.description(folder, folder.services[0], ""))}
    assert "BACKUP" not in services.description(folder, folder.services[1], "").content
