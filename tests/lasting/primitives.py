"""The primitives of slipway/lasting: a use of each, and the states of a folder before and after it."""

import os
from dataclasses import dataclass
from typing import Any, Callable

from slipway.lasting import LockedOpen, link_replace, write_replace

OLD, NEW, NEXT = "old " * 3000, "new " * 5000, "next"


@dataclass
class Primitive:
    """`before` prepares a folder, `use` changes it, and `state` returns its state: `old`, or `new` after `use`. `again`
    uses it once more, even after a crash; then the folder has only the file `name`."""
    before: Callable[[str], Any]
    use: Callable[[str], Any]
    state: Callable[[str], Any]
    old: Any
    new: Any
    again: Callable[[str], Any]
    name: str


def read(folder):
    with open(f"{folder}/file") as file:
        return file.read()


def write(text):
    return lambda folder: write_replace(f"{folder}/file", text)


def link(target):
    return lambda folder: link_replace(f"{folder}/link", target)


def count(folder):
    """Append to the file's content under its lock."""
    with (lock := LockedOpen(f"{folder}/file", timeout=0)) as file:
        lock.replace(file.read() + "1" * 5000)


PRIMITIVES = {
    "write_replace": Primitive(write(OLD), write(NEW), read, OLD, NEW, write(NEXT), "file"),
    "LockedOpen": Primitive(write(OLD), count, read, OLD, OLD + "1" * 5000, count, "file"),
    "link_replace": Primitive(link("old"), link("new"), lambda folder: os.readlink(f"{folder}/link"), "old", "new",
                              link("next"), "link"),
}


def check(primitive, folder, returned):
    """Assert that the state is the old or the new one, and the new one if `use` returned. Then use it again."""
    state = primitive.state(folder)
    assert state == primitive.new or not returned and state == primitive.old, f"{state!r}"[:300]
    primitive.again(folder)
    assert os.listdir(folder) == [primitive.name]
