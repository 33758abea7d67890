"""Facts that pyinfra lacks."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.facts import FactBase


@dataclass(frozen=True)
class Entry:
    """What is at a path: `kind` is find's letter (f, d, l), `mode` octal, `target` a link's, `digest` sha256 of a
    file."""

    kind: str
    user: str
    group: str
    mode: str
    target: str = ""
    digest: str = ""

    def holds(self, content: str) -> bool:
        return self.digest == hashlib.sha256(content.encode()).hexdigest()


class Files(FactBase[dict[str, Entry]]):
    """What is at these paths, all in one question: path → Entry of those that are there."""

    default = dict

    def command(self, paths: Iterable[str]) -> StringCommand:
        words = [QuoteString(path) for path in paths]
        return StringCommand(
            "find", *words, r"-maxdepth 0 -printf '%y|%u|%g|%m|%l|%p\n' 2>/dev/null;",
            "sha256sum", *words, "2>/dev/null; true") if words else StringCommand("true")

    def process(self, output: Iterable[str]) -> dict[str, Entry]:
        text = "\n".join(output)
        digests = {path: digest for digest, path in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.MULTILINE)}
        found = re.findall(r"^(.)\|(.*?)\|(.*?)\|([0-7]+)\|(.*?)\|(/.*)$", text, re.MULTILINE)
        return {path: Entry(kind, user, group, mode, target, digests.get(path, ""))
                for kind, user, group, mode, target, path in found}
