"""Run slipway.make.NAME or slipway.deploy: `python3 slipway/make NAME …`. The folder may be inside a wheel."""

import os
import runpy
import sys

if sys.version_info < (3, 6):
    sys.exit("make: Python {}.{} is too old, run make PYTHON=python3".format(*sys.version_info))
sys.dont_write_bytecode = True  # write no .pyc files into the checkout
RULES = "1"  # the same number is in ve.mk. Increase both when the helpers no longer work with older .mk files
HERE = os.path.abspath(sys.path[0])  # absolute, as the program below may change the working folder
sys.path[0] = os.path.dirname(os.path.dirname(HERE))

if __name__ == "__main__":
    name = sys.argv.pop(1)
    if os.environ.pop("SLIPWAY_RULES", RULES) != RULES and name != "update":
        sys.exit("make: the .mk files and {} are of different releases: run make template-update, or take both "
                 "from one commit".format(sys.path[0]))
    if sys.version_info < (3, 9) and name != "virtualenv":  # virtualenv.py itself names the version needed
        sys.exit("make: Python {}.{} is older than 3.9: run make PYTHON=…".format(*sys.version_info))
    runpy.run_module("slipway.deploy" if name == "deploy" else "slipway.make." + name, run_name="__main__",
                     alter_sys=True)
