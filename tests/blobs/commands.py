"""The project with filed/, an app that has files, and with those files in a database."""

import os
import sys

import warm
from proc import ROOT, run

PATH = f"{ROOT}/tests/blobs:{ROOT}"
OFF = {"STORAGE_URL": "", "DJANGO_SETTINGS_MODULE": "project.settings_test"}
HEAD = """
import random, resource, sys, django
django.setup()
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as s
"""


def python(*words, fresh=False, **env):
    """What Python says, with the app's settings; `fresh`: not of a fork, for who measures memory."""
    found = {**os.environ, "DJANGO_SETTINGS_MODULE": "filed.settings", "STORAGE_URL": "database:", "PYTHONPATH": PATH,
             **env}
    if fresh:
        return run([sys.executable, *words], cwd=ROOT, env=found, timeout=300)
    return warm.python(*words, cwd=ROOT, env=found, timeout=300)


def manage(url, *words, **env):
    """What a command of Django's prints, which ends well."""
    return ended_well(python("-m", "django", *words, TEST_DATABASE_URL=url, **env))


def code(url, text, *words, fresh=False, **env):
    """What code prints, with Django there and the database of that URL."""
    return ended_well(python("-c", HEAD + text, *words, fresh=fresh, TEST_DATABASE_URL=url, **env))


def ended_well(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
