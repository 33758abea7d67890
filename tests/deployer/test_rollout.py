"""What a deploy says when it went wrong, with stand-ins for its hosts."""

from types import SimpleNamespace
from unittest import mock

import pytest

from deploy.ending import Ending
from deploy.errors import DeployError, Divided
from deploy.rollout import Rollout, Taken, goal


@pytest.mark.parametrize("tags, said", [
    ([None, None], "no release is live yet, as before"),
    ([None, "v1"], "the old release serves everywhere"),
    (["v1", "v1"], "the old release serves everywhere")])
def test_what_serves_after_a_takeback(fleet, tags, said):
    """Before the first release of all there is none that could serve."""
    ends = {f"web{number}": {"tag": tag, "attempt": False} for number, tag in enumerate(tags)}
    crew = SimpleNamespace(take_back=lambda *words: ends, evidence=lambda error, ends: error)
    with pytest.raises(Taken, match=f"it broke\ntaken back: {said}"):
        Rollout(fleet, None, [], None, "deploy", "v2")._take_back(crew, DeployError("it broke"), changed=True)


def test_the_digest_that_a_rollback_goes_to_is_known_of_any_host():
    """One that was added later pulls what another host has committed; REVERT has no digest, its record has."""
    release = {"tag": "v1", "image_id": "sha256:1"}
    record = {**release, "digest": "sha256:d"}
    assert goal(record, {"known": []}) == goal(release, {"known": [record]}) == {
        "image_id": "sha256:1", "digest": "sha256:d"}
    assert goal(release, {"known": []}) == {"image_id": "sha256:1", "digest": ""}


@pytest.mark.parametrize("fate, kind, said", [
    ("back", Taken, "taken back: every host is as it was"),
    (None, Divided, "taken back; web2 can't be asked and does the same within 30 s of its last word: see make status"),
    ("stuck", Divided, "web2: could not be taken back whole, see make status")])
def test_a_host_that_is_lost_on_the_way_is_asked(fleet, fate, kind, said):
    """Exit 1 is said of no host that nobody has asked: one that can't be, or is not whole, makes it 3."""
    ends = {"web1": {"tag": "v1", "attempt": False}, "web2": None}
    crew = SimpleNamespace(take_back=lambda *words: ends, evidence=lambda error, ends: error)
    with mock.patch.object(Ending, "learn", return_value={"web2": fate}) as learn, pytest.raises(kind) as caught:
        Rollout(fleet, None, [], None, "deploy", "v2")._take_back(crew, DeployError("it broke"), changed=True)
    learn.assert_called_once_with(["web2"], False, "it broke")
    assert str(caught.value).startswith(f"it broke\n{said}")
