"""Notes releases in the backups of the database, so that `slipway restore` finds them by their names."""

from ..config import Fleet
from ..errors import HostProblem
from ..ssh.connection import ask_once
from ..ssh.validate import Tell, first_line

LIMIT = 20  # seconds
MEANING = {"before": "the moment before the migrations of", "commit": "the commit of"}


async def note_point(fleet: Fleet, kind: str, tag: str, tell: Tell) -> None:
    """Note that now is "before" the release's migrations, or its "commit". A failure is a warning: no deploy waits for
    backups that do not work."""
    host = fleet.postgres_host
    if host is None or host not in fleet.backup_hosts:
        return
    try:
        await ask_once(host, fleet.ssh, fleet.app, "point", LIMIT, LIMIT, kind=kind, tag=tag)
    except (HostProblem, OSError) as problem:
        text = f"slipway restore will not know {MEANING[kind]} {tag}: {first_line(str(problem))}"
        tell({"event": "warning", "host": host.name, "text": text})
