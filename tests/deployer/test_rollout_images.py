"""Tests of which images a rollout accepts, and for which hosts."""

import contextlib
from types import SimpleNamespace

import pytest

from deployer.agents import Agent, agents, fine
from deployer.clock import run
from slipway.deploy.commands.plan import deploy_from_args
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import images
from slipway.deploy.rollout.plan import Target
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
        (["amd64"], ["x86_64", "aarch64"], "arm64"),
        (["amd64"], ["riscv64"], "riscv64"),
    ],
)
def test_an_image_for_other_machines_is_refused(existing, machines, missing):
    found = images.architecture_problem("shop:v2", {"digest": "sha256:2", "architectures": existing}, machines)
    assert found == (missing and f"image shop:v2 is not for {missing}: build it with PLATFORM=linux/{missing}")


def test_a_tag_that_says_so_is_refused_at_once(fleet):
    args = SimpleNamespace(tag="abc-dirty", allow_dirty=False, live=False)
    with pytest.raises(Refused, match="uncommitted changes"):
        deploy_from_args(fleet, args, None)
