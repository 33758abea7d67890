"""`make errors` and `make logs` on the fleet, with the hosts' real journals."""

import json
import shlex
import time

import pytest

from e2e.scenarios import good, live, provisioned
from proc import wait_until

TRACEBACK = 'Traceback (most recent call last):\n  File "/app/orders/views.py", line %d, in detail\n    x\nKeyError: 3'


@pytest.fixture(scope="module")
def shop(fleet, tmp_path_factory):
    return provisioned(fleet, tmp_path_factory.mktemp("a shop"))


def logged(host, role, level="ERROR", **more):
    """Write a record as a container of this role does; return when the journal has it."""
    slot = host.run("readlink /run/shop/web.sock")[0]
    record = {"level": level, "logger": "shop", "message": "Oh", "request_id": "5f0c7d1e9a4b", **more}
    host.run(f"printf '%s\\n' {shlex.quote(json.dumps(record))} | systemd-cat -t shop-{role}-{slot}; journalctl --sync")


def lines(shop, *words):
    done = shop.deploy("logs", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_fails_is_found(shop):
    """Hosts find a release's errors, that of a killed container, and what the release before did not have."""
    old, (web1, web2), work = live(shop), shop.web, shop.fleet.hosts["work1"]
    logged(web1, "web", exception=TRACEBACK % 31, release=old)
    tag = good(shop)
    shop.good("deploy", tag, "--no-bake")
    for host in (web1, web2):
        logged(host, "web", exception=TRACEBACK % 32, release=tag)
    logged(web2, "web", message="of\x1b[2J 12", release=tag)
    work.run("docker kill -s KILL shop-beat")
    wait_until(lambda: "beat: ended by signal 9" in shop.deploy("errors").stdout, 60, "systemd has started it again")
    told = shop.deploy("errors")
    assert told.returncode == 0 and "\x1b" not in told.stdout, told.stderr
    told = told.stdout.splitlines()
    heads = [line.partition(". ")[2] for line in told if not line.startswith(" ")]
    assert {"KeyError orders/views.py:32 detail: 3", "new shop: of\\x1b[2J 12"} < {*heads}, heads
    number = told.index(next(line for line in told if "KeyError" in line))
    assert told[number + 1].startswith("  2 x, ") and "web on web1, web2" in told[number + 1]
    assert f" {tag} " in shop.deploy("releases").stdout
    whole = shop.deploy("errors", told[number + 1][-8:]).stdout
    assert TRACEBACK.splitlines()[0] in whole and 'make logs ARGS="--request 5f0c7d1e9a4b"' in whole


def test_logs_are_searched_where_they_are(shop):
    """Times, levels and ids choose lines of all hosts, with systemd 252 and 257 alike; the newest are kept."""
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time.time() - 1))
    for number, host in enumerate((*shop.web, *shop.web)):
        logged(host, "web", "INFO", message=f"line {number}", request_id="0123456789ab")
    found = lines(shop, "--since", began, "--grep", "line [0-9]")
    assert [line[-6:] for line in found] == [f"line {number}" for number in range(4)], found
    assert [line[-6:] for line in lines(shop, "--since", began, "--request", "0123456789ab", "-n", "1")] == [
        "line 2", "line 3"]
    assert lines(shop, "--since", began, "--request", "0123456789ab", "--level", "error") == []
    kept = shop.web[0].run("journalctl --header --quiet | grep -c 'File path: /var/log/journal'")
    assert int(kept) and "logs since 20" in shop.deploy("status").stdout
