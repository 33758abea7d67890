"""Names that a release gave up: who still has one is told the new one, all at once, before anything is run."""

import os

from proc import run

RENAMED = "RENAMED=OLD_APP=APP OLD_PORT=PORT"
TARGETS = ["ve/sentinel", "test", "wheelhouse", "build", "deploy", "template-update"]  # one of each file
TOLD = ["make: OLD_APP is APP now: set that", "make: OLD_PORT is PORT now: set that"]


def said(project, *words, **env):
    """What make says where it must fail, less its own line."""
    done = run(["make", "--no-print-directory", "-C", project, *words], env={"PATH": os.environ["PATH"], **env})
    assert done.returncode == 2 and done.stdout == "", done.stdout + done.stderr
    return [line for line in done.stderr.splitlines() if "***" not in line]


def test_variables(project):
    """Whatever is asked for, and however they are set."""
    for target in TARGETS:
        assert said(project, target, RENAMED, "OLD_APP=shop", OLD_PORT="8001") == TOLD, target
    (project / "local.mk").write_text("OLD_PORT = 8001\n")
    makefile = project / "Makefile"
    makefile.write_text("OLD_APP ?= shop\n" + makefile.read_text())
    for target in TARGETS:
        assert said(project, target, RENAMED) == TOLD, target


def test_other_variables(project):
    """What merely has a name like an old one stops nothing, and nothing has an old name here."""
    for words in (["OLD_APPS=1", RENAMED], []):
        assert run(["make", "-C", project, "-n", "test", *words]).returncode == 0
