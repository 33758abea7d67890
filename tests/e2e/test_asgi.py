"""The project's own image under SERVER=asgi on a server: who stays connected, across deploys."""

import importlib
import json
import shutil
import socket
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from e2e import checker
from e2e.fleet.apps import APPS
from e2e.orders import Orders
from proc import ROOT

PACKAGES = ("uvicorn", "h11", "websockets")
DRAIN = 3  # seconds


class Chat(Orders):
    """The app on a single server. Releases are the project's own, with the chat."""

    def __init__(self, fleet, folder, project_image):
        super().__init__(fleet, folder, project_image)
        self.settings.update({"media": "local", "rollout.drain": DRAIN})
        self.hosts, self.host = {"web1": {"roles": ["web"]}}, fleet.hosts["web1"]
        self.context = folder / "chat"
        shutil.copytree(APPS / "chat", self.context)
        shutil.copy(ROOT / "tests/ops/live.py", self.context)
        for name in PACKAGES:
            shutil.copytree(Path(importlib.import_module(name).__file__).parent, self.context / "packages" / name,
                            ignore=shutil.ignore_patterns("__pycache__"))

    def connect(self):
        """A websocket to the chat, by nginx."""
        to_nginx = socket.create_connection(("127.0.0.1", self.host.http_port), 30)
        return connect("ws://orders.example/chat?after=1000000", sock=to_nginx)


def says(chat, line):
    """Say a line; it is kept."""
    chat.send(line)
    assert json.loads(chat.recv(30)) == {"kept": line}


@pytest.fixture
def shop(fleet, project_image, tmp_path):
    fleet.reset("web1")
    shop = Chat(fleet, tmp_path, project_image)
    shop.provision()
    shop.stage()
    return shop


def test_websockets_across_deploys(shop):
    """A websocket stays with its release over a flip, while that is warm; the next deploy waits for it as long as the
    toml says, and closes it with 1012. A new one reaches the live release; requests notice nothing."""
    assert shop.roll("deploy", shop.image("build-1"), "--no-bake").code == 0
    shop.image("build-2")
    with shop.load(post_every=0) as load, shop.connect() as chat:
        says(chat, "ann 1")
        second = shop.roll("deploy", "build-2", "--no-bake")
        assert second.code == 0, second.stderr
        assert second.at("commit") - second.at("commit", "start") < DRAIN, "nobody waits for who stays"
        says(chat, "ann 2")
        third = shop.roll("deploy", "build-1", "--no-bake")
        assert third.code == 0, third.stderr
        assert third.at("pull") - third.at("begin", "start") >= DRAIN, "it was drained first"
        with pytest.raises(ConnectionClosed) as closed:
            chat.recv(30)
        assert closed.value.rcvd.code == 1012
        with shop.connect() as chat:
            says(chat, "ann 3")
        result = load.stop()
    assert not result.failures, result.summary()
    checker.check(shop)
