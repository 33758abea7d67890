"""`watch` over real ssh: a host that is switched off, or dark, and is back; errors. From here, and as a unit."""

import json
import re
import shlex
import signal
import tarfile
import tempfile
import time
from copy import copy

import pytest

from e2e.fleet.load import Load
from e2e.scenarios import provisioned, succeed
from proc import ROOT, wait_until

QUICK = {"watch.every": 2, "watch.ttl": 6, "watch.over": 6}


@pytest.fixture(scope="module")
def live(fleet, tmp_path_factory):
    """The app on three hosts."""
    return provisioned(fleet, tmp_path_factory.mktemp("shop"))


@pytest.fixture
def shop(live, tmp_path):
    """The same; `alerts` is the file to which the hook adds each alert."""
    shop = copy(live)
    shop.settings, shop.alerts = dict(live.settings), tmp_path / "alerts"
    hook = shlex.quote(str(shop.alerts))
    shop.settings |= {**QUICK, "hooks.alert": f"cat >>{hook}; echo >>{hook}"}
    return shop


def told(shop):
    """(rule, state, hosts) of each alert."""
    lines = shop.alerts.read_text().splitlines() if shop.alerts.exists() else []
    alerts = [json.loads(line) for line in lines if line.endswith("}")]
    return [(alert["rule"], alert["state"], alert["hosts"]) for alert in alerts]


def test_a_host_that_is_switched_off(shop):
    """One alert names it, and one says when it is over; the others are heard meanwhile. TERM ends it well."""
    web2 = shop.fleet.hosts["web2"]
    with shop.rolling("watch") as watching:
        try:
            looks(watching, lambda event: event["rules"]["hosts_up"]["value"] == 1)
            web2.power_cut()
            wait_until(lambda: told(shop), 60, "an alert")
            seen = looks(watching, lambda event: event["rules"]["hosts_up"]["alert"])
            assert all(seen["hosts"][name]["seen"] < 6 for name in ("web1", "work1")), seen
            once = shop.deploy("watch", "--once")
        finally:
            web2.power_on()
        wait_until(lambda: len(told(shop)) > 1, 60, "it is over")
        watching.process.send_signal(signal.SIGTERM)
        done = watching.finish(20)
    assert told(shop) == [("hosts_up", "broken", ["web2"]), ("hosts_up", "over", [])]
    assert (done.code, done.stderr) == (0, "")
    assert once.returncode == 1 and "web2" in once.stdout, once.stdout + once.stderr
    once = shop.deploy("watch", "--once")
    assert once.returncode == 0, once.stdout + once.stderr


def visitors(shop, errors):
    """Visitors of both web hosts while the block runs. So many of 100 are answered by an error."""
    urls = [f"{shop.web[number % 2].url}/{'?fail' * (number * errors % 100 < errors)}" for number in range(100)]
    return Load(*urls, host="shop.example", rate=100, seconds=240, post_every=0)


def test_errors(shop):
    """4 % are none, however long; 6 % are told once, and once when they are over."""
    with shop.rolling("watch") as watching:
        def errors(wanted):
            return looks(watching, lambda event: wanted(event["rules"]["errors"]["value"] or 0))
        with visitors(shop, 4):
            errors(lambda share: 0.03 < share < 0.05)
            began = time.monotonic()
            errors(lambda share: time.monotonic() - began > QUICK["watch.over"] + 2 * QUICK["watch.ttl"])
            assert not told(shop)
        with visitors(shop, 6):
            wait_until(lambda: told(shop), 60, "an alert")
        with visitors(shop, 0):
            wait_until(lambda: len(told(shop)) > 1, 60, "it is over")
    assert told(shop) == [("errors", "broken", []), ("errors", "over", [])]


def test_a_deploy_and_a_rollback(shop):
    """They go on beside it, and are nothing to be told: not what the warm slot has counted in its life, either."""
    with visitors(shop, 50):
        wait_until(lambda: figure(shop, "5xx") > 60, 30, "errors of before")
    shop.settings |= {"watch.ttl": 20, "watch.over": 20, "watch.errors": 0.06}
    with shop.rolling("watch") as watching, visitors(shop, 4):
        looks(watching, lambda event: event["rules"]["errors"]["value"])
        succeed(shop)
        outcome = shop.roll("rollback")
        assert outcome.code == 0, outcome.stderr
        began, seen = time.monotonic(), []
        looks(watching, lambda event: seen.append(event["rules"]["errors"]) or time.monotonic() - began > 10)
    assert not told(shop) and not any(rule["broken"] for rule in seen), seen


def figure(shop, kind):
    """How many answers of that class the first web host has counted."""
    said = shop.web[0].run("curl -sS --unix-socket /run/shop/web.sock http://localhost/metrics")
    return float(re.search(rf'"{kind}"}} (\S+)', said)[1])


HOME = "/srv/watch"
SSH = """Host {name}
    HostName {address}
    User root
"""


def install(shop, machine, hook):
    """A checkout and a user as docs/monitoring.md has them, and the unit that it shows, on a machine that is none of
    the servers."""
    hosts, key = [shop.fleet.hosts[name] for name in shop.hosts], shop.fleet.ssh_config.parent / "id_ed25519"
    keys = dict(line.split(" ", 1) for line in key.with_name("known_hosts").read_text().splitlines())
    machine.run(f"useradd --system --create-home --home-dir {HOME} watch && mkdir -p {HOME}/.ssh /srv/shop/deploy")
    machine.write(f"{HOME}/.ssh/config", "".join(SSH.format(name=host.name, address=host.address) for host in hosts))
    machine.write(f"{HOME}/.ssh/known_hosts", "".join(
        f"{host.address} {keys[f'[127.0.0.1]:{host.ssh_port}']}\n" for host in hosts))
    machine.write(f"{HOME}/.ssh/id_ed25519", key.read_text())
    machine.run(f"chmod 600 {HOME}/.ssh/* && chown -R watch: {HOME}")
    for folder in ("deploy", "slipway"):
        send(ROOT / folder, machine, "/srv/shop")
    shop.settings["hooks.alert"] = hook
    shop.write()
    machine.write("/srv/shop/deploy/production.toml", shop.path.read_text())
    unit = re.search(r"^    (\[Unit\]\n(?:    .*\n|\n)+)", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE)[1]
    machine.write("/etc/systemd/system/shop-watch.service", unit.replace("\n    ", "\n"))
    machine.run("systemd-analyze verify shop-watch.service 2>&1 && systemctl enable --now shop-watch.service")


def send(folder, machine, into):
    """A folder of ours, there."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            archive.add(folder, folder.name, filter=lambda found: None if "__pycache__" in found.name else found)
        file.seek(0)
        machine.run(f"tar -x --no-same-owner -C {into}", stdin=file)


def test_as_a_unit(shop):
    """Without a terminal: a host that goes dark is told once, and once when it is over. A stop ends it well, at once.
    """
    machine, web1 = shop.fleet.services, shop.fleet.hosts["web1"]
    began = time.time()
    install(shop, machine, f"cat >>{HOME}/told; echo >>{HOME}/told")

    def heard():
        lines = machine.ssh(f"cat {HOME}/told").stdout.splitlines()
        return [(alert["rule"], alert["state"], alert["hosts"]) for alert in map(json.loads, lines)]

    def journal():  # not that of a unit which a test before this one has left
        return machine.run(f"journalctl -o cat -u shop-watch.service --since=@{began:.0f}")
    try:
        wait_until(lambda: all(f"{name}: up" in journal() for name in shop.hosts), 60, "it has heard of all")
        with web1.cut_off():
            wait_until(heard, 90, "an alert")
        wait_until(lambda: len(heard()) > 1, 90, "it is over")
        stopping = time.monotonic()
        machine.run("systemctl stop shop-watch.service")
        assert time.monotonic() - stopping < 5
        assert heard() == [("hosts_up", "broken", ["web1"]), ("hosts_up", "over", [])]
        ended = machine.run("systemctl show -p Result,ExecMainStatus,ExecMainCode,ActiveState shop-watch.service")
        assert set(ended.split()) == {"Result=success", "ExecMainCode=1", "ExecMainStatus=0", "ActiveState=inactive"}
        said = journal()
        assert "Traceback" not in said and "\033" not in said, said
        alerts = [line for line in said.splitlines() if line.startswith("shop: hosts_up")]
        assert len(alerts) == 2 and alerts[0].endswith(": web1"), said
    finally:
        machine.run("systemctl disable --now shop-watch.service; userdel --remove watch"
                    "; rm -r /srv/shop /etc/systemd/system/shop-watch.service && systemctl daemon-reload")


def looks(watching, wanted):
    """Read its events until a look is as it should be; that look."""
    for line in watching.process.stdout:
        event = json.loads(line)
        if event["event"] == "look" and wanted(event):
            return event
    raise AssertionError(f"it ended: {watching.process.stderr.read()}")
