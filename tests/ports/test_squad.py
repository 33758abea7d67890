"""Test of squad, an application of other authors, from its source package to two hosts: `make ports`, nightly.

It has a settings module, its own Celery class, eight queues, a daemon, and old pins. EDITS are the changes that
adopt.py leaves to do by hand, in its own files and a team's.
"""

import json
import os
import re
import secrets
import shlex
import tarfile

import pytest

from checkout import WHO, Checkout
from e2e import checker
from e2e.conftest import fleet  # noqa: F401  a fixture
from e2e.provisioned import Project
from e2e.rollouts import Shop
from proc import output, wait_until
from slipway.adopt.proposal import LEVELS, TEAM

PIN = "squad==1.98 --hash=sha256:61014dfae05644e64d836ccdbb1740014d6e94a6dca23a9ed79f91035cd4ba9e\n"
APP, LONG = "squad", 3600  # seconds as the limit of a command
ROLES = {"web1": ["web", "worker", "beat", "listener"], "web2": ["web"]}

# Files from other sites that its pages name: they are in its repository, but not in its source package.
FETCHED = (
    "angularjs/angular.min.js",
    "angularjs/angular-resource.min.js",
    "bootstrap/css/bootstrap.css",
    "bootstrap/css/bootstrap-theme.css",
    "bootstrap/js/bootstrap.js",
    "chartjs/Chart.bundle.js",
    "chartjs/chartjs-plugin-annotation.min.js",
    "floatThead/dist/jquery.floatThead.js",
    "font-awesome/css/font-awesome.css",
    "jquery.js",
    "lodash.js",
    "select2.js/select2.css",
    "select2.js/select2.min.js",
)
QUEUES = """
CELERY_TASK_QUEUES = [Queue(name) for name in sorted(
    {"celery", *(route["queue"] for route in CELERY_TASK_ROUTES.values())})]
"""
LAVA = """    @patch("squad.ci.backend.lava.Backend.__submit__", return_value=[])
    def test_resubmit_job_lava_error"""
# (path, old, new): replace the first `old`; if it is empty, add `new` at the end.
EDITS = [
    ("requirements.txt", "Django<5,>=3\n", "Django>=5.2,<5.3\n"),
    ("requirements.txt", "\nsetuptools\n", "\nsetuptools<81\n"),  # it imports pkg_resources
    ("requirements.txt", "\ndjango-debug-toolbar\n", "\ndjango-debug-toolbar<6\n"),  # newer ones have models
    ("squad/settings_docker.py", "", QUEUES),  # its worker takes tasks from its routes' queues
    ("squad/settings_docker.py", "import os\n", "import os\n\nfrom kombu import Queue\n"),
    (".dockerignore", "!test\n", "!test\n!setup.cfg\n"),  # one of its tests runs flake8 in the image
    # Tests of locks need Postgres: the build runs them, make test does not.
    (
        "Makefile",
        "PROJECT = squad\n",
        "PROJECT = squad\nTEST_DATABASE = postgres\nexport SQUAD_EXCLUDE_TEST_TAGS = skip_sqlite\n",
    ),
    ("test/ci/backend/test_lava.py", LAVA, f"    @skip('network')\n{LAVA}"),  # it requests example.com
    ("test/ci/backend/test_lava.py", "import os\n", "from unittest import skip\nimport os\n"),
    ("test/core/test_notification.py", """settings=<Settings "test.settings">'""", """settings=<Settings "'"""),
    ("compose.slipway.yaml", "  beat:\n", "  listener:\n    <<: *app\n    command: manage listen\n\n  beat:\n"),
    ("squad/frontend/__init__.py", "from . import setup\n\n\nsetup.setup_staticfiles()\n", ""),  # it fetches scripts
    *((f"squad/frontend/static/{path}", "", "") for path in FETCHED),
]


class Ported(Shop):
    """squad's repository, as its team has it, and the hosts to which it is deployed."""

    def __init__(self, fleet, folder):  # noqa: F811
        self.folder = folder
        Project.__init__(
            self,
            fleet,
            folder,
            APP,
            APP,
            registry="ssh",
            **{"rollout.smoke": ["/"], "process.listener.command": "manage listen"},
        )
        self.path = folder / "deploy/production.toml"
        self.hosts = {name: {"roles": roles, "internal": fleet.hosts[name].address} for name, roles in ROLES.items()}

    def type(self, *words, **options):
        """Run a command in its folder, which must succeed. Return the output."""
        env = {**os.environ, **WHO, "SSH_CONFIG": str(self.fleet.ssh_config)}
        return output(words, LONG, cwd=self.folder, env=env, **options)

    def make(self, *words, **options):
        return self.type("make", "--no-print-directory", *words, **options)

    def commit(self, message):
        self.type("git", "add", "--all")
        self.type("git", "commit", "--quiet", "--message", message)

    def edit(self, edits, message):
        """Make these edits by hand, and commit them."""
        for name, old, new in edits:
            path = self.folder / name
            text = path.read_text() if path.exists() else ""
            assert old in text, f"{name} has no {old!r}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace(old, new, 1) if old else text + new)
        self.commit(message)

    def adopt(self, template):
        """Adopt the template as a team does, with its edits, pins and tests."""
        adopt = ["python3", "-m", "slipway", "adopt", ".", "--level", "servers", "--apply"]
        self.type("env", f"PYTHONPATH={template}", *adopt)
        self.commit("Adopt the template")
        self.type("git", "tag", "adopted")
        self.edit(EDITS, "What was left to do by hand")
        self.make("test")

    def edited(self):
        """Return the template's own files that were edited."""
        own = {path for paths in LEVELS.values() for path in paths if not path.endswith(tuple(TEAM))}
        return sorted(own & {*self.type("git", "diff", "--name-only", "adopted").splitlines()})

    def servers(self):
        """Make bare hosts the servers of production.toml, with settings and an empty database."""
        self.fleet.reset(*self.hosts)
        self.write()
        self.commit("The servers")
        self.make("provision")
        services = self.fleet.services
        services.run("redis-cli flushall")
        redis = services.redis
        settings = {
            "SITE_URL": "http://localhost",
            "ALLOWED_HOSTS": f"{APP}.example",
            "BROKER_URL": f"{redis}/3",
            "SECRET_KEY": secrets.token_hex(32),
            "DATABASE_URL": services.new_database(APP),
            "CACHE_URL": f"{redis}/4",
        }
        self.make("env", "ARGS=set", input="".join(f"{name}={value}\n" for name, value in settings.items()), stdin=None)

    def serves(self, tag):
        """Check that each web host shows the release's page, and that worker, beat and daemon run."""
        for host in self.web:
            status, body = self.inside(host.name, "/")
            assert status == 200 and "All groups" in body, f"{host.name} answers {status}: {body[:2000]}"
            assert json.loads(self.inside(host.name, "/readyz")[1])["release"] == tag
        wait_until(lambda: self.inside("web1", "/readyz?beat")[0] == 200, 90, "worker and beat are at work")
        self.make("status")
        checker.check(self)

    def queues(self):
        """Check that the worker, not the command, does a task that the command sends."""
        code = "from squad.core.tasks import remove_delayed_reports as task; print('sent', task.delay())"
        host = self.fleet.hosts["web1"]
        said = host.run(f"docker-runner {APP} manage shell -c {shlex.quote(code)}")
        task = re.search(r"^sent (\S+)$", said, re.MULTILINE)
        assert task, said
        logs = f"docker ps -qf name=^{APP}-worker- | xargs -n1 docker logs 2>&1"
        wait_until(lambda: f"[{task[1]}] succeeded" in host.run(logs), 30, "the worker has done the task")


@pytest.fixture
def ported(fleet, tmp_path):  # noqa: F811
    """Return its source package as a repository. pip checks the hash."""
    (tmp_path / "pin.txt").write_text(PIN)
    output(
        [
            "python3",
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--require-hashes",
            "-r",
            "pin.txt",
            "-d",
            ".",
        ],
        600,
        cwd=tmp_path,
    )
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    ported = Ported(fleet, next(tmp_path.glob("squad-*/")).rename(tmp_path / APP))
    ported.type("git", "init", "--quiet")
    ported.commit("As it is")
    return ported


def test_squad(ported, tmp_path):
    """squad is adopted without an edit of the template's files; its tests pass here and in the image, and it runs."""
    template = Checkout(tmp_path / "slipway").folder
    ported.adopt(template)
    ported.servers()
    ported.make("build", "deploy", "TAG=build-1")
    ported.serves("build-1")
    ported.queues()
    assert ported.edited() == []
