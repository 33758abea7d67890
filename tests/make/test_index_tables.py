"""Tests of what make takes from pyproject.toml's tables of indexes, for pip."""

import sys
from urllib.parse import unquote, urlsplit

import pytest

from proc import put, refusal
from slipway.make.uv import pip_indexes


@pytest.mark.parametrize(
    "text, urls",
    [
        ("# [[tool.uv.index]]\n", {}),
        ("#[[tool.uv.index]]\n[tool.uv]\nmanaged = true\n", {}),
        ('[project]\ndescription = """\n[[tool.uv.index]]\nurl = 1\n"""\n', {}),
        ("[tool]\nuv = 1\n", {}),
        ("\ufeff[project]\n", {}),  # as PowerShell writes UTF-8
        ("[tool.uv]\nindex = []\n", {}),
        (
            '[tool.uv]\nindex = [{name = "own", url = "https://a.example/"}]\n',
            {"PIP_EXTRA_INDEX_URL": "https://a.example/"},
        ),
        ('tool.uv.index = [{url = "https://a.example/", default = true}]\n', {"PIP_INDEX_URL": "https://a.example/"}),
        ('[tool]\nuv = {index = [{url = "https://a.example/"}]}\n', {"PIP_EXTRA_INDEX_URL": "https://a.example/"}),
        (
            '[[ tool . "uv" . index ]]\nname = "own"\nurl = "https://a.example/"\n',
            {"PIP_EXTRA_INDEX_URL": "https://a.example/"},
        ),
    ],
)
def test_an_index_as_toml_has_it(tmp_path, monkeypatch, text, urls):
    """However the table is written. A comment or a string is no table."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "pyproject.toml", text)
    assert pip_indexes({}) == urls


@pytest.mark.parametrize(
    "text, problem",
    [
        ("[[tool.uv.index]]\nname = 'own'\n", "each index of tool.uv needs a url"),
        ("[tool.uv]\nindex = ['own']\n", "each index of tool.uv needs a url"),
        ("[tool.uv\n", "pyproject.toml is no TOML, correct it: "),
        ("name = '\udcff'\n", "pyproject.toml is no TOML, correct it: "),
    ],
)
def test_an_index_that_is_none(scratch, text, problem):
    """One line says what is wrong with pyproject.toml, whoever installs."""
    (scratch.folder / "pyproject.toml").write_text(text, "utf-8", "surrogateescape")
    assert "make: pyproject.toml" in (line := refusal(scratch.make("ve/sentinel"))) and problem in line


def test_an_index_that_an_old_python_cannot_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    for text in ("", "# [[tool.uv.index]]\n", "[tool.uv]\nmanaged = true\n"):
        put(tmp_path / "pyproject.toml", text)
        assert pip_indexes({}) == {}
    for text in ("[[tool.uv.index]]\n", "[tool.uv]\nindex = [\n"):
        put(tmp_path / "pyproject.toml", text)
        with pytest.raises(SystemExit, match="make: only Python 3"):
            pip_indexes({})


@pytest.mark.parametrize("password", ["a/b", "a@b:c", "100%", "a b", "ä#?&", "a'\"$`\\", "//@"])
def test_a_login_with_special_characters(tmp_path, monkeypatch, password):
    """Whatever they hold, user and password stand in the URL as one of each, which pip reads again."""
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "pyproject.toml", '[[tool.uv.index]]\nname = "our-own.1"\nurl = "https://a.example/simple/"\n')
    login = {"UV_INDEX_OUR_OWN_1_USERNAME": password[::-1], "UV_INDEX_OUR_OWN_1_PASSWORD": password}
    url = urlsplit(pip_indexes(login)["PIP_EXTRA_INDEX_URL"])
    assert (unquote(url.username), unquote(url.password)) == (password[::-1], password)
    assert (url.hostname, url.port, url.path, url.query, url.fragment) == ("a.example", None, "/simple/", "", "")
    put(tmp_path / "pyproject.toml", '[[tool.uv.index]]\nname = "our-own.1"\nurl = "https://old:gone@a.example/"\n')
    assert pip_indexes(login)["PIP_EXTRA_INDEX_URL"].count("@") == 1, "the environment's login replaces the URL's"
