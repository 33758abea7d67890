"""What many hosts need here: how many files may be open at once, how many connections are made at a time."""

import resource

from ..errors import Refused

A_HOST = 2  # a Process's
SHARED = 6  # the same, and what it takes at most to forward a port and to serve the image through it
AT_ONCE = 32  # connections that are being made: each needs CPU here to agree on keys, and has a minute
OURS = 64  # the terminal, the event loop, a program that is about to start, hooks


def allow(hosts: int, each: int = A_HOST) -> None:
    """Raise the limit as far as so many hosts need it, and no further: programs that we start have it, too, and some
    are slow or wrong with a very high one. Raises Refused where that may not be."""
    need, (soft, hard) = hosts * each + OURS, resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or need <= soft:
        return
    try:
        if hard != resource.RLIM_INFINITY and need > hard:
            raise ValueError
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    except (ValueError, OSError):  # macOS has a lower one than it says
        raise Refused(f"{hosts} hosts need {need} open files, the limit is {soft if hard < 0 else hard}: raise it with"
                      f" ulimit -n {need}, or name fewer by --hosts") from None
