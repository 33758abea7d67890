"""What a deploy says of the image that its hosts have pulled."""

from types import SimpleNamespace

import pytest

from slipway.deploy.commands import plan
from slipway.deploy.errors import Refused
from slipway.deploy.rollout import images
from slipway.deploy.rollout.plan import Target


ONE = {"image_id": "sha256:1", "digests": ["sha256:d"], "revision": "", "others": []}
TARGET = Target("deploy", "build-1", "sha256:d")


def pulled(*answers):
    """Answers to pull, of hosts web1, web2 and so on: each what it says besides that of a good one."""
    return {f"web{number}": {**ONE, **answer} for number, answer in enumerate(answers, 1)}


WRONG = {  # what web2 says → why nothing starts
    "has what no commit holds": {"revision": f"{'0' * 40}-dirty"},
    "build-1 was sha256:0 and is now sha256:1: a tag must not be used again": {"others": ["sha256:0"]},
    "build-1 is sha256:e there, and sha256:d was meant": {"digests": ["sha256:e"]},
}


@pytest.mark.parametrize("text", WRONG)
def test_what_must_not_start(text):
    """Each thing that is wrong with what a host has pulled is told of it, before anything starts."""
    with pytest.raises(Refused) as refused:
        images.check({("pull", name): answer for name, answer in pulled({}, WRONG[text]).items()}, TARGET, False)
    assert str(refused.value).startswith("on web2: ") and text in str(refused.value)


def test_what_may_start():
    """Another id of the same digest, as another engine or architecture has it; the dirty image when told so; and
    whatever was committed may be gone back to."""
    assert images.problems(pulled({}, {"image_id": "sha256:2"}), TARGET) == {}
    dirty = pulled({"revision": "0-dirty"}, {"revision": "0-dirty"})
    assert images.problems(dirty, TARGET, allow_dirty=True) == {}
    assert images.problems(dirty, Target("rollback", "build-1")) == {}


@pytest.mark.parametrize("there, machines, missing", [
    (["amd64"], ["x86_64"], ""), (["amd64", "arm64"], ["aarch64", "x86_64"], ""), ([], ["aarch64"], ""),
    (["amd64"], ["x86_64", "aarch64"], "arm64"), (["amd64"], ["riscv64"], "riscv64")])
def test_an_image_for_other_machines_is_refused(there, machines, missing):
    """It says how to build one for them, where the registry tells what it is for."""
    found = images.foreign("shop:v2", {"digest": "sha256:2", "architectures": there}, machines)
    assert found == (missing and f"image shop:v2 is for another architecture than {missing}: build it with "
                                 f"PLATFORM=linux/{missing}")


def test_a_tag_that_says_so_is_refused_at_once(fleet):
    """What make calls the release of a checkout with changes: before any host is asked."""
    args = SimpleNamespace(tag="abc-dirty", allow_dirty=False)
    with pytest.raises(Refused, match="what no commit holds"):
        plan.deploy_of(fleet, args, None)
