"""A team's own operations: `provision(fleet, host)` of deploy/provision_more.py, called last on each host."""

import importlib
from collections.abc import Callable

from ..config import Fleet, Host
from ..errors import Refused

NAME = "deploy.provision_more"
FILE = "deploy/provision_more.py"


def load() -> Callable[[Fleet, Host], None]:
    """That function; one that does nothing where there is no such file. Raises Refused where it cannot be loaded."""
    try:
        function: Callable[[Fleet, Host], None] = importlib.import_module(NAME).provision
    except ModuleNotFoundError as error:
        if error.name in ("deploy", NAME):
            return lambda fleet, host: None
        raise Refused(f"{FILE}: {error}") from error
    except Exception as error:
        raise Refused(f"{FILE}: {type(error).__name__}: {error}") from error
    return function
