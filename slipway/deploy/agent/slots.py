"""The two slots: which is live, what runs in each; starting, flipping, pausing, draining and clearing one."""

from __future__ import annotations

import contextlib
import os
import time

from . import disk, releases
from .host import Host, Problem, is_up, last, wait_until
from .shapes import Noted, Release

DRAIN = 30  # seconds that the last visitors of a slot may take, unless [rollout] drain says less
GONE = 690  # seconds that units may take to stop: a worker ends its task
STOPPING = 60  # seconds that a takeback and a retirement wait for what they stop; a worker may go on to end its task
LOOKUP = 0.1  # seconds from nginx's look at web.sock, just before a flip, to its connection
LISTENS = 0x10000  # a flag in /proc/net/unix


def live(host: Host) -> str:
    """The slot that web.sock names. Raises Problem where it names none."""
    try:
        slot = os.readlink(host.web_sock).partition("/")[0]
    except OSError:
        raise Problem("there is no %s: run make provision" % host.web_sock) from None
    if slot not in ("a", "b"):
        raise Problem("%s names no slot: run systemd-tmpfiles --create %s.conf" % (host.web_sock, host.app))
    return slot


def other(slot: str) -> str:
    """The other slot."""
    return "b" if slot == "a" else "a"


def units(host: Host, slot: str) -> list[str]:
    """The units of a slot, of the roles that this host has."""
    return [host.unit(role, slot) for role in host.in_slots()]


def running(host: Host, *names: str) -> list[str]:
    """Which of the units run, or are about to start or to stop."""
    return [name for name, state in host.states(*names).items() if is_up(state)]


def flip(host: Host, slot: str) -> None:
    """Give a slot the visitors: one rename."""
    disk.link(host.web_sock, slot + "/web.sock")


def way_back(host: Host, slot: str) -> None:
    """Make the link for flip_back, before the flip: going back is a rename then, and needs no room for a file."""
    disk.link(host.web_sock + ".back", slot + "/web.sock")


def flip_back(host: Host, slot: str) -> None:
    """Give the slot the visitors again."""
    if live(host) == slot:
        return
    with contextlib.suppress(FileNotFoundError):
        return os.rename(host.web_sock + ".back", host.web_sock)
    flip(host, slot)


def pins(host: Host, role: str) -> tuple[str, str]:
    """The files that say what a process runs which runs alone: its release, its settings."""
    return host.slot_file(role, "tag"), host.slot_file(role, "env")


def set_aside(host: Host, role: str) -> None:
    """Rename what a process is pinned to, so that bring_back needs no room for a file."""
    for path in pins(host, role):
        if os.path.exists(path) and not os.path.exists(path + ".back"):
            os.rename(path, path + ".back")


def bring_back(host: Host, role: str) -> None:
    """Undo set_aside, as far as it was done."""
    for path in pins(host, role):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ".back", path)


def pin(host: Host, slot: str, release: Release, settings: str | None) -> None:
    """Write down what a slot runs, before its first unit starts."""
    disk.remove(host.slot_file(slot, "env"), host.slot_file(slot, "plan"))
    if settings is not None:
        disk.write(host.slot_file(slot, "env"), settings, 0o600)
    disk.write(host.slot_file(slot, "tag"), releases.tag_text(release))


def release_in(host: Host, slot: str) -> Release | None:
    """The release that a slot is pinned to; None where it is pinned to none."""
    return releases.read_tag(host.slot_file(slot, "tag"))


# ---- workers ----

def pause(host: Host, slot: str) -> None:
    """Tell the slot's worker to stop consuming. Without room for the file it goes on until it is stopped."""
    with contextlib.suppress(OSError):
        disk.touch(host.slot(slot, "worker.pause"))


def resume(host: Host, slot: str) -> None:
    """Let the slot's worker consume again."""
    disk.clear(host.slot(slot, "worker.pause"))


def worker_state(host: Host, slot: str) -> tuple[str, str]:
    """(state, release) by the worker's own word; the state is "consuming", "paused", or "" before it has started."""
    state, release, *_ = (disk.read_small(host.slot(slot, "worker.ready")) or "").split() + ["", ""]
    return state, release


# ---- emptying a slot ----

def connections(text: str, path: str) -> int:
    """How many connections a listening socket has, accepted or waiting, by the text of /proc/net/unix."""
    rows = [line.split(None, 7) for line in text.splitlines()]
    return sum(row[7:] == [path] and not int(row[3], 16) & LISTENS for row in rows)


def drain(host: Host, slot: str, seconds: float = DRAIN) -> bool:
    """Wait until nobody is connected to the slot, twice in a row; whether that came about within so many seconds."""
    path, counts = "/run/%s/%s/web.sock" % (host.app, slot), [1]

    def is_quiet() -> bool:
        counts.append(connections(disk.read(host.root + "/proc/net/unix") or "", path))
        return not any(counts[-2:])
    since_flip = time.time() - os.lstat(host.web_sock).st_ctime
    if not since_flip > LOOKUP:
        time.sleep(LOOKUP)
    return wait_until(is_quiet, seconds)


def stop(host: Host, slot: str, drained: float = DRAIN) -> None:
    """Drain and stop the slot's units, and forget what it ran. Some may still be stopping after STOPPING seconds."""
    begin_stop(host, slot, drained)
    stopped(host, slot, STOPPING)


def begin_stop(host: Host, slot: str, drained: float = DRAIN) -> None:
    """Drain the slot, for so many seconds at most, and tell its units to stop. Raises Problem where it is live."""
    if slot == live(host):
        raise Problem("slot %s is live: it is not stopped" % slot)
    names = running(host, *units(host, slot))
    if names:
        drain(host, slot, drained)
        host.systemctl("stop", "--no-block", *names)


def stopped(host: Host, slot: str, seconds: float = GONE) -> bool:
    """Wait for what begin_stop has told to stop, and forget what the slot ran; whether all has stopped in time."""
    names = units(host, slot)
    if not wait_until(lambda: not running(host, *names), seconds):
        return False
    if names:
        host.systemctl("reset-failed", *names, check=False)  # one that crashed as it was stopped stays "failed"
    disk.remove(*(host.slot_file(slot, kind) for kind in ("tag", "env", "plan")))
    return True


def empty(host: Host, slot: str) -> str:
    """Make a stopped slot's folder anew, whatever a container has left in it; a warning, or ""."""
    done = host.call("docker-slot", "--empty", host.app, slot, check=False)
    if done.returncode:
        raise Problem(last(done.stderr, done.returncode))
    return done.stderr.strip()


# ---- retirement ----

def timer(host: Host) -> str:
    """The name of the timer that retires a slot."""
    return host.app + "-retire"


def retire_later(host: Host, slot: str, attempt: Noted) -> None:
    """Set a timer that stops a slot and removes old images. While the lock is held then, it tries again."""
    cancel_retirement(host)
    release = release_in(host, slot)
    if not release:
        return
    lock = [host_path("systemd-run"), "--quiet", "--collect", "--wait", "--unit=%s-deploy" % host.app,
            "--description=retirement of slot %s" % slot, "-p", "TimeoutStopSec=900"]
    host.call("systemd-run", "--quiet", "--collect", "--unit=" + timer(host), "--on-active=%d" % attempt["keep_warm"],
              "--timer-property=AccuracySec=200ms", "-p", "Restart=on-failure", "-p", "RestartSec=10",
              *lock, host_path("python3"), "-I", "-S", attempt["program"], "retire", host.app,
              attempt.get("image", ""), str(attempt.get("keep_releases", 0)), slot, release["tag"], release["image_id"],
              *([str(attempt["drain"])] if "drain" in attempt else []))  # an attempt's program knows what it has noted


def host_path(name: str) -> str:
    """The whole path of a command, which every version of systemd takes."""
    paths = ["%s/%s" % (folder, name) for folder in ("/usr/bin", "/bin", "/usr/local/bin")]
    return next(filter(os.path.exists, paths), paths[0])


def cancel_retirement(host: Host) -> None:
    """Cancel the retirement of an old slot."""
    host.systemctl("stop", timer(host) + ".timer", timer(host) + ".service", check=False)


def retire(host: Host, slot: str, tag: str, image_id: str, drained: float = DRAIN) -> None:
    """Stop the slot, unless it is live or pinned to another release than the timer was set for."""
    if slot != live(host) and release_in(host, slot) == {"tag": tag, "image_id": image_id}:
        stop(host, slot, drained)
