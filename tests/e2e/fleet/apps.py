"""Images to run on the fleet: of tests/e2e/apps, which need no project built, and of the project itself."""

import fcntl

from proc import run

from .docker import build
from .names import ROOT, of_checkout

APPS = ROOT / "tests" / "e2e" / "apps"


def echo(release="v1", fault=""):
    """The image of a stand-in app as `release`; `fault`: one of FAULTS in apps/echo/server.py. Returns its tag."""
    return build(APPS / "echo", "fleet-echo", RELEASE=release, FAULT=fault)


def haproxy():
    """The image of HAProxy that engine.proxy names. Returns its tag."""
    return build(APPS / "haproxy", "fleet-haproxy")


def project(tag):
    """The project's own image as that release, by `make build` with the checkout's wheelhouse. Returns its tag."""
    image = f"{of_checkout().fleet}-shop"
    clean = "REVISION=" + "0" * 40  # or a checkout with changes could not be tested
    with open(ROOT / "Dockerfile") as door:  # two builds of one checkout would write the same verdicts
        fcntl.flock(door, fcntl.LOCK_EX)
        done = run(["make", "build", "APP=shop", f"IMAGE={image}", f"TAG={tag}", clean], timeout=1800, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return f"{image}:{tag}"
