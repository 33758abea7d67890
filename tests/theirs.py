"""Django projects as other people begin them."""

import secrets
import shutil

from checkout import Folder
from proc import VE_PYTHON, passed, put, python, run

PLAIN: dict[str, str] = {}  # as startproject makes it
LAYERS = {  # settings as a package, apps beside it, Celery, requirements by environment
    "manage.py": "import os\nimport sys\n\nif __name__ == '__main__':\n"
    "    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')\n"
    "    from django.core.management import execute_from_command_line\n"
    "    execute_from_command_line(sys.argv)\n",
    "config/__init__.py": "from .celery import app  # noqa: F401\n",
    "config/celery.py": "import os\n\nfrom celery import Celery\n\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.production')\n"
    "app = Celery('config')\napp.config_from_object('django.conf:settings', namespace='CELERY')\n"
    "app.autodiscover_tasks()\n",
    "config/settings/__init__.py": "",
    "config/settings/base.py": "import os\nfrom pathlib import Path\n\nBASE_DIR = Path(__file__).resolve().parents[1]\n"
    "SHOP_KEY = os.environ.get('SHOP_KEY', 'none')\nSECRET_KEY = 'of-base'\n"
    "INSTALLED_APPS = ['django.contrib.auth', 'django.contrib.contenttypes', 'shop']\n"
    "MIDDLEWARE = ['whitenoise.middleware.WhiteNoiseMiddleware', 'django.middleware.common.CommonMiddleware']\n"
    "ROOT_URLCONF = 'config.urls'\nAUTH_USER_MODEL = 'shop.Customer'\n"
    "DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'\nSTATIC_URL = '/assets/'\n"
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'shop.db'}}\n"
    "TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates', 'APP_DIRS': True}]\n"
    "CELERY_TASK_ALWAYS_EAGER = 'SHOP_BROKER' not in os.environ\n",
    "config/settings/local.py": "from .base import *  # noqa\n\nDEBUG = True\nALLOWED_HOSTS = ['*']\n",
    "config/settings/production.py": "from .base import *  # noqa\n\nSHOP_OPEN = True\n",
    "config/urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n\n"
    "urlpatterns = [path('', lambda request: HttpResponse('the shop'))]\n",
    "shop/__init__.py": "",
    "shop/models.py": "from django.contrib.auth.models import AbstractUser\n\n\n"
    "class Customer(AbstractUser):\n    pass\n",
    "shop/tasks.py": "from celery import shared_task\n\n\n@shared_task\ndef pack():\n    return 'packed'\n",
    "shop/tests.py": "from django.test import TestCase\n\n\nclass Page(TestCase):\n    def test_it(self):\n"
    "        self.assertEqual(self.client.get('/').content, b'the shop')\n",
    "shop/static/shop.css": "body {}\n",
    "requirements/base.txt": "Django>=5.2,<5.3  # LTS\ncelery\n",
    "requirements/local.txt": "-r base.txt\npytest\n",
    "Dockerfile": "FROM python:3.12\nRUN apt-get update && apt-get install -y gettext \\\n    libpq5 && true\n"
    'ENV A=1\nCMD ["gunicorn", "config.wsgi"]\n',
    ".gitignore": "*.pyc\nve/\n*.db\n",
    ".gitattributes": "* text eol=lf\n",
}


class Theirs(Folder):
    """A project in git, with all files committed, that may adopt the template."""

    def __init__(self, folder, files, template):
        super().__init__(folder)
        self.template = template
        folder.mkdir()
        if files is PLAIN:
            passed(python("-m", "django", "startproject", "mysite", ".", cwd=folder, env=self.env))
        for path, text in files.items():
            put(folder / path, text)
        self.lend_virtualenv()
        (folder.parent / "installed").mkdir()  # as make requirements installs it, in the virtualenv
        (folder.parent / "installed/slipway").symlink_to(template.folder / "slipway")
        self.env["PYTHONPATH"] = str(folder.parent / "installed")
        shutil.rmtree(folder / ".mypy_cache", ignore_errors=True)
        if "shop/models.py" in files:
            passed(self.manage("makemigrations", "shop"))
        self.git("init", "--quiet")
        self.commit("Ours")

    def manage(self, *words, **env):
        return run([self.folder / "ve/bin/python", "manage.py", *words], cwd=self.folder, env={**self.env, **env})

    def adopt(self, *options, folder=None):
        return run(
            [VE_PYTHON, "-m", "slipway", "adopt", folder or self.folder, *options],
            cwd=self.template.folder,
            env=self.env,
        )

    def adopted(self, *options):
        """Adopt the template, which must succeed. Return the output."""
        done = self.adopt(*options)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout

    def changed(self):
        """Return the tracked files that git reports as changed."""
        return self.git("diff", "--name-only", "HEAD").split()


def production(project, **extra):
    """Return the image's environment, as far as the project needs it."""
    package = "config" if (project.folder / "config").exists() else "mysite"
    return {
        "SECRET_KEY": secrets.token_hex(32),
        "SITE_URL": "http://localhost",
        "WEB_CONCURRENCY": "1",
        "DATABASE_URL": f"sqlite:///{project.folder}/var.sqlite3",
        "DJANGO_SETTINGS_MODULE": f"{package}.settings_docker",
        **extra,
    }
