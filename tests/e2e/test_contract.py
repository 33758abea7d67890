"""Tests of a service that is not Django, examples/node, by the commands of its page."""

import os
import re

import pytest

from e2e import checker
from proc import ROOT, run
from slipway.fleet.docker import docker
from slipway.fleet.names import of_folder

pytestmark = pytest.mark.extra
WEB = ("web1", "web2")
PAGE = (ROOT / "examples/node/README.md").read_text()
QUICK = "\n[rollout]\ncanary = 1\nbake = 2\ndead_after = 6\nready = 20\n"


def lines(heading):
    """Return the commands of a section of the page."""
    return re.findall(r"^    (.*)$", PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0], re.MULTILINE)


class Hello:
    """The service's own folder, beside a clone of the template, and its servers."""

    def __init__(self, fleet, folder):
        self.fleet, self.app, self.folder = fleet, "hello", folder / "hello"
        self.image = f"{of_folder(ROOT).fleet}-hello"
        theirs = {name: value for name, value in os.environ.items() if not re.match("GIT_|MAKE|MFLAGS|FLEET", name)}
        who = {f"GIT_{who}_{what}": "a@hello.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.env = {**theirs, "SSH_CONFIG": str(fleet.ssh_config), "IMAGE": self.image, "READY": "20", **who}
        (folder / "slipway").symlink_to(ROOT)
        self.type(*lines("Lay it out"), cwd=folder)

    def machines(self):
        return {name: self.fleet.hosts[name] for name in WEB}

    def type(self, *commands, cwd=None, code=0):
        """Run the commands in one shell, which stops at the first failure. Return the output."""
        script = "\n".join(commands).replace(" hello:", f" {self.image}:")
        done = run(["sh", "-ec", script], cwd=cwd or self.folder, env=self.env, timeout=900)
        assert bool(done.returncode) == bool(code), f"{commands}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def edit(self, name, *change):
        """Change a file, commit and build it. Return its release."""
        (self.folder / name).write_text(re.sub(*change, (self.folder / name).read_text()))
        self.type(*lines("Ship it")[2:4])
        return self.type("git rev-parse --short HEAD").strip()


def test_it_is_shipped_by_the_commands_of_its_page(fleet, tmp_path):
    """The check reports a release that never gets ready, and a deploy takes it back."""
    fleet.reset(*WEB)
    hello = Hello(fleet, tmp_path)
    provision, deploy, *_, status, rollback = lines("Ship it") + lines("Look, and go back")
    first = hello.edit("deploy/production.toml", r'"(web\d)\.example"|\Z', lambda at: f'"{at[1]}"' if at[1] else QUICK)
    assert "keeps the contract" in hello.type(*lines("Try it here"))
    hello.type(provision, deploy)
    second = hello.edit("server.js", "hello from", "hello_again from")
    hello.type(deploy)
    bad = hello.edit("server.js", r'(/readyz": \(\) => )\[200', r"\1[500")
    assert "contract: GET /readyz: 500" in hello.type(*lines("Try it here")[1:], code=1)
    hello.type(deploy, code=1)
    assert checker.tags(hello) == {second} and bad not in hello.type(status)
    hello.type(rollback)
    assert checker.tags(hello) == {first} and first in hello.type(status)
    checker.check(hello)
    docker("rmi", *docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", hello.image).stdout.split())
