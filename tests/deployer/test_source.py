"""What a deploy says of the commits that its image was built from; with the real git."""

import os

import pytest

from deploy import source
from deploy.errors import Refused
from proc import run


@pytest.fixture
def git(tmp_path, monkeypatch):
    """A clone with one commit pushed and one that is not: what runs git in it, and `folder`."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text("[user]\nname = A\nemail = a@shop.example\n[init]\ndefaultBranch = main\n")

    def call(*words, folder="clone"):
        done = run(["git", "-C", tmp_path / folder, *words])
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    call("init", "-q", "--bare", "remote", folder=".")
    call("clone", "-q", "remote", "clone", folder=".")
    call("commit", "-q", "--allow-empty", "-m", "pushed")
    call("push", "-q", "origin", "HEAD:main")
    call("commit", "-q", "--allow-empty", "-m", "not pushed")
    call.folder = tmp_path / "clone"
    return call


@pytest.fixture
def docker(tmp_path):
    """Makes a stand-in for docker that knows one image, built from that revision; its path."""
    def make(revision, image="shop:build-1"):
        path = tmp_path / "docker"
        path.write_text(f"#!/bin/sh\nfor last; do :; done\n[ $last = {image} ] && echo '{revision}'\n")
        path.chmod(0o755)
        return str(path)
    return make


def test_pushed_commits_need_no_word(git, docker):
    """Built from what a remote has, from what this checkout does not know, without a label, or not here: silence."""
    for revision in (git("rev-parse", "HEAD^"), "0" * 40, ""):
        assert source.check("shop", "build-1", git.folder, docker(revision)) == ""
    assert source.check("shop", "build-2", git.folder, docker(git("rev-parse", "HEAD"))) == ""
    assert source.check("shop", "build-1", git.folder, "/no/docker") == ""


def test_unpushed_commits_are_said(git, docker):
    """Built from a commit that only this machine has: one line with image and commit; gone once it is pushed."""
    made = docker(git("rev-parse", "HEAD"))
    line = source.check("shop", "build-1", git.folder, made)
    assert "shop:build-1" in line and git("rev-parse", "HEAD")[:12] in line and "\n" not in line
    git("push", "-q", "origin", "HEAD:topic")
    assert source.check("shop", "build-1", git.folder, made) == ""


def test_without_a_remote_nothing_is_unpushed(git, docker):
    """A project that is nowhere else has nowhere to push to."""
    git("remote", "remove", "origin")
    assert source.check("shop", "build-1", git.folder, docker(git("rev-parse", "HEAD"))) == ""


def test_what_no_commit_holds_is_refused(git, docker):
    """An image built from a checkout with uncommitted changes, by its label or its tag."""
    for tag, made in (("build-1", docker(f"{'0' * 40}-dirty")), ("abc-dirty", "/no/docker")):
        with pytest.raises(Refused, match="what no commit holds"):
            source.check("shop", tag, git.folder, made)
