"""Show what an update would change: `diff VERSION OPTION…`. VERSION may be empty: the newest. Options: git diff's."""

import subprocess
import sys
import tempfile
from pathlib import Path

from slipway.make.new import Problem
from slipway.make.update import clone, output, versions

OURS = (
    ":(glob)*.mk",
    "Dockerfile",
    "docker-run.sh",
    ":(glob)deploy/*.sh",
    "requirements",
    ".github/workflows",
    ".gitlab-ci.yml",
    "Jenkinsfile",
)  # the template's files in a project


def main(version: str = "", *options: str) -> None:
    """Show the changes of the template's files that this project has or would get, and the changelog's."""
    try:
        source, before, target = versions(version)
        with tempfile.TemporaryDirectory() as folder:
            template = clone(source, before, folder)
            changes = output(template, "diff", "--name-status", "--no-renames", before, target, "--", *OURS)
            paths = [
                path
                for status, path in (line.split("\t") for line in changes.splitlines())
                if Path(path).exists() or (status == "A" and path.endswith((".mk", ".sh")))
            ]
            subprocess.call(["git", template, "diff", *options, before, target, "--", "CHANGELOG.md", *paths])
    except (Problem, OSError) as problem:
        sys.exit(f"make: {problem}")


if __name__ == "__main__":
    main(*sys.argv[1:])
