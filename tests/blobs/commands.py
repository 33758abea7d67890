"""Commands of the project with filed/, an app whose files are in the database."""

import os

import proc
from proc import ROOT, passed

PATH = f"{ROOT}/tests/blobs:{ROOT}"
OFF = {"STORAGE_URL": "", "DJANGO_SETTINGS_MODULE": "project.settings_test"}
HEAD = """
import random, resource, sys, django
django.setup()
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as s
"""


def python(*words, **env):
    """Run Python with the app's settings."""
    own = {"DJANGO_SETTINGS_MODULE": "filed.settings", "STORAGE_URL": "database:", "PYTHONPATH": PATH}
    return proc.python(*words, cwd=ROOT, env={**os.environ, **own, **env})


def manage(url, *words, **env):
    """Run a Django command, which must succeed. Return its output."""
    return passed(python("-m", "django", *words, TEST_DATABASE_URL=url, **env)).stdout


def code(url, text, *words, **env):
    """Run code with Django loaded and the database of that URL. Return its output."""
    return passed(python("-c", HEAD + text, *words, TEST_DATABASE_URL=url, **env)).stdout
