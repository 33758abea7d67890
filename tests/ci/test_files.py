"""Tests of the files of GitHub, GitLab and Jenkins: validity, order, one deploy at a time, and no key elsewhere."""

import re
import sys

import pytest

import ci_lines
from ci_lines import GITHUB, GITLAB, JENKINS, SYSTEMS, commands
from proc import ROOT, run

WAITING = "--wait 1200"
ORDER = ["make test", "make build", "deploy/ci.sh push", f"deploy/ci.sh slipway deploy {WAITING}"]
MAIN = "github.ref == 'refs/heads/main'"


@pytest.mark.parametrize(
    "schema, pattern", [("github-workflows", ".github/workflows/*.yml"), ("gitlab-ci", ".gitlab-ci.yml")]
)
def test_they_are_what_their_system_reads(schema, pattern):
    """Each file obeys its system's schema."""
    files = sorted(ROOT.glob(pattern))
    done = run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files])
    assert files and done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_run_the_same_commands_in_the_same_order(system):
    """All systems test, build, log in, push and deploy, so one test covers them. A rollback is a job of its own."""
    assert commands(system) == ORDER
    assert [step.command.removeprefix("exec ") for step in SYSTEMS[system]() if step.job == "rollback"] == [
        f"deploy/ci.sh slipway rollback {WAITING}"
    ]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_key_is_where_it_is_needed_and_nowhere_else(system):
    """Only deploy and rollback have the key. Only these and the push log in. Each job that releases has its TAG."""
    for step in SYSTEMS[system]():
        releases = step.job in ("deploy", "rollback")
        if system == "gitlab":  # in GitLab the project's settings give the key to the environment
            assert "DEPLOY_KEY" not in GITLAB.read_text().replace("# ", "")
            job = ci_lines.extended(ci_lines.load(GITLAB), ci_lines.load(GITLAB)[step.job])
            assert (job.get("environment") == "production") == releases, step
        else:
            assert ({"DEPLOY_KEY", "KNOWN_HOSTS"} <= set(step.variables)) == releases, step
        assert "REGISTRY_LOGIN" not in step.variables or step.job != "test", step
        assert "TAG" in step.variables or step.job in ("rollback", "elsewhere"), step


def test_one_deploy_at_a_time():
    """The next deploy waits, and no rollback is dropped: GitHub keeps only the newest waiting job of a group, so the
    group is for deploys only, and a rollback waits for the lock."""
    jobs = ci_lines.load(GITHUB)["jobs"]
    assert jobs["deploy"]["concurrency"] == "production"
    assert [step["env"]["NEWEST_OF"] for step in jobs["deploy"]["steps"] if "run" in step] == ["main"]
    assert "concurrency" not in jobs["rollback"] and "concurrency" not in ci_lines.load(GITHUB)
    assert {jobs[name]["environment"] for name in ("deploy", "rollback")} == {"production"}
    assert all(60 * jobs[name]["timeout-minutes"] > 1200 for name in ("deploy", "rollback"))
    data = ci_lines.load(GITLAB)
    for name in ("deploy", "rollback"):
        job = ci_lines.extended(data, data[name])
        assert job["resource_group"] == "production" and job["interruptible"] is False
    assert "disableConcurrentBuilds()" in JENKINS.read_text()


LOGGED_IN = {("deploy.yml", "deploy")}  # to read main; no package runs there
WORKFLOWS = sorted(GITHUB.parent.glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_what_was_looked_at(path):
    """Each action is pinned by digest, because a tag can move, with its version as comment. A checkout keeps no login
    for packages that run after it."""
    uses = re.findall(r"uses: *(.*)", path.read_text())
    assert uses and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses), uses
    for name, job in ci_lines.load(path)["jobs"].items():
        kept = [
            step.get("with", {}).get("persist-credentials", True)
            for step in job["steps"]
            if step.get("uses", "").startswith("actions/checkout@")
        ]
        assert not any(kept) or (path.name, name) in LOGGED_IN, name
    assert ci_lines.load(path)["permissions"] == {"contents": "read"}


def test_only_main_is_released_and_only_with_an_image():
    """In a clone without servers no job builds, pushes or deploys until somebody sets IMAGE. From another branch, a
    GitHub run fails with the reason, and GitLab and Jenkins have no such jobs."""
    jobs = ci_lines.load(GITHUB)["jobs"]
    assert all(job.get("if", "").startswith("vars.IMAGE &&") or job["needs"] == "image" for job in jobs.values())
    for name in ("image", "rollback"):
        assert jobs[name]["if"].split(" && ")[:2] == ["vars.IMAGE", MAIN], name
    assert jobs["deploy"]["needs"] == "image" and "if" not in jobs["deploy"]
    assert jobs["elsewhere"]["if"] == f"vars.IMAGE && {MAIN.replace('==', '!=')}"
    assert jobs["elsewhere"]["steps"][0]["run"].endswith(" && exit 1")
    data = ci_lines.load(GITLAB)
    for name in ("build", "deploy", "rollback"):
        (rule,) = ci_lines.extended(data, data[name])["rules"]
        assert rule["if"].startswith("$IMAGE && ") and '$CI_PIPELINE_SOURCE != "schedule"' in rule["if"], name
        assert rule["if"].endswith(" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"), name
    assert ci_lines.extended(data, data["rollback"])["rules"][0]["when"] == "manual"
    stages = re.split(r"stage\('", JENKINS.read_text())[3:]  # after test and audit
    assert len(stages) == 4 and all("when { branch 'main'; expression { env.IMAGE &&" in stage for stage in stages)


def test_a_cancelled_step_is_told():
    """GitHub signals only a cancelled step's first process, so the deployer must replace the shell."""
    for step in ci_lines.github():
        assert step.command.startswith("exec ") == (step.job in ("deploy", "rollback")), step
