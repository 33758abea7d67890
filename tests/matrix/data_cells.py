"""A cell of the data's matrix: an action on the database or its backups, in the middle of which a fault happens."""

import contextlib
import random
import subprocess
import time
from dataclasses import dataclass

from e2e.byhand import answers
from e2e.fleet.load import Load
from matrix.cells import SYSTEM
from matrix.data_faults import FAULTS
from proc import end
from slipway.deploy.commands.run import NO_CODE

SETTLED = 420  # seconds until backups are well again
MOMENTS = 3
# When the fault happens: after this part of the time that the action takes undisturbed.
PARTS = {"early": 0.2, "late": 0.7}
ALLOWED = {0, 1, 2, 3, 4}
# Print the containers of backups, but for those in which a timer's unit works at the moment.
LEFT = """
names=$(docker ps --all --format '{{.Names}}' | grep -E '^orders-(pgbackrest|restored|drill)')
works=$(systemctl list-units --plain --no-legend --state=activating 'docker-backup-*')
for name in $names; do
    case $works in *"docker-backup-${name##*-}@"*) ;; *) echo "$name" ;; esac
done
"""
VOLUMES = "docker volume ls --quiet --filter name=orders-postgres"
LIVING = "sed -n s/^DATA=//p /etc/default/orders-postgres.image"


def on_host(script):
    return lambda shop: ["ssh", "-F", str(shop.data.ssh_config), "-l", "root", shop.data.name, script]


def command(*words):
    return lambda shop: shop.command(*words)


def deploy(shop):
    return shop.command("deploy", shop.image("build-1"), "--no-bake")


# Action → its command. A swap is of a copy that was made before.
ACTIONS = {
    "base": command("backup"),
    "archive": on_host("docker-backup wal orders"),
    "files": on_host("docker-backup files orders"),
    "restore": command("restore", "--at", "latest", "--beside"),
    "swap": command("restore", "--swap", "--yes"),
    "drill": command("drill"),
    "upgrade": command("upgrade", "postgres", "--yes"),
    "provision": command("provision"),
    "deploy": deploy,
}
OF_TIMERS = ("archive", "files")
STOPS = ("swap", "upgrade")  # visitors may see an error or the maintenance page


def all_cells():
    """Return (action, part, name of the fault) of all cells."""
    return [(action, part, name) for action in ACTIONS for part in PARTS for name in FAULTS]


@dataclass(frozen=True)
class Report:
    """The outcome of a cell. `code`: of the command; `moments`: how many were brought back; `seconds`: from the fault
    until backups were well; `wrong`: broken rules; `system`: of the host."""

    action: str
    part: str
    fault: str
    code: int
    rows: int
    moments: int
    seconds: float
    wrong: list
    system: str


class Cell:
    """`process`: the action's command, once it runs; `took`: action → seconds that it takes undisturbed."""

    def __init__(self, shop, action, took):
        self.shop, self.host, self.action, self.took, self.wrong = shop, shop.data, action, took, []
        self.process, self.others, self.said = None, [], ""
        self.before = 0  # rows that the writer had written when the cell began

    def begin(self):
        self.process = started(self.shop, ACTIONS[self.action](self.shop))

    def finish(self):
        """Wait for the command's end. Return its exit code."""
        if self.process.stdout and not self.process.stdout.closed:
            self.said = self.process.communicate(timeout=400)[0].decode(errors="replace")
        return self.process.returncode

    def again(self):
        """Begin the same action a second time, which may refuse to run."""
        self.others.append(started(self.shop, ACTIONS[self.action](self.shop)))

    def aside(self, script):
        self.others.append(started(self.shop, on_host(script)(self.shop)))

    def moment(self):
        return random.choice(self.shop.offered())[0]

    def finish_all(self):
        self.finish()
        for other in self.others:
            said = other.communicate(timeout=400)[0].decode(errors="replace")
            if "Traceback" in said:
                self.wrong.append(f"a traceback: {said[-300:]}")


def started(shop, words):
    """Start a command in a session of its own."""
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=shop.checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run(shop, action, part, name, took):
    """Return the Report of a cell. `took` gets the action's seconds if it runs for the first time."""
    fault, cell = FAULTS[name], Cell(shop, action, took)
    prepare(cell)
    load = Load(shop.data.url, host="orders.example", rate=5, seconds=900, may_fail=True)
    with load:
        cell.begin()
        time.sleep(PARTS[part] * took[action])
        with fault.happens(cell):
            mended = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            cell.finish_all()
        end(cell.process)
        seconds = settle(cell, mended)
    judge(cell, fault, load.result)
    rows = count_rows(cell)
    moments = MOMENTS if rows else 0
    cell.wrong += shop.comes_back(random.Random(f"{action}{part}{name}"), moments) if moments else []
    code, system = cell.process.returncode, cell.host.run(SYSTEM).strip()
    return Report(action, part, name, code, rows, moments, round(seconds, 1), cell.wrong, system)


def prepare(cell):
    """Bring the copy that a swap needs, and measure an action that has not run yet."""
    shop, action = cell.shop, cell.action
    shop.write_rows()
    if action not in cell.took:
        bring_copy(cell)
        began = time.monotonic()
        cell.begin()
        assert cell.finish() == 0, cell.said
        cell.took[action] = time.monotonic() - began
        tidy(cell)
        shop.write_rows()
    cell.before = len(shop.rows())
    bring_copy(cell)


def bring_copy(cell):
    if cell.action == "swap":
        cell.host.run("docker-backup beside orders latest", timeout=240)


def settle(cell, mended):
    """Wait until backups are well, by the timers' own work, which is not waited for. Return the seconds since `mended`;
    a rule is broken if they do not get well."""
    shop, problem = cell.shop, ""
    while time.monotonic() < mended + SETTLED:
        try:
            shop.write_rows()
            problem = unwell(cell)
        except (AssertionError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if not problem:
            break
        time.sleep(1)
    else:
        cell.wrong.append(f"after {SETTLED} s: {problem[-400:]}")
    tidy(cell)
    return time.monotonic() - mended


def unwell(cell):
    """Return what is wrong with the backups; "" if nothing. Do now what timers and people do later."""
    for action in ("wal", *(["drill"] if cell.action == "drill" else ["base"])):
        done = cell.host.ssh(f"docker-backup {action} orders", timeout=300)
        if done.returncode:
            return done.stderr.strip()
    status = cell.shop.deploy("status")
    return "" if status.returncode == 0 else status.stdout + status.stderr


def tidy(cell):
    """Discard a copy that waits for its swap, or end a swap that was interrupted, and forget the data of before."""
    cell.host.ssh("docker-backup discard orders || docker-backup swap orders", timeout=240)
    living = cell.host.ssh(LIVING).stdout.strip() or "orders-postgres"
    for volume in cell.host.ssh(VOLUMES).stdout.split():
        if volume != living:
            cell.host.ssh(f"docker volume rm -f {volume}", timeout=120)


def ends_with_a_line(cell):
    """Return False if a command's exit code is none of Slipway's, or ssh's without a line that says why. Nobody types
    those that timers run."""
    code = cell.process.returncode
    return code < 0 or code in ALLOWED or (code == NO_CODE and (cell.action in OF_TIMERS or bool(cell.said.strip())))


def count_rows(cell):
    """Return how many rows the living chain has; 0 if a rule is broken."""
    try:
        return cell.shop.whole()
    except (AssertionError, ValueError) as error:
        cell.wrong.append(str(error))
        return 0


def judge(cell, fault, result):
    """Note which rules are broken: visitors are served, also afterwards, nothing that was committed is lost, nothing is
    left, and the command ends with a line."""
    if (status := answers(cell.host, cell.shop.app)[0]) != 200:
        cell.wrong.append(f"visitors get {status} for good")
    if result.failures and not (fault.stops or cell.action in STOPS):
        cell.wrong.append(f"{len(result.failures)} visitors failed: {dict(result.causes)}")
    if "Traceback" in cell.said:
        cell.wrong.append("a traceback")
    if not ends_with_a_line(cell):
        cell.wrong.append(f"exit {cell.process.returncode}: {cell.said[-200:]}")
    if left := cell.host.ssh(LEFT).stdout.split():
        cell.wrong.append(f"left: {', '.join(left)}")
    if cell.action != "swap":
        committed = max((row for row, _ in cell.shop.rows()[cell.before :]), default=0)
        if count_rows(cell) < committed:
            cell.wrong.append(f"row {committed} was committed, and is lost")
