"""Makes hosts nodes of one swarm, once each has Docker: the first manager begins it, the others join, labels say which
roles are where. To take a node out is for Docker's own commands: docs/swarm.md has them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..config import Fleet, Host
from ..server.site import place
from ..errors import DeployError, HostProblem, on_hosts
from ..ssh.connection import run
from .manager import managers

POOL = "10.83.0.0/16"  # containers' addresses: Docker's own choice, 10.0.0.0/8, may hold those of a database
INFO = "docker info --format '{{json .Swarm}}' 2>/dev/null || echo '{}'"
NODES = "docker node inspect $(docker node ls --quiet)"
# Posts stdin, which may hold a token, to the engine: a command line shows in every process list.
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


@dataclass
class Nodes:
    """What provisioning does to the swarm; with `check` it is only noted. `changes`: host name → what was done."""

    fleet: Fleet
    check: bool
    say: Callable[[str, str], None]
    changes: dict[str, list[str]] = field(default_factory=dict)

    async def bring(self, hosts: Sequence[Host]) -> None:
        """Make `hosts` nodes with the labels of their roles. Raises DeployError."""
        bosses = managers(self.fleet)
        boss: Host | None = None
        for host in bosses:
            boss = boss or (host if (await self.info(host)).get("ControlAvailable") else None)
        known = json.loads(await self.run(boss, "sh", "-c", NODES)) if boss else []
        for host in sorted((host for host in hosts if host.roles), key=lambda host: host not in bosses):
            info = await self.info(host)
            if info.get("LocalNodeState") != "active":
                role = "manager" if host in bosses else "worker"
                if self.begins(host, f"join the swarm as a {role}" if boss else "begin a swarm"):
                    await self.enter(host, boss, role)
                boss = boss or host
            node: Mapping[str, Any] = next((node for node in known if node["ID"] == info.get("NodeID")), {})
            if boss and (words := labelled(self.fleet, host, node)):
                if self.begins(host, f"label the node: {', '.join(host.roles)}"):
                    await self.run(boss, "docker", "node", "update", *words, (await self.info(host))["NodeID"])

    def begins(self, host: Host, text: str) -> bool:
        """Note a change; whether to do it."""
        self.changes.setdefault(host.name, []).append(text)
        if not self.check:
            self.say(host.name, text)
        return not self.check

    async def enter(self, host: Host, boss: Host | None, role: str) -> None:
        """Join the swarm of `boss`, or begin one."""
        address = place(host)[0]
        body: dict[str, Any] = {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address, "DataPathAddr": address}
        if boss:
            token = await self.run(boss, "docker", "swarm", "join-token", "--quiet", role)
            body |= {"JoinToken": token, "RemoteAddrs": [f"{place(boss)[0]}:2377"]}
        else:
            body |= {"DefaultAddrPool": [POOL], "SubnetSize": 24}
        await self.run(host, "python3", "-c", POST, "/swarm/join" if boss else "/swarm/init", given=json.dumps(body))

    async def info(self, host: Host) -> Mapping[str, Any]:
        """A host's part in a swarm, by its engine's word."""
        found: Mapping[str, Any] = json.loads(await self.run(host, "sh", "-c", INFO))
        return found

    async def run(self, host: Host, *words: str, given: str = "") -> str:
        """What a command on a host prints. Raises DeployError with the last line of what it said, without a token."""
        try:
            done = await run(host, self.fleet.ssh, words, given.encode(), 90)
        except HostProblem as problem:
            raise DeployError(on_hosts({host.name: problem.args})) from None
        if done.code:
            last = (done.err.decode(errors="replace").strip() or f"exit {done.code}").splitlines()[-1]
            raise DeployError(on_hosts({host.name: [
                " ".join("…" if "SWMTKN" in word else word for word in last.split())]}))
        return done.out.decode(errors="replace").strip()


def labelled(fleet: Fleet, host: Host, node: Any) -> list[str]:
    """The options of `docker node update` that make the app's labels those of the host's roles. Others stay."""
    there = node.get("Spec", {}).get("Labels") or {}
    wanted = [f"{fleet.app}.{role}" for role in host.roles]
    return [*(f"--label-add={name}=true" for name in wanted if there.get(name) != "true"),
            *(f"--label-rm={name}" for name in there if name.startswith(f"{fleet.app}.") and name not in wanted)]
