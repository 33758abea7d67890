"""Tests of which images a rollout accepts, and for which hosts."""

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from deployer.agents import Agent, agents, fine
from deployer.clock import run
from slipway.deploy.commands.plan import deploy_from_args
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import images
from slipway.deploy.rollout import local_image as images_here
from slipway.deploy.rollout.plan import Options, Target
from slipway.deploy.rollout.rollout import Rollout


def test_a_new_host_gets_the_image_of_the_others(fleet):
    """Somebody has pushed the live release's tag again."""
    found = fine(fleet)
    bare = {**found, "facts": {**found["facts"], "tag": None}}
    said = "tag v1 is sha256:2 in the registry, but was sha256:1 when web1 got it: "
    with agents(lambda host: Agent(bare if "web2" in host else found)), pytest.raises(Refused, match=said):
        run(Rollout(fleet, fleet.chosen("web2"), print, "deploy").plan())


ONE, DIRTY = {"image_id": "sha256:1", "digests": ["sha256:d"], "revision": "", "others": []}, {"revision": "0-dirty"}


@pytest.mark.parametrize(
    "answer, action, allowed, refused",
    [  # what web2 pulled, beside web1's good image
        (DIRTY, "deploy", False, "was built with uncommitted changes"),
        (DIRTY, "deploy", True, ""),
        (DIRTY, "rollback", False, ""),
        ({"image_id": "sha256:2"}, "deploy", False, ""),
        (
            {"others": ["sha256:0"]},
            "deploy",
            False,
            "tag v2 was image sha256:0 before and is sha256:1 now: build again",
        ),
    ],
)
def test_which_images_may_start(answer, action, allowed, refused):
    pulled = {("pull", "web1"): ONE, ("pull", "web2"): {**ONE, **answer}}
    with pytest.raises(Refused, match=f"^on web2: .*{refused}") if refused else contextlib.nullcontext():
        images.check(pulled, Target(action, "v2", "sha256:d"), allowed)


@pytest.mark.parametrize(
    "existing, machines, missing",
    [
        (["amd64"], ["x86_64"], ""),
        (["amd64", "arm64"], ["aarch64", "x86_64"], ""),
        ([], ["aarch64"], ""),
        ([""], ["aarch64"], ""),
        (["amd64"], ["x86_64", "aarch64"], "arm64"),
        (["amd64"], ["riscv64"], "riscv64"),
    ],
)
def test_an_image_for_other_machines_is_refused(existing, machines, missing):
    found = images.architecture_problem("shop:v2", existing, machines)
    assert found == (missing and f"image shop:v2 is not for {missing}: build it with PLATFORM=linux/{missing}")


INSPECTED = {
    "Id": "sha256:id",
    "RepoDigests": ["another.example/name@sha256:2"],
    "Config": {"Labels": {images_here.REVISION: "0123-dirty"}},
    "Architecture": "arm64",
}
ARM = "^image .*shop:v2 is not for amd64: build it with PLATFORM=linux/amd64$"


def docker(stub, image):
    """Put a program in docker's place, which has this image."""
    program = stub / "docker"
    digests = [name.partition("@")[2] for name in image["RepoDigests"] or ["<none>"]]
    listed = f"sha256:9 sha256:8\n{digests[0]} {image['Id']}"
    program.write_text(f"#!/bin/sh\n[ $2 = inspect ] && echo '{json.dumps([image])}' || echo '{listed}'\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    "registry, changes, allowed, refused",
    [
        ("", {}, False, "^v2 was built with uncommitted changes"),
        ("", {}, True, ""),
        ("", {"Config": {"Labels": None}}, False, ""),
        ("", {"RepoDigests": ["registry.example/shop@sha256:1"]}, False, ""),
        ("", {"RepoDigests": None}, False, ""),
        ("ssh", {"RepoDigests": None, "Architecture": "amd64"}, False, "^v2 was built with uncommitted changes"),
        ("ssh", {"RepoDigests": None}, True, ARM),
    ],
)
def test_what_this_machine_knows_of_an_image_is_told_before_the_lock(fleet, stub, registry, changes, allowed, refused):
    """The image of a registry is one of this machine, by whatever name, if their digests are equal."""
    docker(stub, {**INSPECTED, **changes})
    asked = []
    fleet = replace(fleet, registry=registry)
    options = Options(allow_dirty=allowed)
    with (
        agents(lambda host: Agent(fine(fleet), {}, asked)),
        pytest.raises(Refused, match=refused) if refused else contextlib.nullcontext(),
    ):
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "deploy", "v2", options).run())
    assert ("lock" in asked) == (not refused)


WAS = {"tag": "v2", "image_id": "sha256:old", "action": "deploy", "outcome": "failed", "digest": "sha256:1"}


@pytest.mark.parametrize(
    "record, id, refused",
    [
        ({}, "sha256:id", True),
        ({"tag": "v1"}, "sha256:id", False),
        ({"image_id": ""}, "sha256:id", False),
        ({"image_id": "sha256:id"}, "sha256:id", False),
        ({"digest": "sha256:2"}, "sha256:id", False),
        ({}, "sha256:2", False),
    ],
)
def test_a_tag_that_names_another_image_now_is_refused_before_the_lock(fleet, stub, record, id, refused):
    """If this machine has the new one, and stores it as hosts do: an id that is a digest says nothing of theirs."""
    docker(stub, {**INSPECTED, "Id": id, "Config": {}})
    found, asked = fine(fleet), []
    found["facts"]["history"] = [{**WAS, **record}]
    text = "on web1, web2, work: tag v2 was image sha256:old before and is sha256:id now: build again under a new tag"
    with (
        agents(lambda host: Agent(found, {}, asked)),
        pytest.raises(Refused, match=f"^{text}$") if refused else contextlib.nullcontext(),
    ):
        run(Rollout(fleet, fleet.app_hosts, lambda event: None, "deploy", "v2").run())
    assert ("lock" in asked) == (not refused)


@pytest.mark.parametrize("output", ["exit 1", "echo", "echo '[]'", "echo '[7]'", "echo '[{\"RepoDigests\": 7}]'"])
def test_what_is_no_image_of_this_machine(stub, output):
    program = stub / "docker"
    program.write_text(f"#!/bin/sh\n{output}\n")
    program.chmod(0o755)
    assert images_here.local_image("shop:v2") is None


def test_a_tag_that_says_so_is_refused_at_once(fleet):
    args = SimpleNamespace(tag="abc-dirty", allow_dirty=False, live=False)
    with pytest.raises(Refused, match="uncommitted changes"):
        deploy_from_args(fleet, args, None)
