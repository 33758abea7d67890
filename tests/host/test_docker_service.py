"""docker-service with stand-ins for docker and systemctl, whose calls are logged: under dash and busybox sh."""

import os
import re

import pytest

from proc import executable, put, run
from pull_failures import CAUSES
from slipway.deploy.server.render import HOST

FOUND = "OWNER=70:71", "VOLUME=/data"
# `no-volume`: images declare none.
# `down` makes `volume ls` fail, `no-image` a pull, with its text, `initdb-fails` the making of a database, `deaf` each
# answer of an image other than the first. `version` and `library` are those of the image that a pull brings.
DOCKER = r"""#!/bin/sh
printf '%s\n' "$*" | tr '\n' ' ' >>"$STUB/log"; echo >>"$STUB/log"
case $* in
    inspect*stranger*) cat "$STUB/stranger" 2>/dev/null || : ;;
    "image inspect --format {{.Id}} shop-postgres:pgbackrest"*) echo "sha256:built" ;;
    "image inspect --format {{.Config.User}}"*) ;;
    build*) cat >"$STUB/dockerfile"; [ ! -e "$STUB/build-fails" ] || { cat "$STUB/build-fails"; exit 1; } ;;
    *"command -v pgbackrest"*) [ -e "$STUB/has-pgbackrest" ] ;;
    "image ls"*) cat "$STUB/built" 2>/dev/null || : ;;
    *"CREATE EXTENSION"*) [ ! -e "$STUB/no-extension" ] || { cat "$STUB/no-extension"; exit 1; } ;;
    *pg_extension*) cat "$STUB/lacks" 2>/dev/null || : ;;
    "image inspect --format {{.Id}} "*) echo "sha256:$(cat "$STUB/version")" ;;
    "image inspect --format"*) [ -e "$STUB/no-volume" ] || echo "/data " ;;
    "image inspect "*) [ -e "$STUB/pulled" ] ;;
    pull*) [ ! -e "$STUB/no-image" ] && touch "$STUB/pulled" || { cat "$STUB/no-image" >&2; exit 1; } ;;
    volume*) [ ! -e "$STUB/down" ] && cat "$STUB/volumes" 2>/dev/null || [ ! -e "$STUB/down" ] ;;
    *sha256:*--version*) echo "postgres (PostgreSQL) 17.5" ;;
    *--version*) echo "postgres (PostgreSQL) $(cat "$STUB/version")" ;;
    *sha256:*getconf*) echo glibc 2.36 ;;
    *getconf*) cat "$STUB/library" 2>/dev/null || echo glibc 2.36 ;;
    *initdb*) echo shop-postgres >"$STUB/volumes"; [ ! -e "$STUB/initdb-fails" ] || { echo "no space left"; exit 1; } ;;
    *"for user"*) echo 70:71 ;;
    *redis-cli*) echo PONG ;;
    exec*) cat >/dev/null; [ ! -e "$STUB/deaf" ] || grep -q =sha256:17.5 "$STUB/../etc/default/shop-postgres.image" ;;
esac
"""


class Service:
    """A server's folder with the service shop-postgres."""

    def __init__(self, root, shell):
        self.root, self.shell, self.stub = root, shell, root / "stub"
        executable(self.stub / "docker", DOCKER)
        for name in ("systemctl", "systemd-tmpfiles", "install"):
            executable(self.stub / name, f'#!/bin/sh\necho "{name} $*" >>"$STUB/log"\n')
        executable(self.stub / "findmnt", "#!/bin/sh\necho shared\n")
        put(root / "etc/default/shop-postgres", "APP=shop\nKIND=postgres\nIMAGE=postgres:17\n")
        for folder in ("etc/default/shop-postgres.d", "etc/tmpfiles.d"):
            (root / folder).mkdir()
        self.say("version", "17.5")

    def say(self, name, text=""):
        put(self.stub / name, text)

    def __call__(self, verb="prepare", *more):
        """Run docker-service. Return its exit code and what it says, without the seconds of an upgrade."""
        path = f"{self.stub}:{os.environ['PATH']}"
        env = {"PATH": path, "STUB": str(self.stub), "DOCKER_RUNNER_ROOT": str(self.root)}
        done = run([*self.shell, HOST / "docker-service", verb, "shop-postgres", *more], timeout=60, env=env)
        return done.returncode, re.sub(r"^\d+\.\d\n$", "", done.stdout) + done.stderr.replace(str(self.root), "")

    def calls(self, word):
        return [line for line in (self.stub / "log").read_text().splitlines() if word in line]

    @property
    def image(self):
        path = self.root / "etc/default/shop-postgres.image"
        return path.read_text().split() if path.exists() else None


@pytest.fixture
def service(shell, tmp_path):
    return Service(tmp_path / "a server", shell)


def test_what_is_missing_is_made_once(service):
    assert service("ready")[0] != 0 and service() == (0, "")
    assert service.image == [*("IMAGE_NAME=postgres:17", "BASE_ID=sha256:17.5", "IMAGE_ID=sha256:17.5"), *FOUND]
    assert "d /run/shop-postgres 0755 70 71 -" in (service.root / "etc/tmpfiles.d/shop-postgres.conf").read_text()
    assert service.calls("systemctl") == [
        f"systemctl {verb} docker-service@shop-postgres" for verb in ("--quiet enable", "start")
    ]
    assert "CREATE DATABASE" not in service.calls("initdb")[0] and "--data-checksums" in service.calls("initdb")[0]
    assert service("ready") == (0, "") and service() == (0, "")
    assert len(service.calls("initdb")) == 1 == len(service.calls("pull")), "an existing volume is not touched"


# ---- backups ----


def backed_up(service, more=""):
    put(service.root / "etc/default/shop-postgres", f"APP=shop\nKIND=postgres\nIMAGE=postgres:17\nBACKUP=yes\n{more}")


def test_backups_need_pgbackrest_in_the_image(service):
    """It is built once, from the image that is named. What was built before goes."""
    assert service() == (0, "")
    backed_up(service)
    service.say("built", "sha256:old\nsha256:built\n")
    assert service("ready")[0] != 0 and service() == (0, "") == service()
    assert (service.stub / "dockerfile").read_text().startswith("FROM postgres:17\nUSER root\nRUN ")
    assert {"BASE_ID=sha256:17.5", "IMAGE_ID=sha256:built", "PGBACKREST=yes", "PROPAGATION=rslave"} <= {*service.image}
    assert len(service.calls("build ")) == 1
    assert service.calls("image rm") == ["image rm sha256:old "]
    folder = f"{service.root}/etc/default/shop-postgres.pgbackrest"
    assert service.calls("install")[0] == f"install -d -m 500 -o 70 -g 71 {folder}"
    assert service("newest") == (0, "17.5 17.5 same\n"), "what was built is of the image that would be pulled"


def test_an_image_that_has_pgbackrest_is_used_as_it_is(service):
    backed_up(service)
    service.say("has-pgbackrest")
    assert service() == (0, "") and service.calls("build ") == []
    assert {"IMAGE_ID=sha256:17.5", "PGBACKREST=yes"} <= {*service.image}


FETCH = "W: Failed to fetch http://deb.example/debian/dists/trixie/InRelease  Temporary failure resolving"
ALPINE = "WARNING: fetching https://alpine.example/v3.22/main: temporary error (try again later)"
ENDS = "\x1b[0mThe command '/bin/sh -c' returned a non-zero code: 100\n"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (f"Step 3\n\x1b[91mE: Unable to locate package pgbackrest\n{ENDS}", "E: Unable to locate package pgbackrest"),
        (f"DEPRECATED: it\n\x1b[91m{FETCH}\nE: Unable to locate package pgbackrest\n{ENDS}", FETCH),
        (f"#5 1.2 {ALPINE}\n#5 1.3 ERROR: unable to select packages:\nERROR: failed to solve: exit code: 1\n", ALPINE),
        (f"Step 3\n\x1b[91mno space left on device\n{ENDS}", "no space left on device"),
        ("", ""),
    ],
)
def test_a_host_that_cannot_build_is_told_both_cures(service, log, cause):
    """The cause is what the package manager says, behind the colors and numbers of either builder."""
    backed_up(service)
    service.say("build-fails", log)
    code, said = service()
    assert code == 69
    assert said.startswith(f"docker-service: cannot add pgBackRest to postgres:17: {cause}: let this server reach")
    assert "name an image that has pgbackrest" in said and said.count("\n") == 1 and service.image is None


def test_extensions_are_made_by_the_superuser(service):
    put(
        service.root / "etc/default/shop-postgres",
        "APP=shop\nKIND=postgres\nIMAGE=postgres:17\nEXTENSIONS='bloom postgis'\n",
    )
    service.say("lacks", "1\n")
    assert service() == (0, "") and service("ready")[0] != 0
    assert [re.findall(r'EXISTS "(\w+)"', line)[0] for line in service.calls("EXTENSION")] == ["bloom", "postgis"]
    service.say("lacks")
    assert service("ready") == (0, "")
    service.say("no-extension", 'psql: ERROR:  extension "postgis" is not available\nHINT: install it\n')
    assert service() == (
        78,
        'docker-service: extension bloom: extension "postgis" is not available: correct extensions in production.toml,'
        " or name an image that has it\n",
    )


def test_a_first_start_that_breaks_off_begins_anew(service):
    service.say("initdb-fails")
    assert service() == (70, "docker-service: initdb failed: no space left\n") and service.calls("systemctl") == []
    (service.stub / "initdb-fails").unlink()
    assert service() == (0, "") == service() and len(service.calls("initdb")) == 2


def test_an_engine_that_does_not_answer_loses_no_data(service):
    service.say("volumes", "shop-postgres\n")
    service.say("down")
    assert service() == (69, "docker-service: Docker does not answer: see systemctl status docker\n")
    (service.stub / "down").unlink()
    assert service() == (0, "") and service.calls("initdb") == []


def test_an_engine_that_does_not_answer_is_no_missing_image(service):
    service.say("no-image", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?\n")
    assert service() == (69, "docker-service: Docker does not answer: see systemctl status docker\n")


def test_data_of_another_version_is_not_given_to_postgres(service):
    assert service() == (0, "")
    before = service.image
    put(service.root / "etc/default/shop-postgres", "APP=shop\nKIND=postgres\nIMAGE=postgres:18\n")
    service.say("version", "18.1")
    cause = 'has data of Postgres 17, which postgres:18 cannot read: see "Another major version"'
    assert service() == (78, f"docker-service: shop-postgres {cause} in docs/data.md\n") and service.image == before


def test_nothing_is_asked_of_somebody_else_s_container(service):
    """One of the service's name that runs: the unit would wait for its end, and the passwords would go there."""
    assert service() == (0, "")
    asked = len(service.calls("exec"))
    service.say("stranger", "stranger\n")
    cause = "the container shop-postgres runs, but docker-runner has not started it: run docker stop shop-postgres on"
    assert service("ready")[0] != 0 and service() == (75, f"docker-service: {cause} this host\n")
    assert len(service.calls("exec")) == asked


def test_an_image_without_a_volume(service):
    """Valkey's declares none, and the configuration says where the data are. Of Postgres nobody knows."""
    service.say("no-volume")
    assert service() == (78, "docker-service: postgres:17 declares no volume, or several: use the official image\n")
    put(service.root / "etc/default/shop-postgres", "APP=shop\nKIND=redis\nIMAGE=valkey/valkey:8\n")
    service()
    assert "VOLUME=/data" in service.image


FAILURES = {  # cause → exit code, and what the line begins with
    "disk": (74, "cannot pull postgres:17: the disk is full: free some space"),
    "DNS": (
        69,
        "cannot pull postgres:17: its registry's name cannot be resolved here: check the name, and this server's",
    ),
    "limit": (75, "cannot pull postgres:17: its registry allows no more pulls for now: wait, or log in"),
    "name or access": (
        72,
        "there is no image postgres:17, or no access to it: correct its name in production.toml, or",
    ),
    "access": (77, "cannot pull postgres:17: its registry gives no access: run docker login here as root"),
    "TLS": (69, "cannot pull postgres:17: TLS with its registry fails: check its certificate and address"),
    "network": (69, "cannot pull postgres:17: its registry cannot be reached: check network, firewall and proxy"),
    "name": (72, "there is no image postgres:17: correct its name in production.toml\n"),
    "other": (72, "cannot pull postgres:17: Error response from daemon: the moon is full\n"),
}


@pytest.mark.parametrize("cause", FAILURES)
def test_an_image_that_cannot_be_had(service, cause):
    for why in CAUSES[cause]:
        service.say("no-image", f"1/3: Pulling\nError response from daemon: {why}\n")
        code, said = service()
        assert (code, said.startswith(f"docker-service: {FAILURES[cause][1]}")) == (FAILURES[cause][0], True), said
        assert said.count("\n") == 1
    assert service.image is None and service.calls("systemctl") == []


def test_an_upgrade_brings_the_newest_image(service):
    assert service("upgrade")[0] == 66 and service() == (0, "")
    assert service("newest") == (0, "17.5 17.5 same\n")
    service.say("version", "17.6")
    pulls = len(service.calls("pull"))
    assert service("newest", "sent") == (0, "17.5 17.6 new\n") and len(service.calls("pull")) == pulls > 0
    assert service("newest") == (0, "17.5 17.6 new\n") and service.image[2] == "IMAGE_ID=sha256:17.5"
    assert service("upgrade") == (0, "") and service.image[2] == "IMAGE_ID=sha256:17.6"
    assert service.calls("systemctl")[-1] == "systemctl restart docker-service@shop-postgres"


def test_an_upgrade_that_does_not_answer_is_taken_back(service):
    assert service() == (0, "")
    before = service.image
    service.say("version", "17.6")
    service.say("deaf")
    executable(service.stub / "sleep", "#!/bin/sh\n")
    code, said = service("upgrade")
    assert code == 70 and "so the old one runs again" in said and service.image == before
    assert service.calls("systemctl")[-2:] == ["systemctl restart docker-service@shop-postgres"] * 2


@pytest.mark.parametrize("name, text", [("version", "18.1"), ("library", "glibc 2.41")])
def test_an_upgrade_that_would_harm_the_data_is_refused(service, name, text):
    assert service() == (0, "")
    service.say(name, text)
    code, said = service("newest")
    assert code == 78 and len(said.splitlines()) == 1, said
