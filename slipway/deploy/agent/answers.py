"""Types of the agent's answers: facts about a host, and results of a deploy's steps. Hosts do not get this file.

The deployer checks the answers in ANSWERS (ssh/validate.py) against their types, and ignores undeclared keys."""

from typing import Annotated, Literal, NotRequired, TypedDict

from .shapes import Container, Digest, ImageId, Record, Release, Text

Base64 = Annotated[str, Text("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")]
Count = Annotated[str, Text("[0-9]{0,9}")]
Version = Annotated[str, Text("[A-Za-z0-9.+~:-]{0,99}")]
SettingName = Annotated[str, Text("[A-Za-z_][A-Za-z0-9_]*")]
SlotName = Annotated[str, Text("[ab]")]


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


class Unfinished(TypedDict):
    tag: str


class Kept(TypedDict):
    tag: Release | None  # the committed release, from the file TAG
    revert: Release | None  # the release to which a rollback goes, from the file REVERT
    records: list[Record]  # the newest records of releases.log
    known: list[Record]  # records about the release in the file REVERT, or about the tag that the deployer named
    torn: int  # number of damaged lines in releases.log
    attempt: Unfinished | None


class Committed(Kept):
    problems: list[str]  # an error for each file that cannot be read


class Memory(TypedDict):
    memory: int  # bytes that are available for a second slot
    need: int  # bytes that a second slot needs


class Facts(Running, Kept, Memory):
    python: list[int]
    arch: str
    systemd: int
    docker: Docker
    containers: dict[str, Container]
    one_offs: dict[str, str]  # container in which somebody runs or lists migrations by hand → its start time
    files: dict[str, str]  # path of a file on the host → sha256 of its content
    settings: list[str]  # problems in APP.env and APP.env.next
    site: Front
    sqlite: str | None  # "" if SQLite's file can be used, else why not; None: the database is not SQLite
    staged: bool  # True: new settings wait for the next deploy
    now: float
    free: dict[str, int]  # path → free bytes
    strangers: list[str]  # names of the app by which visitors reach something else, each with the cure
    blind: str  # why visitors' errors cannot be counted; "" if they can, or if the deployer did not ask


# ---- answers ----

class Locked(TypedDict):
    locked: str | None  # who else holds the host's lock; None: nobody else (our unit has ended, or cannot start)
    code: NotRequired[int]  # exit code of the unit, or of systemd-run if the unit cannot start
    said: NotRequired[list[str]]  # the last lines that the unit or systemd-run wrote to stderr
    attempt: NotRequired[bool]  # True: the host has an unfinished attempt
    live: NotRequired[Release | None]  # the release in the live slot
    tag: NotRequired[str | None]  # the committed release's tag, from the file TAG


class Fate(TypedDict):
    """The state of an attempt on a host, in one word that fate.decide explains."""
    fate: Literal["committed", "back", "settling", "stuck", "promised", "open"]


class Said(TypedDict):
    log: list[str]


class Resolved(TypedDict):
    """The image that a tag names in the registry."""
    digest: Digest
    architectures: list[str]  # by Docker's names, such as amd64


class Begun(TypedDict):
    warm: bool  # True: the idle slot still runs the release to which this rollback returns


class Image(TypedDict):
    image_id: ImageId
    digests: list[Digest]
    revision: NotRequired[str]
    others: NotRequired[list[ImageId]]  # ids of different images that had the same tag before


class Found(TypedDict):
    """Content of an image's migrations.json. `makers`: migrations that created the tables in a verdict's errors."""
    vendors: dict[str, dict[str, tuple[str, str, frozenset[str]]]]  # engine → migration → (verdict, reason, makers)
    failed: dict[str, str]  # database engine → why `make build` could not judge migrations for this engine


class Verdicts(TypedDict):
    incompatible: dict[str, str]  # migration → why the release does not work after it
    unjudged: list[str]  # migrations without a verdict for this database engine
    cure: str  # why `unjudged` could not be judged, and what to do; "" if `unjudged` is empty


class Judged(Verdicts):
    """Verdicts on a deploy's pending migrations, or on the migrations that a rollback's release lacks."""
    applied: NotRequired[bool]  # True: the web reports no pending migration, and the last deploy did not fail
    lacks: NotRequired[Verdicts]  # says if the new release works after migrations that only the live release has
    media: NotRequired[str]  # where the new release stores uploads: local, database, bucket; "" if unknown
    unknown: NotRequired[str]  # the error because of which a rollback could not judge any migration


class Prepared(TypedDict):
    changed: list[SettingName]  # the settings that differ after a rollback
    kept: str  # NAME in APP.env.NAME.kept, the file that keeps the replaced settings; "" if no settings were replaced


class Watched(TypedDict):
    answers: int  # number of answers that visitors got since the flip
    errors: int  # how many of these answers had a status of 500 or more


class Command(TypedDict):
    code: int
    out: Base64
    err: Base64


class Settings(TypedDict):
    """Content of two files: APP.env has the live settings, APP.env.next those for the next deploy."""
    settings: Base64
    staged: Base64 | None
