"""Run the command line: `python3 -m slipway NAME …`, from a checkout or a wheel, or `slipway NAME …` once installed.

make runs it by the user's own Python, which may be too old for all but this file.
"""

import os
import runpy
import shlex
import sys

from slipway.make.python import lacks

ROOMS = "adopt", "fleet"
MAKE = """audit check clean completion contract diff docs doctor drift exec image new packaged requirements
          services site update virtualenv wheel""".split()
WITH_WORDS = "audit check contract exec image new packaged requirements services site update virtualenv".split()
DEFAULTS = {"PYTHON": sys.executable, "PYTHON_MIN": "3.11", "VE": "ve"}  # as in ve.mk, for what somebody types


def main() -> None:
    """Run the program that is named first: adopt, fleet, a helper of make, or a command of the deployer."""
    if sys.version_info < (3, 9):
        python = os.environ.get("PYTHON", sys.executable)
        least = os.environ.get("PYTHON_MIN", "3.11")
        sys.exit("make: " + lacks(python, least))
    name = sys.argv[1] if sys.argv[1:] else ""
    module = name if name in ROOMS else "make." + name if name in MAKE else "deploy"
    if module != "deploy":
        del sys.argv[1]
    if name in WITH_WORDS and not sys.argv[1:]:
        sys.exit("slipway: " + name + " needs more words: see make help and slipway --help")
    for variable, default in DEFAULTS.items():
        os.environ.setdefault(variable, default)
    try:
        runpy.run_module("slipway." + module, run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        sys.exit(130)


def words(typed: str) -> "list[str]":
    """Return make's word, or for {NAME} the words of the variable NAME, as a shell would split them."""
    if not (typed.startswith("{") and typed.endswith("}")):
        return [typed]
    try:
        return shlex.split(os.environ.get(typed[1:-1], ""))
    except ValueError as error:
        sys.exit(f"make: {typed[1:-1]}: {error}")


if __name__ == "__main__":
    own, _, rest = os.environ.get("PYTHONPATH", "").partition(os.pathsep)
    if own and os.path.abspath(own) == os.path.dirname(os.path.dirname(os.path.abspath(__file__))):
        # it is make's, and not for children
        del os.environ["PYTHONPATH"]
        if rest:
            os.environ["PYTHONPATH"] = rest
    sys.argv[1:] = [word for typed in sys.argv[1:] for word in words(typed)]
    main()
