"""make audit: what is known of the pins' vulnerabilities, a line each: `audit.py [OPTION…] -- FILE…`.

Runs pip-audit, which its virtualenv has. Exit code 1: something is known; 2: nobody could be asked. The options are
pip-audit's own. make_install.py is beside this file.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # the checkout is no place for it
from doctor_pins import normal, versions_of  # noqa: E402
from make_install import NETWORK, why  # noqa: E402

ALL_PINNED = ["--no-deps", "--disable-pip"]  # nothing is resolved or downloaded
QUIET = ["--progress-spinner", "off", "--desc", "off", "--format", "json"]


def main(words: list[str]) -> int:
    """Ask about the files, print what is known."""
    options, files = words[:words.index("--")], words[words.index("--") + 1:]
    command = [sys.executable, "-m", "pip_audit", *ALL_PINNED, *QUIET, *options]
    done = subprocess.run([*command, *(word for file in files for word in ("-r", file))],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    asked = report(done.stdout)
    unknown = [one["name"] for one in asked if "skip_reason" in one]
    if len(unknown) == len(asked):
        print(f"make: {no_answer(done.stderr, len(unknown))}", file=sys.stderr)
        return 2
    lines = known(asked, {file: {*versions_of(Path(file).read_text())} for file in files})
    print(*lines, *verdict(len(lines), unknown, len(asked)), sep="\n")
    return 1 if lines else 0


def report(said: str) -> list[dict[str, Any]]:
    """What was found, package by package; nothing where pip-audit did not say it as JSON."""
    try:
        return list(json.loads(said)["dependencies"])
    except (ValueError, KeyError, TypeError):
        return []


def no_answer(said: str, unknown: int) -> str:
    """One line of why there is no report."""
    if unknown:
        return f"the service knows none of the {unknown} packages: is it the right one?"
    host = re.search(r"host='([^']*)'", said)
    if host or NETWORK.search(said):
        return (f"{host[1] if host else 'the service'} does not answer, so nothing is known of the pins: check the "
                "network or proxy, then run make audit again")
    return f"pip-audit failed: {why(said.replace('pip_audit._cli:', ' '))}"


def known(asked: Sequence[dict[str, Any]], pinned: dict[str, set[str]]) -> list[str]:
    """A line for each vulnerability: where what is pinned, and what it is fixed in."""
    return [f"{files_of(one['name'], pinned)}: {one['name']} {one['version']}: {described(vuln)}"
            for one in asked for vuln in one.get("vulns", [])]


def described(vuln: dict[str, Any]) -> str:
    """Its names, and what it is fixed in."""
    others = [f"({name})" for name in vuln.get("aliases", []) if name.startswith("CVE-")]
    fixes = ", ".join(vuln["fix_versions"])
    return f"{' '.join([vuln['id'], *others])}: {f'fixed in {fixes}' if fixes else 'no fix is known'}"


def files_of(name: str, pinned: dict[str, set[str]]) -> str:
    return ", ".join(file for file, packages in pinned.items() if normal(name) in packages)


def verdict(vulnerable: int, unknown: Sequence[str], asked: int) -> list[str]:
    """The last lines. Unknown to a service are, for example, the packages of an index of your own."""
    told = [f"make: the service does not know {', '.join(unknown)}"] if unknown else []
    if vulnerable:
        return [*told, f"make: {vulnerable} vulnerabilities are known: make upgrade takes the newest versions; what "
                       "does not concern you, name in AUDIT_ARGS: --vulnerability-service osv --ignore-vuln ID"]
    return [*told, f"make: nothing is known against {asked - len(unknown)} packages"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
