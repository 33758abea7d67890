"""A cell of the fault matrix: a deploy or rollback under load, to which a fault happens at a step."""

import subprocess
import time
from dataclasses import dataclass

from e2e import checker
from e2e.fleet.load import Load
from e2e.scenarios import good, settings
from matrix.columns import POSTS
from slipway.deploy.errors import Divided

WHOLE = 180  # seconds until all hosts are on one release again
PROMISING = ("prepare", "promise", "commit")  # a fault at `prepare` may come a moment later
AGAIN = "the next deploy or rollback tries again"  # what a deploy says if a host cannot go back completely
SYSTEM = ". /etc/os-release; echo Debian $VERSION_ID, Docker $(docker version --format '{{.Server.Version}}')"
LIMITS = {"bake": 4, "dead_after": 6, "ready": 30}


@dataclass(frozen=True)
class Report:
    """The outcome of a cell. `served`: release → answers; `failed`: cause → requests; `code`: exit code of the command,
    negative for a signal; `seconds`: from the fault until all hosts were on one release; `wrong`: broken rules;
    `system`: of the hosts, with its Docker."""

    action: str
    step: str
    fault: str
    requests: int
    served: dict
    failed: dict
    code: int
    release: str
    seconds: float
    wrong: list
    system: str


class Cell:
    """`host`: where the fault happens, a web host, the first that comes to the step if None; `old`, `new`: the releases
    before, and of a success."""

    def __init__(self, shop, action):
        self.shop, self.wrong, self.outcome, self.host = shop, [], None, None
        if len(checker.tags(shop)) > 1:
            shop.good("deploy", good(shop))  # it repairs hosts that are on two releases
        if action == "rollback" or not reverted(shop):  # somebody may roll back meanwhile
            shop.good("deploy", good(shop), "--no-bake")
        if action == "rollback":
            self.new, self.words = reverted(shop), ("rollback",)
        else:
            self.new = good(shop)
            self.words = ("deploy", self.new)
        [self.old] = checker.tags(shop)

    def finish(self):
        """Wait for the command's end; a second time this does nothing. Return the outcome."""
        self.outcome = self.outcome or self.rolling.finish()
        return self.outcome

    def aside(self, *words, codes):
        """Run another command meanwhile. It must end with one of these exit codes; None: with any."""
        done = self.shop.deploy(*words)
        if codes is not None and done.returncode not in codes:
            self.wrong.append(f"slipway {words[0]}: exit {done.returncode}: {done.stderr[-300:]}")
        if "Traceback" in done.stderr:
            self.wrong.append(f"slipway {words[0]}: a traceback")


def reverted(shop):
    """Return the tag to which a rollback goes, None if there is no earlier release."""
    revert = checker.release(next(iter(checker.read_all(shop).values()))["revert"])
    return revert["TAG"] if revert else None


def run(shop, action, step, fault):
    """Return the Report of a cell."""
    with settings(shop, **LIMITS):
        cell = Cell(shop, action)
        with fault.around(cell), visitors(shop, fault) as load, shop.rolling(*cell.words) as cell.rolling:
            event = cell.rolling.until(step)
            web = {host.name: host for host in shop.web}
            cell.host = cell.host or web.get(event["host"], shop.web[-1])
            began = time.monotonic()
            with fault.happens(cell):
                cell.finish()
            if AGAIN in cell.outcome.stderr:
                shop.deploy("deploy", cell.old, "--no-bake")
            release = whole(cell, fault, divided=step in PROMISING)
            seconds = time.monotonic() - began
    result = load.result
    judge(cell, fault, result, release)
    return Report(
        action,
        step,
        fault.name,
        requests=len(result.records),
        served=dict(result.releases),
        failed=dict(result.causes),
        code=cell.outcome.code,
        release=release,
        seconds=round(seconds, 1),
        wrong=cell.wrong,
        system=shop.web[0].run(SYSTEM).strip(),
    )


def visitors(shop, fault):
    """Return a load on all web hosts and the balancer; if a host goes away, on the balancer alone."""
    if fault.loses == POSTS:
        balancer = shop.fleet.hosts["work1"].url
        return Load(balancer, host=f"{shop.app}.example", rate=40, seconds=900, may_fail=True)
    return shop.load(may_fail=True, rate=40)


def whole(cell, fault, divided):
    """Wait until all hosts are on one release, with nothing left of the deploy. Return it; "" if they are not. While
    they promise, a deployer or host that dies, or that the other cannot reach, may leave two (docs/design.md,
    invariant 3): then return both."""
    until, problem = time.monotonic() + WHOLE, ""
    divided = divided and (cell.outcome.code < 0 or cell.outcome.code == Divided.exit_code or fault.loses == POSTS)
    while time.monotonic() < until:
        try:
            hosts = checker.check(cell.shop, divided=divided, rebooted=fault.leaves)
        except (AssertionError, ValueError, subprocess.TimeoutExpired) as error:  # a host may be half way
            problem = str(error)
            time.sleep(1)
        else:
            return ", ".join(sorted({checker.release(host["tag"])["TAG"] for host in hosts.values()}))
    cell.wrong.append(f"after {WHOLE} s: {problem[:500]}")
    return ""


def judge(cell, fault, result, release):
    """Note which rules are broken: no visitor fails, only the old and the new release answer, and the exit code says
    which of them is live. Whoever is killed, or cannot reach a host, says nothing about it."""
    code = cell.outcome.code
    lost = [record for record in result.failures if not (fault.loses and may_lose(fault, record))]
    if lost:
        cell.wrong.append(f"{len(lost)} visitors failed: {dict(result.causes)}")
    if strange := {*result.releases} - {cell.old, cell.new}:
        cell.wrong.append(f"{', '.join(sorted(strange))} answered")
    expected = {0: {cell.new}, 1: {cell.old}, 2: {cell.old}, 4: {cell.old}}.get(code, {cell.old, cell.new})
    if release and not {*release.split(", ")} <= expected:
        cell.wrong.append(f"exit {code}, and {release} is live")
    if "Traceback" in cell.outcome.stderr:
        cell.wrong.append("a traceback")
    if cell.wrong:
        cell.wrong.append(f"it said: {cell.outcome.stderr[-500:]}")


def may_lose(fault, record):
    return record.method == "POST" or fault.loses != POSTS
