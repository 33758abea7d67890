"""What a container logged."""

from __future__ import annotations

from .answers import Said
from .host import Host


SECONDS = 5  # that the journal is waited for


def last_lines(host: Host, name: str, since: float) -> Said:
    """The last 50 lines that a container logged since that time, in seconds since the epoch."""
    done = host.call("timeout", str(SECONDS), "journalctl", "-t", name, "-n", "50", "-o", "cat", "--no-pager",
                     "--since", "@%d" % since, check=False)
    if done.returncode == 124:
        return {"log": ["(no answer of journalctl within %d s; later: make logs)" % SECONDS]}
    return {"log": done.stdout.strip().splitlines() if done.returncode == 0 else []}
