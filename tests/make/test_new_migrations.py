"""Which migrations are new, in a real git repository: their verdicts are shown. Then how verdicts are said."""

import pytest

from deployer.noted import ERROR, MADE, OK, build, less, noted
from proc import output, put, put_into_git
from slipway.make.verdicts import in_image, lines, new


def add(name):
    put(f"{name.replace('.', '/migrations/')}.py", "")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Work in a repository without a commit."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_tag_those_of_the_last_commit_are_new(repository):
    assert new() == []
    output(["git", "init", "-q"])
    assert new() == []
    add("shop.0001")
    assert new() == ["shop.0001"], "it is not committed"
    put_into_git(repository)
    assert new() == [], "there is no commit before it"
    add("shop.0002")
    put("shop/migrations/__init__.py")
    put("shop/0009.py")
    put_into_git(repository)
    add("shop.0003")
    assert new() == ["shop.0002", "shop.0003"]


@pytest.mark.parametrize("annotated", [[], ["-a", "-m", "1.0"]])
def test_those_since_the_last_tag_are_new(repository, annotated):
    """Whatever commits there are since then. While the release itself is built, those since the tag before."""
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for number in (1, 2, 3, 4):
        add(f"shop.000{number}")
        put_into_git(repository)
        if number < 3:
            output([*git, "tag", *annotated, f"v{number}"])
    add("deep/own.0001")
    assert new() == ["own.0001", "shop.0003", "shop.0004"]
    put_into_git(repository)
    output([*git, "tag", *annotated, "v3"])
    assert new() == ["own.0001", "shop.0003", "shop.0004"]
    add("shop.0005")
    assert new() == ["shop.0005"]


def test_without_git_none_is_new(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository))
    add("shop.0001")
    assert new() == []


def test_what_is_said_of_them():
    """By what the live release uses, or a release without any of them. A warning is none of an error's."""
    entries = {"lock.1": MADE, "lock.2": less("lock_lock"), "shop.1": ERROR, "shop.2": {**OK, "unjudged": "not run"}}
    vendors = {vendor: noted(entries) for vendor in ("sqlite", "postgresql")}
    both = [*lines(vendors, ["shop.1", "nobodys.1"])]
    assert [line.partition(" is gone: ")[0] for line in both] == [
        f"shop.1 on {vendor}: error: column shop_item.note" for vendor in ("postgresql", "sqlite")
    ]
    said = [*lines({"sqlite": noted(entries)}, entries, {"shop_item": {"name": {}}, "lock_lock": {"note": {}}})]
    assert said[0] == "lock.1 on sqlite: ok" and said[1].startswith("lock.2 on sqlite: error: column lock_lock.note is")
    assert said[2:] == ["shop.1 on sqlite: ok", "shop.2 on sqlite: warning: not run"]
    assert [*lines({"sqlite": noted(entries)}, ["lock.1", "lock.2"])] == [
        "lock.1 on sqlite: ok",
        "lock.2 on sqlite: ok",
    ]


NEWER = build(sqlite={}).replace('"version": 3', '"version": 4')


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"version": 3, "vendors": {"sqlite": {}}}', NEWER])
def test_an_image_that_tells_nothing(tmp_path, content):
    """It is not on this machine, or its migrations.json is malformed or newer."""
    put(tmp_path / "docker", f"#!/bin/sh\necho '{content}'\n").chmod(0o755)
    assert in_image([str(tmp_path / "docker")], "shop:v1") == in_image(["/nowhere/docker"], "shop:v1") == {}
