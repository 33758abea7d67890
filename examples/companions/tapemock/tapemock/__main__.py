"""`tapemock SOURCE MOUNT` mounts the folder SOURCE at MOUNT until TERM. HTTP requests make operations at MOUNT fail."""

import argparse
import math
import os
import signal
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from typing import Any

SIGNALS = {signal.SIGTERM, signal.SIGINT}


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tapemock", description="A file system that fails on demand.", allow_abbrev=False)
    add = parser.add_argument
    add("source", type=os.path.abspath, metavar="SOURCE", help="the directory that MOUNT shows")
    add("mount", type=os.path.abspath, metavar="MOUNT", help="the mount point; may be SOURCE")
    add("--http", type=address, default="127.0.0.1:8020", metavar="HOST:PORT", help="address of the HTTP API")
    add("--replica", type=os.path.abspath, metavar="FOLDER", help="directory of copies of archived files")
    add("--archive-delay", type=float, default=0, metavar="SECONDS", help="time from a file's close to its archiving")
    add("--no-recall", action="store_true", help="opening a file on tape does not fetch it")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--tape", type=os.path.abspath, metavar="FOLDER", help="directory of archived files")
    either.add_argument("--power-cut", action="store_true", help="remember what is synced, for a power cut")
    given = parser.parse_args()
    if not given.tape and (given.replica or given.archive_delay or given.no_recall):
        parser.error("--replica, --archive-delay and --no-recall need --tape FOLDER")
    if not 0 <= given.archive_delay < math.inf:
        parser.error("--archive-delay must be 0 s or more")
    return given


def fuse(mock: Any, mount: str) -> None:
    """Mount the file system. Exit the process with 0 after an unmount, with 1 if mounting fails."""
    from .mock import Fuse

    timeouts = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}  # no cache: SOURCE may change
    try:
        Fuse(
            mock,
            mount,
            foreground=True,
            use_ino=True,
            max_threads=64,
            fsname="tapemock",
            default_permissions=True,
            allow_other=os.geteuid() == 0,
            direct_io=bool(mock.tape),  # else nobody asks to read a file of 0 bytes
            **timeouts,
        )
    except RuntimeError:  # libfuse has printed the cause
        print(f"tapemock: could not be mounted at {mount}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main() -> int:
    given = options()
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy would prefer libfuse 2
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # in all threads; sigwait receives them
    try:
        from .control import Handler
        from .mock import Mock

        mock = Handler.mock = Mock(given)
        control = ThreadingHTTPServer(given.http, Handler)
    except (OSError, OverflowError) as error:
        hint = ": apt install fuse3" if "libfuse" in str(error) else ""
        print(f"tapemock: {error}{hint}", file=sys.stderr)
        return 1

    def ready(path: str) -> None:
        os.umask(0)  # the kernel has already applied the caller's umask
        print(f"tapemock: {given.source} is at {given.mount}, http://{given.http[0]}:{control.server_port}", flush=True)
        threading.Thread(target=control.serve_forever, daemon=True).start()

    mock.init = ready
    threading.Thread(target=fuse, args=(mock, given.mount), daemon=True).start()
    signal.sigwait(SIGNALS)
    subprocess.run(["fusermount3", "-u", "-z", given.mount], check=False)
    os._exit(0)  # do not wait for operations that still run


if __name__ == "__main__":
    sys.exit(main())
