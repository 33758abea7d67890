"""The shapes of what the agent answers: facts, and what each step returns. Like shapes.py it is not sent to hosts.

The deployer holds what hosts answer against those that ssh/validate.py names, and ignores keys not declared here.
"""

from typing import Annotated, Literal, NotRequired, TypedDict

from .shapes import Container, Digest, ImageId, Record, Release, Text

Base64 = Annotated[str, Text("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")]
Count = Annotated[str, Text("[0-9]{0,9}")]
Version = Annotated[str, Text("[A-Za-z0-9.+~:-]{0,99}")]
SettingName = Annotated[str, Text("[A-Za-z_][A-Za-z0-9_]*")]
SlotName = Annotated[str, Text("[ab]")]


# ---- facts ----

class Docker(TypedDict, total=False):
    """Empty where it does not answer."""
    version: Version
    root: str


class UnitFacts(TypedDict):
    """How a unit is, in systemd's words."""
    state: str | None
    restarts: Count | None
    since: str | None
    health: NotRequired[str]


class AloneFacts(UnitFacts):
    """The same of what runs alone, and what it runs."""
    release: Release | None


class SlotFacts(TypedDict):
    """What a slot runs: role → unit."""
    release: Release | None
    units: dict[str, UnitFacts]


class Front(TypedDict):
    """How visitors come; "" for what cannot be told."""
    scheme: str
    url: str


class Running(TypedDict):
    """What runs here."""
    live: SlotName | None
    slots: dict[str, SlotFacts]
    alone: dict[str, AloneFacts]  # role → process
    lock: str | None
    problems: list[str]


class Unfinished(TypedDict):
    """An attempt that has not ended."""
    tag: str


class Kept(TypedDict):
    """What is written down of releases here."""
    tag: Release | None
    revert: Release | None
    records: list[Record]
    known: list[Record]
    torn: int  # lines of the log
    attempt: Unfinished | None


class Committed(Kept):
    """The same, and what is wrong with it."""
    problems: list[str]


class Memory(TypedDict):
    """Bytes of memory, for a second slot."""
    memory: int  # that it finds
    need: int


class Facts(Running, Kept, Memory):
    """All that a plan or status needs to know of a host."""
    python: list[int]
    arch: str
    systemd: int
    docker: Docker
    containers: dict[str, Container]
    one_offs: dict[str, str]
    files: dict[str, str]  # path → sha256
    settings: list[str]  # what is wrong with them
    site: Front
    sqlite: str | None  # what is wrong with its file; None: another database
    staged: bool
    now: float
    free: dict[str, int]  # path → bytes
    blind: str  # why what visitors are answered cannot be seen, where that was asked


# ---- answers ----

class Locked(TypedDict):
    """What became of the lock, and how the host is then."""
    locked: str | None  # who else holds it
    code: NotRequired[int]
    said: NotRequired[list[str]]
    attempt: NotRequired[bool]  # one is left
    live: NotRequired[Release | None]
    tag: NotRequired[str | None]


class Fate(TypedDict):
    """What becomes of an attempt: see fate.decide."""
    fate: Literal["committed", "back", "settling", "stuck", "promised", "open"]


class Said(TypedDict):
    """What a container logged."""
    log: list[str]


class Resolved(TypedDict):
    """What a tag stands for in the registry; `architectures`: those of a list of images, as Docker calls them."""
    digest: Digest
    architectures: list[str]


class Begun(TypedDict):
    """The answer of `begin`."""
    warm: bool


class Image(TypedDict):
    """What is known of an image that is here; `others`: what its tag was before."""
    image_id: ImageId
    digests: list[Digest]
    revision: NotRequired[str]
    others: NotRequired[list[ImageId]]


class Found(TypedDict):
    """migrations.json: vendor → migration → (verdict, why, makers of its tables), vendor → why there is none."""
    vendors: dict[str, dict[str, tuple[str, str, frozenset[str]]]]
    failed: dict[str, str]


class Verdicts(TypedDict):
    """What is to be told of migrations; `incompatible`: name → why."""
    incompatible: dict[str, str]
    unjudged: list[str]
    cure: str


class Judged(Verdicts):
    """The same; `applied`: the release says itself that none is left to be applied; `boots`: no web can need one that
    is, to boot; `lacks`: of those that a release to deploy does not know; `unknown`: why a rollback was not judged."""
    applied: NotRequired[bool]
    boots: NotRequired[bool]
    lacks: NotRequired[Verdicts]
    unknown: NotRequired[str]


class Prepared(TypedDict, total=False):
    """The answer of `prepare`: names of settings that a rollback changes, and as what the file before is kept."""
    changed: list[SettingName]
    kept: str


class Watched(TypedDict):
    """What visitors were answered from the flip on."""
    answers: int
    errors: int


class Command(TypedDict):
    """How a shell script ended."""
    code: int
    out: Base64
    err: Base64


class Settings(TypedDict):
    """APP.env and APP.env.next."""
    settings: Base64
    staged: Base64 | None
