"""Images to run on the fleet that need no project built: tests/e2e/apps."""

from .docker import build
from .names import ROOT

APPS = ROOT / "tests" / "e2e" / "apps"


def echo(release="v1", fault=""):
    """The image of a stand-in app as `release`; `fault`: one of FAULTS in apps/echo/server.py. Returns its tag."""
    return build(APPS / "echo", "fleet-echo", RELEASE=release, FAULT=fault)
