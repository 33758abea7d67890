"""tapemock SOURCE MOUNT: shows a directory at another place, and fails as it is told over HTTP, until TERM."""

import argparse
import os
import signal
import subprocess
import sys
import threading
from typing import Any

SIGNALS = {signal.SIGTERM, signal.SIGINT}


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`. Raises ValueError for anything else."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tapemock", description="A file system that fails on demand.", allow_abbrev=False)
    add = parser.add_argument
    add("source", type=os.path.abspath, metavar="SOURCE", help="the directory that is shown")
    add("mount", type=os.path.abspath, metavar="MOUNT", help="where; it may be SOURCE itself")
    add("--http", type=address, default="127.0.0.1:8020", metavar="HOST:PORT", help="where it is told to fail")
    add("--fetch-on-read", type=float, metavar="SECONDS", help="reading a stub fetches it, after so long")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--tape", type=os.path.abspath, metavar="FOLDER", help="where archived files are kept")
    either.add_argument("--power-cut", action="store_true", help="remember what is synced, for a power cut")
    return parser.parse_args()


def fuse(mock: Any, mount: str) -> None:
    """Mount it, and end the program when it is unmounted or cannot be mounted."""
    from .mock import Fuse
    timeouts = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}  # others may change what is below
    try:
        Fuse(mock, mount, foreground=True, use_ino=True, max_threads=64, fsname="tapemock", default_permissions=True,
             allow_other=os.geteuid() == 0, **timeouts)
    except RuntimeError:  # libfuse has said why
        print(f"tapemock: could not be mounted at {mount}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def main() -> int:
    given = options()
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy would take libfuse 2 where both are
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # for all threads; sigwait takes them
    try:
        from .control import listening
        from .mock import Mock
        mock = Mock(given.source, given.tape, given.fetch_on_read, given.power_cut)
        control = listening(given.http, mock)
    except (OSError, OverflowError) as error:
        hint = ": apt install fuse3" if "libfuse" in str(error) else ""
        print(f"tapemock: {error}{hint}", file=sys.stderr)
        return 1

    def ready(path: str) -> None:
        os.umask(0)  # the kernel has applied the caller's
        print(f"tapemock: {given.source} at {given.mount}, http://{given.http[0]}:{control.server_port}", flush=True)
        threading.Thread(target=control.serve_forever, daemon=True).start()
    mock.init = ready
    threading.Thread(target=fuse, args=(mock, given.mount), daemon=True).start()
    signal.sigwait(SIGNALS)
    subprocess.run(["fusermount3", "-u", "-z", given.mount], check=False)
    os._exit(0)  # whoever waits in a call is told that the mount has gone


if __name__ == "__main__":
    sys.exit(main())
