"""A team's own operations: `provision(fleet, host)` of deploy/provision_more.py, called last on each host."""

import importlib
import traceback
from collections.abc import Callable

from pyinfra.api.exceptions import PyinfraError

from ..config import Fleet, Host
from ..errors import HostProblem, Refused

NAME = "deploy.provision_more"
FILE = "deploy/provision_more.py"


def load() -> Callable[[Fleet, Host], None]:
    """That function; one that does nothing where there is no such file. Raises Refused."""
    try:
        function: Callable[[Fleet, Host], None] = importlib.import_module(NAME).provision
    except ModuleNotFoundError as error:
        if error.name == NAME:
            return lambda fleet, host: None
        raise Refused(f"{FILE}: {error}") from error
    except Exception as error:
        raise Refused(f"{FILE}: {type(error).__name__}: {error}") from error
    return guarded(function)


def guarded(function: Callable[[Fleet, Host], None]) -> Callable[[Fleet, Host], None]:
    """The same, of which a mistake is told in a line."""
    def call(fleet: Fleet, host: Host) -> None:
        try:
            function(fleet, host)
        except (PyinfraError, HostProblem):
            raise
        except Exception as error:
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                     if frame.filename == function.__code__.co_filename]
            raise HostProblem(f"{FILE}, line {lines[-1]}: {type(error).__name__}: {error}") from error
    return call
