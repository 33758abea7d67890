"""The stack that a deploy gives to a swarm: the same bytes of the same file, and what its parts mean to each other."""

import os
import shutil

import pytest
import yaml

from slipway.deploy.config import build, load
from slipway.deploy.engine import proxy
from slipway.deploy.engine.workloads import Port, Release, port
from slipway.deploy.screen.yaml import dump
from slipway.deploy.swarm.stack import stack
from proc import ROOT

GOLDEN = ROOT / "tests/engines/golden"
RELEASE = Release("build-42", "sha256:" + "1" * 64)


@pytest.fixture
def fleet():
    return load(GOLDEN / "swarm.toml", {})


def test_the_files_are_as_they_were(fleet, tmp_path):
    """GOLDEN=1 writes them anew; then look at the difference."""
    services = stack(fleet, RELEASE, "ATTEMPT", "shop.settings.HASH", ())
    made, golden = {"stack.yaml": dump(services), "haproxy.cfg": proxy.config(fleet)}, GOLDEN / "swarm"
    if os.environ.get("GOLDEN"):
        shutil.rmtree(golden, ignore_errors=True)
        golden.mkdir()
        for name, text in made.items():
            (golden / name).write_text(text)
    assert made == {path.name: path.read_text() for path in golden.iterdir()}
    assert yaml.safe_load(made["stack.yaml"]) == services


def test_what_services_name_is_there(fleet):
    made = stack(fleet, RELEASE, "1", "shop.settings.2", ["CERT.3"])
    assert made["secrets"] == {"settings": {"external": True, "name": "shop.settings.2"},
                               "CERT.3": {"external": True, "name": "shop.file.CERT.3"}}
    for one in made["services"].values():
        assert {each["source"] for each in one.get("secrets", ())} <= made["secrets"].keys()
        assert {each["source"] for each in one.get("configs", ())} <= made["configs"].keys()
    settings = made["services"]["web"]["environment"]["SETTINGS_FILE"]
    assert settings == "/run/secrets/" + made["services"]["web"]["secrets"][0]["target"]


def test_each_runs_where_its_role_is_and_with_no_rights(fleet):
    for name, one in stack(fleet, RELEASE, "1", "x", ())["services"].items():
        role = "web" if name == "proxy" else name
        assert one["deploy"]["placement"]["constraints"] == [f"node.labels.shop.{role} == true"]
        assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["user"] != "0"
        assert one["deploy"]["endpoint_mode"] == "dnsrr"


def test_how_they_change_over(fleet):
    services = stack(fleet, RELEASE, "1", "x", ())["services"]
    rules = {name: one["deploy"].get("update_config", {}) for name, one in services.items()}
    assert (rules["web"]["parallelism"], rules["web"]["delay"], rules["web"]["order"]) == (2, "2s", "start-first")
    assert {name: rule["order"] for name, rule in rules.items() if name != "proxy"} == {
        "web": "start-first", "worker": "start-first", "beat": "stop-first", "smtp": "stop-first"}
    assert {rule["failure_action"] for name, rule in rules.items() if name != "proxy"} == {"rollback"}
    assert services["beat"]["deploy"]["replicas"] == 1 and "stopped" not in services


def test_the_proxy_changes_with_its_own_config_alone(fleet):
    one, other = (stack(fleet, Release(tag, f"sha256:{tag}"), tag, tag, ())["services"]["proxy"] for tag in "ab")
    assert one == other


@pytest.mark.parametrize("published, is_", [
    ("25:2525", Port(25, 2525)), ("127.0.0.1:53:5353/udp", Port(53, 5353, "UDP"))])
def test_ports(published, is_):
    assert port(published) == is_


@pytest.mark.parametrize("change, said", [
    ({"media": "local"}, "media: \"local\" files would differ"),
    ({"registry": "ssh"}, "registry: has no meaning with engine.kind = \"swarm\""),
    ({"engine": {"kind": "swarm", "replicas": {"web": 1}, "managers": ["x"]}}, "there is no host 'x'"),
    ({"engine": {"kind": "swarm", "replicas": {"web": 1}, "managers": ["a", "b"]}}, "take an odd number"),
    ({"engine": {"kind": "swarm", "replicas": {}}}, "engine.replicas.web: is needed"),
    ({"hosts": {}}, "no host is there"),
    ({"hosts": {"a": {"roles": ["web"], "internal": "10.0.0.1", "opts": "-e A=1"}}}, "hosts.a.opts: has no meaning"),
    ({"process": {"proxy": {"command": "x"}}}, "process.proxy: the name is used for something else"),
    ({"process": {"smtp": {"command": "x", "ports": ["127.0.0.1:25:25"]}}}, "Swarm publishes a port at all addresses"),
])
def test_what_the_file_must_not_say(change, said):
    hosts = {name: {"roles": ["web"], "internal": address} for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"))}
    data = {"app": "shop", "image": "r.example/shop", "media": "bucket", "hosts": hosts,
            "engine": {"kind": "swarm", "replicas": {"web": 1}}}
    build(data, {}, "x")
    with pytest.raises(Exception, match=said):
        build({**data, **change}, {}, "x")
