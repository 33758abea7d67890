"""tapemock SOURCE MOUNT: shows a directory at another place, and fails as it is told over HTTP, until TERM."""

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PATIENCE = 5  # seconds that calls under way have to end


def address(text: str) -> tuple[str, int]:
    """`HOST:PORT`. Raises ArgumentTypeError for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not int(port) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} should be an address as localhost:8020")
    return host, int(port)


def folder(text: str) -> str:
    """A directory's whole path, as the program works in another."""
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} should be a directory")
    return str(Path(text).resolve())


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tapemock", description="A file system that fails on demand.",
                                     allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("source", type=folder, metavar="SOURCE", help="the directory that is shown")
    add("mount", type=folder, metavar="MOUNT", help="where; it may be SOURCE itself")
    add("--http", type=address, default="127.0.0.1:8020", metavar="HOST:PORT", help="where it is told to fail")
    add("--tape", type=folder, metavar="FOLDER", help="where replicas of archived files are kept")
    add("--fetch-on-read", type=float, metavar="SECONDS", help="reading a stub fetches it, after so long")
    add("--power-cut", type=folder, metavar="FOLDER", help="where copies of what is synced are kept, for a power cut")
    add("--seed", type=int, metavar="NUMBER", help="of chance: the same one, the same faults")
    given = parser.parse_args()
    if given.tape and given.power_cut:
        parser.error("--tape and --power-cut do not go together")
    if given.power_cut and any(Path(given.power_cut).is_relative_to(place) for place in (given.source, given.mount)):
        parser.error("--power-cut: copies are not kept in what is shown")
    return given


def serve(mock: Any, control: Any, mount: str, fuse: Any) -> bool:
    """Mounted until TERM or Ctrl-C, or until it is unmounted. Returns whether it could be."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # for all threads; sigwait takes them
    more = {"allow_other": os.geteuid() == 0, "default_permissions": True, "fsname": "tapemock"}
    timeouts = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}  # others may change what is below

    def run() -> None:
        try:
            fuse(mock, mount, foreground=True, use_ino=True, max_threads=64, **more, **timeouts)
        except RuntimeError:
            pass  # libfuse has said why
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=control.serve_forever, daemon=True).start()
    thread = threading.Thread(target=run)
    thread.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # libfuse ends by HUP, in its own thread
    signal.sigwait(signals)
    mock.ending.set()
    if mock.mounted.wait(5) and thread.is_alive():  # before that libfuse would not take it
        signal.pthread_kill(thread.ident or 0, signal.SIGHUP)
    thread.join(PATIENCE)
    if thread.is_alive():  # a call below does not end: who waits for it is told that the mount has gone
        subprocess.run(["fusermount3", "-u", "-z", mount], check=False)
        os._exit(1)
    return bool(mock.mounted.is_set())


def main() -> int:
    given = options()
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy would take libfuse 2 where both are
    try:
        from .control import Control
        from .mock import Mock
        from .passthrough import Fuse
        mock = Mock(given.source, random.Random(given.seed), given.tape, given.fetch_on_read, given.power_cut)
        control = Control(given.http, mock)
    except OSError as error:
        hint = ": apt install fuse3" if "libfuse" in str(error) else ""
        print(f"tapemock: {error}{hint}", file=sys.stderr)
        return 1
    print(f"tapemock: {given.source} at {given.mount}, http://{given.http[0]}:{control.server_port}/", file=sys.stderr,
          flush=True)
    if not serve(mock, control, given.mount, Fuse):
        print(f"tapemock: could not be mounted at {given.mount}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
