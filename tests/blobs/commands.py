"""Commands of the project with filed/, an app whose files are in the database."""

import os
import sys

import warm
from proc import ROOT, passed, run

PATH = f"{ROOT}/tests/blobs:{ROOT}"
OFF = {"STORAGE_URL": "", "DJANGO_SETTINGS_MODULE": "project.settings_test"}
HEAD = """
import random, resource, sys, django
django.setup()
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as s
"""


def python(*words, fresh=False, **env):
    """Run Python with the app's settings. `fresh`: in a new process, not a fork, for tests that measure memory."""
    found = {**os.environ, "DJANGO_SETTINGS_MODULE": "filed.settings", "STORAGE_URL": "database:", "PYTHONPATH": PATH,
             **env}
    if fresh:
        return run([sys.executable, *words], cwd=ROOT, env=found, timeout=300)
    return warm.python(*words, cwd=ROOT, env=found, timeout=300)


def manage(url, *words, **env):
    """Run a Django command, which must succeed. Return its output."""
    return passed(python("-m", "django", *words, TEST_DATABASE_URL=url, **env)).stdout


def code(url, text, *words, fresh=False, **env):
    """Run code with Django loaded and the database of that URL. Return its output."""
    return passed(python("-c", HEAD + text, *words, fresh=fresh, TEST_DATABASE_URL=url, **env)).stdout
