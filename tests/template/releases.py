"""A template with three releases: today's files are the last, the two before it differ by what is listed here."""

from checkout import Checkout

FIRST, SECOND, TODAY = "1.0.0", "1.1.0", "2.0.0"
OLD_LOG = "# Changelog\n\n## 1.1.0\n\n### Added\n\n- What came second.\n\n## 1.0.0\n\n- What came first.\n"
LINE = "SECURE_HSTS_PRELOAD = env.flag(\"HSTS_PRELOAD\")\n"


def releases(folder):
    """The template, in a git repository with a tag for each release."""
    template = Checkout(folder)
    template.git("rm", "-rq", "tests/*/*", "companions/*/*")  # some of what is left out will do: copier reads it all
    template.commit("Today")
    today = template.git("rev-parse", "HEAD").strip()
    before_today(template)
    template.commit("Second")
    template.git("tag", SECOND)
    before_second(template)
    template.commit("First")
    template.git("tag", FIRST)
    # in a line, as history has them
    first, second = (template.git("rev-parse", f"{tag}^{{tree}}").strip() for tag in (FIRST, SECOND))
    last = ""
    for tag, tree in ((FIRST, first), (SECOND, second), (TODAY, f"{today}^{{tree}}")):
        last = template.git("commit-tree", *(["-p", last] if last else []), "-m", tag, tree).strip()
        template.git("tag", "--force", tag, last)
    template.git("reset", "--quiet", "--hard", TODAY)
    template.git("gc", "--quiet")  # copier goes through each object, too
    return template


def before_today(template):
    """Back to the second release: of each kind of file the template changed one, and it added one."""
    template.edit("django.mk", "# django.mk: ", "# django.mk, to ")
    template.edit("slipway/settings/production.py", LINE, "")
    template.edit(".gitlab-ci.yml", "stages: [test, build, deploy]", "stages: [test, deploy]")
    template.edit("requirements.in", "whitenoise\n", "")
    template.edit("requirements.txt", "whitenoise==", "whitenoise==0.")
    template.edit("Makefile", "include ", "# before\ninclude ")
    template.git("rm", "--quiet", "docs/consul.md")
    (template.folder / "CHANGELOG.md").write_text(OLD_LOG)


def before_second(template):
    """Back to the first release: one more file, one of another name, and some lines."""
    template.git("mv", "docs/tasks.md", "docs/jobs.md")
    template.edit("Dockerfile", "WORKDIR /app", "WORKDIR /application")
    template.edit("requirements/uv.txt", "uv==", "uv==0.")
    (template.folder / "slipway/deploy/legacy.py").write_text('"""What the second release does without."""\n')
    template.edit("slipway/deploy/errors.py", "__main__ shows DeployErrors", "The command line shows DeployErrors")
    template.edit("docker-run.sh", "\n", "\n# of the first release\n")
    (template.folder / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0.0\n" + OLD_LOG.split("## 1.0.0\n")[1])
