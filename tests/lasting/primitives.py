"""What slipway/lasting writes: each primitive in one use of it, and how a folder looks before and after."""

import os
from dataclasses import dataclass
from typing import Any, Callable

from slipway.lasting import AppendLog, Generations, LockedOpen, Spool, link_replace, write_replace

OLD, NEW, NEXT = "old " * 3000, "new " * 5000, "next"


@dataclass
class Primitive:
    """`before` prepares a folder, `use` changes it, `state` tells what is there: `old`, or `new` once `use` is done.
    `again` uses it once more, whatever has ended the first; `rest` is then there, and nothing else."""
    before: Callable[[str], Any]
    use: Callable[[str], Any]
    state: Callable[[str], Any]
    old: Any
    new: Any
    again: Callable[[str], Any]
    rest: Callable[[str], bool]


def read(folder):
    with open(f"{folder}/file") as file:
        return file.read()


def write(text):
    return lambda folder: write_replace(f"{folder}/file", text)


def count(folder):
    """What is there and one more, under the file's lock."""
    with (lock := LockedOpen(f"{folder}/file", timeout=0)) as file:
        lock.replace(file.read() + "1" * 5000)


def append(*texts):
    def use(folder):
        for text in texts:
            AppendLog(f"{folder}/log").append(text.encode())
    return use


def records(folder):
    return [record.decode() for record in AppendLog(f"{folder}/log")]


def put(*texts):
    def use(folder):
        spool = Spool(f"{folder}/spool")
        for text in texts:
            spool.put(text)
    return use


def take(folder):
    with Spool(f"{folder}/spool").take() as message:
        assert message


def messages(folder):
    """Nobody has one of them."""
    names = sorted(os.listdir(f"{folder}/spool")) if os.path.isdir(f"{folder}/spool") else []
    found = []
    for name in (name for name in names if not name.endswith(".new")):
        with LockedOpen(f"{folder}/spool/{name}", "r", timeout=0) as file:
            found.append(file.read())
    return found


def build(text):
    def use(folder):
        with Generations(f"{folder}/site").build() as new:
            os.mkdir(f"{new}/pages")
            for name in ("first", "pages/second"):
                with open(f"{new}/{name}", "w") as file:
                    file.write(text)
    return use


def built(folder):
    with Generations(f"{folder}/site").current() as now:
        texts = [open(f"{now}/{name}").read() for name in ("first", "pages/second")]
    assert len(set(texts)) == 1
    return texts[0]


def only(*names, below=""):
    return lambda folder: sorted(os.listdir(f"{folder}/{below}")) == sorted(names)


PRIMITIVES = {
    "write_replace": Primitive(write(OLD), write(NEW), read, OLD, NEW, write(NEXT), only("file")),
    "LockedOpen": Primitive(write(OLD), count, read, OLD, OLD + "1" * 5000, count, only("file")),
    "link_replace": Primitive(
        lambda folder: link_replace(f"{folder}/link", "old"), lambda folder: link_replace(f"{folder}/link", "new"),
        lambda folder: os.readlink(f"{folder}/link"), "old", "new",
        lambda folder: link_replace(f"{folder}/link", "next"), only("link")),
    "AppendLog": Primitive(append("one", OLD), append(NEW), records, ["one", OLD], ["one", OLD, NEW], append(NEXT),
                           lambda folder: records(folder)[-1] == NEXT),
    "AppendLog, its first": Primitive(lambda folder: None, append(NEW), records, [], [NEW], append(NEXT),
                                      lambda folder: records(folder)[-1] == NEXT),
    "Spool.put": Primitive(put(OLD), put(NEW), messages, [OLD], [OLD, NEW], take, only("spool")),
    "Spool.put, its first": Primitive(lambda folder: None, put(NEW), messages, [], [NEW],
                                      lambda folder: (put(NEXT)(folder), take(folder)), only("spool")),
    "Spool.put, in a folder that nobody has synced": Primitive(
        lambda folder: os.mkdir(f"{folder}/spool"), put(NEW), messages, [], [NEW],
        lambda folder: (put(NEXT)(folder), take(folder)), only("spool")),
    "Spool.take": Primitive(put(OLD, NEW), take, messages, [OLD, NEW], [NEW], take, only("spool")),
    "Generations": Primitive(build(OLD), build(NEW), built, OLD, NEW, build(NEXT), only("site", "site.gen")),
}


def check(primitive, folder, returned):
    """What was there or what shall be, as a whole; the second where `use` has returned. Then all goes on."""
    state = primitive.state(folder)
    assert state == primitive.new or not returned and state == primitive.old, f"{state!r}"[:300]
    primitive.again(folder)
    assert primitive.rest(folder), os.listdir(folder)
    assert not [name for _, folders, files in os.walk(folder) for name in folders + files if ".new" in name]
