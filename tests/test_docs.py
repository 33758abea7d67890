"""Tests of the documents against the code."""

import inspect
import os
import re
import subprocess
from pathlib import Path

from slipway.deploy import config, errors
from slipway.deploy.agent.host import Host
from slipway.deploy.server import files, site
from slipway.env import Env

ROOT = Path(__file__).resolve().parent.parent


PROJECTS = {"slipway/make/README.project.md"}  # this page is read in a project


def git_files():
    """Return every path that git tracks or would add: new files count before they are committed."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True, timeout=60).stdout.split("\n")
    return [path for path in listed if path and (ROOT / path).exists()]


def test_links_between_documents_lead_somewhere():
    """A relative link or picture in a Markdown file names an existing path."""
    for page in (ROOT / path for path in git_files() if path.endswith(".md") and path not in PROJECTS):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            path = os.path.relpath(page.parent / target, ROOT)
            assert (ROOT / path).exists(), f"{page.relative_to(ROOT)} links to {target}"


def anchors(page):
    """Return GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_links_to_headings_lead_somewhere():
    """The part of a link after # is a heading of its page."""
    for page in (ROOT / path for path in git_files() if path.endswith(".md")):
        for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
            there = page.parent / target if target else page
            assert heading in anchors(there), f"{page.relative_to(ROOT)} links to {target}#{heading}"


def test_the_start_page_ships_as_the_readme_does():
    """The start page names the targets of the README's section, in order."""
    section = (ROOT / "README.md").read_text().partition("\n## Ship\n")[2].partition("\n## ")[0]
    page = (ROOT / "project/home/templates/home/next.html").read_text().partition("<h3>Ship it</h3>")[2]
    shown = [words.strip() for words in re.findall(r"<kbd>make ([a-z ]+)", page)]
    assert shown == [words.strip() for words in re.findall(r"^    make ([a-z ]+)", section, re.MULTILINE)] != []


NAMED = re.compile(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`")


def test_named_tests_exist():
    """Every test that a document names exists."""
    for page in (path for path in git_files() if path.endswith(".md")):
        for path, name in NAMED.findall((ROOT / page).read_text()):
            code = ROOT / "tests" / path
            assert code.exists() and f"\ndef {name}(" in code.read_text(), f"{page}: there is no {path}::{name}"


def test_every_invariant_names_its_tests():
    """In docs/design.md, the promise and each invariant name their tests."""
    section = (ROOT / "docs/design.md").read_text().split("\n## Invariants\n")[1].split("\n## ")[0]
    found = re.split(r"^(\d+)\. ", section, flags=re.MULTILINE)[1:]
    assert found[::2] == [str(number) for number in range(len(found) // 2)] and len(found) >= 14
    for number, text in zip(found[::2], found[1::2]):
        assert NAMED.search(text), f"docs/design.md: invariant {number} names no test"


def part(page, begin, end):
    """Return the text of a page between two of its strings."""
    text = (ROOT / page).read_text()
    assert begin in text and end in text.partition(begin)[2], f"{page}: {begin!r} or {end!r}"
    return text.partition(begin)[2].partition(end)[0]


def test_make_targets_exist():
    """Every target in a document is in a makefile."""
    makefiles = "".join((ROOT / path).read_text() for path in git_files() if path.endswith(".mk"))
    targets = set(" ".join(re.findall(r"^([a-z][a-z -]*):(?!=)", makefiles, re.MULTILINE)).split())
    for page in (path for path in git_files() if re.fullmatch(r"(docs/)?\w+\.md", path) and path != "CHANGELOG.md"):
        called = set(re.findall(r"(?:^    |`)make ([a-z][a-z-]*)(?![\w/])", (ROOT / page).read_text(), re.MULTILINE))
        assert called <= targets, f"{page}: make has no {called - targets}"


def test_settings_of_the_image():
    """docs/image.md lists exactly the variables that production or gunicorn reads, with their numeric defaults."""
    tables = part("docs/image.md", "\n## Settings\n", "\n### ")
    rows = re.findall(r"^\| (`[A-Z`, _]+`) \| (.*?) \|", tables, re.MULTILINE)
    listed = {name: default.strip("`") for names, default in rows for name in re.findall(r"\w+", names)}
    paths = ("project/settings_base.py", "project/settings_docker.py", "slipway/web/gunicorn.py", "slipway/env.py")
    code = "".join((ROOT / path).read_text() for path in (*paths, "docker-run.sh"))
    read = dict(re.findall(r'^[^#\n]*env\.\w+\("(\w+)"(?:, ([\d_]+))?', code, re.MULTILINE))
    read["WORKER_CONCURRENCY"] = re.search(r"\{WORKER_CONCURRENCY:-(\d+)\}", code)[1]
    assert len(read) > 20 and read.keys() <= listed.keys()
    assert [name for name in listed if name not in read and f'"{name}"' not in code] == []
    assert [name for name, number in read.items() if number and listed[name] != str(int(number))] == []


def test_calls_of_env():
    """docs/settings.md has the parameters of each call of `env`, in order."""
    calls = re.findall(r"`env\.(\w+)\((.*?)\)`", part("docs/settings.md", "| call |", "\n\n"))
    assert len(calls) == 8
    for name, words in calls:
        named = re.sub("=[^,]*", "", words.replace("NAME", "name").replace("function", "parse")).split(", ")
        has = [*inspect.signature(getattr(Env, name)).parameters][1:]
        assert named == has, f"docs/settings.md: env.{name}"


def test_exit_codes_of_a_deploy():
    """docs/deploy.md lists the code of every error except an interrupt's."""
    codes = {error.exit_code for error in (errors.DeployError, *errors.DeployError.__subclasses__())}
    listed = re.findall(r"^\| (\d+) \|", part("docs/deploy.md", "| exit |", "\n\n"), re.MULTILINE)
    assert {*map(int, listed)} == {0, *codes} - {errors.Interrupted.exit_code}


def test_files_of_a_server():
    """docs/server.md names the files that provisioning writes, except units, and those that the agent uses."""
    names = {*re.findall(r"`([^` ]+)`", part("docs/server.md", "\n## What it holds\n", "\n## "))} - {"APP"}
    fleet = config.from_environment(dict.fromkeys(("HOSTS", "CELERY_HOSTS", "BEAT_HOSTS", "APP", "IMAGE"), "shop"))
    host, agents = fleet.hosts[0], {name: path for name, path in vars(Host("shop")).items() if type(path) is str}
    paths = {agents[name] for name in agents.keys() - {"app", "root", "lock", "docker_sock"}}
    paths |= {file.path for file in (*files.app_files(fleet, host), files.tmpfiles(fleet))}
    paths |= {path for each in site.sites(fleet, host, False) for path in each.files}
    for path in (path.replace("shop", "APP") for path in paths):
        assert any(path == name or name.startswith(f"{path}/") or path.endswith((f"/{name}", f".env{name}"))
                   or name.endswith("/") and path.startswith(name) for name in names), f"docs/server.md lacks {path}"
