"""Withdraws deploy keys that production.toml no longer has. This takes no lock, which a thief may hold, and needs
nothing else of provisioning, which may fail."""

import binascii
from collections.abc import Sequence
from importlib import resources

from ..agent.host import lines_of
from ..config import Fleet, Host
from ..errors import Refused, on_hosts
from ..server import keys
from ..ssh import connection
from ..ssh.gather import gathered, texts
from ..ssh.validate import decoded

LONG = 400  # seconds: a takeback may be part of it
# A host without the file never had a key, or has none any more.
SCRIPT = '[ ! -s "$1" ] || { shift; program=$1; shift; exec python3 -IS -c "$program" "$@"; }'
AGAIN = "\nThere the withdrawn keys still let in: run slipway provision again when this is mended"


async def withdraw(fleet: Fleet, hosts: Sequence[Host], remove: bool = False) -> None:
    """Withdraw keys on all hosts that can be reached, and print which. `remove`: all keys. Raise Refused if a host
    fails."""
    stay = [] if remove else [f"{kind} {key.split()[1]}" for kind, key in keys.kinds(fleet)]
    program = resources.files(keys.__package__ or "").joinpath("withdrawal.py").read_text("utf-8")
    words = ["sh", "-c", SCRIPT, "sh", keys.paths(fleet.app)[0], program, fleet.app, *stay]

    async def of_host(host: Host) -> list[str]:
        return lines_of(decoded((await connection.run(host, fleet.ssh, words, timeout=LONG, check=True)).out))

    gone, problems = await gathered(hosts, of_host)
    for name, lines in gone.items():
        for line in lines:
            print(f"{name}: withdrew the deploy key {title(line)}, and ended the sessions of such keys", flush=True)
    if problems:
        raise Refused(on_hosts(texts(problems)) + (AGAIN if any(gone.values()) else ""))


def title(line: str) -> str:
    """Return the name of a key. What a person has written into the file may be none."""
    try:
        return keys.title(line)
    except (IndexError, binascii.Error):
        return line[:60]
