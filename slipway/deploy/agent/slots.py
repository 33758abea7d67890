"""The two slots: which one is live, the flip, and how one is stopped."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Collection

from . import disk, releases
from .host import Host, Problem, is_up, last_output, lines_of, wait_until
from .message_types import Noted, Release

GONE = 690  # seconds to wait until units have stopped: a worker first finishes its task
STOPPING = 60  # seconds that a takeback or a retirement waits until units have stopped; a worker may take longer
LOOKUP = 0.1  # seconds after a flip in which nginx may connect to the old slot, if it looked up web.sock before
LISTENS = 0x10000  # flag of a listening socket in /proc/net/unix


def live(host: Host) -> str:
    """Return the live slot, to which the link web.sock points. Raise Problem if the link points to no slot."""
    try:
        slot = os.readlink(host.web_sock).partition("/")[0]
    except OSError:
        raise Problem(f"there is no {host.web_sock}: run slipway provision") from None
    if slot not in ("a", "b"):
        raise Problem(f"{host.web_sock} points to no slot: run systemd-tmpfiles --create {host.app}.conf")
    return slot


def other(slot: str) -> str:
    return "b" if slot == "a" else "a"


def units(host: Host, slot: str) -> list[str]:
    return [host.unit(role, slot) for role in host.in_slots()]


def running(host: Host, *names: str) -> list[str]:
    return [name for name, state in host.states(*names).items() if is_up(state)]


def flip(host: Host, slot: str) -> None:
    """Send visitors to a slot: point the link web.sock to it in one step."""
    disk.link(host.web_sock, slot + "/web.sock")


def prepare_way_back(host: Host, slot: str) -> None:
    """Make a spare link. flip_back renames this link, because a rename works even on a full disk."""
    disk.link(host.web_sock + ".back", slot + "/web.sock")


def flip_back(host: Host, slot: str) -> None:
    if live(host) == slot:
        return
    with contextlib.suppress(FileNotFoundError):
        os.rename(host.web_sock + ".back", host.web_sock)
        return
    flip(host, slot)


def release_files(host: Host, role: str) -> tuple[str, str]:
    """Return the paths of two files: the release and the settings of a role that runs in no slot."""
    return host.slot_file(role, "tag"), host.slot_file(role, "env")


def set_aside(host: Host, role: str) -> None:
    """Rename the files with a process's release and settings. bring_back can undo this even on a full disk."""
    for path in release_files(host, role):
        if os.path.exists(path) and not os.path.exists(path + ".back"):
            os.rename(path, path + ".back")


def bring_back(host: Host, role: str, before: Collection[str]) -> None:
    """Undo set_aside. Remove a file that is not in `before`: docker-runner then reads the committed TAG or APP.env."""
    for path in release_files(host, role):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ".back", path)
        if path not in before:
            disk.remove(path)


def pin(host: Host, slot: str, release: Release, settings: str | None) -> None:
    """Save the release and settings of a slot, or of a role that runs in no slot."""
    disk.remove(host.slot_file(slot, "env"), host.slot_file(slot, "plan"))
    if settings is not None:
        disk.write(host.slot_file(slot, "env"), settings, 0o600)
    disk.write(host.slot_file(slot, "tag"), releases.tag_text(release))


def release_in(host: Host, slot: str) -> Release | None:
    return releases.read_tag(host.slot_file(slot, "tag"))


# ---- workers ----


def pause(host: Host, slot: str) -> None:
    """Tell the slot's worker to take no new tasks. On a full disk, do nothing."""
    with contextlib.suppress(OSError):
        disk.touch(host.slot(slot, "worker.pause"))


def resume(host: Host, slot: str) -> None:
    path = host.slot(slot, "worker.pause")
    try:
        disk.remove(path)
    except IsADirectoryError:  # a container has made it
        import shutil  # only when needed: it loads slowly

        shutil.rmtree(path)


def worker_state(host: Host, slot: str) -> tuple[str, str]:
    """Return (state, release) that the worker has written. State: "consuming", "paused", or "" if none yet."""
    state, release, *_ = [*(disk.read_small(host.slot(slot, "worker.ready")) or "").split(), "", ""]
    return state, release


# ---- emptying a slot ----


def connections(text: str, path: str) -> int:
    """Count the connections to the socket `path`, accepted or waiting, in the text of /proc/net/unix."""
    rows = [line.split(None, 7) for line in lines_of(text)]
    return sum(row[7:] == [path] and not int(row[3], 16) & LISTENS for row in rows)


def drain(host: Host, slot: str, seconds: float) -> bool:
    """Wait until two checks in a row find no connection to the slot's web. Return False after `seconds`."""
    path = f"/run/{host.app}/{slot}/web.sock"
    counts = [1]

    def is_quiet() -> bool:
        counts.append(connections(disk.read(host.root + "/proc/net/unix") or "", path))
        return not any(counts[-2:])

    time.sleep(LOOKUP)
    return wait_until(is_quiet, seconds)


def stop(host: Host, slot: str, drained: float) -> None:
    """Wait for visitors to leave, at most `drained` seconds. Then stop the slot, and wait at most STOPPING seconds."""
    begin_stop(host, slot, drained)
    await_stop(host, slot, STOPPING)


def begin_stop(host: Host, slot: str, drained: float) -> None:
    """Wait up to `drained` seconds for visitors to leave; begin to stop the slot. Raise Problem if the slot is live."""
    if slot == live(host):
        raise Problem(f"slot {slot} is live and must not stop")
    names = running(host, *units(host, slot))
    if names:
        drain(host, slot, drained)
        host.systemctl("stop", "--no-block", *names)


def await_stop(host: Host, slot: str, seconds: float = GONE) -> bool:
    """Wait until the slot's units stop; remove its saved release, settings and plan. Return False after `seconds`."""
    names = units(host, slot)
    if not wait_until(lambda: not running(host, *names), seconds):
        return False
    if names:
        host.systemctl("reset-failed", *names, check=False)  # else a unit that crashed while stopping stays "failed"
    disk.remove(*(host.slot_file(slot, kind) for kind in ("tag", "env", "plan")))
    return True


def make_empty(host: Host, slot: str) -> str:
    """Replace a stopped slot's folder by an empty one. Return the warning that docker-slot printed, or ""."""
    done = host.call("docker-slot", "--empty", host.app, slot, check=False)
    if done.returncode:
        raise Problem(last_output(done.stderr, done.returncode))
    return done.stderr.strip()


# ---- retirement ----


def retire_later(host: Host, slot: str, attempt: Noted) -> None:
    """Start a timer that stops the slot after the attempt's keep_warm seconds, or later if a deploy holds the lock."""
    cancel_retirement(host)
    release = release_in(host, slot)
    if not release:
        return
    # A full path, because systemd 247 requires it.
    lock = [
        "/usr/bin/systemd-run",
        "--quiet",
        "--collect",
        "--wait",
        f"--unit={host.app}-deploy",
        f"--description=retirement of slot {slot}",
        "-p",
        "TimeoutStopSec=900",
    ]
    host.call(
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit=" + host.retiring,
        f"--on-active={attempt['keep_warm']:.0f}",
        "--timer-property=AccuracySec=200ms",
        "-p",
        "Restart=on-failure",
        "-p",
        "RestartSec=10",
        *lock,
        sys.executable,
        "-I",
        "-S",
        attempt["program"],
        "retire",
        host.app,
        attempt["image"],
        str(attempt["keep_releases"]),
        slot,
        release["tag"],
        release["image_id"],
        str(attempt["drain"]),
    )


def cancel_retirement(host: Host) -> None:
    host.systemctl("stop", host.retiring + ".timer", host.retiring + ".service", check=False)
