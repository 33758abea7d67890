"""Images to run on the fleet: those of tests/e2e/apps, which need no project built, and the project's own."""

import fcntl
import functools
import shutil

from checkout import Checkout, Project
from proc import ROOT, output
from slipway.fleet.docker import build, content_of, docker
from slipway.fleet.names import of_folder

APPS = ROOT / "tests" / "e2e" / "apps"


def echo(release="v1", fault=""):
    """Build the stand-in app as `release`, with `fault` of FAULTS in apps/echo/server.py. Return its tag."""
    return build(content_of(APPS / "echo"), "fleet-echo", RELEASE=release, FAULT=fault)


def haproxy():
    """Build the HAProxy image that engine.proxy names. Return its tag."""
    return build(content_of(APPS / "haproxy"), "fleet-haproxy")


def official(image):
    """Return the name of an official image, which this machine's engine then has."""
    if docker("image", "inspect", image, check=False).returncode:
        docker("pull", "--quiet", image, timeout=600)
    return image


@functools.cache
def made_project():
    """Make a project from this checkout, uncommitted changes included, with the checkout's wheels. Return it."""
    folder = ROOT / "var" / of_folder(ROOT).fleet
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "template").mkdir(parents=True)
    made = Project.made(Checkout(folder / "template").folder, folder / "shop", "--data", "app=shop")
    shutil.copytree(ROOT / "wheelhouse", made.folder / "wheelhouse")
    output(["make", "wheelhouse", "APP=shop", f"IMAGE={image_name()}"], 1800, cwd=made.folder)
    return made


def image_name():
    return f"{of_folder(ROOT).fleet}-shop"


def project(tag):
    """Build a project's image as that release, by `make build`. Return its tag."""
    name = image_name()
    clean = "REVISION=" + "0" * 40  # a checkout with changes could not be tested otherwise
    with open(ROOT / "Dockerfile") as door:  # two builds at once would write the same wheelhouse
        fcntl.flock(door, fcntl.LOCK_EX)
        output(["make", "build", "APP=shop", f"IMAGE={name}", f"TAG={tag}", clean], 1800, cwd=made_project().folder)
    return f"{name}:{tag}"
