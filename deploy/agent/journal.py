"""What a container logged."""

from __future__ import annotations

from .answers import Said
from .host import Host


def said(host: Host, name: str, since: float, seconds: float = 5) -> Said:
    """{"log"}: the last 50 lines that a container logged since that time (seconds since the epoch). Where the journal
    takes longer than `seconds` it is not waited for."""
    done = host.call("timeout", str(seconds), "journalctl", "-t", name, "-n", "50", "-o", "cat", "--no-pager",
                     "--since", "@%d" % since, check=False)
    if done.returncode == 124:
        return {"log": ["(no answer of journalctl within %d s; later: make logs)" % seconds]}
    return {"log": done.stdout.strip().splitlines() if done.returncode == 0 else []}
