"""Makes hosts nodes of the fleet's swarm, once each has what its role needs. Works over the hosts' channels.

Tokens go from engine to engine by stdin alone: a command line shows in every process list.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..config import Fleet, Host
from ..errors import DeployError, HostProblem, Refused, on_hosts
from ..swarm import nodes
from ..swarm.nodes import Step
from .channels import Channels
from .fitness import Found

Say = Callable[[str, str], None]
LONG = 700  # seconds: a worker ends its task
# Posts stdin to the engine; PATH is its argument.
POST = """
import http.client, json, socket, sys
engine = http.client.HTTPConnection("docker", timeout=60)
engine.sock = socket.socket(socket.AF_UNIX)
engine.sock.settimeout(60)
engine.sock.connect("/run/docker.sock")
engine.request("POST", sys.argv[1], sys.stdin.read(), {"Content-Type": "application/json"})
answer = engine.getresponse()
said = answer.read().decode(errors="replace")
if answer.status >= 300:
    sys.exit(json.loads(said)["message"])
"""
# Until a node has a manager's part, or none: $1 its id, $2 what docker is to say.
SETTLED = """
for _ in $(seq 300); do
    said=$(docker node inspect --format '{{with .ManagerStatus}}{{.Reachability}}{{end}}' "$1") || exit
    [ "$said" != "$2" ] || exit 0
    sleep 0.1
done
echo "it is still '$said' after 30 s" >&2
exit 1
"""
# A node that its own engine changes in the same moment is tried again: docker has changed nothing then.
CHANGE = """
for _ in $(seq 50); do
    said=$("$@" 2>&1) && exit
    case $said in *"out of sequence"*) sleep 0.2 ;; *) break ;; esac
done
echo "$said" >&2
exit 1
"""
# Until no task of what $1 filters runs here.
EMPTY = """
for _ in $(seq 690); do
    running=$(docker ps --quiet --filter "label=$1") || exit
    [ -n "$running" ] || exit 0
    sleep 1
done
echo "after 690 s there are still containers: $running" >&2
exit 1
"""


class Nodes:
    """What provisioning does to the swarm besides what it does to each of `hosts`. `what`: provision or remove;
    `found`: what is found on hosts, as their recipe is to have it; `managers`: who is needed besides `hosts`;
    `changes`: host name → what was done, or would be. Raises Refused."""

    def __init__(self, fleet: Fleet, hosts: Sequence[Host], known: Mapping[str, Found], what: str) -> None:
        self.fleet, self.changes = fleet, dict[str, list[str]]()
        self.found, self.managers, self.steps = dict[str, Found](), list[Host](), list[Step]()
        self.parts = {name: found.part for name, found in known.items()
                      if name in {host.name for host in (*fleet.app_hosts, *hosts)}}
        if fleet.is_swarm and what in ("provision", "remove"):
            self.steps = self.plan(hosts, what == "remove")
            self.found = {host.name: seen(fleet, host, known) for host in hosts}
            needed = {host.name for host in nodes.managers(fleet)} | {nodes.manager(fleet, self.parts)}
            self.managers = [host for host in fleet.app_hosts
                             if host not in hosts and host.name in needed and host.name in known]

    def plan(self, hosts: Sequence[Host], remove: bool) -> list[Step]:
        """The steps. Raises Refused."""
        problems = {} if remove else nodes.problems(self.fleet, self.parts)
        if remove and self.parts[hosts[0].name].state == "active" and not nodes.manager(self.fleet, self.parts):
            problems = {hosts[0].name: ["is a node of a swarm of which no manager can be asked"]}
        if problems:
            raise Refused(on_hosts(problems))
        if remove:
            return nodes.leaving(self.fleet, hosts[0], self.parts)
        return nodes.steps(self.fleet, hosts, self.parts)

    async def bring(self, channels: Channels, check: bool, say: Say) -> None:
        """Take the steps in their order; with `check`, only note them. Raises DeployError."""
        work = Work(self.fleet, self.parts, channels)
        for step in self.steps:
            try:
                if not check:
                    say(step.host, step.text)
                    await work.take(step)
            except HostProblem as problem:
                raise DeployError(on_hosts({step.host: [f"{step.text}: {text}" for text in problem.args]})) from problem
            self.changes.setdefault(step.host, []).append(step.text)


def seen(fleet: Fleet, host: Host, known: Mapping[str, Found]) -> Found:
    """What is found on a host. One without the role web goes over when all web hosts have."""
    web = [known[each.name].proxied for each in fleet.with_role("web") if each.name in known]
    return known[host.name] if host.has("web") else replace(known[host.name], proxied=bool(web) and all(web))


class Work:
    """The steps on the hosts. `boss`: the host that is told to change the swarm."""

    def __init__(self, fleet: Fleet, parts: nodes.Parts, channels: Channels) -> None:
        self.fleet, self.channels = fleet, channels
        self.hosts = {host.name: host for host in fleet.app_hosts}
        self.bosses = [nodes.manager(fleet, parts)]
        self.ids = {name: part.id for name, part in parts.items()}

    @property
    def boss(self) -> str:
        """The first manager that is not to go."""
        return self.bosses[0]

    async def take(self, step: Step) -> None:
        """Take one step. Raises HostProblem."""
        await getattr(self, step.verb)(step.host, *step.words)

    async def init(self, name: str) -> None:
        """Begin a swarm."""
        await self.post(name, "/swarm/init", nodes.init_body(self.fleet, self.hosts[name]))
        self.bosses = [name]

    async def join(self, name: str, role: str) -> None:
        """Join it."""
        token = await self.run(self.boss, "docker swarm join-token --quiet " + role)
        remotes = await self.run(self.boss, "docker info --format '{{range .Swarm.RemoteManagers}}{{.Addr}} {{end}}'")
        await self.post(name, "/swarm/join", nodes.join_body(self.hosts[name], token, remotes.split()))
        if role == "manager":
            await self.settled(name, "reachable")

    async def promote(self, name: str) -> None:
        """Make a node a manager."""
        await self.on_boss("docker", "node", "promote", await self.id(name))
        await self.settled(name, "reachable")
        self.bosses.append(name)

    async def demote(self, name: str) -> None:
        """Make a manager one no more, by another one."""
        if name in self.bosses:
            self.bosses = [boss for boss in self.bosses if boss != name] or self.others(name)
        await self.on_boss("docker", "node", "demote", await self.id(name))
        await self.settled(name, "")

    async def labels(self, name: str, *options: str) -> None:
        """Change a node's labels. What loses its place there ends."""
        await self.on_boss("docker", "node", "update", *options, await self.id(name))

    async def forget(self, name: str, id: str, role: str) -> None:
        """Forget a node that is gone."""
        if role == "manager":
            await self.on_boss("docker", "node", "demote", id)
            await self.script(self.boss, SETTLED, id, "")
        await self.on_boss("docker", "node", "rm", "--force", id)

    async def drain(self, name: str) -> None:
        """End all that the swarm has on a node."""
        await self.on_boss("docker", "node", "update", "--availability=drain", await self.id(name))
        await self.script(name, EMPTY, "com.docker.swarm.task", timeout=LONG)

    async def leave(self, name: str, id: str) -> None:
        """Take a node out; the last one ends the swarm."""
        last = self.boss == name
        await self.run(name, "docker swarm leave" + " --force" * last)
        if not last:
            await self.script(self.boss, "for _ in $(seq 300); do ! docker node rm \"$1\" || exit 0; sleep 0.1; done;"
                                         " exit 1", id)

    # ---- how ----

    def others(self, name: str) -> list[str]:
        """Managers besides that host, of those that can be asked; that host where there is none."""
        found = [other.name for other in nodes.managers(self.fleet) if other.name != name
                 and other.name in self.channels]
        return found or [name]

    async def id(self, name: str) -> str:
        """The id of a host's node."""
        if not self.ids.get(name):
            self.ids[name] = await self.run(name, "docker info --format '{{.Swarm.NodeID}}'")
        return self.ids[name]

    async def settled(self, name: str, state: str) -> None:
        """Wait until a node has become a manager, or is none any more."""
        await self.script(self.boss, SETTLED, await self.id(name), state)

    async def on_boss(self, *words: str) -> str:
        """Run a command that changes a node where a manager is."""
        return await self.script(self.boss, CHANGE, *words)

    async def script(self, name: str, text: str, *words: str, timeout: float = 60) -> str:
        """Run a shell script with these words."""
        return await self.run(name, shlex.join(["sh", "-c", text, "sh", *words]), timeout=timeout)

    async def post(self, name: str, path: str, body: str) -> None:
        """Post a body, which may be secret, to a host's engine."""
        await self.run(name, shlex.join(["python3", "-c", POST, path]), body.encode(), 90)

    async def run(self, name: str, command: str, input: bytes = b"", timeout: float = 60) -> str:
        """The output of a command on a host. Raises HostProblem with the last line of what it said, without a token."""
        done = await self.channels[name].command(command, input, timeout)
        if done.code:
            lines = (done.err or done.out).decode(errors="replace").strip().splitlines() or [f"exit {done.code}"]
            raise HostProblem(" ".join("…" if "SWMTKN" in word else word for word in lines[-1].split()))
        return done.out.decode(errors="replace").strip()
