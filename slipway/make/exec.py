"""Run a command: `exec COMMAND…`. make gives it the words of variables: {ARGS}, see slipway/__main__.py."""

import os
import sys

if __name__ == "__main__":
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as error:
        sys.exit(f"make: {sys.argv[1]}: {error.strerror}")
