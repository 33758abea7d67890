"""What slipway/lasting writes: each primitive in one use of it, and how a folder looks before and after."""

import os
from dataclasses import dataclass
from typing import Any, Callable

from slipway.lasting import LockedOpen, link_replace, write_replace

OLD, NEW, NEXT = "old " * 3000, "new " * 5000, "next"


@dataclass
class Primitive:
    """`before` prepares a folder, `use` changes it, `state` tells what is there: `old`, or `new` once `use` is done.
    `again` uses it once more, whatever has ended the first; the one `name` is then there, and nothing else."""
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
    """What is there and one more, under the file's lock."""
    with (lock := LockedOpen(f"{folder}/file", timeout=0)) as file:
        lock.replace(file.read() + "1" * 5000)


PRIMITIVES = {
    "write_replace": Primitive(write(OLD), write(NEW), read, OLD, NEW, write(NEXT), "file"),
    "LockedOpen": Primitive(write(OLD), count, read, OLD, OLD + "1" * 5000, count, "file"),
    "link_replace": Primitive(link("old"), link("new"), lambda folder: os.readlink(f"{folder}/link"), "old", "new",
                              link("next"), "link"),
}


def check(primitive, folder, returned):
    """What was there or what shall be, as a whole; the second where `use` has returned. Then all goes on."""
    state = primitive.state(folder)
    assert state == primitive.new or not returned and state == primitive.old, f"{state!r}"[:300]
    primitive.again(folder)
    assert os.listdir(folder) == [primitive.name]
