"""The shapes of the data that goes through the deployer. answers.py holds what a host says against them, once.

What is used of an answer must be declared here. Keys that are not are let pass unseen, so hosts may say more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict


@dataclass(frozen=True)
class Text:
    """Text that matches."""

    pattern: str


@dataclass(frozen=True)
class Below:
    """A number from 0 to less than that."""

    end: float


Time = Annotated[float, Below(250e9)]  # seconds since the epoch, to the year 9999, or between two times
Base64 = Annotated[str, Text("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")]
Count = Annotated[str, Text("[0-9]{0,9}")]
Version = Annotated[str, Text("[A-Za-z0-9.+~:-]{0,99}")]
SlotName = Literal["a", "b"]
Fate = Literal["committed", "back", "settling", "stuck", "promised", "open"]


# ---- what a host holds ----

class Release(TypedDict):
    """What TAG and REVERT name."""

    tag: str
    image_id: str


class Record(Release):
    """A line of releases.log."""

    id: NotRequired[str | None]
    action: str
    outcome: str
    at: NotRequired[Time]
    seconds: NotRequired[Time]
    digest: NotRequired[str | None]
    who: NotRequired[str | None]


class Unit(TypedDict):
    """A systemd unit; `health` and `dead`, the tasks given up, only where they were asked for."""

    state: str | None
    restarts: Count | None
    since: str | None
    health: NotRequired[str]
    dead: NotRequired[int]


class Beat(Unit):
    """The unit of beat."""

    release: Release | None


class Slot(TypedDict):
    """What a slot runs: its units by role."""

    release: Release | None
    units: dict[str, Unit]


class Engine(TypedDict):
    """What Docker says of itself; nothing where it does not answer."""

    version: NotRequired[Version]
    root: NotRequired[str]


class Site(TypedDict):
    """By which scheme visitors come to nginx, SITE_URL, and whether nginx does not limit ADMIN_PATH."""

    scheme: str
    url: str
    unlimited: bool


class Attempt(TypedDict):
    """What a deploy under way has written down."""

    tag: str


class Facts(TypedDict):
    """All that is known of a host."""

    # the machine
    python: list[int]
    arch: str
    systemd: int
    memory: int  # bytes to be had
    need: int  # bytes that a second slot needs
    free: dict[str, int]  # path → bytes
    now: float
    docker: Engine
    # the app
    files: dict[str, str]  # path → sha256, "" where there is none
    settings: list[str]  # what is wrong with them
    staged: bool
    site: Site
    tag: Release | None
    revert: Release | None
    records: list[Record]
    known: list[Record]  # of the tag that was asked for, and of REVERT
    torn: int  # lines of releases.log
    attempt: Attempt | None
    problems: list[str]
    # what runs
    containers: dict[str, tuple[str, str, float]]  # name → id, image id, when it was made
    one_offs: dict[str, str]  # name → since when
    live: SlotName | None
    slots: dict[str, Slot]
    beat: Beat | None
    lock: str | None


# ---- answers to what the agent is told to do ----

class Resolved(TypedDict):
    """What a tag stands for; `index`: a list of images."""

    digest: str
    index: bool


class Pulled(TypedDict):
    """The image that a host has pulled; `others`: what the tag was before."""

    image_id: str
    architecture: NotRequired[str]
    digests: NotRequired[list[str]]
    revision: NotRequired[str]
    others: NotRequired[list[str]]


class LockEnd(TypedDict):
    """How the lock ended, or who has it instead; then how the host is."""

    locked: str | None
    said: NotRequired[list[str]]
    attempt: NotRequired[bool]
    tag: NotRequired[str | None]


class Decided(TypedDict):
    """What becomes of an attempt."""

    fate: Fate


class Verdicts(TypedDict):
    """Migrations that break a release, with why, and those that nobody has judged, with what to do about it."""

    incompatible: dict[str, str]
    unjudged: list[str]
    cure: str


class Pruned(TypedDict):
    """What was removed."""

    removed: list[str]


class Said(TypedDict):
    """What a container logged."""

    log: list[str]


class Command(TypedDict):
    """How a shell script ended."""

    code: int
    out: Base64
    err: Base64


class Settings(TypedDict):
    """APP.env and APP.env.next."""

    settings: Base64
    staged: Base64 | None


ANSWERS: Mapping[str, Any] = {  # of all else that the agent is told to do any object will do
    "facts": Facts, "resolve": Resolved, "pull": Pulled, "lock": LockEnd, "decide": Decided, "verdicts": Verdicts,
    "prune": Pruned, "said": Said, "command": Command, "read_settings": Settings}


# ---- messages ----

class More(TypedDict):
    """What there is to a problem: what was answered, the log, or whose log it is and since when."""

    body: NotRequired[str | None]
    log: NotRequired[list[str]]
    log_of: NotRequired[tuple[str, float] | None]


class Problem(TypedDict):
    """Why something could not be done."""

    problem: str
    more: More


EVENTS: Mapping[str, Any] = {  # what else they have is plain, as text
    "progress": dict[str, Any], "takeback": dict[str, Any], "committed": dict[str, Any], "sick": Problem}
Event = dict[str, Any]  # "event", and what docs/deploy.md tells of it
Tell = Callable[[Event], None]


class HookRecord(TypedDict):
    """What a hook reads."""

    version: int
    id: str
    app: str
    action: str
    tag: str
    digest: str
    who: str
    hosts: list[str]
    outcome: NotRequired[str]
    seconds: NotRequired[float]
    cause: NotRequired[str]
