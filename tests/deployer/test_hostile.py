"""Hostile input: files, settings and command-line words of any kind. Each is accepted, or refused in lines that name
its source; none causes a traceback."""

import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.conftest import TOML
from deployer.test_server import files
from proc import ROOT
from slipway.deploy import __main__, config
from slipway.deploy.commands import plan, rollback
from slipway.deploy.config import schema
from slipway.deploy.errors import Refused

TEXT = st.one_of(
    st.text(max_size=12),
    st.text("\x00\n\r\x1b\u2028\u202e\"'\\${}@;|&# /.:%*\udcff\u0663", max_size=6),
    st.sampled_from(
        ["shop", "web1", "10.0.0.1", "a" * 5000, "/" * 300, "../../etc", "-oX=y", "x;reboot", "a b", "0", "build-1"]
    ),
)
SCALARS = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(),
    st.integers(-(10**5000), 10**5000),
    st.floats(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.sampled_from(["web", "worker", "beat", "off", "elsewhere", "certbot"]),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))
TABLES = {**schema.TABLES, "hosts.web1": schema.HOST, "hosts.front": schema.HOST, "process.mail": schema.PROCESS}
KEYS = st.sampled_from(
    [*schema.TOP, "hosts.web1", "registry.login", *(f"{table}.{key}" for table, keys in TABLES.items() for key in keys)]
)
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]")


def check_lines(problem, name):
    """Check that each line of the problem begins with the name, is short, and has no control characters."""
    lines = str(problem).split("\n")
    assert lines and all(line.startswith(f"{name}: ") and len(line) < 2000 for line in lines), lines
    assert not CONTROL.search("".join(lines)), lines


def sound(fleet):
    """Check that no accepted value brings a control character into a file on a server."""
    for host in fleet.hosts:
        assert not any(CONTROL.search(text.replace("\t", " ")) for text in files(fleet, host.name).values()), fleet


@given(st.lists(st.tuples(KEYS, VALUES), min_size=1, max_size=3))
def test_values_of_any_kind(changes):
    data = copy.deepcopy(TOML)
    for path, value in changes:
        *tables, key = path.split(".")
        table = data
        for name in tables:
            table = table.setdefault(name, {}) if isinstance(table.get(name, {}), dict) else {}
        table[key] = value
    try:
        sound(config.build(data, {}, "x.toml"))
    except Refused as problem:
        check_lines(problem, "x.toml")


@given(st.binary(max_size=200) | st.text("[]{}=\"'.,#\n abx01-:T\\u", max_size=80).map(str.encode))
def test_files_of_any_kind(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "x.toml"
    for whole in (content, (ROOT / "deploy/staging.toml").read_bytes() + b"\n" + content):
        path.write_bytes(whole)
        try:
            sound(config.load(path, {}))
        except Refused as problem:
            check_lines(problem, path)


@pytest.mark.parametrize(
    "content",
    [
        b"[rollout]\nbake = " + b"9" * 10_000,
        b"[rollout]\nbake = 0x" + b"f" * 20_000,
        b'app = "' + b"a" * 10**6 + b'"\n',
        b"'\\u001b[2J\n' = 1\n",
        b'"\\u001b[2J\\n" = 1\n',
        b'[hosts."\\nx.toml: fine"]\n',
    ],
    ids=lambda content: repr(content[:30]),
)
def test_files_that_go_too_far(tmp_path, content, capsys):
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    assert __main__.main(["--config", str(path), "config", "check"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"slipway: {path}: ") and "\x1b" not in said and len(said) < 5000


@given(st.dictionaries(st.sampled_from(["HOSTS", "CELERY_HOSTS", "BEAT_HOSTS", "APP", "IMAGE"]), TEXT, min_size=2))
def test_variables_of_any_kind(variables):
    try:
        sound(config.from_environment(variables))
    except Refused as problem:
        check_lines(problem, "environment")


@given(st.sampled_from(["deploy", "rollback"]), TEXT)
def test_tags_of_any_kind(action, tag):
    args = __main__.parse([action, "v1"] if action == "deploy" else [action])
    args.tag = args.to = tag
    make = {"deploy": plan.deploy_from_args, "rollback": rollback.rollback_from_args}[action]
    try:
        rollout = make(config.build(TOML, {}, "x"), args, None)
        assert re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", rollout.tag) or (action == "rollback" and not tag)
    except Refused as problem:
        assert "is not a valid tag" in str(problem) and not CONTROL.search(str(problem))
