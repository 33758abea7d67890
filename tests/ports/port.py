"""What a port is: data alone. docs/ports.md tells of those that there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class EditError(Exception):
    """An edit that does not fit what is there."""


@dataclass(frozen=True)
class Edit:
    """A change of a file of the project's own, or of a team's; the path is from the folder that has manage.py.

    With `old` the first of it is replaced by `new`; without, `new` is added at the end, of nothing where no file is.
    """

    why: str  # in one line
    path: str
    new: str
    old: str = ""

    def applied(self, text: str) -> str:
        """The file's text after it."""
        if not self.old:
            return text + self.new
        if self.old not in text:
            raise EditError(f"{self.path} has no {self.old!r}: {self.why}")
        return text.replace(self.old, self.new, 1)


@dataclass(frozen=True)
class Move:
    """A file or folder that goes elsewhere; both paths are from the folder that has manage.py."""

    why: str
    path: str
    to: str


@dataclass(frozen=True)
class Page:
    """A path of the site, and what its page says."""

    path: str
    says: str


@dataclass(frozen=True)
class Port:
    """An application that others wrote, and what it takes to adopt it."""

    package: str  # its source package, in the one version of that sum
    version: str
    sha256: str
    app: str  # what adopt.py calls it
    edits: tuple[Edit, ...]  # of what adopt.py leaves to do by hand
    page: Page
    second: tuple[Edit, ...]  # the second release: a migration of the team's own
    migration: str  # "app 0002_name": that one
    task: str = ""  # of Celery: one without arguments
    folder: str = "."  # where manage.py is
    moves: tuple[Move, ...] = ()  # what comes before the edits
    tests: str = "test"  # its tests: words after make
    settings: Mapping[str, str] = field(default_factory=dict)  # of production, besides those that all have
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {  # of each host, all of one fleet
        "web1": ("web", "worker", "beat"), "web2": ("web",)})
    servers: Mapping[str, object] = field(default_factory=dict)  # more of deploy/production.toml: dotted key → value


def apply(edits: Iterable[Edit], texts: Mapping[str, str]) -> dict[str, str]:
    """Path → text of all files that the edits change, of the texts that are there."""
    changed: dict[str, str] = {}
    for edit in edits:
        changed[edit.path] = edit.applied(changed.get(edit.path, texts.get(edit.path, "")))
    return changed
