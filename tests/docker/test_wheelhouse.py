"""Tests of the program that makes the wheelhouse in the builder, with a stand-in for its pip."""

import re
from pathlib import Path

import pytest

from proc import put
from slipway.make import wheelhouse

PINS = (
    "# made by hand\ndjango==5.2 \\\n    --hash=sha256:aa\n    # via shop\nmy-own.lib==1.0 \\\n    --hash=sha256:bb\n"
)
DEV = "flake8==7.1 \\\n    --hash=sha256:cc\n"


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Return a function that makes a wheelhouse of these lists from the last one, and returns what pip had to make."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_PINS", str(put(tmp_path / "uv.txt", "uv==9.9 \\\n    --hash=sha256:ee\n")))
    asked, fetched = [], []

    def pip(action, *words):
        if action == "download":
            put(Path(words[2]) / "uv-9.9-py3-none-any.whl", "the program")
            fetched.append(words[-1])
            return
        text = (tmp_path / words[-1]).read_text()
        asked.append([*re.findall(r"^[\w.-]+==[\w.]+", text, re.MULTILINE), *words[2:-2]])
        for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE):
            put(tmp_path / words[1] / f"{re.sub('[-.]', '_', name)}-{version}-py3-none-any.whl")

    monkeypatch.setattr(wheelhouse, "pip", pip)

    def call(production, development):
        put(tmp_path / "requirements.txt", production)
        put(tmp_path / "requirements/dev.txt", development)
        number = len(list(tmp_path.glob("house*")))
        asked.clear()
        fetched.clear()
        new = tmp_path / f"house{number}"
        wheelhouse.main("requirements.txt", "requirements/dev.txt", tmp_path / f"house{number - 1}", new)
        assert (new / "uv.whl").read_text() == "the program" and len(fetched) == (number == 0)
        return asked[:], sorted(str(path.relative_to(new)) for path in new.rglob("*.whl"))

    return call


WHEELS = [
    "dev/flake8-7.1-py3-none-any.whl",
    "django-5.2-py3-none-any.whl",
    "my_own_lib-1.0-py3-none-any.whl",
    "uv.whl",
]


def test_only_what_is_missing_is_made(made):
    """Wheels of the same pins are taken over; a comment changes nothing; another hash or version makes the wheel anew,
    and what is pinned no more is gone."""
    assert made(PINS, DEV) == ([["django==5.2", "my-own.lib==1.0", "--no-deps"], ["flake8==7.1", "--no-deps"]], WHEELS)
    assert made(PINS.replace("# via shop", "# via orders\n    # more"), DEV) == ([], WHEELS)
    asked, wheels = made(PINS.replace("5.2", "5.3"), "")
    assert asked == [["django==5.3", "--no-deps"]]
    assert wheels == [WHEELS[1].replace("5.2", "5.3"), *WHEELS[2:]]
    assert made(PINS.replace("5.2", "5.3").replace("bb", "dd"), "")[0] == [["my-own.lib==1.0", "--no-deps"]]


def test_what_both_lists_name_is_in_one_place(made):
    """The tests' wheels lack those that production needs, too."""
    made(PINS, DEV)
    assert made(PINS + DEV, DEV)[1] == ["django-5.2-py3-none-any.whl", WHEELS[0][4:], *WHEELS[2:]]


def test_the_template_s_package_is_not_in_it(made, tmp_path):
    """The image takes it from vendor/. pip needs it to find what a list without hashes needs, but it does not stay."""
    wheel = put(tmp_path / "vendor/slipway_django-1.0.0-py3-none-any.whl")
    own = f"./vendor/{wheel.name}[jobs] \\\n    --hash=sha256:ff\n"
    assert made(own + PINS, DEV)[0][0] == ["django==5.2", "my-own.lib==1.0", "--no-deps"]
    asked, wheels = made("django==5.2\nslipway_django==1.0.0\n", "")
    assert "slipway_django==1.0.0" in asked[0] and wheels == ["django-5.2-py3-none-any.whl", "uv.whl"]


def test_a_list_without_hashes(made, tmp_path):
    """pip finds what it needs itself, for tests in the versions of production, and each time anew."""
    for _ in range(2):
        (production, development), wheels = made("django==5.2\n", "flake8==7.1\n")
        assert production[:2] == ["django==5.2", "--constraint"] and wheels == [*WHEELS[:2], "uv.whl"]
        assert (tmp_path / development[2]).read_text() == "django==5.2\n"
    assert len(made("django==5.2\n", "# none\n")[0]) == 1
