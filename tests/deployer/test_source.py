"""What a deploy says of the image that its hosts have pulled, and of the commits it was built from; the real git."""

import asyncio
import os
from types import SimpleNamespace

import pytest

from slipway.deploy.commands import plan
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import source, images
from slipway.deploy.rollout.plan import Target
from deployer.clock import run
from proc import run as finish


@pytest.fixture
def git(tmp_path, monkeypatch):
    """A clone with one commit pushed and one that is not: what runs git in it, and `folder`."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text("[user]\nname = A\nemail = a@shop.example\n[init]\ndefaultBranch = main\n")

    def call(*words, folder="clone"):
        done = finish(["git", "-C", tmp_path / folder, *words])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    call("init", "-q", "--bare", "remote", folder=".")
    call("clone", "-q", "remote", "clone", folder=".")
    call("commit", "-q", "--allow-empty", "-m", "pushed")
    call("push", "-q", "origin", "HEAD:main")
    call("commit", "-q", "--allow-empty", "-m", "not pushed")
    call.folder = tmp_path / "clone"
    return call


ONE = {"image_id": "sha256:1", "digests": ["sha256:d"], "revision": "", "architecture": "x86_64", "others": []}
TARGET = Target("deploy", "build-1", "sha256:d")


def pulled(*answers):
    """Answers to pull, of hosts web1, web2 and so on: each what it says besides that of a good one."""
    return {f"web{number}": {**ONE, **answer} for number, answer in enumerate(answers, 1)}


def said(git, revision, target=TARGET):
    """What is told of an image of that revision."""
    told = []
    answers = {("pull", name): answer for name, answer in pulled({"revision": revision}, {}).items()}
    asyncio.run(source.check(answers, target, False, told.append, git.folder))
    return [event["text"] for event in told]


def test_pushed_commits_need_no_word(git):
    """Built from what a remote has, from what this checkout does not know, without a label, from no revision at all,
    or gone back to: silence."""
    for revision in (git("rev-parse", "HEAD^"), "0" * 40, "", "--output=/tmp/x"):
        assert said(git, revision) == []
    assert said(git, git("rev-parse", "HEAD"), Target("rollback", "build-1")) == []


def test_unpushed_commits_are_said(git):
    """Built from a commit that only this machine has: one line with release and commit; gone once it is pushed."""
    line, = said(git, git("rev-parse", "HEAD"))
    assert "build-1" in line and git("rev-parse", "HEAD")[:12] in line and "\n" not in line
    git("push", "-q", "origin", "HEAD:topic")
    assert said(git, git("rev-parse", "HEAD")) == []


def test_without_a_remote_nothing_is_unpushed(git):
    """A project that is nowhere else has nowhere to push to."""
    git("remote", "remove", "origin")
    assert said(git, git("rev-parse", "HEAD")) == []


WRONG = {  # what web2 says → why nothing starts
    "has what no commit holds": {"revision": f"{'0' * 40}-dirty"},
    "build-1 was sha256:0 and is now sha256:1: a tag must not be used again": {"others": ["sha256:0"]},
    "build-1 is sha256:e there, and sha256:d was meant": {"digests": ["sha256:e"]},
    "build-1 is sha256:2 there, and sha256:1 on web1": {"image_id": "sha256:2", "digests": []},
}


@pytest.mark.parametrize("text", WRONG)
def test_what_must_not_start(text):
    """Each thing that is wrong with what a host has pulled is told of it, before anything starts."""
    with pytest.raises(Refused) as refused:
        run(source.check({("pull", name): answer for name, answer in pulled({}, WRONG[text]).items()}, TARGET, False,
                         None))
    assert str(refused.value).startswith("on web2: ") and text in str(refused.value)


def test_what_may_start():
    """Another architecture's image of the same list; another id of the same digest, as another engine gives it; the
    dirty image when told so; and whatever was committed may be gone back to, if it is one image everywhere."""
    assert images.problems(pulled({}, {"image_id": "sha256:2", "architecture": "aarch64"}), TARGET) == {}
    assert images.problems(pulled({}, {"image_id": "sha256:2"}), TARGET) == {}
    dirty = pulled({"revision": "0-dirty"}, {"revision": "0-dirty"})
    assert images.problems(dirty, TARGET, allow_dirty=True) == {}
    back = Target("rollback", "build-1")
    assert images.problems(dirty, back) == {}
    assert list(images.problems(pulled({}, WRONG["build-1 is sha256:2 there, and sha256:1 on web1"]), back)) == ["web2"]


@pytest.mark.parametrize("there, machines, missing", [
    (["amd64"], ["x86_64"], ""), (["amd64", "arm64"], ["aarch64", "x86_64"], ""), ([], ["aarch64"], ""),
    (["amd64"], ["x86_64", "aarch64"], "arm64"), (["amd64"], ["riscv64"], "riscv64")])
def test_an_image_for_other_machines_is_refused(there, machines, missing):
    """It says how to build one for them, where the registry tells what it is for."""
    found = images.foreign("shop:v2", {"digest": "sha256:2", "index": False, "architectures": there}, machines)
    assert found == (missing and f"image shop:v2 is for another architecture than {missing}: build it with "
                                 f"PLATFORM=linux/{missing}")


def test_a_tag_that_says_so_is_refused_at_once(fleet):
    """What make calls the release of a checkout with changes: before any host is asked."""
    args = SimpleNamespace(tag="abc-dirty", allow_dirty=False)
    with pytest.raises(Refused, match="what no commit holds"):
        plan.deploy_of(fleet, args, None)
