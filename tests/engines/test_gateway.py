"""A Gateway instead of an Ingress: its HTTPRoute, and nothing else, is another one.

No schema of Kubernetes has Gateway API's kinds, and no package of PyPI or Debian theirs: FORM is of the fields in use.
"""

import os
import shutil

import jsonschema
import pytest

from slipway.deploy import __main__
from engines.meaning import amiss, of_kind
from engines.test_kubernetes import GOLDEN, RIGHT, SETTINGS, built, change, make
from engines.test_kubernetes import nobody_s_settings  # noqa: F401: a fixture

INGRESS = 'ingress = "nginx"\ntls = "shop-tls"\n'
LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"


def exactly(required, **more):
    """An object of these keys and no others."""
    return {"type": "object", "required": [*required], "properties": {**required, **more},
            "additionalProperties": False}


def listed(of, most):
    return {"type": "array", "minItems": 1, "maxItems": most, "items": of}


def text(pattern, longest=253):
    return {"type": "string", "pattern": rf"\A(?:{pattern})\Z", "maxLength": longest}


NAME = text(rf"{LABEL}(\.{LABEL})*")
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
FORM = exactly({
    "apiVersion": {"const": "gateway.networking.k8s.io/v1"}, "kind": {"const": "HTTPRoute"},
    "metadata": {"type": "object"},
    "spec": exactly({
        "parentRefs": listed(exactly({"name": NAME}, namespace=text(LABEL, 63)), 32),
        "rules": listed(exactly({"backendRefs": listed(exactly({"name": NAME, "port": PORT}), 16)}), 16)},
        hostnames=listed(text(rf"(\*\.)?{LABEL}(\.{LABEL})*"), 16))})


def toml(tmp_path, gateway="shared/public", names='"shop.example"'):
    """The same file with a Gateway."""
    path = tmp_path / "x.toml"
    assert INGRESS in RIGHT
    path.write_text(RIGHT.replace(INGRESS, f'gateway = "{gateway}"\n').replace('"shop.example"', names))
    return path


@pytest.fixture
def objects(tmp_path):
    return built(make(toml(tmp_path), tmp_path / "made"))


def test_only_the_site_s_file_is_another_one(tmp_path):
    """GOLDEN=1 writes it anew; then look at the difference."""
    made, golden = make(toml(tmp_path), tmp_path / "made"), GOLDEN / "gateway/process-web.yaml"
    site = made / "base/process-web.yaml"
    if os.environ.get("GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        shutil.copy(site, golden)
    assert site.read_text() == golden.read_text()
    others = [path.relative_to(made) for path in made.rglob("*.yaml") if path != site]
    assert others and all((made / path).read_text() == (GOLDEN / "kubernetes" / path).read_text() for path in others)


@pytest.mark.parametrize("gateway, refs", [
    ("shared/public", [{"name": "public", "namespace": "shared"}]), ("public", [{"name": "public"}])])
def test_it_names_the_gateway(tmp_path, gateway, refs):
    route, = of_kind(built(make(toml(tmp_path, gateway), tmp_path / "made")), "HTTPRoute")
    assert route["spec"]["parentRefs"] == refs
    jsonschema.validate(route, FORM)


@pytest.mark.parametrize("names, hosts", [
    ('"Shop.example", "*.shop.example"', ["shop.example", "*.shop.example"]), ("", [])])
def test_it_answers_to_the_site_s_names(tmp_path, names, hosts):
    """Without any to all that the Gateway lets in."""
    objects = built(make(toml(tmp_path, names=names), tmp_path / "made"))
    route, = of_kind(objects, "HTTPRoute")
    assert route["spec"].get("hostnames", []) == hosts and amiss(objects, SETTINGS, hosts) == []
    jsonschema.validate(route, FORM)


def test_they_fit_each_other(objects):
    assert amiss(objects, SETTINGS) == [] and not of_kind(objects, "Ingress")


@pytest.mark.parametrize("key, right, wrong", [
    ("backendRefs", [{"name": "shop-web", "port": 80}], [{"name": "shop-web", "port": 8000}]),
    ("backendRefs", [{"name": "shop-web", "port": 80}], [{"name": "shop-smtp", "port": 80}]),
    ("hostnames", ["shop.example"], ["www.shop.example"]),
    ("ingress", [{"ports": [{"port": 8000, "protocol": "TCP"}]}],
     [{"from": [{"podSelector": {}}], "ports": [{"port": 8000, "protocol": "TCP"}]}])], ids=str)
def test_what_is_wrong_is_noticed(objects, key, right, wrong):
    broken = change(objects, (key, right), wrong)
    assert broken != objects and amiss(broken, SETTINGS)


def test_a_site_without_a_door_is_noticed(objects):
    assert amiss([one for one in objects if one["kind"] != "HTTPRoute"], SETTINGS) == ["visitors come by []"]


@pytest.mark.parametrize("key, right, wrong", [
    ("port", 80, "http"), ("hostnames", ["shop.example"], ["Shop.example"]), ("hostnames", ["shop.example"], []),
    ("parentRefs", [{"name": "public", "namespace": "shared"}], [{"name": "public", "namespaces": "shared"}])], ids=str)
def test_a_form_that_is_none_is_refused(objects, key, right, wrong):
    route, = of_kind(objects, "HTTPRoute")
    broken = change(route, (key, right), wrong)
    assert broken != route
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, FORM)


MANY = ", ".join(f'"{number}.shop.example"' for number in range(17))


@pytest.mark.parametrize("old, new, said", [
    ('tls = "shop-tls"', 'gateway = "public"',
     "engine.ingress: is of an Ingress, and engine.gateway takes its place: leave one out"),
    ('ingress = "nginx"', 'gateway = "public"',
     "engine.tls: is of an Ingress, and engine.gateway takes its place: leave one out"),
    (INGRESS, 'gateway = "a/b/c"\n', "engine.gateway: 'a/b/c' is not a Gateway's name, or namespace/name")])
def test_what_the_file_must_not_say(tmp_path, capsys, old, new, said):
    """One line, and nothing is written."""
    assert old in RIGHT
    (tmp_path / "x.toml").write_text(RIGHT.replace(old, new))
    assert refused(tmp_path) and capsys.readouterr().err.count(said) == 1


def test_more_names_than_a_route_may_have(tmp_path, capsys):
    toml(tmp_path, names=MANY)
    assert refused(tmp_path) and "site.names: a Gateway's route has 16 at most" in capsys.readouterr().err


def refused(tmp_path):
    words = ["--config", str(tmp_path / "x.toml"), "manifests", "build-42", "--out", str(tmp_path / "made")]
    return __main__.main(words) == 2 and not (tmp_path / "made").exists()
