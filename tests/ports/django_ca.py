"""django-ca: a certificate authority. Settings as one module in ca/, tests for pytest, keys on disk by default."""

from ports.port import Edit, Move, Page, Port

MODEL = '''    mail = models.EmailField(verbose_name=_("E-Mail"), unique=True)
'''
MIGRATION = '''from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_ca", "0060_acmeorder_error")]
    operations = [
        migrations.AddField(
            "watcher", "note", models.CharField(blank=True, max_length=80, null=True, verbose_name="Note")
        )
    ]
'''

PYTEST = '''[pytest]
testpaths = django_ca
DJANGO_SETTINGS_MODULE = ca.test_settings
env =
    COLUMNS=80
    DJANGO_SETTINGS_MODULE=ca.test_settings
addopts = -q --cov --cov-report= --no-selenium --no-hsm
    --deselect=django_ca/tests/acme/views/test_new_order.py::test_ip_order_normalisation
    --deselect=django_ca/tests/management/actions/test_datetime_action.py::test_error
    --deselect=django_ca/tests/commands/test_init_ca.py::test_hsm_with_no_pins
    --deselect=django_ca/tests/commands/test_init_ca.py::test_hsm_with_rsa_with_unsupported_hash_algorithm
'''
PORT = Port(
    package="django-ca", version="3.2.0", sha256="d631b2c91d27b0fd362db1197a4712703caa1bdce52b935c8e1b61e6c3984c07",
    app="ca", folder="ca", page=Page("/admin/login/", "Django administration"),
    moves=(
        Move("its tests read them, and the image holds nothing above manage.py", "../docs", "docs"),
        Move("the same", "../pyproject.toml", "pyproject.toml"),
    ),
    edits=(
        Edit("its extras, which adopt.py leaves to choose", "requirements.in",
             "django-ninja>=1.5.1\nhiredis>=3.1.0\npsycopg[binary,pool]>=3.1\nPyYAML>=6.0.0\n"),
        Edit("its tests import the optional key backend", "requirements/dev.in", "python-pkcs11>=0.9\n"),
        Edit("its tests are for pytest", "Makefile", "TESTS  = -m pytest\n\n.DEFAULT_GOAL", old=".DEFAULT_GOAL"),
        Edit("their configuration, with what lies elsewhere than its authors have it", "pytest.ini", PYTEST),
        Edit("the build has what they read", ".dockerignore", old="\n# What the",
             new="!docs/source\n!pyproject.toml\n!pytest.ini\n\n# What the"),
        Edit("where they are after the move", "django_ca/tests/base/constants.py", "ROOT_DIR = BASE_DIR  #",
             old="ROOT_DIR = BASE_DIR.parent  #"),
        Edit("the same", "django_ca/tests/test_profiles.py", "../../docs/source", old="../../../docs/source"),
        Edit("it is no installed package here, whose version it asks for", "django_ca/__init__.py",
             '# package is not installed\n    __version__, VERSION = "3.2.0", (3, 2, 0)\n',
             old="# package is not installed\n    pass\n"),
        Edit("tests and build start without a key", "ca/settings.py", old='SECRET_KEY = ""',
             new='SECRET_KEY = "for development alone"'),
        Edit("keys in the database, as web hosts share no disk", "ca/settings_docker.py", '''
CA_KEY_BACKENDS = {"default": {"BACKEND": "django_ca.key_backends.db.DBBackend"}}
CA_OCSP_KEY_BACKENDS = {"default": {"BACKEND": "django_ca.key_backends.db.DBOCSPBackend"}}
'''),
    ),
    second=(
        Edit("a column", "django_ca/models.py", old=MODEL,
             new=MODEL + '    note = models.CharField(_("Note"), max_length=80, blank=True, null=True)\n'),
        Edit("its migration", "django_ca/migrations/0061_watcher_note.py", MIGRATION),
    ),
    migration="django_ca 0061_watcher_note",
)
