"""squad: results of tests. Django 4, settings that a module names, its own Celery class, eight queues, a daemon."""

from ports.port import Edit, Page, Port

# What its pages name of other people's sites; its repository has them, its source package and this network do not.
FETCHED = (
    "angularjs/angular.min.js", "angularjs/angular-resource.min.js", "bootstrap/css/bootstrap.css",
    "bootstrap/css/bootstrap-theme.css", "bootstrap/js/bootstrap.js", "chartjs/Chart.bundle.js",
    "chartjs/chartjs-plugin-annotation.min.js", "floatThead/dist/jquery.floatThead.js",
    "font-awesome/css/font-awesome.css", "jquery.js", "lodash.js", "select2.js/select2.css",
    "select2.js/select2.min.js")
PINS = (
    ("slipway needs Django 5.1 or newer", "Django<5,>=3\n", "Django>=5.2,<5.3\n"),
    ("it imports pkg_resources, which newer ones have not", "\nsetuptools\n", "\nsetuptools<81\n"),
    ("newer ones have models, and it is not installed as an app in tests", "\ndjango-debug-toolbar\n",
     "\ndjango-debug-toolbar<6\n"),
)
QUEUES = '''
CELERY_TASK_QUEUES = [Queue(name) for name in sorted(
    {"celery", *(route["queue"] for route in globals()["CELERY_TASK_ROUTES"].values())})]
'''
MODEL = '''    build = models.OneToOneField(Build, on_delete=models.CASCADE)

    def __str__(self):
        return '%s' % self.description
'''
MIGRATION = '''from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0169_userpreferences")]
    operations = [
        migrations.AddField("annotation", "note", models.CharField(blank=True, max_length=80, null=True))
    ]
'''
LAVA = '''    @patch("squad.ci.backend.lava.Backend.__submit__", return_value=[])
    def test_resubmit_job_lava_error'''

PORT = Port(
    package="squad", version="1.98", sha256="61014dfae05644e64d836ccdbb1740014d6e94a6dca23a9ed79f91035cd4ba9e",
    app="squad", page=Page("/", "All groups"),
    edits=(
        *(Edit(why, "requirements.in", old=old, new=new) for why, old, new in PINS),
        Edit("its worker takes from the queues of its routes", "squad/settings_docker.py", QUEUES),
        Edit("for these", "squad/settings_docker.py", old="from slipway",
             new="from kombu import Queue\n\nfrom slipway"),
        Edit("its style, with the template's left out", "setup.cfg", old="\t.venv\n",
             new="\t.venv,\n\tmake,slipway,deploy\n"),
        Edit("a test of its runs flake8 in the image", ".dockerignore", old="!test\n", new="!test\n!setup.cfg\n"),
        Edit("tests of locks need Postgres: in the build they run, make test leaves them out", "Makefile",
             old="PROJECT = squad\n",
             new="PROJECT = squad\nTEST_DATABASE = postgres\nexport SQUAD_EXCLUDE_TEST_TAGS = skip_sqlite\n"),
        Edit("this test asks example.com", "test/ci/backend/test_lava.py", old=LAVA,
             new=f"    @skip('network')\n{LAVA}"),
        Edit("for this", "test/ci/backend/test_lava.py", old="import os\n",
             new="from unittest import skip\nimport os\n"),
        Edit("the image's tests have settings of another name", "test/core/test_notification.py",
             old="""settings=<Settings "test.settings">'""", new="""settings=<Settings "'"""),
        Edit("its daemon, with make up", "compose.slipway.yaml", old="  beat:\n",
             new="  listener:\n    <<: *app\n    command: manage listen\n\n  beat:\n"),
        Edit("the same, with make dev", "make/Procfile.dev", 'listener: exec "$VE/bin/python" manage.py listen\n'),
        Edit("it fetches scripts whenever it is imported", "squad/frontend/__init__.py",
             old="from . import setup\n\n\nsetup.setup_staticfiles()\n", new=""),
        *(Edit("a stand-in of what is fetched", f"squad/frontend/static/{path}", "") for path in FETCHED),
    ),
    roles={"web1": ("web", "worker", "beat", "listener"), "web2": ("web",)},
    servers={"process.listener.command": "manage listen"},
    second=(
        Edit("a column", "squad/core/models.py", old=MODEL,
             new=f"    note = models.CharField(max_length=80, null=True, blank=True)\n{MODEL}"),
        Edit("its migration", "squad/core/migrations/0170_annotation_note.py", MIGRATION),
    ),
    migration="core 0170_annotation_note",
    task="squad.core.tasks.remove_delayed_reports",
)
