"""Types of data that the agent stores and receives. Hosts do not get this file."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import (TYPE_CHECKING, Annotated, Any, BinaryIO, NotRequired, Protocol, TypeAlias, TypedDict, TypeGuard,
                    TypeVar, Unpack)

if TYPE_CHECKING:
    from .host import Problem

__all__ = ("Any", "BinaryIO", "TypeGuard", "Unpack")  # the agent imports these from here, as it does not import typing

T = TypeVar("T")
Site = tuple[str, str]  # (scheme, host name) of a site's URL
Place: TypeAlias = "str | tuple[str, int]"  # where a process listens: a unix socket, or (address, port)
Container = tuple[str, str, float]  # (id, image id, time of creation)
Properties = dict[str, str]  # a unit's properties, from systemd
Check: TypeAlias = "Callable[[], Problem | None]"  # a check that the watcher repeats; it returns None if all is well
Member: TypeAlias = "tuple[Entry, Iterator[bytes] | None]"  # (entry of an archive, its content; None: no regular file)


@dataclass(frozen=True)
class Text:
    pattern: str


@dataclass(frozen=True)
class Below:
    """A number of at least 0 and less than `end`."""

    end: float


Tag = Annotated[str, Text("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")]  # releases.py repeats this pattern and the next two
ImageId = Annotated[str, Text("[A-Za-z0-9_.:-]{0,200}")]
Digest = Annotated[str, Text("(?:[a-z0-9+._-]{1,40}:[A-Za-z0-9=_-]{1,200})?")]
Time = Annotated[float, Below(250e9)]  # seconds since the epoch, before the year 9999; or a duration in seconds


class Entry(Protocol):
    name: str
    size: int

    def isdir(self) -> bool: ...


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


# ---- on disk ----

class Release(TypedDict):
    """A release, as saved in the files TAG, REVERT, a.tag, beat.tag…"""
    tag: Tag
    image_id: ImageId


class Record(Release):
    """A line of releases.log. Code ignores fields of type Any, except version and crc32."""
    id: NotRequired[str | None]
    action: str
    outcome: str
    digest: NotRequired[Digest | None]
    who: NotRequired[str | None]
    at: NotRequired[Time]
    seconds: NotRequired[Time]
    withdrawn: NotRequired[str]  # the tag from which a rollback went back
    began: NotRequired[Any]
    roles: NotRequired[Any]
    allow_incompatible: NotRequired[Any]
    cause: NotRequired[Any]
    version: NotRequired[Any]
    crc32: NotRequired[Any]


class Before(TypedDict):
    """The release and settings that a process had before the attempt."""
    release: Release | None
    settings: str | None


class Noted(TypedDict, total=False):
    """The file /run/APP/attempt: what an attempt shall do and has done so far."""
    # saved by the agent at its start
    program: str
    pid: int
    version: int
    # sent by the deployer with the step `begin`
    id: str
    action: str  # deploy, restart or rollback
    tag: str
    digest: str
    image_id: str
    who: str
    roles: list[str]
    image: str
    keep_warm: float
    drain: float
    keep_releases: int
    allow_incompatible: bool
    waited: float  # seconds that the deploy had taken before `began`
    # saved by the steps
    live: str
    slot: str
    began: float  # seconds since the epoch; only shown, as the host's clock may step
    started: float  # the same moment by time.monotonic(), which all processes share until the host reboots
    warm: bool  # True: `slot` still runs the release to which this rollback returns
    settings_from: str | None
    one_offs: bool
    changed: bool
    before: dict[str, Before | None]  # role that runs in no slot → its old release and settings; None: it did not run
    ended: list[str]  # units of the old slot that the attempt has stopped
    renames: list[list[str]]  # [from, to] of files that `prepare` wrote, in the order in which to rename them
    removes: list[str]
    promised: bool  # True: if the deployer disconnects, this host commits; else it goes back
    # saved if the attempt fails
    outcome: str
    cause: str


# ---- on the connection ----

class More(TypedDict, total=False):
    status: int  # status of an HTTP answer; 0 if no answer came
    body: str  # the HTTP answer's body
    log: list[str]  # lines to show, of a command's output or a traceback
    log_of: tuple[str, float, float]  # (container, start, end): show the container's log between these times


class Event(TypedDict, total=False):
    id: int
    event: str  # progress, waiting, takeback, sick, unhealthy or committed
    text: str
    step: str
    state: str
    problem: str
    more: More


Say = Callable[[Event], None]
Heard = Callable[[bytes], None]  # is called with each piece of an answer


class Message(TypedDict, total=False):
    id: int
    do: str
    args: dict[str, Any]
    abort: Noted


class CallOptions(TypedDict, total=False):
    timeout: float
    check: bool
    env: dict[str, str]
    input: str


class Watching(Protocol):
    """The part of steps.watcher.Watcher that an Attempt uses."""

    over: threading.Event

    def rest(self, seconds: float) -> tuple[int, int]: ...
