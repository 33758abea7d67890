"""SETTINGS_FILE: what docker-run.sh starts has that file's settings in its environment. The grammar of such files:
tests/host/test_env_files.py."""

import os
import shutil

import pytest

from proc import ROOT, as_mortal, run

KEY = "planted-0123456789abcdef-" * 3
SETTINGS = f"SITE_URL=https://shop.example\nSECRET_KEY={KEY}\nDATABASE_URL=sqlite:////tmp/none.sqlite3\n"


@pytest.fixture
def app(tmp_path):
    """app(*words, settings=…, **env): run docker-run.sh as an image has it, with a command of a team's own, `show`."""
    folder = tmp_path / "an app"
    (folder / "docker-run.d").mkdir(parents=True)
    shutil.copy(ROOT / "docker-run.sh", folder)
    for name in ("slipway", "project", "manage.py"):
        (folder / name).symlink_to(ROOT / name)
    show = folder / "docker-run.d/show"
    show.write_text('#!/bin/sh\n# what it was given\nprintf "%s|" "$SITE_URL" "${SETTINGS_FILE-}" "$@"\n')
    show.chmod(0o755)

    def app(*words, settings=SETTINGS, path="settings", **env):
        if settings is not None:
            (tmp_path / "settings").write_text(settings)
        env = {"PATH": f"{ROOT / 've/bin'}:{os.environ['PATH']}", "DJANGO_SETTINGS_MODULE": "project.settings_docker",
               "SETTINGS_FILE": str(tmp_path / path) if path else "", **env}
        return run(as_mortal([folder / "docker-run.sh", *words]), cwd=tmp_path, env=env)
    return app


def test_a_command_has_its_settings(app):
    """One of the image's own, which insists on them; without the file it does not run."""
    done = app("manage", "check")
    assert done.returncode == 0 and "no issues" in done.stdout + done.stderr, done.stderr
    assert app("manage", "check", path="").returncode == 64


def test_words_stay_as_they_are(app):
    """The command gets each as it was given; it finds no SETTINGS_FILE, as that has been read."""
    done = app("show", "two words", "", "a'b\"$HOME\n*")
    site, read, *words = done.stdout.split("|")
    assert (site, read, words) == ("https://shop.example", "", ["two words", "", "a'b\"$HOME\n*", ""]), done.stderr
    assert app("/app/docker-run.sh", "show", "x").stdout.endswith("|x|")
    assert app("show", settings=SETTINGS + "SETTINGS_FILE=/nowhere\n").stdout == "https://shop.example||"


def test_what_the_container_has_wins(app):
    """Also where it is empty, which counts as not set, as with .env."""
    assert app("show", SITE_URL="https://other.example").stdout.startswith("https://other.example|")
    done = app("manage", "check", SITE_URL="")
    assert done.returncode == 64 and "settings: SITE_URL is not set" in done.stderr


@pytest.mark.parametrize("path, settings, said", [
    ("none", None, ["names a file that cannot be read: No such file or directory"]),
    (".", None, ["names a file that cannot be read: Is a directory"]),
    ("closed", None, ["names a file that cannot be read: Permission denied"]),
    ("settings", f"{SETTINGS}A = planted\nB='planted'\n", [
        "line 4: not KEY=value", "line 5: B is in quotes, which would be part of it: drop them"]),
    ("settings", "".join(f"A{n}={'planted' * 9000}\n" for n in range(99)),
     ["names a file that cannot be read: Argument list too long"])])
@pytest.mark.parametrize("command", ["run", "help", "show", "healthcheck", None])
def test_a_wrong_file(app, tmp_path, command, path, settings, said):
    """Nothing runs: exit 64, a line for each problem, which tells neither values nor the path."""
    (tmp_path / "closed").touch(0)
    done = app(*([command] if command else []), path=path, settings=settings)
    lines = [f"settings: SETTINGS_FILE {each}" for each in said]
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (64, "", lines)


def test_commands_of_ones_own(app, tmp_path):
    """A program in docker-run.d is listed with its second line; no other file is a command, no path, and no function of
    the script that is none."""
    notes = tmp_path / "an app/docker-run.d/notes"
    notes.write_text("not for running\n")
    assert "  show           what it was given\n" in app("help").stdout and "notes" not in app("help").stdout
    for command in ("notes", "nope", "command_run", "../manage.py", "main", ""):
        done = app(command)
        assert done.returncode == 64 and "  migrate " in done.stderr, (command, done.stderr)
