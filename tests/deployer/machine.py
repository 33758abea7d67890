"""A simulated host with its deployer and systemd, and checks of the invariants, at every instant and at rest."""

import contextlib
import os
from unittest import mock

from deployer.simulated import FOREVER, Killed, Simulated
from slipway.deploy.agent import disk, releases, serve, slots, staging, takeback
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Problem
from slipway.deploy.agent.steps.table import STEPS

BROKEN = "the lock was broken by bob from home"
IN_SLOTS = ["web", "worker", "mail"]
PROVE = (
    ("publish", {}),
    ("upload", {"bucket": "s3://shop/static", "seconds": 9}),
    ("migrate", {"seconds": 9, "max_lock": 2}),
    ("start", {"roles": IN_SLOTS}),
    ("ready", {"seconds": 0, "smoke": ["/"], "roles": IN_SLOTS}),
)
TURN = (
    ("pause", {"seconds": 0}),
    ("flip", {"smoke": ["/"], "max_errors": 0.05}),
    ("watch", {"seconds": 0}),
    ("replace", {"seconds": 0}),
    ("watch", {"seconds": 0}),
    ("prepare", {}),
    ("promise", {}),
    ("commit", {}),
)
BACK = (
    ("start", {"roles": ["web"]}),
    ("ready", {"seconds": 0, "smoke": ["/"], "roles": ["web"]}),
    ("flip", {"smoke": ["/"]}),
    ("pause", {"seconds": 0}),
    ("start", {"roles": IN_SLOTS[1:]}),
    ("ready", {"seconds": 0, "smoke": ["/"], "roles": IN_SLOTS[1:]}),
    ("replace", {"seconds": 0}),
    *TURN[-3:],
)

# what each attempt gets from its deployer and its agent
GIVEN = {"keep_warm": 600, "drain": 30, "keep_releases": 5, "image": "", "program": "/agent"}


def release(tag):
    return {"tag": tag, "image_id": f"sha256:{tag}"}


class Machine:
    """A simulated host, and the actions of its deployer and of systemd."""

    def __init__(self, root, own=()):
        self.host = Simulated(root, self.at_every_instant, own)
        self.host.broken.add("bad")
        self.served, self.say, self.own = False, lambda event: None, own

    def steps(self, action, tag):
        """Return the steps of a deploy, restart or rollback: (name, arguments)."""
        known = {"image_id": f"sha256:{tag}"} if action == "rollback" else {}
        begin = {
            "id": "0",
            "action": action,
            "tag": tag,
            "digest": f"digest:{tag}",
            "who": "ann",
            "image_id": "",
            **GIVEN,
            **known,
        }
        steps = (*PROVE, *TURN) if action != "rollback" else BACK
        return [("begin", begin), ("pull", {"image": "shop"}), *steps]

    def attempt(self, action, tag, fuse=FOREVER, until=99, aborted=False, full=False):
        """Deploy; the agent dies after `fuse` effects, or the deployer stops after `until` steps. If `aborted`, the
        deployer then sends an abort; if `full`, /run has no room left by then. At the end systemd runs the takeback."""
        self.host.fuse, attempt = fuse, Attempt(self.host, program="/agent")
        try:
            self.begun(action, tag, until, attempt)
            self.host.full = full
            if aborted:
                self.abort(attempt)
        except (Problem, Killed):
            pass
        self.settle()
        self.host.full = False

    def begun(self, action, tag, until, attempt=None, **extra):
        """Do the first `until` steps and return the attempt. `more`: further arguments of the step begin."""
        attempt = attempt or Attempt(self.host, program="/agent")
        for name, args in self.steps(action, tag)[:until]:
            STEPS[name](self.host, attempt, self.say, **{**args, **(extra if name == "begin" else {})})
        return attempt

    def unlock(self, tag, until, fuse):
        """Deploy; after `until` steps somebody breaks the lock, which ends the agent. The takeback dies after `fuse`
        effects, and another one follows. What is taken back says why."""
        with contextlib.suppress(Problem, Killed):
            self.begun("deploy", tag, until)
        disk.write(self.host.lock_broken, BROKEN)
        attempt, before = releases.read_attempt(self.host), len(releases.read_log(self.host)[0])
        self.settle(fuse)
        self.settle()
        causes = [record.get("cause", "") for record in releases.read_log(self.host)[0][before:]]
        assert {*causes} == ({""} if attempt and attempt.get("promised") else {BROKEN} if attempt else set())
        disk.remove(self.host.lock_broken)  # as the next agent that gets the lock does

    def replace(self, fuse):
        """Put a bare host in place of this one. It takes the other's settings and history, then gets its release; if
        its agent dies after `fuse` effects, the next deploy does so again."""
        given, host = staging.read_settings(self.host, secrets=True), self.host
        tag, revert = releases.read_tag(host.tag), releases.read_tag(host.revert)
        self.served = False
        self.host.__init__(host.root + "+", self.at_every_instant, self.own)
        self.host.broken.add("bad")
        for host.fuse in (fuse, FOREVER):
            with contextlib.suppress(Killed):
                if not releases.read_tag(host.tag):
                    staging.stage(host, given["settings"], {})
                    staging.finish_staging(host, [])
                    staging.inherit(host, given["records"], {}, given["reverted"])
                    self.attempt("deploy", tag["tag"], host.fuse)
        assert (releases.read_tag(host.tag), releases.read_tag(host.revert)) == (tag, revert)

    def abort(self, attempt):
        """Abort the agent, as the deployer's message does: it takes visitors back, then exits."""
        with mock.patch("os._exit", side_effect=Killed):
            serve.abort(attempt, {"cause": "told to"})

    def settle(self, fuse=FOREVER):
        self.host.fuse = fuse
        with contextlib.suppress(Killed):
            takeback.settle(self.host, self.say)

    def at_every_instant(self):
        """Check that a healthy release serves, and that TAG and REVERT differ and never name the bad release."""
        tag, revert = releases.read_tag(self.host.tag), releases.read_tag(self.host.revert)
        if self.served:
            status, body = self.host.ask("nginx.sock", "/")
            assert status == 200, f"visitors get {body}"
        assert revert is None or revert != tag, f"TAG and REVERT are both {tag}"
        assert "bad" not in [found["tag"] for found in (tag, revert) if found]
        self.served = self.served or bool(tag)

    def at_rest(self, committed=None):
        """Check that one release, `committed` if given, runs everywhere, and that no attempt left anything behind."""
        self.at_every_instant()
        assert not [name for name in os.listdir(self.host.var) if name.endswith((".next", ".new"))]
        assert not [name for name in os.listdir(self.host.run) if name.endswith(".back") or name == "attempt.new"]
        host, live, tag = self.host, slots.live(self.host), releases.read_tag(self.host.tag)
        assert not any(host.one_offs.values()), "a one-off of an attempt is left"
        assert disk.read(host.attempt) is None
        running = {unit: found[0] for unit, found in host.up.items()}
        assert not committed or tag == release(committed)
        if tag:
            wanted = {*slots.units(host, live), *map(host.unit, host.alone())}
            assert {"shop-web@a.service", "shop-worker@b.service", "shop-beat.service"} & wanted
            assert {unit: running.get(unit) for unit in wanted} == dict.fromkeys(wanted, tag["tag"])
            assert slots.release_in(host, live) == tag
            assert host.worker(host, live)[0] == "consuming"
        else:
            assert not running
        idle = slots.other(live)
        old = {unit for unit in running if f"@{idle}" in unit}
        warm = slots.release_in(host, idle)
        assert len(old) == (2 if warm else 0), (warm, old)
        assert not warm or (host.timer and host.timer[0] == idle), "nothing will stop the warm slot"
        records, torn = releases.read_log(host)
        committed = [record["tag"] for record in records if record["outcome"] == "committed"]
        assert all(0 <= record["seconds"] < 600 for record in records)
        assert not torn and (not tag or committed[-1] == tag["tag"])
        assert releases.read_tag(host.revert) == (tag and releases.revert_for(records, tag, tag["tag"]))


def state(host):
    """Return all that a deploy changes on a host, except the idle slot and the log."""
    live = slots.live(host)
    files = [
        host.tag,
        host.revert,
        host.env,
        host.env + ".next",
        host.env + ".revert",
        *(host.slot_file(slot, kind) for slot in (live, *host.alone()) for kind in ("tag", "env")),
    ]
    units = [*slots.units(host, live), *map(host.unit, host.alone())]
    return live, [disk.read(path) for path in files], [host.up[unit][0] for unit in units], host.worker(host, live)
