"""Takes keys out of an app's authorized_keys on this host, and ends all that deploy keys do here. Provisioning sends
this program before it does anything else. Python 3.9 is enough.

sshd does not tell whose key opened a session. So if one key is out, the sessions of all keys of the app end. A deploy
of theirs is taken back; one of an administrator goes on."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

LINE = re.compile(r'restrict,command="sudo -n \S+-gate(?: (deploy|watch))?(?: \S+)?" \S+ (\S+)')
PROGRAMS = (b"sudo", b"systemd-run", b"python3")  # those that a gate's path among their words makes a session's
ENDING = 20  # seconds in which all processes of sessions end
QUIET = 3  # looks in a row that find none: one that was about to start is seen then
TAKEBACK = 300  # seconds for a takeback
PROC = "/proc"
CAUSE = "its deploy key was withdrawn"


def main(app: str, wanted: Sequence[str]) -> None:
    """`wanted`: the keys that stay, each as "KIND BODY"."""
    path = f"/var/lib/{app}-deploy/.ssh/authorized_keys"
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().split("\n")
    stay = [line for line in lines if identity(line) in wanted]
    gone = [line for line in lines if line.strip() and line not in stay]
    if gone:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # go on, even if the connection breaks
        write(path, "".join(f"{line}\n" for line in stay))
        end_sessions(app)
        await_takeback(app)
        print("\n".join(line.rpartition('" ')[2] for line in gone))


def identity(line: str) -> str:
    match = LINE.match(line)
    return f"{match[1] or 'deploy'} {match[2]}" if match else ""


def write(path: str, text: str) -> None:
    """Replace the file. On a full disk write into it: sshd may read it half-written, with fewer keys."""
    try:
        replace(path, text)
    except OSError:
        with open(path, "r+", encoding="utf-8", errors="surrogateescape") as file:
            file.truncate(0)
            file.write(text)


def replace(path: str, text: str) -> None:
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)


def end_sessions(app: str) -> None:
    quiet, deadline = 0, time.monotonic() + ENDING
    while quiet < QUIET:
        holder = lock_holder(app)
        if holder == "key":  # first: without its session the unit would end by itself, and not know why
            end_unit(app)
        left = [*processes(app)]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if left or holder in ("key", "unknown") else quiet + 1
        if time.monotonic() > deadline:
            sys.exit(f"what {app}-deploy has started does not end: see ps and systemctl status {unit(app)}")
        time.sleep(0.1)


def processes(app: str) -> Iterator[int]:
    """Yield the processes of sessions: sshd's, sudo, the gate, and what it has become."""
    user, gate = f"{app}-deploy", f"/usr/local/sbin/{app}-gate".encode()
    sshd = re.compile(rb"sshd[a-z-]*: " + user.encode() + rb"(?:[ @]|$)")
    scope = f"/{app.replace('-', '_')}_deploy.slice/".encode()
    uid = account_id(user)
    for pid in [int(name) for name in os.listdir(PROC) if name.isdecimal()]:
        words, status = read(pid, "cmdline").split(b"\0"), read(pid, "status")
        uids = re.search(rb"^Uid:\s(.*)$", status, re.MULTILINE)
        is_own = uids is not None and uid.encode() in uids[1].split()
        is_gate = os.path.basename(words[0]) in PROGRAMS and gate in words
        if (is_own or is_gate or sshd.match(words[0]) or scope in read(pid, "cgroup")) and not in_container(pid):
            yield pid


def account_id(user: str) -> str:
    try:
        return str(pwd.getpwnam(user).pw_uid)
    except KeyError:
        return "none"


def in_container(pid: int) -> bool:
    """Return True for a process of a container: a user there may have the same number."""
    try:
        return os.readlink(f"{PROC}/{pid}/ns/pid") != os.readlink(f"{PROC}/self/ns/pid")
    except OSError:  # it has ended
        return True


def read(pid: int, name: str) -> bytes:
    try:
        with open(f"{PROC}/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:  # it has ended
        return b""


# ---- the unit that holds the lock ----


def unit(app: str) -> str:
    return f"{app}-deploy.service"


def shown(app: str, name: str) -> str:
    words = ["systemctl", "show", "-p", name, "--value", unit(app)]
    return subprocess.run(words, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", check=True).stdout.strip()


def lock_holder(app: str) -> str:
    """Return whose agent runs as the unit: "key", "administrator" (or a timer), "unknown" as it is starting, or "". An
    agent's words are python3 -I -S FOLDER MODE APP, and with a deploy key also the key's kind and fingerprint."""
    pid = int(shown(app, "MainPID") or 0)
    words = read(pid, "cmdline").rstrip(b"\0").split(b"\0") if pid else []
    if words[4:6] == [b"work", app.encode()]:
        return "key" if words[6:] else "administrator"
    if words[4:5] == [b"retire"]:
        return "administrator"
    return "unknown" if pid or shown(app, "ActiveState") == "activating" else ""


def end_unit(app: str) -> None:
    """Begin to end the unit. systemd then starts the takeback, which notes the cause."""
    with contextlib.suppress(OSError), open(f"/run/{app}/lock.broken", "w", encoding="utf-8") as file:
        file.write(CAUSE)
    subprocess.run(["systemctl", "stop", "--no-block", unit(app)], check=True)


def await_takeback(app: str) -> None:
    deadline = time.monotonic() + TAKEBACK
    while shown(app, "ActiveState") == "deactivating" and time.monotonic() < deadline:
        time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
