"""Tests of translations: make messages collects the project's own texts, and visitors get them. tests/image builds."""

import re

import pytest

from proc import edit, output, passed, put, python, run

PO = "project/locale/de/LC_MESSAGES/django.po"
TEXT = '{% load i18n %}{% translate "A ship" %}'
ASK = """
import django; django.setup()
from django.test import Client
print(*(Client().get("/", headers={"accept-language": language}).text for language in ("de-AT,de;q=0.9", "fr")))
"""
MESSAGES = ["make", "-o", "ve/sentinel", "-o", "ve/sentinel-dev", "messages"]


@pytest.mark.needs("gettext")
def test_from_a_text_to_a_visitor(project):
    """make messages collects the project's texts into each of LANGUAGES, none of others' folders, whose catalogues stay
    as they are; run again, it compiles the translations. A visitor gets the language that the browser asks for."""
    assert "CommandError: LANGUAGES in settings_base.py" in run(MESSAGES, cwd=project).stderr
    edit(project / "project/settings_base.py", '"English")', '"English"), ("en-gb", "British"), ("de", "Deutsch")')
    edit(project / "project/home/templates/home/welcome.html", "{% block body %}", "{% block body %}" + TEXT)
    for folder in ("node_modules/x", ".venv/x", "vendor/x", "var/x", "static-root", "project/static/built"):
        put(project / folder / "foreign.html", TEXT.replace("A ship", "Foreign"))
    put(project / "project/vendor/page.html", TEXT.replace("A ship", "Ours"))
    theirs = put(project / "node_modules/x/locale/de/LC_MESSAGES/django.po", said := 'msgid "x"\nmsgstr "y"\n')
    output(MESSAGES, cwd=project)
    assert {path.name for path in (project / "project/locale").iterdir()} == {"de", "en_GB"}
    assert re.findall('^msgid "(.+)"', (project / PO).read_text(), re.MULTILINE) == ["A ship", "Ours"]
    edit(project / PO, 'msgid "A ship"\nmsgstr ""', 'msgid "A ship"\nmsgstr "Ein Schiff"')
    output(MESSAGES, cwd=project)
    assert theirs.read_text() == said and [path.name for path in theirs.parent.iterdir()] == ["django.po"]
    said = passed(python("-c", ASK, cwd=project, env={"DJANGO_SETTINGS_MODULE": "project.settings_test"})).stdout
    assert re.findall('lang=".."|Ein Schiff|A ship', said) == ['lang="de"', "Ein Schiff", 'lang="en"', "A ship"]
