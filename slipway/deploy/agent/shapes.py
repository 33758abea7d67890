"""The shapes of what the agent keeps and hears. For the type checker and the deployer: the bundle has none of it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import (TYPE_CHECKING, Annotated, Any, BinaryIO, NotRequired, Protocol, TypeAlias, TypedDict, TypeGuard,
                    TypeVar, Unpack)

if TYPE_CHECKING:
    from .host import Problem

__all__ = ("Any", "BinaryIO", "TypeGuard", "Unpack")  # for the agent, which does not load typing either

T = TypeVar("T")
Site = tuple[str, str]  # (scheme, host)
Place: TypeAlias = "str | tuple[str, int]"  # where somebody listens: a unix socket, or (address, port)
Container = tuple[str, str, float]  # (id, image id, when it was made)
Properties = dict[str, str]  # systemd's, of a unit
Check: TypeAlias = "Callable[[], Problem | None]"  # at a thing that is watched
Member: TypeAlias = "tuple[Entry, Iterator[bytes] | None]"  # of an image: see image_files.members


@dataclass(frozen=True)
class Text:
    """Text that matches."""

    pattern: str


@dataclass(frozen=True)
class Below:
    """A number from 0 to less than that."""

    end: float


Tag = Annotated[str, Text("[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")]  # these three as in releases.py
ImageId = Annotated[str, Text("[A-Za-z0-9_.:-]{0,200}")]
Digest = Annotated[str, Text("(?:[a-z0-9+._-]{1,40}:[A-Za-z0-9=_-]{1,200})?")]
Time = Annotated[float, Below(250e9)]  # seconds since the epoch, to the year 9999, or between two times


class Entry(Protocol):
    """What is used of tarfile.TarInfo, which takes long to load."""

    name: str
    size: int

    def isdir(self) -> bool: ...


class Readable(Protocol):
    """A file of bytes."""

    def read(self, size: int, /) -> bytes: ...


# ---- what lies on the disk ----

class Release(TypedDict):
    """What a TAG file names."""
    tag: Tag
    image_id: ImageId


class Record(Release):
    """A line of releases.log. Any: only people read it."""
    id: NotRequired[str | None]
    action: str
    outcome: str
    digest: NotRequired[Digest | None]
    who: NotRequired[str | None]
    at: NotRequired[Time]
    seconds: NotRequired[Time]
    withdrawn: NotRequired[str]  # the tag that a rollback left
    began: NotRequired[Any]
    roles: NotRequired[Any]
    allow_incompatible: NotRequired[Any]
    cause: NotRequired[Any]
    version: NotRequired[Any]
    crc32: NotRequired[Any]


class Before(TypedDict):
    """What an old process ran."""
    release: Release | None
    settings: str | None


class Noted(TypedDict, total=False):
    """/run/APP/attempt: all that a deploy has done so far, key by key as it goes on."""
    # of the agent
    program: str
    pid: int
    version: int
    # of the deployer, by `begin`
    id: str
    action: str  # deploy, restart, rollback
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
    waited: float  # seconds that the deploy took before
    # of the steps
    live: str
    slot: str
    began: float
    warm: bool  # the slot still runs what a rollback goes to
    settings_from: str | None
    one_offs: bool
    changed: bool
    before: dict[str, Before | None]  # role → what ran alone
    ended: list[str]  # units of the old slot that were stopped
    renames: list[list[str]]  # by `prepare`: (from, to), in this order
    removes: list[str]
    promised: bool  # a host that hears no more commits by itself; before, it goes back
    # of its end
    outcome: str
    cause: str


# ---- what is said ----

class More(TypedDict, total=False):
    """What a Problem brings besides its text."""
    status: int
    body: str
    log: list[str]
    log_of: tuple[str, float]  # a container, and since when


class Event(TypedDict, total=False):
    """What the deployer hears while a step goes on."""
    id: int
    event: str  # progress, takeback, sick, unhealthy, committed
    text: str
    step: str
    state: str
    problem: str
    more: More


Say = Callable[[Event], None]


class Message(TypedDict, total=False):
    """What the deployer says: a step with its arguments, or that it gives up."""
    id: int
    do: str
    args: dict[str, Any]
    abort: Noted


class CallOptions(TypedDict, total=False):
    """What Host.call takes besides the words."""
    timeout: float
    check: bool
    env: dict[str, str]
    input: str


class Watching(Protocol):
    """What an Attempt needs of its Watcher."""

    over: threading.Event

    def rest(self, seconds: float) -> tuple[int, int]: ...
