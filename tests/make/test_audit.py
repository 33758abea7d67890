"""make audit: in a virtualenv of its own, with a stand-in for pip-audit. tests/pins/test_audit.py has the real one."""

import json

import pytest

import wheels

# Says what it was asked, on stderr as pip-audit does, and ends as it is told.
STAND_IN = """
import os, sys
print("asked", *sys.argv[1:], file=sys.stderr)
open(os.environ["ASKED"], "w").write(" ".join(sys.argv[1:]))
print(os.environ["SAYS"], end="")
print(os.environ["TELLS"], file=sys.stderr)
sys.exit(int(os.environ["ENDS"]))
"""
TINY = {"name": "tiny", "version": "1.0", "vulns": [
    {"id": "PYSEC-1", "aliases": ["GHSA-x", "CVE-2026-1"], "fix_versions": ["1.1", "2.0"]},
    {"id": "PYSEC-2", "aliases": [], "fix_versions": []}]}
WELL = {"name": "extra", "version": "1.0", "vulns": []}
OURS = {"name": "ours", "skip_reason": "not found on PyPI"}


@pytest.fixture
def project(uv_scratch, tmp_path):
    """`project(dependencies, …)` runs make audit in a scratch checkout where pip-audit finds that."""
    packages = uv_scratch.packages["folder"]
    path = wheels.wheel(packages, "pip_audit", "9.9", {"pip_audit/__main__.py": STAND_IN})
    (uv_scratch.folder / "requirements/audit.txt").write_text(wheels.pin(path))
    (uv_scratch.folder / "requirements/dev.in").write_text("extra\n")

    def call(*dependencies, tells="", ends=0, words=()):
        uv_scratch.env.update(SAYS=json.dumps({"dependencies": dependencies}) if dependencies else "", TELLS=tells,
                              ENDS=str(ends), ASKED=str(tmp_path / "asked"))
        return uv_scratch.make("audit", *words)
    call.folder, call.asked = uv_scratch.folder, tmp_path / "asked"
    return call


def test_nothing_is_known(project):
    """All pins are asked about, as they are; what the project installs is not touched."""
    done = project(WELL, TINY | {"vulns": []}, words=["AUDIT_ARGS=--ignore-vuln X"])
    assert (done.returncode, done.stdout) == (0, "make: nothing is known against 2 packages\n"), done.stderr
    asked = project.asked.read_text()
    assert asked.startswith("--no-deps --disable-pip ") and "--ignore-vuln X" in asked
    assert asked.endswith("-r requirements.txt -r requirements/dev.txt") and not (project.folder / "ve").exists()


def test_a_virtualenv_by_another_name(project):
    """VE on the command line is the project's: the audit keeps to its own, and makes it once."""
    assert "installing requirements/audit.txt" in project(WELL, words=["VE=other"]).stderr
    assert "installing" not in project(WELL, words=["VE=other"]).stderr
    assert (project.folder / "var/audit/sentinel").exists() and not (project.folder / "other").exists()


def test_what_is_known_is_told(project):
    """A line for each: the files that pin it, its names, its fixes; then what to do, and a failure."""
    done = project(TINY, WELL, OURS, ends=1)
    assert done.returncode == 2 and done.stdout.splitlines()[:3] == [
        "requirements.txt: tiny 1.0: PYSEC-1 (CVE-2026-1): fixed in 1.1, 2.0",
        "requirements.txt: tiny 1.0: PYSEC-2: no fix is known", "make: the service does not know ours"]
    assert "make: 2 vulnerabilities are known: make upgrade" in done.stdout and "--ignore-vuln ID" in done.stdout


@pytest.mark.parametrize("dependencies, tells, told", [
    ([], "ConnectionError: HTTPSConnectionPool(host='a.example', port=443): Max retries", "a.example does not answer"),
    ([], "ERROR:pip_audit._cli:Could not connect: connection timed out", "the service does not answer"),
    ([], "ERROR:pip_audit._cli:invalid requirements input: x", "pip-audit failed: invalid requirements"),
    ([OURS], "No known vulnerabilities found", "the service knows none of the 1 packages")])
def test_no_answer_is_no_good_news(project, dependencies, tells, told):
    """Whoever could not be asked, one line says so, and it is a failure."""
    done = project(*dependencies, tells=tells, ends=0 if dependencies else 1)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("make: installing", "make: ***"))]
    assert done.returncode == 2 and done.stdout == "" and len(lines) == 1 and told in lines[0], done.stderr
