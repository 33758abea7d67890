"""The commands of the CI files in the order in which they run. A command is a Step: job, the shell command, and the
variables that the file sets for it."""

import re
from collections import namedtuple

from ruamel.yaml import YAML

from proc import ROOT

GITHUB, GITLAB, JENKINS = (ROOT / name for name in (".github/workflows/deploy.yml", ".gitlab-ci.yml", "Jenkinsfile"))
Step = namedtuple("Step", "job command variables")


def load(path):
    """Return a YAML file as plain dicts and lists."""
    return YAML(typ="safe", pure=True).load(path.read_text())


def github(path=GITHUB):
    """Return the steps; jobs come after those they need. Steps of `uses` run no command of ours."""
    jobs, done = load(path)["jobs"], []
    while len(done) < len(jobs):
        done += [name for name, job in jobs.items() if name not in done and set(needs(job)) <= set(done)]
    return [
        Step(name, step["run"], {**jobs[name].get("env", {}), **step.get("env", {})})
        for name in done
        for step in jobs[name]["steps"]
        if "run" in step
    ]


def needs(job):
    wanted = job.get("needs", [])
    return [wanted] if isinstance(wanted, str) else wanted


def gitlab(path=GITLAB):
    """Return the steps, with jobs by stage in the order of the file, and `extends` resolved."""
    data = load(path)
    jobs = {name: extended(data, job) for name, job in data.items() if isinstance(job, dict) and "script" in job}
    return [
        Step(name, command, {**data["variables"], **job.get("variables", {})})
        for stage in data["stages"]
        for name, job in jobs.items()
        if job["stage"] == stage
        for command in job["script"]
    ]


def extended(data, job):
    """Return a job with the keys of those it extends. Later ones override earlier ones, and its own override all."""
    parents = job.get("extends", [])
    whole = {}
    for parent in [parents] if isinstance(parents, str) else parents:
        whole.update(extended(data, data[parent]))
    return {**whole, **job}


def jenkins(path=JENKINS):
    """Return the steps in the order of the stages, with the variables of `environment` and of credentials."""
    text = re.sub(r"(?<!:)//.*", "", path.read_text())
    shared = dict(re.findall(r'^ +(\w+) = "(.*)"$', text, re.MULTILINE))
    steps = []
    for name, stage in re.findall(r"stage\('(\w+)'\) \{\n(.*?)\n        \}\n", text, re.DOTALL):
        bound = dict.fromkeys(re.findall(r"(?:V|v)ariable: '(\w+)'", stage), "")
        steps += [Step(name, command, {**shared, **bound}) for command in re.findall(r"\bsh '(.*)'", stage)]
    return steps


SYSTEMS = {"github": github, "gitlab": gitlab, "jenkins": jenkins}


def commands(system, without=("rollback", "elsewhere", "audit", "pins", "propose")):
    """Return the commands by which a system releases, without the `exec` that GitHub's need."""
    return [step.command.removeprefix("exec ") for step in SYSTEMS[system]() if step.job not in without]
