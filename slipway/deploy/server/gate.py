"""The gate of an app's deploy keys: what such a key may do as root on this host. sshd runs it for each login.

It starts the agent that it holds, which does only what requests.py allows; or it runs journalctl for the app's logs. It
never runs a program that the client sends. All such sessions share a slice of systemd, which has bounds. Provisioning
adds the call of `main` below. Python 3.9 is enough."""

from __future__ import annotations

import binascii
import fcntl
import os
import re
import shlex
import sys
import syslog
import zlib
from collections.abc import Sequence
from typing import NoReturn

REFUSED = 77  # exit code
AT_ONCE = 20  # sessions of all keys; each runs one search of the journal at a time
ASKED = 300  # characters of a refused command that are logged
PLACES = "/run"  # the folder of files that a session locks
SYSTEMD_RUN = "/usr/bin/systemd-run"
INSIDE = "inside"  # the third argument of a gate that this program has started in the slice
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
# The options with which `slipway logs` calls journalctl. `--grep=` cannot reach beyond the names of -t.
FIXED = ("--quiet", "--no-pager", "--all", "-o", "json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER")
OPTION = re.compile(
    r"--(since|until)=@\d{1,12}\.\d{6}|--priority=\d|--case-sensitive=yes|--grep=\(\?s\)\^(?s:.{1,5000})|--reverse|-f"
)
NUMBER = re.compile(r"\d{1,9}|all")


def main(app: str, prefix: Sequence[str], start: Sequence[str], names: Sequence[str], agent: bytes) -> None:
    """`prefix`: the words with which a deployer becomes root; `start`: those with which it starts the agent. `names`:
    the app's names in the journal. `agent`: the program that writes the agent's files."""
    kind, key, inside = [*sys.argv[1:], "", "", ""][:3]  # sudoers allows no others
    kind = kind or "deploy"  # a certificate's, which names no key
    line = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    words = asked(line, prefix)
    if words != [*start] and not reads_log(words, names):
        older = words[:5] == [*start[:5]] and words[6:8] == ["read", app]
        also = "this server's agent is of another version: run slipway provision"
        refuse(app, also if older else f"this key may {kind} {app}, and nothing else: use an administrator's key", key)
    elif not inside:
        take_place(app, key)
        enter_slice(app, [sys.executable, "-IS", sys.argv[0], kind, key, INSIDE], line)
    elif words == [*start]:
        run_agent(app, kind, key, start[-1], agent)
    else:
        os.execve("/usr/bin/journalctl", words, ENVIRONMENT)


def asked(line: str, prefix: Sequence[str]) -> list[str]:
    """Return the words of the command that the client asks for, without the prefix."""
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    return words[len(prefix) :] if words[: len(prefix)] == [*prefix] else words


def reads_log(words: Sequence[str], names: Sequence[str]) -> bool:
    """Return True for a command line of journalctl that shows lines of these names alone."""
    if [*words[:7]] != ["journalctl", *FIXED]:
        return False
    rest, known = iter(words[7:]), 0
    for word in rest:
        value = next(rest, "") if word in ("-n", "-t") else ""
        known += word == "-t"
        fits = value in names if word == "-t" else NUMBER.fullmatch(value) if word == "-n" else OPTION.fullmatch(word)
        if not fits:
            return False
    return known > 0


def take_place(app: str, key: str) -> None:
    """Take one of the places that sessions have. It is free again when this process, and what it becomes, has ended."""
    for number in range(AT_ONCE):
        place = os.open(f"{PLACES}/{app}-gate.{number}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(place)
        else:
            os.set_inheritable(place, True)
            return
    refuse(app, f"{AT_ONCE} sessions of {app}'s deploy keys are open: close one, or try again", key)


def enter_slice(app: str, words: Sequence[str], line: str) -> None:
    """Become these words, in the slice of the app's deploy keys."""
    scope = ["--scope", "--quiet", "--collect", f"--slice={app.replace('-', '_')}_deploy.slice"]
    os.execve(SYSTEMD_RUN, [SYSTEMD_RUN, *scope, *words], {**ENVIRONMENT, "SSH_ORIGINAL_COMMAND": line})


def run_agent(app: str, kind: str, key: str, path: str, agent: bytes) -> None:
    """Run the agent of this file from the folder `path`, which it writes if it is not there."""
    parent = os.path.dirname(path)
    safe = os.path.isdir(parent) and os.lstat(parent).st_uid == os.geteuid() and not os.lstat(parent).st_mode & 0o22
    values = {"path": path, "safe": safe}
    if not (safe and os.path.isdir(path)):
        exec(zlib.decompress(binascii.a2b_base64(agent)), values)  # noqa: S102  what provisioning has written
    sys.path.insert(0, str(values["path"]))
    sys.argv = ["agent", "read", app, kind, key]
    with open(f"{values['path']}/__main__.py", encoding="utf-8") as file:
        exec(file.read(), {"__name__": "__main__"})  # noqa: S102


def refuse(app: str, text: str, key: str) -> NoReturn:
    """Tell the client why, and the journal who has asked for what."""
    line = ascii(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    shown = line if len(line) <= ASKED else f"{line[: ASKED - 100]}...{line[-100:]}"
    syslog.openlog(f"{app}-gate", 0, syslog.LOG_AUTHPRIV)
    syslog.syslog(syslog.LOG_WARNING, f"key {key or 'without a name'}: {text}; it asked: {shown}")
    print(text, file=sys.stderr)
    sys.exit(REFUSED)
