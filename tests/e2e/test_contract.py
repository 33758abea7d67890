"""A service that is not Django, examples/node, by the very commands of its page: laid out, built, checked, provisioned,
deployed, taken back where it is bad, rolled back."""

import contextlib
import os
import re

import pytest

from e2e import checker
from e2e.fleet.docker import docker
from e2e.fleet.load import Load
from e2e.fleet.names import of_checkout
from e2e.provisioned import Project
from proc import ROOT, run

APP, WEB = "hello", ("web1", "web2")
PAGE = (ROOT / "examples/node/README.md").read_text()
QUICK = "\n[rollout]\ncanary = 1\nbake = 2\ndead_after = 6\nready = 20\n"
SICK = ("/readyz\": () => [200", "/readyz\": () => [500")


def lines(heading):
    """The commands of a section of the page."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^    (.*)$", section, re.MULTILINE)


class Hello(Project):
    """The service's own folder, beside a clone of the template, and the servers it is for."""

    def __init__(self, fleet, folder):
        self.image = f"{of_checkout().fleet}-{APP}"
        super().__init__(fleet, folder, APP, self.image)
        self.folder, self.built = folder / APP, set()
        self.hosts = {name: host for name, host in self.hosts.items() if name in WEB}
        theirs = {name: value for name, value in os.environ.items() if not re.match("GIT_|MAKE|MFLAGS|FLEET", name)}
        self.env = {**theirs, "SSH_CONFIG": str(fleet.ssh_config), "IMAGE": self.image, "READY": "6",
                    **{f"GIT_{who}_{what}": "a@hello.example" for who in ("AUTHOR", "COMMITTER") for what in
                       ("NAME", "EMAIL")}}

    def machines(self):
        return {name: self.fleet.hosts[name] for name in self.hosts}

    def type(self, *commands, cwd=None):
        """Run them in one shell, which stops at the first that fails; what ended."""
        return run(["sh", "-ec", "\n".join(commands)], cwd=cwd or self.folder, env=self.env, timeout=900)

    def done(self, *commands, **options):
        """The same, which must succeed; what it said."""
        done = self.type(*commands, **options)
        assert done.returncode == 0, f"{commands}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def lay_out(self):
        """As the page says; then the servers' names are those of the fleet."""
        (self.folder.parent / "slipway").symlink_to(ROOT)
        self.done(*lines("Lay it out"), cwd=self.folder.parent)
        toml = self.folder / "deploy/production.toml"
        toml.write_text(re.sub(r'"(web\d)\.example"', r'"\1"', toml.read_text()) + QUICK)
        self.done("git commit --all --quiet --message 'Name our servers'")

    def edit(self, old, new):
        """A change of the program, committed and built; its release."""
        path = self.folder / "server.js"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        commit, build, _ = lines("Ship it")[2:]
        self.done(commit, build)
        return self.release()

    def release(self):
        """The release that is checked out."""
        tag = self.done("git status --porcelain >&2; git rev-parse --short HEAD").strip()
        self.built.add(tag)
        return tag


@pytest.fixture
def hello(fleet, tmp_path):
    fleet.reset(*WEB)
    hello = Hello(fleet, tmp_path)
    hello.lay_out()
    yield hello
    docker("rmi", *(f"{hello.image}:{tag}" for tag in hello.built), check=False)


@contextlib.contextmanager
def visitors(hello):
    """Of both hosts, as long as the block runs; the load."""
    urls = [host.url for host in hello.machines().values()]
    with Load(*urls, host="hello.example", rate=50, seconds=600, post_path="/",
              release_pattern=r"^hello\S* from (\w+)\n") as load:
        yield load


def test_it_is_shipped_by_the_commands_of_its_page(hello):
    """Releases come and go without a visitor's noticing; one that never gets ready is told by the check, and taken
    back by a deploy."""
    provision, deploy, *_ = lines("Ship it")
    assert "keeps it" in hello.done(*lines("Try it here"))
    assert not any((hello.folder / name).exists() for name in ("manage.py", "requirements.txt", "wheelhouse"))
    first = hello.release()
    hello.done(provision, deploy)
    with visitors(hello) as load:
        second = hello.edit("hello from", "hello_again from")
        hello.done(deploy)
        assert checker.tags(hello) == {second}
        bad = hello.edit(*SICK)
        check, taken_back = hello.type("make contract-check"), hello.type(deploy)
        assert "contract: GET /readyz: 500" in check.stderr and check.returncode
        assert taken_back.returncode and checker.tags(hello) == {second}, taken_back.stderr
        status, rollback = lines("Look, and go back")
        assert second in hello.done(status) and bad not in hello.done(status)
        hello.done(rollback)
        result = load.stop()
    assert checker.tags(hello) == {first} and first in hello.done(status)
    assert not result.failures, result.summary()
    assert {record.release for record in result.records} == {first, second}
    checker.check(hello)
