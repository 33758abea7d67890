"""Stand-ins for agents: the other end of a Connection is a function that may answer anything."""

import asyncio
import contextlib
import json
from unittest import mock

from slipway.deploy.agent import requests
from slipway.deploy.rollout import preflight
from slipway.deploy.ssh import child, connection
from slipway.deploy.ssh.bootstrap import MARK

KNOWN = {**requests.SHAPES, "abort": requests.ABORT}  # message → the shapes of its values


class Pipe(child.Process):
    """The deployer's end of the two pipes to an agent."""

    code = 255

    def __init__(self, hear):
        super().__init__()
        self.hear, self.gone = hear, False
        self.say(MARK + b"\n" if hear else b"")

    def say(self, data):
        """Let these bytes arrive from the host; empty bytes end the connection."""
        if not data and not self.gone:
            self.out.feed_eof()
        self.gone = self.gone or not data
        if not self.gone:
            self.out.feed_data(data)

    def write(self, data):
        """Pass each line of the deployer to the agent, and return the agent's answers to the deployer."""
        for line in data.splitlines():
            for answer in self.hear(json.loads(line)):
                self.say(answer)

    def kill(self):
        self.say(b"")

    async def close(self, grace=0.5):
        self.kill()

    async def ended(self, limit=None):
        return self.code


@contextlib.contextmanager
def agents(make):
    """Put an agent, make(ssh's address of the host), behind each new connection while the block runs; yield the list of
    connections. For each message the agent returns its answers, an iterable of bytes. If make() returns None, the
    connection ends before an agent starts."""
    pipes = []

    async def start(words):
        await asyncio.sleep(0)  # as a process takes time to start
        pipes.append(Pipe(make(words[words.index("--") + 1])))
        return pipes[-1]

    with mock.patch.object(connection, "start", start):
        yield pipes


def line(message):
    return json.dumps(message).encode() + b"\n"


def other_content(state):
    """Return the state of a provisioned file in which somebody has written something else."""
    mode, owner, _ = state.split(" ")
    return f"{mode} {owner} {'0' * 64}"


def fine(fleet):
    """Return the answers of an agent on a healthy host: do → answer."""
    hosts = sorted(fleet.hosts, key=lambda host: bool(host.roles))  # of a file that differs, that of the app's hosts
    names = {host.name: preflight.expected_files(fleet, host) for host in hosts}
    files = {path: digest for paths in names.values() for path, digest in paths.items()}
    release = {"tag": "v1", "image_id": "sha256:1"}
    unit = {"state": "active", "restarts": "0", "since": "Fri 2026-11-20 17:00:00 UTC"}
    record = {
        **release,
        "id": "1",
        "action": "deploy",
        "outcome": "committed",
        "at": 1.5,
        "seconds": 8.0,
        "who": "deploy v1 by ann from laptop since now",
        "digest": "sha256:1",
    }
    return {
        "facts": {
            "arch": "x86_64",
            "plan": "",
            "memory": 10**9,
            "need": 10**8,
            "sqlite": None,
            "torn": 0,
            "site": {"scheme": "http", "url": "http://localhost"},
            "staged": False,
            "blind": "",
            "strangers": [],
            "docker": {"version": "20.10.24", "root": "/d"},
            "timed": {},
            "notes": [],
            "tasks": [],
            "now": 1e9,
            "containers": {"shop-web-a": ["1", "sha256:1", 1e8]},
            "problems": [],
            "settings": [],
            "names": ["SECRET_KEY"],
            "files": files,
            "free": {"/d": 10**10, "/var/www/shop": 10**10, "/run": 10**8},
            "tag": release,
            "revert": {"tag": "v0", "image_id": "sha256:0"},
            "records": [record, {**record, "id": "0", "tag": "v0"}],
            "history": [record],
            "attempt": None,
            "live": "a",
            "alone": {"beat": {**unit, "release": release}},
            "lock": None,
            "slots": {
                "a": {"release": release, "units": {"web": {**unit, "health": "ready"}}},
                "b": {"release": None, "units": {}},
            },
        },
        "read_settings": {"settings": "", "staged": None, "services": []},
        "resolve": {"digest": "sha256:2", "architectures": ["amd64"]},
        "decide": {"state": "back"},
        "prepare": {"changed": [], "kept": ""},
        "commit": {"seen": None},
        "pull": {
            "image_id": "sha256:2",
            "architecture": "x86_64",
            "digests": ["sha256:2"],
            "revision": "",
            "others": [],
        },
        "verdicts": {"incompatible": {}, "unjudged": [], "cure": ""},
        "watch": {"answers": 3, "errors": 0, "speeds": [None, None]},
        "errors": {"groups": [], "seen_before": [], "since": 1},
        "end": {"errors": [], "locked": None, "attempt": False, "tag": "v2"},
        "abort": {"errors": [], "locked": None, "attempt": False, "tag": "v1"},
    }


class Agent:
    """An agent on a healthy host. `odd`, do → function of the message, replaces answers; if the function returns None,
    the usual answer is sent. `asked` lists the requests. What a real agent would refuse for its shape is an error."""

    def __init__(self, fine, odd=None, asked=None):
        self.fine, self.odd, self.asked, self.lock = fine, odd or {}, asked if asked is not None else [], 0

    def __call__(self, message):
        do = "abort" if "abort" in message else message["do"]
        self.asked.append(do)
        if do in KNOWN:
            wrong = requests.mismatch(message[do] if do == "abort" else message["args"], KNOWN[do])
            assert not wrong, f"{do}: {wrong} is not as requests.py has it"
        if do == "alive":
            return [line({"alive": True})]
        if do == "lock":
            self.lock = message["id"]
        if do in self.odd and (said := self.odd[do](message)) is not None:
            return said
        if do == "lock":
            return [MARK + b"\n"]
        number = self.lock if do in ("end", "abort") else message["id"]
        return [line({"id": number, "ok": self.fine.get(do, {})})]
