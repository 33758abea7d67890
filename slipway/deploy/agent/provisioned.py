"""The files that provisioning has written on this host: which of them a deployer may ask about, and what it is told."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
from collections.abc import Callable, Sequence

from . import disk
from .host import JOURNALD, UNITS, Host
from .message_types import Any

# The files whose hashes a deploy compares. None of them has a secret, which whoever knows its hash could guess.
HASHED = (
    rf"{UNITS}/(?:APP(?:-[a-z0-9]+)?@?|balancer-hosts@|docker-[a-z]+@?|nginx-first)\.[a-z]+",
    rf"{UNITS}/docker-backup-[a-z]+@(?:APP)?\.[a-z]+",
    rf"{UNITS}/(?:docker|nginx)\.service\.d/restart\.conf",
    rf"{UNITS}/[a-z0-9_]+_deploy\.slice",  # with a dash, systemd would look for a slice in another
    re.escape(JOURNALD),
    r"/usr/local/bin/(?:docker-(?:runner|stop|slot|service|backup)|balancer-hosts)",
    r"/usr/local/lib/docker-backup(?:/[a-z_]+)+\.py",
    r"/etc/default/APP(?:-postgres|-redis|\.backup\.json|-postgres\.d/pg_hba\.conf)?",
    r"/etc/tmpfiles\.d/APP\.conf",
    r"/etc/nginx/APP(?:-balancer)?/(?:(?:public|app|common)\.conf|maintenance\.html|checks\.json)",
    r"/etc/nginx/sites-(?:available|enabled)/APP(?:-balancer)?",
    r"/etc/consul\.d/APP\.json",
    r"/usr/local/sbin/APP-gate|/etc/sudoers\.d/APP-deploy|/var/lib/APP-deploy/\.ssh/authorized_keys",
)
# Of these, only mode and owner are told. They have secrets, or what only their host knows; or they are folders.
UNHASHED = (
    r"/etc/default/APP(?:\.env|\.services|\.backup|-redis\.d/redis\.conf|\.services\.d/[a-z]+\.crt)",
    r"/etc/default/APP-(?:postgres|redis)\.(?:env|key)",
    r"/etc/default/APP(?:\.secrets|\.services\.d|-postgres\.d|-redis\.d)",
    r"/var/www/APP(?:/static)?|/var/lib/APP-deploy(?:/\.ssh)?",
)


def is_provisioned(app: str, path: str) -> bool:
    return is_hashed(app, path) or fits(UNHASHED, app, path)


def is_hashed(app: str, path: str) -> bool:
    return fits(HASHED, app, path)


def fits(patterns: Sequence[str], app: str, path: str) -> bool:
    return any(re.fullmatch(pattern.replace("APP", re.escape(app)), path) for pattern in patterns)


def states(host: Host, paths: Sequence[str]) -> dict[str, str]:
    """Return path → mode, owner and hash of a file or folder; "" if there is none."""
    found = {}
    for path in paths:
        try:
            status = os.stat(host.root + path)
            is_read = is_hashed(host.app, path) and stat.S_ISREG(status.st_mode)
            content = disk.read_bytes(host.root + path) if is_read else None
        except (FileNotFoundError, NotADirectoryError):
            found[path] = ""
        else:
            found[path] = state(f"{stat.S_IMODE(status.st_mode):o}", owner(status), content)
    return found


def owner(status: os.stat_result) -> str:
    return f"{name(pwd.getpwuid, status.st_uid)}:{name(grp.getgrgid, status.st_gid)}"


def name(find: Callable[[int], Sequence[Any]], number: int) -> str:
    """Return the name of a user or group; the number if it has none, or one with a space, as in some directories."""
    with contextlib.suppress(KeyError):
        if re.fullmatch(r"[^\s:]{1,64}", found := find(number)[0]):
            return str(found)
    return str(number)


def state(mode: str, owner: str, content: bytes | None) -> str:
    """Return a file's state as hosts tell it, such as "644 root:root 8c7dd9…"; without a hash if `content` is None."""
    return " ".join([mode, owner, *([] if content is None else [digest_of(content)])])


def digest_of(content: bytes) -> str:
    """Return the hash by which a file is compared with what provisioning writes, which leaves Postgres' limit as it is
    if that is high enough. Of a gate, the agent in it counts, and not how it is compressed."""
    import hashlib  # only when needed: it loads slowly

    content = re.sub(rb" max_connections=\d+", b"", content)
    return hashlib.sha256(re.sub(rb"(?<=, b')[A-Za-z0-9+/=]{5000,}(?=\\n'\)\n\Z)", uncompressed, content)).hexdigest()


def uncompressed(match: re.Match[bytes]) -> bytes:
    import binascii
    import zlib

    with contextlib.suppress(ValueError, zlib.error):  # somebody has changed it
        return zlib.decompress(binascii.a2b_base64(match[0]))
    return match[0]
