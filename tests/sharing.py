"""What the workers of a run have in common: a service that one of them starts, a file that one of them makes."""

import contextlib
import fcntl

_kept = contextlib.ExitStack()  # what this worker started for all, and that it uses what others started


def shared(tmp_path_factory, name, start):
    """The port of a service that start() gives, a context manager: the first of all workers starts it, and ends it when
    none uses it any more."""
    port, lock, users = (common(tmp_path_factory) / f"{name}.{what}" for what in ("port", "lock", "users"))
    used = _kept.enter_context(open(users, "a"))
    with locked(lock):
        if not port.exists():
            port.write_text(str(_kept.enter_context(start()).port))
            _kept.callback(no_longer, port, lock, used)
        fcntl.flock(used, fcntl.LOCK_SH)
        return int(port.read_text())


def no_longer(port, lock, used):
    """Offer a service to nobody any more, and wait until those who use it have ended."""
    with locked(lock):
        port.unlink()
        fcntl.flock(used, fcntl.LOCK_EX)


def once(tmp_path_factory, name, make):
    """The path of a file that make(path) writes, by the first of all workers that needs it."""
    path = common(tmp_path_factory) / name
    with locked(path.with_name(f"{name}.lock")):
        if not path.exists():
            make(path.with_name(f"{name}.new"))
            path.with_name(f"{name}.new").rename(path)
    return path


def common(tmp_path_factory):
    """The folder that all workers of a run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@contextlib.contextmanager
def locked(path):
    """One worker at a time."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pytest_unconfigure():
    """After the last test, when no worker waits for its turn any more."""
    _kept.close()
