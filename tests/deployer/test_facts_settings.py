"""Facts that an agent reads from a release's settings: how visitors come, SQLite's file, memory of a second slot."""

from pathlib import Path

import pytest

from deployer.conftest import fleet_of
from deployer.simulated import world
from deployer.test_facts import host_in
from deployer.test_server import files
from proc import put
from slipway.deploy.agent import facts, memory, sqlite
from slipway.deploy.agent.steps import readiness


@pytest.fixture
def host(tmp_path):
    return host_in(tmp_path)


MB = 2**20


def needs(host, live="a", **held):
    """Return what a new slot needs on a host with 1000 MB available. `held`: container, with _ for -, → the MB that its
    three processes share; they hold page cache besides."""
    put(host.root + "/proc/meminfo", f"MemTotal: 4000000 kB\nMemAvailable:    {1000 * 1024} kB\n")
    containers = {name.replace("_", "-"): (f"{number:064x}", "sha256:1", 1) for number, name in enumerate(held)}
    for number, ((one, *_), share) in enumerate(zip(containers.values(), held.values(), strict=False)):
        for pid in range(100 + 3 * number, 103 + 3 * number):
            put(f"{host.root}/proc/{pid}/cgroup", f"0::/system.slice/docker-{one}.scope{'/init' * (pid % 2)}\n")
            put(
                f"{host.root}/proc/{pid}/smaps_rollup",
                f"Rss: {share * 1024} kB\nPss: {share * 1024} kB\nPss_Anon:"
                f" {(share - 3) * 1024 // 3} kB\nPss_File: 512000 kB\nPss_Shmem:   1024 kB\n",
            )
    return memory.free_and_needed(host, containers, live)


@pytest.mark.parametrize("live, need", [("a", 210), ("b", 0), (None, 0)])
def test_a_second_slot_needs_what_the_live_one_holds(host, live, need):
    found = needs(host, live, shop_web_a=120, shop_worker_a=90, shop_beat=60)
    assert found["need"] == need * MB + memory.SPARE and (live != "a" or found["memory"] == 1000 * MB)


def test_what_the_idle_slot_holds_is_free(host):
    put(host.root + "/proc/98/status", "")
    put(host.root + "/proc/99/cgroup", f"0::/system.slice/docker-{0:064x}.scope\n")  # a process that has just ended
    assert needs(host, shop_web_a=120, shop_web_b=150) == {"memory": 1150 * MB, "need": 120 * MB + memory.SPARE}


URL = "https://ann:planted@shop.example:8443/planted?x"


@pytest.mark.parametrize("tls, scheme", [("off", "http"), ("files", "https"), ("elsewhere", "https")])
def test_nginx_says_how_visitors_come(host, data, tls, scheme):
    assert facts.nginx_front(host)["scheme"] == ""
    fleet = fleet_of(
        data, {"site.tls": tls, "site.certificate": "/c.pem", "site.key": "/k.pem", "site.proxies": ["192.0.2.1"]}
    )
    path = "/etc/nginx/sites-available/shop"  # as provisioning writes it
    put(host.root + path, files(fleet, "web1")[path])
    assert facts.nginx_front(host)["scheme"] == scheme


HOME, GONE = "sqlite:////data/db.sqlite3", "inside the container"


@pytest.mark.parametrize(
    "settings, message",
    [
        ("DATABASE_URL=postgres://a:planted@db/shop", None),
        ("A=1", None),
        (f"DATABASE_URL={HOME}", "data for"),
        ("DATABASE_URL=sqlite:////planted/db", GONE),
        ("DATABASE_URL=sqlite://:memory:", GONE),
        ("DATABASE_URL=spatialite:////data/db?timeout=9", "data for"),
    ],
)
def test_where_sqlite_has_its_file(host, settings, message):
    found = sqlite.problem(host, settings.encode())
    assert found is None if message is None else message in found and "planted" not in found
    Path(host.var, "data").mkdir()
    assert sqlite.problem(host, settings.encode()) == ("" if message == "data for" else found)
    with world(host):
        Path(host.next_env).write_text(settings)
        assert facts.collect(host)["sqlite"] == ("" if message == "data for" else found)


@pytest.mark.parametrize(
    "current, staged, url",
    [
        (f"SECRET_KEY=planted\nSITE_URL={URL}\n", None, "https://shop.example:8443"),
        (f"SITE_URL={URL}\n", "SITE_URL=http://localhost\n", "http://localhost"),
        (f"SITE_URL={URL}\n", "A=1\n", ""),
        ("SITE_URL_FILE=/run/secrets/SITE_URL.1\n", None, "https://shop.example"),
        ("SITE_URL_FILE=/run/secrets/../shop.env\n", None, ""),
        ("SITE_URL=planted\n", None, ""),
        ("", None, ""),
    ],
)
def test_of_site_url_scheme_and_host_are_told(host, current, staged, url):
    Path(host.env).write_text(current)
    if staged is not None:
        Path(host.env + ".next").write_text(staged)
    put(host.etc + ".secrets/SITE_URL.1", "https://shop.example/\n")
    assert facts.nginx_front(host)["url"] == url
    Path(host.slot_file("a", "env")).write_text(current if staged is None else staged)
    assert "://".join(readiness.site_of(host, "a")) == (url or "http://localhost")
    assert "planted" not in str(facts.nginx_front(host))
