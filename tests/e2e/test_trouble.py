"""`slipway errors` and `slipway logs` on the fleet, with the hosts' real journals."""

import json
import re
import shlex
import time

from documented import commands
from e2e.scenarios import good, live, provisioned
from proc import ROOT, wait_until

RAISED = {
    "exception": "Traceback (most recent call last):\n  …\nKeyError: 3",
    "raised": {"type": "KeyError", "file": "/app/orders/views.py", "line": "32", "function": "detail"},
}
VISIT = "curl -s -o /dev/null -H 'Host: shop.example' http://localhost/gone"


def logged(host, role, level="ERROR", **extra):
    """Write a record as a container of this role does; return when the journal has it."""
    slot = host.run("readlink /run/shop/web.sock")[0]
    record = {"level": level, "logger": "shop", "message": "Oh", "request_id": "5f0c7d1e9a4b", **extra}
    host.run(f"printf '%s\\n' {shlex.quote(json.dumps(record))} | systemd-cat -t shop-{role}-{slot}; journalctl --sync")


def test_what_fails_is_found(fleet, tmp_path):
    """Errors of releases, also those that the release before did not have, and a killed container, with their logs."""
    shop = provisioned(fleet, tmp_path)
    began = time.strftime("%Y-%m-%d %H:%M:%S")

    def output_of(*words):
        done = shop.deploy(*words)
        assert done.returncode == 0 and "\x1b" not in done.stdout, done.stderr
        return done.stdout

    (web1, web2), work = shop.web, shop.fleet.hosts["work1"]
    assert web1.run("ls /var/log/journal") and "slipway logs and slipway errors go back to 20" in output_of("status")
    logged(web1, "web", release=live(shop), **RAISED)
    tag = good(shop)
    shop.good("deploy", tag, "--no-bake")
    for host in (web1, web2):
        logged(host, "web", release=tag, **RAISED)
    logged(web2, "web", message="of\x1b[2J 12", release=tag)
    work.run("docker kill -s KILL shop-beat")
    wait_until(lambda: "beat: ended by signal 9" in output_of("errors"), 60, "systemd has started it again")
    assert "new shop: of\\x1b[2J 12\n" in output_of("errors")
    before, _, after = output_of("errors").partition(" KeyError ")
    head, counts = after.splitlines()[:2]
    assert head == "orders/views.py:32 detail: 3" and counts.startswith("  2 x, ") and "web on web1, web2" in counts
    assert "slipway logs --request=5f0c7d1e9a4b" in output_of("errors", before[-8:])

    for number, host in enumerate((*shop.web, *shop.web)):
        logged(host, "web", "INFO", message=f"seen {number}", request_id="0123456789ab")
    for words, numbers in (
        (["--grep", "seen [0-9]"], "0123"),
        (["--request", "0123456789ab", "-n", "1"], "23"),
        (["--request", "0123456789ab", "--level", "error"], ""),
    ):
        assert [line[-6:] for line in output_of("logs", "--since", began, *words).splitlines()] == [
            f"seen {number}" for number in numbers
        ]
    web1.run(f"cd /run/shop; mv web.sock gone; {VISIT}; mv gone web.sock; journalctl --sync")
    assert "web1 nginx GET /" in output_of("logs", "--since", began, "--role", "nginx")


def test_going_back_on_a_host_alone(fleet, tmp_path):
    """By the commands of docs/trouble.md. The next deploy works."""
    shop = provisioned(fleet, tmp_path)
    (web1, web2), old, tag = shop.web, live(shop), good(shop)
    shop.good("deploy", tag, "--no-bake")
    for command in commands(ROOT / "docs/trouble.md"):
        if re.match("(systemctl|mv|rm) ", command):
            web1.run(command)
    for host, release in ((web1, old), (web2, tag)):
        wait_until(lambda: f'"release": "{release}"' in host.ssh(VISIT.replace("-o /dev/null", "")).stdout, 60, release)
    shop.good("deploy", good(shop), "--no-bake")
