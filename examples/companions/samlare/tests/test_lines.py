"""The lines that samlare makes of JSON."""

import json

from samlare.config import Endpoint
from samlare.look import line, named, numbers


def lines_of(value, **extra):
    """Return {metric's name: its number as text} of the lines."""
    found = named(numbers(value), Endpoint(URL="http://localhost/", Prefix="web1", **extra))
    return dict(line(name, number, 7).decode().split()[:2] for name, number in found)


def test_nested():
    """Dots join keys, entries are numbered; true and false become numbers, text and null are left out."""
    value = {"a": 1, "b": {"c": 2.5, "d": [3, {"e": 4}]}, "f": True, "g": "text", "h": None, "i": {}}
    assert lines_of(value) == {"web1.a": "1", "web1.b.c": "2.5", "web1.b.d.0": "3", "web1.b.d.1.e": "4", "web1.f": "1"}
    assert lines_of(value, Ignore=["b.*", "f*"]) == {"web1.a": "1"}
    assert lines_of(value, Ignore=["b.d*", "f", "x"], Rename={"a": "x", "b.c": "y.z"}) == {
        "web1.x": "1",
        "web1.y.z": "2.5",
    }


def test_names():
    """Graphite accepts the name made from any key, and each dot separates two parts."""
    value = {"a b": 1, "/page": {"200": 2}, ".x": 3, "y.": 4, "z..z": 5, "": 6, "ä\n1": 7}
    assert set(lines_of(value)) == {
        "web1.a_b",
        "web1._page.200",
        "web1_.x",
        "web1.y_",
        "web1.z_.z",
        "web1_",
        "web1.__1",
    }


def test_no_number():
    """Infinity and NaN are left out; large numbers keep all digits."""
    value = json.loads('{"a": NaN, "b": Infinity, "c": 12345678901234567890}')
    assert lines_of(value) == {"web1.c": "12345678901234567890"}
