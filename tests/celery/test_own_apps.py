"""What a team puts in the place of the template's apps clashes with nothing."""

import shutil

USER = """from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Person(AbstractBaseUser):
    email = models.EmailField(unique=True)
    USERNAME_FIELD = "email"
    objects = BaseUserManager()
"""
URLS = "from django.http import HttpResponse\nfrom django.urls import path\n\n" \
       "urlpatterns = [path(\"\", lambda request: HttpResponse(\"Ahoi\"))]\n"


def test_another_user_model_in_an_app_of_the_same_label(clone):
    """An own app `accounts` with users known by their mail, no start page, no admin, another language."""
    shutil.rmtree(clone.path / "slipway/tests")  # no project has them
    shared = clone.path / "project/settings_shared.py"
    for app in ("accounts", "home"):
        shutil.rmtree(clone.path / "project" / app)
        shared.write_text(shared.read_text().replace(f"    \"project.{app}\",\n", ""))
    shared.write_text(shared.read_text().replace("accounts.User", "accounts.Person").replace("en-us", "de") + (
        "INSTALLED_APPS = [\"accounts\", *INSTALLED_APPS]\nINSTALLED_APPS.remove(\"django.contrib.admin\")\n"))
    (clone.path / "project/urls.py").write_text(URLS)
    (clone.path / "accounts").mkdir()
    (clone.path / "accounts/__init__.py").write_text("")
    (clone.path / "accounts/models.py").write_text(USER)
    done = clone.run("python", "manage.py", "makemigrations", "accounts")
    assert done.returncode == 0, done.stdout
    done = clone.run("test", timeout=300)
    assert done.returncode == 0 and "Ran 1 test" in done.stdout, done.stdout
