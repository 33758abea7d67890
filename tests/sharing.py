"""Shared by the workers of a run: a service that one of them starts, and a file that one of them makes."""

import contextlib
import fcntl

_kept = contextlib.ExitStack()  # the services that this worker started, and its locks on those of others


def shared(tmp_path_factory, name, start):
    """Return the port of a shared service from the context manager start(). The first worker starts the service, and
    ends it when nobody uses it any more."""
    port, lock, users = (common(tmp_path_factory) / f"{name}.{what}" for what in ("port", "lock", "users"))
    used = _kept.enter_context(open(users, "a"))  # noqa: SIM115  the stack closes it
    with locked(lock):
        if not port.exists():
            port.write_text(str(_kept.enter_context(start()).port))
            _kept.callback(no_longer, port, lock, used)
        fcntl.flock(used, fcntl.LOCK_SH)
        return int(port.read_text())


def no_longer(port, lock, used):
    """Withdraw a service, and wait until its users have ended."""
    with locked(lock):
        port.unlink()
        fcntl.flock(used, fcntl.LOCK_EX)


def once(tmp_path_factory, name, make):
    """Return the path of a file that make(path) writes; only the first worker that needs it calls make."""
    path = common(tmp_path_factory) / name
    with locked(path.with_name(f"{name}.lock")):
        if not path.exists():
            make(path.with_name(f"{name}.new"))
            path.with_name(f"{name}.new").rename(path)
    return path


def common(tmp_path_factory):
    """Return the folder that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@contextlib.contextmanager
def locked(path):
    """Lock the path, so that only one worker runs the block at a time."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pytest_unconfigure():
    """Release services after the last test, when no worker waits for its turn any more."""
    _kept.close()
