"""What the agent tells of the site: enough to compare it with where TLS ends, and no secret."""

from pathlib import Path

import pytest

from slipway.deploy import config
from slipway.deploy.agent import facts, sqlite
from slipway.deploy.agent.steps import readiness
from deployer.simulated import Simulated, world
from deployer.test_server import files

URL = "https://ann:planted@shop.example:8443/planted?x"


@pytest.fixture
def host(tmp_path):
    return Simulated(tmp_path / "root")


def put_nginx(host, data):
    """The site's file on the host, as provisioning writes it."""
    path = Path(f"{host.root}/etc/nginx/sites-available/shop")
    path.parent.mkdir(parents=True)
    path.write_text(files(config.build(data, {}, "test"), "web1")["/etc/nginx/sites-available/shop"])


@pytest.mark.parametrize("tls, scheme", [("off", "http"), ("files", "https"), ("elsewhere", "https")])
def test_nginx_says_how_visitors_come(host, data, tls, scheme):
    """The scheme is read from the site as provisioning writes it; without one there is none."""
    assert facts.front(host)["scheme"] == ""
    data["site"].update(tls=tls, certificate="/c.pem", key="/k.pem", proxies=["192.0.2.1"])
    put_nginx(host, data)
    assert facts.front(host)["scheme"] == scheme


HOME, GONE = "sqlite:////data/db.sqlite3", "would go with its container"


@pytest.mark.parametrize("settings, opts, said", [
    ("DATABASE_URL=postgres://a:planted@db/shop", "", None), ("A=1", "", None),
    (f"DATABASE_URL={HOME}", "", "data for"),
    ("DATABASE_URL=sqlite:////planted/db", "", GONE), ("DATABASE_URL=sqlite://:memory:", "", GONE),
    ("DATABASE_URL=sqlite:////planted/db", "-v /srv/plant:/plant", GONE),
    ("DATABASE_URL=sqlite:////planted/db", "-v /srv/a:/planted:rw", ""),
    ("DATABASE_URL=sqlite:////planted/db", "-v /planted", GONE),
    ("DATABASE_URL=sqlite:////planted/db", "-e A=\"b c\" --volume=\"/srv/a b:/planted\"", ""),
    ("DATABASE_URL=sqlite:////planted/db", "-v db:/planted --tmpfs /planted/tmp:size=1g", ""),
    (f"DATABASE_URL={HOME}", "--tmpfs /data", GONE), (f"DATABASE_URL={HOME}", "--tmpfs=/data/:size=1g", GONE),
    (f"DATABASE_URL={HOME}", "--mount=type=tmpfs,destination=/data", GONE),
    (f"DATABASE_URL={HOME}", "-e X=a:/data", GONE),
    (f"DATABASE_URL={HOME}", "-v /srv/a:/data/media --tmpfs /database", "data for"),
    (f"DATABASE_URL={HOME}", "-v /srv/a:/data", ""), (f"DATABASE_URL={HOME}", "-v \"", "data for"),
    ("DATABASE_URL=spatialite:////data/db?timeout=9", "--mount type=volume,source=db,target=/data", ""),
    (f"DATABASE_URL_FILE=/run/secrets/DATABASE_URL.1\n#DATABASE_URL={HOME}", "", "set DATABASE_URL")])
def test_where_sqlite_has_its_file(host, settings, opts, said):
    """In /data, for which there is a folder and docker-runner mounts it, or where opts mount what stays: else it is
    told, without the value."""
    Path(host.secrets).mkdir()
    Path(host.secrets, "DATABASE_URL.1").write_text(HOME)
    Path(host.etc).write_text(f"IMAGE=registry.example:5000/shop\nOPTS='{opts}'\n")
    found = sqlite.problem(host, settings.encode())
    assert found is None if said is None else said in found and (said or not found) and "planted" not in found
    Path(host.var, "data").mkdir()
    assert sqlite.problem(host, settings.encode()) == ("" if said == "data for" else found)
    with world(host):
        Path(host.next_env).write_text(settings)
        assert facts.collect(host)["sqlite"] == ("" if said == "data for" else found)


@pytest.mark.parametrize("current, staged, url", [
    (f"SECRET_KEY=planted\nSITE_URL={URL}\n", None, "https://shop.example:8443"),
    (f"SITE_URL={URL}\n", "SITE_URL=http://localhost\n", "http://localhost"),
    (f"SITE_URL={URL}\n", "A=1\n", ""),
    ("SITE_URL_FILE=/run/secrets/SITE_URL.1\n", None, "https://shop.example"),
    ("SITE_URL_FILE=/run/secrets/../shop.env\n", None, ""), ("SITE_URL=planted\n", None, ""), ("", None, "")])
def test_of_site_url_scheme_and_host_are_told(host, current, staged, url):
    """Of the settings that the next deploy makes live; nothing else of them leaves the host."""
    Path(host.env).write_text(current)
    if staged is not None:
        Path(host.env + ".next").write_text(staged)
    Path(host.etc + ".secrets").mkdir()
    Path(host.etc + ".secrets/SITE_URL.1").write_text("https://shop.example/\n")
    assert facts.front(host)["url"] == url
    Path(host.slot_file("a", "env")).write_text(current if staged is None else staged)
    assert "://".join(readiness.site_of(host, "a")) == (url or "http://localhost")
    assert "planted" not in str(facts.front(host))
