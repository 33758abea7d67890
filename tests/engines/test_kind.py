"""`make kind`, its programs played by stand-ins: whether its steps fit each other, and it notices what it is about.

What a cluster does with them it cannot show.
"""

import os
import re
import shutil
import sys

import kubernetes_validate
import yaml

import ci_lines
from engines.test_kubernetes import VERSIONS
from proc import ROOT, run
from services import missing


def play(folder, amiss=""):
    """(pytest's result, the commands that the stand-ins were given)."""
    for program in ("kind", "kubectl", "docker"):
        script = f'#!/bin/sh\nexec "{sys.executable}" -IS "{ROOT}/tests/kind/simulated.py" {program} "$@"\n'
        (folder / program).write_text(script)
        (folder / program).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MAKE"))}
    env = {**kept, "PATH": f"{folder}:{os.environ['PATH']}", "SIMULATED": str(folder), "AMISS": amiss,
           "KUBECTL": shutil.which("kubectl") or missing("kubectl")}
    words = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder}/pytest", ROOT / "tests/kind"]
    return run([sys.executable, "-m", "pytest", *words], cwd=ROOT, env=env, timeout=300), (folder / "told").read_text()


def test_its_steps_fit_each_other(tmp_path):
    """It makes all that it needs, runs the page's lines in their order, and takes away all that it made."""
    done, told = play(tmp_path)
    assert done.returncode == 0, done.stdout
    assert not re.search("skipped|deselected", done.stdout)
    order = ["docker run --detach", "kind create cluster", "docker network connect", "kubectl apply -f",
             "docker push localhost:", "kubectl delete job", "kubectl apply -k . -l rollout-step=before",
             "kubectl wait -n shop", "kubectl apply -k .\n", "kubectl rollout status", "kubectl run visitors",
             "kubectl rollout undo", "kind delete cluster", "docker rm --force"]
    places = [told.index(line) for line in order]
    assert places == sorted(places)
    assert told.count("kubectl rollout undo") == 9, "an undo, and two bad releases, of three processes"


def test_what_is_there_before_the_site():
    """The schemas know all of it."""
    for made in yaml.safe_load_all((ROOT / "tests/kind/services.yaml").read_text()):
        kubernetes_validate.validate(made, VERSIONS[1], strict=True)


def test_a_job_of_ci_runs_it():
    steps = ci_lines.github(ROOT / ".github/workflows/template.yml")
    assert [step.command for step in steps if step.job == "kind"] == ["make wheelhouse kind"]


def test_what_is_amiss_is_noticed(tmp_path):
    """Each by the test that is about it; then, too, nothing stays behind."""
    done, told = play(tmp_path, amiss="drops leaks half warns")
    assert done.returncode == 1 and "kind delete cluster" in told
    failed = re.findall(r"^FAILED .*::(\S+)", done.stdout, re.MULTILINE)
    assert {"test_no_request_fails[deploy]", "test_no_request_fails[undo]",
            "test_visitors_meet_no_other_release[crash]", "test_visitors_meet_no_other_release[unready]",
            "test_all_processes_run_what_is_live[crash]", "test_all_processes_run_what_is_live[undo]",
            "test_the_cluster_takes_the_pods_as_restricted"} <= {*failed}, done.stdout
    assert "test_the_lines_undo_what_is_bad[crash]" not in failed, "that one is well"
