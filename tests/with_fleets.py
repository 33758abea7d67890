"""Make the fleets that FLEETS numbers, run a command, and remove the fleets, even if it fails: `with_fleets COMMAND…`.

They have the Debians of FLEET_BASE in turn. KEEP=1 keeps them. {NAME} in the command stands for the words of the
variable NAME.
"""

import itertools
import os
import signal
import subprocess
import sys

from slipway.__main__ import words
from slipway.fleet import fleet
from slipway.fleet.docker import FleetError
from slipway.fleet.names import of_folder


def main(command):
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    numbers = os.environ["FLEETS"].split()
    fleets = [of_folder(number=number) for number in numbers]
    try:
        for names, base in zip(fleets, itertools.cycle(os.environ["FLEET_BASE"].split())):
            fleet.up(names, os.environ["FLEET_HOSTS"].split(), base)
        # Each of several workers chooses its own fleet: tests/e2e/conftest.py.
        with subprocess.Popen(command, env={**os.environ, "FLEET": numbers[0]}) as child:
            try:
                return child.wait()
            finally:
                child.terminate()  # no effect if it has ended
    except KeyboardInterrupt:
        return 130
    except (FleetError, OSError, subprocess.TimeoutExpired) as error:
        return f"fleet: {error}"
    finally:
        for names in [] if os.environ.get("KEEP") else fleets:
            fleet.down(names)


if __name__ == "__main__":
    sys.exit(main([word for typed in sys.argv[1:] for word in words(typed)]))
