"""Facts that pyinfra lacks."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.facts import FactBase


@dataclass(frozen=True)
class Entry:
    """What is at a path. `kind`: find's letter (f, d, l); `mode`: octal; `target`: of a link; `digest`: sha256 of a
    file."""

    kind: str
    user: str
    group: str
    mode: str
    target: str = ""
    digest: str = ""

    def holds(self, content: str) -> bool:
        """Whether it is a file of this content."""
        return self.digest == hashlib.sha256(content.encode()).hexdigest()


class Files(FactBase[dict[str, Entry]]):
    """path → Entry of each of these paths that is there, by one command."""

    default = dict

    def command(self, paths: Iterable[str]) -> StringCommand:
        """What pyinfra runs."""
        words = [QuoteString(path) for path in paths]
        return StringCommand(
            "find", *words, r"-maxdepth 0 -printf '%y|%u|%g|%m|%l|%p\n' 2>/dev/null;",
            "sha256sum", *words, "2>/dev/null; true") if words else StringCommand("true")

    def process(self, output: Iterable[str]) -> dict[str, Entry]:
        """The fact, from the lines of output."""
        text = "\n".join(output)
        digests = {path: digest for digest, path in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.MULTILINE)}
        found = re.findall(r"^(.)\|(.*?)\|(.*?)\|([0-7]+)\|(.*?)\|(/.*)$", text, re.MULTILINE)
        return {path: Entry(kind, user, group, mode, target, digests.get(path, ""))
                for kind, user, group, mode, target, path in found}
