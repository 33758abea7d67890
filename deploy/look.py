"""status, releases, logs, run and prune as they are typed: what looks at the hosts, or does one thing there."""

import json
import subprocess
import sys

from . import preflight, status
from .answers import visible
from .crew import Crew
from .errors import DeployError, Refused, on_hosts
from .plan import Step
from .remote import who
from .together import together

LONGEST = 16384  # characters of a line of a log
RED, PLAIN = "\033[31m", "\033[0m"


def show_status(fleet, ssh, hosts, args):
    """Exit code 1 when anything is not as it should be."""
    facts, problems = facts_of(fleet, ssh, hosts, health=True)
    there = [host for host in hosts if host.name in facts]
    if args.json:
        print(json.dumps({"hosts": facts, "problems": problems}))
        return 1 if problems else 0
    lines = [row for host in there for row in status.rows(fleet, host, facts[host.name])]
    print(visible(status.table([status.ROWS, *lines])))
    for name, found in facts.items():
        if found["lock"]:
            print(visible(f"{name}: locked: {found['lock']}"))
    if problems:
        red, plain = (RED, PLAIN) if sys.stdout.isatty() else ("", "")
        print(red + visible(on_hosts(problems)) + plain)
    return 1 if problems else 0


def facts_of(fleet, ssh, hosts, **more):
    """(host name → facts, host name → problems: those that can't be asked are only there)."""
    with Crew(fleet, ssh, list(hosts), lambda event: None) as crew:
        problems = crew.reach()
        facts, silent = crew.look(paths=lambda host: list(preflight.expected(fleet, host)),
                                  **{key: lambda host, value=value: value for key, value in more.items()})
        problems.update(silent)
        problems.update(status.drift(fleet, crew.hosts, facts))
    return dict(sorted(facts.items())), problems


def show_releases(fleet, ssh, hosts, args):
    with Crew(fleet, ssh, list(hosts), lambda event: None) as crew:
        problems = crew.reach()
        facts, silent = crew.look()
        problems.update(silent)
    if args.json:
        print(json.dumps({name: found["records"] for name, found in facts.items()}))
    else:
        print(visible(status.table(status.history(facts))))
    for name, found in facts.items():
        if found["torn"]:
            print(f"{name}: {found['torn']} lines of releases.log are torn, and left out", file=sys.stderr)
    if problems:
        raise DeployError(on_hosts(problems))


def show_logs(fleet, ssh, hosts, args):
    """What web, worker and beat of the hosts log, each line after its host's name."""
    names = [f"{fleet.app}-{name}" for name in ("web-a", "web-b", "worker-a", "worker-b", "beat")
             if name.startswith(args.role)]
    words = ["journalctl", "--no-pager", "-o", "short-iso", "-n", str(args.lines), *(["-f"] if args.follow else []),
             *(["--since", args.since] if args.since else []), *(word for name in names for word in ("-t", name))]
    running = [(host, subprocess.Popen(ssh.command(host.address, words), stdin=subprocess.DEVNULL, text=True,
                                       errors="replace", stdout=subprocess.PIPE)) for host in hosts]
    try:
        together(lambda one: prefix(one[0].name, one[1].stdout), running)
    finally:
        for _, process in running:
            process.terminate()
    failed = [host.name for host, process in running if process.wait()]
    if failed:
        raise DeployError(f"no logs from {', '.join(failed)}")


def prefix(name, lines):
    for line in iter(lambda: lines.readline(LONGEST), ""):
        print(visible(f"{name} | {line.rstrip(chr(10))}"), flush=True)


def run_command(fleet, ssh, args):
    """A one-off command in the release that is live on a host; exits as the command does."""
    host = next((host for host in fleet.app_hosts if host.name == args.host), None)
    if host is None:
        raise Refused(f"there is no host {args.host!r}; there are: {', '.join(host.name for host in fleet.app_hosts)}")
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise Refused("what shall be run? make run HOST=web1 ARGS='manage showmigrations'")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    return subprocess.call(ssh.command(host.address, ["docker-runner", fleet.app, *words], tty=tty))


def prune(fleet, ssh, hosts, args):
    """Remove images that neither TAG nor REVERT nor a slot needs."""
    with Crew(fleet, ssh, list(hosts), lambda event: None) as crew:
        missing = crew.connect()
        if missing:
            raise Refused(on_hosts(missing))
        crew.lock(who("prune"))
        try:
            answers = crew.run([Step("prune", tuple(host.name for host in crew.hosts), {"image": fleet.image})])
        finally:
            crew.release()
    for (_, name), answer in sorted(answers.items()):
        print(visible(f"{name}: removed {', '.join(answer['removed']) or 'nothing'}"))
