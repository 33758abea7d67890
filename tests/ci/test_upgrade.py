"""Tests of the weekly upgrade: the commands of its two jobs, on GitHub and GitLab, with stand-ins for make and gh."""

import os

import pytest

import ci_lines
from proc import passed, run

STEPS = {"github": ci_lines.github(ci_lines.GITHUB.with_name("upgrade.yml")), "gitlab": ci_lines.gitlab()}
START = """git init -q --bare -b main group/shop.git; git -C group/shop.git config receive.advertisePushOptions true
mkdir bin; printf '#!/bin/sh\\ntest $1 = test && exit $TESTS; eval "$CHANGE"\\n' >bin/make
printf '#!/bin/sh\\necho 0; echo $2 >>~/asked\\n' >bin/gh; chmod +x bin/*
git clone -q group/shop.git start; cd start; mkdir requirements; date >README.md
for path in requirements.txt requirements/dev.txt; do echo a==1 >$path; done; git add .
git -c user.name=A -c user.email=a@example.com commit -qm Start; git push -q origin HEAD:main"""


@pytest.fixture(params=STEPS)
def week(request, tmp_path):
    """Return week(change, tests=0), which runs both jobs, each on its own checkout, and returns (code, files)."""
    env = {
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "RUNNER_TEMP": str(tmp_path),
        "TESTED": "success",
        "CI_DEFAULT_BRANCH": "main",
        "CI_SERVER_URL": f"file://{tmp_path}",
        "CI_PROJECT_PATH": "group/shop",
        "CI_PROJECT_DIR": f"{tmp_path}",
        "CI_REPOSITORY_URL": str(tmp_path / "group/shop.git"),
    }

    def sh(script, folder=".", **more):
        return run(
            ["sh", "-ec", script.replace("/tmp/checkout", f"{tmp_path}/checkout")],
            cwd=tmp_path / folder,
            env={**env, **more},
        )

    def call(change, tests=0):
        sh("rm -rf asked pins propose checkout; for job in pins propose; do git clone -q group/shop.git $job; done")
        pins, propose = (
            "\n".join(step.command for step in STEPS[request.param] if step.job == job) for job in ("pins", "propose")
        )
        code = sh(pins, "pins", CHANGE=change, TESTS=str(tests)).returncode
        sh("for folder in . propose; do cp pins/pins.patch $folder; done")
        passed(sh(propose, "propose", UPGRADE_TOKEN="hush"))
        return code, sh("cd group/shop.git; git diff --name-only main upgrade-pins || git branch").stdout.split()

    assert sh(START).returncode == 0
    call.sh = lambda script: sh(script).stdout.split()
    call.asked = ["list", "create"] if request.param == "github" else []
    return call


def test_newer_pins_are_proposed(week):
    """The proposal is one commit on main that changes only pins, even if tests fail. The next week's replaces it."""
    for version, code in ((2, 0), (3, 1)):
        assert week(f"echo a=={version} | tee requirements.txt >requirements/dev.txt", code) == (
            code,
            ["requirements.txt", "requirements/dev.txt"],
        )
        assert week.sh("cat asked") == week.asked and week.sh(
            "cd group/shop.git; git show upgrade-pins:requirements.txt; git rev-list --count upgrade-pins"
        ) == [f"a=={version}", "2"]


@pytest.mark.parametrize("change", ["echo evil >README.md", "git mv README.md requirements/README.txt"])
def test_what_is_no_pin_is_not_proposed(week, change):
    """New packages may write any patch, but only its changes of pins are proposed."""
    assert week(f"{change}; echo a==2 >requirements.txt")[1] == ["requirements.txt"]


def test_nothing_newer_is_nothing_to_propose(week):
    assert week("true", tests=1) == (0, ["*", "main"])
