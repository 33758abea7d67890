"""Run uv as make does, to build the package: `with_uv WORD…`."""

import os
import sys

from slipway.make import uv, virtualenv

if __name__ == "__main__":
    path = virtualenv.uv_path(os.environ)
    os.execvpe(path, [path, *sys.argv[1:]], {**uv.ANY_INDEX, **uv.settings(os.environ)})
