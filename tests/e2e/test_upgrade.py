"""Tests of today's commands under load, on servers that an earlier version provisioned.

tests/e2e/before has the files that the version of November 2026 installed on hosts (every), web hosts (web), and the
host with worker, beat and balancer (work): the last one before slots had their own mount. It is a record.
"""

import json
import zlib
from pathlib import Path

import pytest

from e2e import byhand, checker
from e2e.rollouts import Shop

BEFORE = Path(__file__).parent / "before"
PARTS = {"web1": ("every", "web"), "web2": ("every", "web"), "work1": ("every", "work")}
PRIVATE = (".env", ".revert")
SLOTS = {"a": "v1", "b": "v0", "beat": "v1"}  # slot a is live, b is warm; beat has its own
# The folders, links and services that this version created.
MADE = """set -e
useradd --system --shell /usr/sbin/nologin shop
install -d /var/www/shop/static
install -d -o root -g shop -m 750 /etc/default/shop.secrets
chmod 755 /usr/local/bin/docker-*
rm -f /etc/nginx/sites-enabled/default
cd /etc/nginx/sites-available
for folder in ../shop*; do echo "back soon" >$folder/maintenance.html; done
for site in shop*; do ln -s ../sites-available/$site ../sites-enabled/$site; done
systemd-tmpfiles --create shop.conf
systemctl daemon-reload
systemctl reload docker
systemctl enable --quiet shop.target
systemctl enable --quiet --now nginx
systemctl reload nginx
"""


def install(shop):
    """Write all files of that provisioning to each host."""
    places = {f"@{name.upper()}@": host.address for name, host in shop.fleet.hosts.items()}
    for name, parts in PARTS.items():
        texts = {}
        for part in parts:
            for path in (path for path in (BEFORE / part).rglob("*") if path.is_file()):
                text = path.read_text().replace("@IMAGE@", shop.settings["image"])
                for place, address in places.items():
                    text = text.replace(place, address)
                texts[f"/{path.relative_to(BEFORE / part)}"] = (text, "600" if path.suffix in PRIVATE else "644")
        byhand.put(shop.fleet.hosts[name], texts)
        shop.fleet.hosts[name].run("sh -s", input=MADE, timeout=120)


def pulled(host, image):
    """Pull the release to the host. Return the text of a file that names it."""
    made = host.run(f"docker pull -q {image} >/dev/null; docker image inspect --format '{{{{.Id}}}}' {image}",
                    timeout=300)
    return f"export TAG={image.rpartition(':')[2]}\nexport IMAGE_ID={made}"


def record(tag, text, roles):
    """Return a line of releases.log for this deploy, committed."""
    image_id = checker.release(text)["IMAGE_ID"]
    line = json.dumps({
        "id": "68112f734971", "action": "deploy", "tag": tag, "image_id": image_id, "digest": image_id,
        "who": f"deploy {tag} by ann from here since 2026-11-20 17:20:48 UTC", "began": 1795195248.9,
        "at": 1795195253.7, "seconds": 4.8, "outcome": "committed", "roles": roles, "version": 1})
    return line[:-1] + ', "crc32": "%08x"}\n' % zlib.crc32(line.encode())


def release(shop, name):
    """Put a host into the state after two deploys: v1 live in slot a, and v0 warm in slot b for ten more minutes."""
    host, roles = shop.fleet.hosts[name], shop.hosts[name]["roles"]
    texts = {tag: pulled(host, f"{shop.settings['image']}:{shop.image(tag)}") for tag in ("v0", "v1")}
    settings = host.run("cat /etc/default/shop.env")
    put = {"/var/www/shop/TAG": (texts["v1"], "644"), "/var/www/shop/REVERT": (texts["v0"], "644"),
           "/var/www/shop/releases.log": ("".join(record(tag, texts[tag], roles) for tag in texts), "644")}
    units = []
    for slot, tag in SLOTS.items():
        if slot != "beat" or "beat" in roles:
            put |= {f"/run/shop/{slot}.tag": (texts[tag], "644"), f"/run/shop/{slot}.env": (settings, "600")}
            units += [f"shop-{role}@{slot}" for role in roles if role != "beat"] if slot != "beat" else ["shop-beat"]
    byhand.put(host, put)
    host.run(f"[ {roles[0]} = web ] || touch /run/shop/b/worker.pause; systemctl start {' '.join(units)};"
             " systemd-run --quiet --unit=shop-retire --on-active=600 true", timeout=120)


@pytest.fixture
def shop(fleet, tmp_path):
    """Return the hosts as that version left them, with v1 live."""
    fleet.reset()
    shop = Shop(fleet, tmp_path)
    install(shop)
    for name in PARTS:
        release(shop, name)
    for host in fleet.hosts.values():
        byhand.until_it_answers(host, "shop", '"v1"')
    return shop


def started(shop):
    """Return {host: its containers with their start times}."""
    return {name: sorted(host.run("docker inspect --format '{{.Name}} {{.State.StartedAt}}' $(docker ps -q)").split())
            for name, host in shop.machines().items()}


def test_no_visitor_notices(shop):
    """Today's commands provision and deploy under load: no request fails, provisioning restarts nothing, and status
    finds no problem. A rollback to the old version's release works, and so does the next deploy, which survives a
    boot."""
    with shop.load(rate=80, seconds=400) as load:
        before = started(shop)
        shop.provision()
        assert started(shop) == before
        for host in shop.machines().values():  # units that order a shutdown's steps
            assert host.run("systemctl is-active docker-runner.target nginx-first") == "active\nactive\n"
        shop.bring("v2")
        checker.check(shop)
        status = shop.deploy("status")
        back = shop.roll("rollback")
        assert back.code == 0 and checker.tags(shop) == {"v1"}, back.stderr
        shop.bring("v3")
        result = load.stop()
    checker.check(shop)
    assert not result.failures, result.summary()
    assert set(result.releases) == {"v1", "v2", "v3"}
    assert status.returncode == 0, status.stdout + status.stderr
    host = shop.web[0]
    host.power_cut()
    host.power_on()
    byhand.until_it_answers(host, "shop", '"v3"')
