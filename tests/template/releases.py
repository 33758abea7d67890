"""A template with three releases: the last is today's files, and the two before it differ by the changes below."""

from checkout import Checkout
from proc import put

FIRST, SECOND, TODAY = "1.0.0", "1.1.0", "2.0.0"
OLD_LOG = "# Changelog\n\n## 1.1.0\n\n### Added\n\n- What came second.\n\n## 1.0.0\n\n- What came first.\n"


def releases(folder):
    """Make the template in a git repository, with a tag for each release. Return it."""
    template = Checkout(folder)
    # Fewer files are quicker, as copier reads them all.
    template.git("rm", "-rq", "tests/*/*", "examples/companions/*/*")
    template.commit("Today")
    today = template.git("rev-parse", "HEAD").strip()
    before_today(template)
    template.commit("Second")
    template.git("tag", SECOND)
    before_second(template)
    template.commit("First")
    template.git("tag", FIRST)
    # Make one line of history.
    first, second = (template.git("rev-parse", f"{tag}^{{tree}}").strip() for tag in (FIRST, SECOND))
    last = ""
    for tag, tree in ((FIRST, first), (SECOND, second), (TODAY, f"{today}^{{tree}}")):
        last = template.git("commit-tree", *(["-p", last] if last else []), "-m", tag, tree).strip()
        template.git("tag", "--force", tag, last)
    template.git("reset", "--quiet", "--hard", TODAY)
    template.git("gc", "--quiet")  # copier reads each object
    return template


def before_today(template):
    """Go back to the second release: the template later changed one file of each kind, and added one."""
    template.edit("django.mk", "# django.mk: ", "# django.mk, to ")
    template.edit("slipway/tasks.py", '"""', '"""Once: ')
    template.edit(".gitlab-ci.yml", "stages: [test, build, deploy]", "stages: [test, deploy]")
    template.edit("pyproject.toml", '    "whitenoise>=6.7,<7",\n', "")
    template.edit("Makefile", "include ", "# before\ninclude ")
    template.git("rm", "--quiet", "docs/swarm.md")
    (template.folder / "CHANGELOG.md").write_text(OLD_LOG)


def before_second(template):
    """Go back to the first release: some files have another name, and some lines differ."""
    template.git("mv", "deploy/ci.sh", "deploy/jobs.sh")
    template.edit("Dockerfile", "WORKDIR /app", "WORKDIR /application")
    put(template.folder / "deploy/old.sh", "#!/bin/sh\n# of the first release\n")
    template.edit("docker-run.sh", "\n", "\n# of the first release\n")
    (template.folder / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0\n" + OLD_LOG.split("## 1.0.0\n")[1])
