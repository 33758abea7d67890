"""`python -m slipway.web.serve [OPTIONS]`: gunicorn by the settings of gunicorn.py, and with an end that takes no time.

Before a process ends, Python visits all that was loaded and frees it piece by piece, which also copies what gunicorn's
processes share: half a second of CPU for one site, at every deploy. The kernel frees it at once. What registers with
atexit before this module is loaded, from a .pth file or sitecustomize, is not called.
"""

import atexit
import contextlib
import os
import sys

status = 1


def leave() -> None:
    """End with what gunicorn asked for. Its workers, which are forks, come through here, too."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or nobody reads it
            stream.flush()
    os._exit(status)


def main() -> None:
    """Run gunicorn."""
    global status
    atexit.register(leave)  # the first one registered is called last, after threads have ended and logs are written
    from gunicorn.app.wsgiapp import run
    sys.argv[1:1] = ["--config", "python:slipway.web.gunicorn"]
    try:
        run(prog="gunicorn")
    except KeyboardInterrupt:
        status = 130
        raise
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1 if end.code else 0
        raise


if __name__ == "__main__":
    main()
