"""What a deploy says when it went wrong, with stand-ins for its hosts."""

from types import SimpleNamespace

import pytest

from deploy.errors import DeployError
from deploy.rollout import Rollout, Taken


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
