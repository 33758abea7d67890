"""The app's services: their keys, files and settings, and what the deployer asks of their hosts."""

import asyncio
import os
import shlex
import subprocess
from urllib.parse import unquote, urlsplit

import pytest

from deployer.conftest import fleet_of
from deployer.recipes import CREDENTIALS, Plan
from deployer.test_server import host_of
from slipway.deploy.errors import HostProblem, Refused
from slipway.deploy.provisioning import services as asked
from slipway.deploy.provisioning.fitness import Inspection
from slipway.deploy.server import files, services
from slipway.deploy.ssh.child import Done

ALL = ["web", "worker", "beat", "postgres", "redis"]
DB = {"roles": ["postgres", "redis"], "internal": "10.0.0.20"}
MORE_HOSTS = {"web1": {"roles": ["web"], "internal": "10.0.0.11"}, "db1": DB}


@pytest.fixture
def alone(data):
    return fleet_of(data, {"hosts": {"one": {"roles": ALL}}, "service": {"postgres": {"memory": "2g"}}})


@pytest.fixture
def apart(data):
    return fleet_of(data, {"hosts": MORE_HOSTS})


# ---- production.toml ----


def test_a_host_with_services_alone_takes_no_part_in_deploys(apart):
    assert [host.name for host in apart.app_hosts] == ["web1"] == [host.name for host in apart.chosen("")]
    assert [host.name for host in apart.chosen("", balancers=True)] == ["web1", "db1"]
    images = [(each.kind, each.host.name, each.image, each.memory) for each in apart.services]
    assert images == [("postgres", "db1", "postgres:17", "1g"), ("redis", "db1", "redis:7", "256m")]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"hosts.web1.roles": ["web", "redis"]}, "hosts: only one host may have the role redis, not web1, db1"),
        (
            {"hosts.db1.internal": "8.8.8.8", "service.postgres.tls": True},
            "hosts.db1.internal: 8.8.8.8 is not an address of a private network: use one, or set tls = true in "
            "[service.redis]",
        ),
        ({"hosts.db1.internal": "0.0.0.0"}, "hosts.db1.internal: 0.0.0.0 is not an address of this host alone"),
        ({"hosts.db1.internal": "127.0.0.1"}, "hosts.db1.internal: 127.0.0.1 is not an address of this host alone"),
        ({"hosts.db1.roles": ["redis"], "service.postgres": {}}, "service.postgres: no host has the role postgres"),
        ({"service.postgres.image": "postgres"}, "service.postgres.image: 'postgres' is not an image with a tag"),
        ({"service.postgres.memory": "1"}, "service.postgres.memory: '1' is not a size"),
        ({"service.mysql": {}}, "service.mysql: 'mysql' is not one of postgres, redis"),
        ({"process.redis.command": "x"}, "process.redis: the name is taken"),
        ({"process.drill.command": "x"}, "process.drill: the name is taken"),
        ({"engine": {"kind": "swarm", "replicas": {"web": 1}}}, 'hosts: engine.kind = "swarm" runs no postgres'),
    ],
)
def test_what_is_wrong_with_services(data, changes, problem):
    with pytest.raises(Refused) as refused:
        fleet_of(data, {"hosts": {name: dict(host) for name, host in MORE_HOSTS.items()}, **changes})
    assert f"test: {problem}" in str(refused.value)


def test_tls_on_an_only_host_is_refused(data):
    with pytest.raises(Refused, match=r"^test: service.redis.tls: has no effect on an only host"):
        fleet_of(data, {"hosts": {"one": {"roles": ALL}}, "service": {"redis": {"tls": True}}})


def test_an_address_of_an_overlay_network_is_private(data):
    assert fleet_of(data, {"hosts": {**MORE_HOSTS, "db1": {**DB, "internal": "100.100.1.2"}}}).services


# ---- files and settings ----


def words_of(file):
    """Return the options and the command that docker-runner passes to Docker."""
    script = f'OWNER=999:999 VOLUME=/data; {file.content}\neval "set -- $OPTS image $COMMAND"; printf "%s\\n" "$@"'
    return subprocess.run(["sh", "-euc", script], check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_only_host_s_services_have_no_network(alone):
    postgres, redis = map(words_of, (services.description(alone, each, "") for each in alone.services))
    assert "--network=none" in postgres and "--network=none" in redis and "-p" not in postgres
    assert (
        "listen_addresses=" in postgres and "port 0\n" in services.configuration(alone, alone.services[1], "x").content
    )
    assert {"--memory=2g", "shared_buffers=512MB", "max_connections=500", "shop-postgres:/data"} <= {*postgres}
    assert "--health-cmd=pg_isready -q -h /run/shop-postgres -U postgres" in postgres
    mounted = shlex.split(files.runner_file(alone, alone.hosts[0]).content)
    assert "-v /run/shop-postgres:/run/shop-postgres -v /run/shop-redis:/run/shop-redis" in " ".join(mounted)


def test_how_the_services_run(alone, apart):
    """Each value: another one loses data, fills the disk, or lets somebody in."""
    for fleet, listens in ((alone, ""), (apart, "*")):
        words = words_of(services.description(fleet, fleet.services[0], "10.0.0.20"))
        values = dict(word.split("=", 1) for word in words[words.index("image") + 1 :] if word != "-c")
        assert (
            values.items()
            >= {
                "listen_addresses": listens,
                "unix_socket_directories": "/run/shop-postgres",
                "hba_file": "/etc/pg_hba.conf",
            }.items()
        )
        assert "/etc/default/shop-postgres.d/pg_hba.conf:/etc/pg_hba.conf:ro" in words
        shared = f"--shm-size={services.size(fleet.services[0].memory) // 4}"
        assert {"--read-only", "--stop-signal=SIGINT", "--user", shared} <= {*words}
        redis = services.configuration(fleet, fleet.services[1], "a-password").content.splitlines()
        assert {"requirepass a-password", "appendonly yes", "maxmemory-policy volatile-lru", "dir /data"} <= {*redis}
        assert "maxmemory 201326592" in redis, "of 256 MB, three quarters"
        assert "unixsocketperm 777" in redis, "the app's containers run as another user"
        assert ("port 0" in redis) == (fleet is alone)
        words = words_of(services.description(fleet, fleet.services[1], "10.0.0.20"))
        assert "/etc/default/shop-redis.d/redis.conf:/etc/redis.conf:ro" in words and "--memory-swap=256m" in words


def test_more_hosts_reach_services_at_the_internal_address(apart):
    postgres = words_of(services.description(apart, apart.services[0], "10.0.0.20"))
    assert postgres[postgres.index("-p") + 1] == "10.0.0.20:5432:5432" and "--network=none" not in postgres
    assert "/run/shop-postgres" not in files.runner_file(apart, apart.hosts[0]).content


def test_urls(alone, apart):
    def settings(fleet, own=()):
        return dict(
            line.split("=", 1) for line in services.settings(fleet, CREDENTIALS.passwords, own).content.splitlines()
        )

    assert settings(apart) == {
        "DATABASE_URL": "postgres://shop:a-password@10.0.0.20:5432/shop",
        "BROKER_URL": "redis://:another@10.0.0.20:6379/0",
        "CACHE_URL": "redis://:another@10.0.0.20:6379/1",
    }
    assert settings(alone) == {
        "DATABASE_URL": "postgres://shop:a-password@%2Frun%2Fshop-postgres/shop",
        "BROKER_URL": "redis+socket://:another@/run/shop-redis/redis.sock?virtual_host=0",
        "CACHE_URL": "unix://:another@/run/shop-redis/redis.sock?db=1",
    }
    assert settings(alone, {"DATABASE_URL", "CACHE_URL"}).keys() == {"BROKER_URL"}, "what a team has set stays"


@pytest.mark.parametrize("password", ["a/b", "a@b:c", "100%", "ä#?&", "a'\"`\\", "//@", "+="])
def test_a_password_of_any_characters(alone, apart, password):
    """Root may give a service one. It stands in each URL as one word, which the app reads again."""
    for fleet in (alone, apart):
        for service in fleet.services:
            for url in services.urls(fleet, service, password).values():
                parts = urlsplit(url)
                assert unquote(parts.password) == password and not parts.fragment, url
                assert parts.path in ("/shop", "/0", "/1", "/run/shop-redis/redis.sock"), url


def test_tls(data):
    """The service shows its own certificate, which the app's containers have; without TLS it lets nobody in."""
    services_ = {kind: {"tls": True} for kind in ("postgres", "redis")}
    fleet = fleet_of(data, {"hosts": {**MORE_HOSTS, "db1": {**DB, "internal": "8.8.8.8"}}, "service": services_})
    postgres, redis = fleet.services
    words = words_of(services.description(fleet, postgres, "8.8.8.8"))
    assert {"ssl=on", "ssl_key_file=/etc/tls/tls.key", "8.8.8.8:5432:5432"} <= {*words}
    assert "/etc/default/shop-postgres.d/tls.key:/etc/tls/tls.key:ro" in words
    assert "\nhostssl all all" in services.configuration(fleet, postgres, "").content
    assert {"port 0", "tls-port 6379", "tls-auth-clients no"} <= {
        *services.configuration(fleet, redis, "x").content.splitlines()
    }
    assert services.settings(fleet, CREDENTIALS.passwords, ()).content.splitlines() == [
        "DATABASE_URL=postgres://shop:a-password@8.8.8.8:5432/shop"
        "?sslmode=verify-full&sslrootcert=/run/services/postgres.crt",
        "BROKER_URL=rediss://:another@8.8.8.8:6379/0?ssl_ca_certs=/run/services/redis.crt",
        "CACHE_URL=rediss://:another@8.8.8.8:6379/1?ssl_ca_certs=/run/services/redis.crt",
    ]
    assert "/etc/default/shop.services.d:/run/services:ro" in files.runner_file(fleet, fleet.hosts[0]).content
    plan = Plan(fleet, "web1")
    assert plan.files["/etc/default/shop.services.d/redis.crt"][0] == CREDENTIALS.certificates["redis"]
    assert plan.names.index("write /etc/default/shop.services.d/redis.crt") < plan.names.index(
        "write /etc/default/shop.services"
    )


def test_a_certificate_is_made_once_for_an_address(tmp_path):
    def ask(address, make="make", kind="ip"):
        words = ["sh", "-euc", asked.CERTIFICATE, "sh", str(tmp_path / "shop-redis"), address, make, kind]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout

    assert ask("10.0.0.20", "") == "" and os.listdir(tmp_path) == []
    first = ask("10.0.0.20")
    assert first.startswith("-----BEGIN CERTIFICATE") and ask("10.0.0.20") == first != ask("10.0.0.2")
    (key := tmp_path / "shop-redis.key").chmod(0o644)
    ask("10.0.0.2", "")
    assert key.stat().st_mode & 0o777 == 0o644, "provision --check changes nothing"
    ask("10.0.0.2")
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["shop-redis.crt", "shop-redis.key"]
    by_name = ask("db1.internal", kind="host")
    assert by_name != ask("db2.internal", kind="host") != ask("db1.internal", kind="host") != by_name


def test_what_provisioning_does(apart):
    plan = Plan(apart, "db1")
    prepare = [name for name in plan.names if name.startswith("prepare")]
    assert prepare == ["prepare postgres", "prepare redis"] and "docker-service prepare shop-redis" in plan.scripts
    assert plan.files["/etc/default/shop-postgres.d/pg_hba.conf"][1] == "444"
    assert "/etc/default/shop.services" not in plan.files and "/etc/default/shop.env" not in plan.files
    assert "/usr/local/bin/docker-slot" not in plan.files and "/usr/local/bin/docker-runner" in plan.files
    assert Plan(apart, "web1").files["/etc/default/shop.services"][1:] == ("600", "root", "root")


def test_a_service_whose_role_is_gone_is_stopped(data):
    fleet = fleet_of(data, {"hosts": {**MORE_HOSTS, "db1": {**DB, "roles": ["postgres"]}}})
    units = tuple(f"docker-service@shop-{kind}.service" for kind in ("postgres", "redis"))
    plan = Plan(fleet, "db1", Inspection(units=units))
    assert f"stop {units[1]}" in plan.names
    assert any(script.startswith(f"systemctl --quiet disable {units[1]}") for script in plan.scripts)
    assert not any("volume" in script or units[0] in script for script in plan.scripts)


# ---- what hosts are asked ----


def asked_of(fleet, chosen, monkeypatch, down=(), resolved=""):
    """Return what provisioning knows if the hosts `down` cannot be reached. web1 has set its own CACHE_URL. `resolved`:
    the addresses of a name."""

    async def run(host, ssh, words, check):
        if host.name in down:
            raise HostProblem("cannot be reached")
        answers = {asked.SET: "CACHE_URL\n", asked.RESOLVE: resolved}
        return Done(0, answers.get(words[2], "secret\n").encode(), b"")

    monkeypatch.setattr(asked.connection, "run", run)
    return asyncio.run(asked.credentials(fleet, [host_of(fleet, name) for name in chosen], False))


def test_all_hosts_are_asked(apart, monkeypatch):
    credentials = asked_of(apart, ["web1"], monkeypatch)
    assert credentials.complete and credentials.own == {"CACHE_URL"}
    assert credentials.passwords == {"postgres": "secret", "redis": "secret"}


@pytest.mark.parametrize(
    ("resolved", "problem"),
    [
        ("10.0.0.20\n10.0.0.20\n", ""),
        ("", "db1.lan has no address there: write the IP address"),
        ("127.0.1.1\n", "db1.lan: 127.0.1.1 is not an address of this host alone"),
        ("8.8.8.8\n", "db1.lan: 8.8.8.8 is not an address of a private network: use one, or set tls = true in"),
    ],
)
def test_a_name_in_place_of_an_address(data, monkeypatch, resolved, problem):
    """The host is asked for its address, as Docker publishes ports only at addresses. All settings have the name. A
    port is that of web."""
    fleet = fleet_of(data, {"hosts": {**MORE_HOSTS, "db1": {**DB, "internal": "db1.lan:8080"}}})
    if problem:
        with pytest.raises(Refused, match=rf"^on db1: hosts.db1.internal: {problem}"):
            asked_of(fleet, ["web1", "db1"], monkeypatch, resolved=resolved)
        return
    credentials = asked_of(fleet, ["web1", "db1"], monkeypatch, resolved=resolved)
    monkeypatch.setattr("deployer.recipes.CREDENTIALS", credentials)
    assert "-p 10.0.0.20:5432:5432" in Plan(fleet, "db1").files["/etc/default/shop-postgres"][0]
    assert "@db1.lan:5432/shop\n" in Plan(fleet, "web1").files["/etc/default/shop.services"][0]


def test_a_host_that_is_down_keeps_no_other_from_being_provisioned(apart, monkeypatch, capsys):
    """But addresses stay as they are: that host may use another database."""
    credentials = asked_of(apart, ["web1"], monkeypatch, down=["db1"])
    assert not credentials.complete and capsys.readouterr().out.startswith(
        "db1: cannot be reached: so /etc/default/shop"
    )
    monkeypatch.setattr("deployer.recipes.CREDENTIALS", credentials)
    assert "/etc/default/shop.services" not in Plan(apart, "web1").files
    with pytest.raises(Refused, match=r"^on db1: cannot be reached$"):
        asked_of(apart, ["web1", "db1"], monkeypatch, down=["db1"])


def test_a_password_is_made_once(tmp_path):
    path = tmp_path / "shop-postgres.env"

    def ask(variables):
        words = ["sh", "-euc", asked.MAKE_AND_PRINT, "sh", str(path), variables, "APP_PASSWORD"]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    assert ask("") == "" and not path.exists(), "provision --check makes nothing"
    first = ask("POSTGRES_PASSWORD APP_PASSWORD")
    path.chmod(0o644)
    assert len(first) == 48 and ask("POSTGRES_PASSWORD APP_PASSWORD") == first
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == [path.name]
    assert len({*path.read_text().splitlines()}) == 2


@pytest.mark.parametrize(
    ("current", "staged", "names"),
    [
        ("DATABASE_URL=x\nCACHE_URL=\n", None, ["DATABASE_URL"]),
        ("DATABASE_URL=x\n", "BROKER_URL_FILE=/run/secrets/x\n", ["BROKER_URL"]),
        ("MY_DATABASE_URL=x\n", None, []),
        (None, None, []),
    ],
)
def test_settings_that_a_team_has_set(current, staged, names, tmp_path):
    for name, text in (("shop.env", current), ("shop.env.next", staged)):
        if text is not None:
            (tmp_path / name).write_text(text)
    expression = "DATABASE_URL|BROKER_URL|CACHE_URL"
    words = ["sh", "-euc", asked.SET, "sh", str(tmp_path / "shop.env"), expression]
    assert subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout.split() == names
