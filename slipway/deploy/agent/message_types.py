"""Types of data that the agent stores, receives, and reports as facts. A step's answer stands in the step's file.

Python 3.9, which hosts may have, lacks three of the names. It evaluates no annotation, so None can stand for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Optional, TypedDict, TypeVar, Union

if sys.version_info >= (3, 11):
    from typing import NotRequired, TypeGuard, Unpack
else:
    NotRequired = TypeGuard = Unpack = None
if TYPE_CHECKING:
    import tarfile  # noqa: F401  # in Member

__all__ = ("Any", "BinaryIO", "NotRequired", "TypeGuard", "Unpack")  # for the agent's other files

T = TypeVar("T")
Site = tuple[str, str]  # (scheme, host name) of a site's URL
Place = Union[str, tuple[str, int]]  # where a process listens: a unix socket, or (address, port)
Container = tuple[str, str, float]  # (id, image id, time of creation)
Properties = dict[str, str]  # a unit's properties, from systemd
Member = tuple["tarfile.TarInfo", Optional[Iterator[bytes]]]  # (entry, content; None: no regular file)


# Beside str stands the text's pattern; beside float the end of the number's range, which begins at 0.
TAG = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
IMAGE_ID = "[A-Za-z0-9_.:-]{0,200}"
DIGEST = "(?:[a-z0-9+._-]{1,40}:[A-Za-z0-9=_-]{1,200})?"
IN_SECRETS = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"  # a file there
Tag = Annotated[str, TAG]
ImageId = Annotated[str, IMAGE_ID]
Digest = Annotated[str, DIGEST]
Time = Annotated[float, 250e9]  # seconds since the epoch, before the year 9999; or a duration in seconds
Base64 = Annotated[str, "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"]
Count = Annotated[str, "[0-9]{0,9}"]
Version = Annotated[str, "[A-Za-z0-9.+~:-]{0,99}"]
SecretName = Annotated[str, IN_SECRETS]
SettingName = Annotated[str, "[A-Za-z_][A-Za-z0-9_]*"]
FileState = Annotated[str, r"|[0-7]{1,4} [^ :]{1,64}:[^ :]{1,64}( [0-9a-f]{64})?"]
SlotName = Annotated[str, "[ab]"]


# ---- on disk ----


class Release(TypedDict):
    """A release, as saved in the files TAG, REVERT, a.tag, beat.tag…"""

    tag: Tag
    image_id: ImageId


class Record(Release):
    """A line of releases.log. Code ignores fields of type Any, except version."""

    id: NotRequired[str | None]
    action: str
    outcome: str
    digest: NotRequired[Digest | None]
    who: NotRequired[str | None]  # what the deployer says
    key: NotRequired[str]  # what sshd says: the fingerprint of a deploy key
    at: NotRequired[Time]
    seconds: NotRequired[Time]
    inherited: NotRequired[bool]  # True: it tells of another host, whose history this one took over
    withdrawn: NotRequired[str]  # the tag from which a rollback went back
    revision: NotRequired[str]  # the image's commit
    settings: NotRequired[str]  # names of the settings that changed
    migrations: NotRequired[str]  # names of those that this host ran, and whom they locked
    allow_incompatible: NotRequired[Any]
    cause: NotRequired[Any]
    version: NotRequired[Any]


class Noted(TypedDict, total=False):
    """The file /run/APP/attempt: what an attempt shall do and has done so far."""

    # saved by the agent at its start
    program: str
    pid: int
    key: str  # the fingerprint of the deploy key that the deployer has; "" without one
    version: int
    # sent by the deployer with the step `begin`
    id: str
    action: str  # deploy, restart or rollback
    tag: str
    digest: str
    image_id: str
    who: str
    image: str
    keep_warm: float
    drain: float
    keep_releases: int
    allow_incompatible: bool
    # saved by the steps
    live: str
    slot: str
    started: float  # by time.monotonic(), which all processes share until the host reboots
    warm: bool  # True: `slot` still runs the release to which this rollback returns
    settings_from: str | None
    revision: str
    migrations: str  # for the record
    one_offs: bool
    before: dict[str, list[str] | None]  # role that runs in no slot → its files (slots.pins); None: it did not run
    ended: list[str]  # units of the old slot that the attempt has stopped
    renames: list[list[str]]  # [from, to] of files that `prepare` wrote, in the order in which to rename them
    removes: list[str]
    promised: bool  # True: if the deployer disconnects, this host commits; else it goes back
    # saved if the attempt fails
    outcome: str
    cause: str


# ---- on the connection ----


class Details(TypedDict, total=False):
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
    details: Details


Say = Callable[[Event], None]
Heard = Callable[[bytes], None]  # is called with each piece of an answer


class Message(TypedDict, total=False):
    id: int
    do: str
    args: dict[str, Any]
    abort: Noted


# ---- facts ----


class Docker(TypedDict, total=False):
    """Docker's version and data folder; {} if Docker does not answer."""

    version: Version
    root: str


class UnitFacts(TypedDict):
    state: str | None
    restarts: Count | None
    since: str | None
    health: NotRequired[str]
    next: NotRequired[str]  # when a command by the clock is due


class AloneFacts(UnitFacts):
    release: Release | None


class SlotFacts(TypedDict):
    release: Release | None
    units: dict[str, UnitFacts]


class Front(TypedDict):
    scheme: str  # the scheme that nginx serves, http or https; "" if unknown
    url: str  # SITE_URL of the next deploy, without its path; "" if unknown


class Running(TypedDict):
    live: SlotName | None  # the slot that visitors reach
    slots: dict[str, SlotFacts]
    alone: dict[str, AloneFacts]  # role → facts; only roles that run in no slot
    lock: str | None  # who holds the host's lock; None: nobody
    problems: list[str]


class Kept(TypedDict):
    tag: Release | None  # the committed release, from the file TAG
    revert: Release | None  # the release to which a rollback goes, from the file REVERT
    records: list[Record]  # the newest records of releases.log
    history: list[Record]  # of the release in the file REVERT, or of the tag that the deployer named
    torn: int  # number of damaged lines in releases.log
    attempt: str | None  # the tag of an unfinished attempt
    coming: NotRequired[SlotName | None]  # the slot into which that attempt brings its release; None: there is none
    problems: list[str]  # an error for each file that cannot be read


class Memory(TypedDict):
    memory: int  # bytes that are available for a second slot
    need: int  # bytes that a second slot needs


class Facts(Running, Kept, Memory):
    arch: str
    docker: Docker
    containers: dict[str, Container]
    files: dict[str, FileState]  # path of a file on the host → what provisioned.state makes; "": there is none
    settings: list[str]  # problems in APP.env and APP.env.next
    names: list[SettingName]  # of the settings that the next deploy uses
    site: Front
    sqlite: str | None  # "" if SQLite's file can be used, else why not; None: the database is not SQLite
    plan: str  # the live release's migrations, as showmigrations --plan lists them; "" if unknown, or without `tag`
    staged: bool  # True: new settings wait for the next deploy
    now: float
    free: dict[str, int]  # path → free bytes
    strangers: list[str]  # names of the app by which visitors reach something else, each with the cure
    notes: list[str]  # lines about maintenance and logs
    tasks: list[str]  # lines about tasks that failed in the live release, and dead ones, of the whole site
    timed: dict[str, UnitFacts]  # commands by the clock; `health`: what is wrong, if anything
    blind: str  # why visitors' errors cannot be counted; "" if they can, or if the deployer did not ask
