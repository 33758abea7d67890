"""What a lock says of its holder."""

import contextlib
import getpass
import socket
import time


def who(action: str) -> str:
    """Who does it, from where and since when."""
    with contextlib.suppress(OSError, KeyError):
        name = getpass.getuser()
        return f"{action} by {name} from {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
    return f"{action} since {time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
