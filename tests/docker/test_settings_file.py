"""Tests of SETTINGS_FILE: commands that docker-run.sh starts have the file's settings in their environment. For the
grammar of such files see tests/host/test_env_files.py."""

import os
import shutil
import venv

import pytest

from proc import ROOT, as_mortal, executable, put, run

KEY = "planted-0123456789abcdef-" * 3
SETTINGS = f"SITE_URL=https://shop.example\nSECRET_KEY={KEY}\nDATABASE_URL=sqlite:////tmp/none.sqlite3\n"


@pytest.fixture
def app(tmp_path):
    """Return app(*words, settings=…, **env), which runs docker-run.sh as in a project's image, where slipway is among
    the virtualenv's packages, with a team's command `show`."""
    folder = tmp_path / "an app"
    (folder / "docker-run.d").mkdir(parents=True)
    shutil.copy(ROOT / "docker-run.sh", folder)
    for name in ("project", "manage.py"):
        (folder / name).symlink_to(ROOT / name)
    venv.create(tmp_path / "ve", symlinks=True)
    here, there = (next(path.glob("lib/*/site-packages")) for path in (ROOT / "ve", tmp_path / "ve"))
    put(there / "packages.pth", f"{ROOT}\n{here}\n")
    executable(
        folder / "docker-run.d/show",
        '#!/bin/sh\n# what it was given\nprintf "%s|" "$SITE_URL" "${SETTINGS_FILE-}" "$@"\n',
    )

    def app(*words, settings=SETTINGS, path="settings", **env):
        if settings is not None:
            (tmp_path / "settings").write_text(settings)
        env = {
            "PATH": f"{tmp_path / 've/bin'}:{os.environ['PATH']}",
            "DJANGO_SETTINGS_MODULE": "project.settings_docker",
            "SETTINGS_FILE": str(tmp_path / path) if path else "",
            **env,
        }
        return run(as_mortal([folder / "docker-run.sh", *words]), cwd=tmp_path, env=env)

    return app


def test_a_command_has_its_settings(app):
    """A command of the image gets the file's settings; without the file it exits with 64."""
    done = app("manage", "check")
    assert done.returncode == 0 and "no issues" in done.stdout + done.stderr, done.stderr
    assert app("manage", "check", path="").returncode == 64


def test_words_stay_as_they_are(app):
    """The command gets each word unchanged. It gets no SETTINGS_FILE, because that has been read."""
    done = app("show", "two words", "", "a'b\"$HOME\n*")
    site, read, *words = done.stdout.split("|")
    assert (site, read, words) == ("https://shop.example", "", ["two words", "", "a'b\"$HOME\n*", ""]), done.stderr
    assert app("/app/docker-run.sh", "show", "x").stdout.endswith("|x|")
    assert app("show", settings=SETTINGS + "SETTINGS_FILE=/nowhere\n").stdout == "https://shop.example||"
    assert app("bash", "-c", 'echo "$SITE_URL"; exit 3').returncode == 3


def test_what_the_container_has_wins(app):
    """A variable of the container wins even if it is empty, which counts as not set, as with .env."""
    assert app("show", SITE_URL="https://other.example").stdout.startswith("https://other.example|")
    done = app("manage", "check", SITE_URL="")
    assert done.returncode == 64 and "settings: SITE_URL is not set" in done.stderr


@pytest.mark.parametrize(
    "path, settings, message",
    [
        ("none", None, ["names a file that cannot be read: No such file or directory"]),
        (".", None, ["names a file that cannot be read: Is a directory"]),
        ("closed", None, ["names a file that cannot be read: Permission denied"]),
        (
            "settings",
            f"{SETTINGS}A = planted\nB='planted'\n",
            ["line 4: not KEY=value", "line 5: B is in quotes, which would be part of it: drop them"],
        ),
        (
            "settings",
            "".join(f"A{n}={'planted' * 9000}\n" for n in range(99)),
            ["names a file that cannot be read: Argument list too long"],
        ),
    ],
)
@pytest.mark.parametrize("command", ["run", "help", "show", "healthcheck", None])
def test_a_wrong_file(app, tmp_path, command, path, settings, message):
    """If the file is wrong, nothing runs: exit 64, one line for each problem, without values or the path."""
    (tmp_path / "closed").touch(0)
    done = app(*([command] if command else []), path=path, settings=settings)
    lines = [f"settings: SETTINGS_FILE {each}" for each in message]
    assert (done.returncode, done.stdout, done.stderr.splitlines()) == (64, "", lines)


def test_commands_of_ones_own(app, tmp_path):
    """An executable in docker-run.d is listed with its second line, and replaces the image's of its name. Other files,
    paths, and the script's other functions are no commands."""
    notes = tmp_path / "an app/docker-run.d/notes"
    notes.write_text("not for running\n")
    assert "  show           what it was given\n" in app("help").stdout and "notes" not in app("help").stdout
    executable(notes.with_name("migrate"), "#!/bin/sh\n# and load\necho ours\n")
    assert app("migrate").stdout == "ours\n"
    for command in ("notes", "nope", "Run", "migrate ", "runn", "command_run", "../manage.py", "main", "ls", ""):
        done = app(command)
        line, *listed = done.stderr.splitlines()
        assert (done.returncode, line) == (64, f"docker-run.sh: there is no command '{command}'; commands:")
        assert any(each.startswith("  migrate ") for each in listed), done.stderr
    assert app("nope", NO_COMMAND="127").returncode == 127, "by the clock, it waits for a release that has the command"
