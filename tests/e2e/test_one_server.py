"""The project's own image on one server: with SQLite, whose file outlives every release; and under SERVER=asgi, where
who is connected stays so across deploys."""

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

pytestmark = pytest.mark.extra
PACKAGES = ("uvicorn", "h11", "websockets")
DRAIN = 3  # seconds


class OneServer(Orders):
    """The app on a single server, with uploads there."""

    def __init__(self, fleet, folder, project_image, *roles):
        super().__init__(fleet, folder, project_image)
        self.settings["media"], self.host = "local", fleet.hosts["web1"]
        self.hosts = {"web1": {"roles": ["web", *roles], "opts": "-e ORDERS_HOST=web1"}}

    def start(self, **settings):
        """On a bare host, with these settings, too; itself."""
        self.fleet.reset("web1")
        self.provision()
        self.stage()
        for name, value in settings.items():
            assert self.deploy("env", "set", input=f"{name}={value}\n").returncode == 0
        return self

    def orders(self):
        """The ids of all orders, by the release that is live."""
        said = "print(list(Order.objects.order_by('pk').values_list('pk', flat=True)))"
        return json.loads(self.host.run("docker-runner orders manage shell -v 0 -c"
                                        f" \"from project.orders.models import Order; {said}\"", timeout=120))


def test_sqlite(fleet, project_image, tmp_path):
    """Migrations run, and what visitors write while a release comes and goes is there after it, to the last order: two
    slots write to one file. Nobody but the app reads it. A second server would have a file of its own: refused."""
    shop = OneServer(fleet, tmp_path, project_image, "worker", "beat").start(DATABASE_URL="sqlite:////data/db.sqlite3")
    first = shop.roll("deploy", shop.image("build-1"))
    assert first.code == 0, first.stderr
    for words, live in ((["deploy", shop.image("build-2")], "build-2"), (["rollback"], "build-1")):
        before = shop.orders()
        with shop.load() as load:
            outcome = shop.roll(*words)
            result = load.stop()
        assert outcome.code == 0 and not result.failures, outcome.stderr + result.summary()
        written, after = sum(record.method == "POST" for record in result.records), shop.orders()
        assert written > 20 and after[:len(before)] == before and len(after) == len(before) + written
        assert checker.tags(shop) == {live}
    plan = shop.host.run("docker-runner orders manage showmigrations --plan", timeout=120)
    assert "[X]  orders.0001_initial" in plan and "[ ]" not in plan
    assert shop.host.run("stat -c '%U %a' /var/www/orders/data").split() == ["orders", "700"]
    checker.check(shop)
    shop.hosts["work1"] = {"roles": ["worker"]}
    refused = shop.roll("deploy", shop.image("build-2"))
    assert refused.code == 2 and "a file of its own" in refused.stderr


def chat_context(folder):
    """What is built on the project's image: the chat of tests/ops, and the packages that serve it."""
    shutil.copytree(APPS / "chat", folder)
    shutil.copy(ROOT / "tests/ops/live.py", folder)
    for name in PACKAGES:
        shutil.copytree(Path(importlib.import_module(name).__file__).parent, folder / "packages" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def connected(shop):
    """A websocket to the chat, by nginx."""
    to_nginx = socket.create_connection(("127.0.0.1", shop.host.http_port), 30)
    return connect("ws://orders.example/chat?after=1000000", sock=to_nginx)


def says(chat, line):
    """Say a line; it is kept."""
    chat.send(line)
    assert json.loads(chat.recv(30)) == {"kept": line}


def test_websockets_across_deploys(fleet, project_image, tmp_path):
    """A websocket stays with its release over a flip, while that is warm; the next deploy waits for it as long as the
    toml says, and closes it with 1012. A new one reaches the live release; requests notice nothing."""
    shop = OneServer(fleet, tmp_path, project_image)
    shop.context, shop.settings["rollout.drain"] = chat_context(tmp_path / "chat"), DRAIN
    assert shop.start().roll("deploy", shop.image("build-1"), "--no-bake").code == 0
    shop.image("build-2")
    with shop.load(post_every=0) as load, connected(shop) as chat:
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
        with connected(shop) as chat:
            says(chat, "ann 3")
        result = load.stop()
    assert not result.failures, result.summary()
    checker.check(shop)
