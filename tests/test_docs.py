"""The documents say what is there."""

import os
import re
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
OWNERS = {"template", "team", "merged", "left out"}


def git_files():
    """Every path git tracks, or would: what is new counts before it is committed."""
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True, timeout=60).stdout.split("\n")
    return [path for path in listed if path and (ROOT / path).exists()]


def ownership():
    """Path → owner, out of the table in docs/update.md."""
    text = (ROOT / "docs/update.md").read_text()
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) +\|", text, re.MULTILINE))


APPS = "project/*/"  # for what nothing else covers


def covers(entry, path):
    if entry.endswith("/"):
        return path.startswith(entry)
    return PurePosixPath(path).match(entry) if "*" in entry else path == entry


def teams_apps():
    """The folders that are not the template's."""
    named = {entry for entry in ownership() if re.fullmatch(r"project/\w+/", entry)}
    return tuple({f"{path.relative_to(ROOT)}/" for path in ROOT.glob("project/[a-z]*/")} - named)


def test_every_path_has_an_owner():
    """docs/update.md lists every file, itself or by its folder, and exactly once; but in a folder that is kept it
    may name what is left out."""
    listed = ownership()
    for path in git_files():
        owners = [entry for entry in listed if covers(entry, path)] or [APPS] * path.startswith(teams_apps())
        if len(owners) > 1:
            owners = [entry for entry in owners if listed[entry] != "left out"]
        assert len(owners) == 1, f"docs/update.md: {path} is listed {len(owners)} times"


def test_every_owner_has_a_path():
    """What docs/update.md lists belongs to a known owner and exists; the team's own may have gone."""
    paths = git_files()
    for entry, owner in ownership().items():
        assert owner.strip() in OWNERS, f"{entry}: unknown owner {owner}"
        gone = not any(covers(entry, path) or f"{entry}.jinja" == path for path in paths)
        assert owner.strip() == "team" or not gone, f"docs/update.md lists {entry}, which is not there"


def test_copier_goes_by_the_same_list():
    """copier.yml leaves out, and in an update leaves alone, what docs/update.md says, and no more."""
    text = (ROOT / "copier.yml").read_text().split("_exclude:\n")[1].split("\n\n")[0]
    out, alone = text.split("{% if _copier_operation == \"update\" %}")
    for owner, part in (("left out", out), ("team", alone)):
        theirs = [f"/{entry.rstrip('/')}" for entry, whose in ownership().items() if whose.strip() == owner]
        listed = re.findall(r"^    (/.*)$", part, re.MULTILINE)
        assert listed == [path for path in theirs if f"{path}/" != f"/{APPS}"], f"copier.yml: {owner}"


def test_links_between_documents_lead_somewhere():
    """A relative link or picture in a Markdown file names what exists; the team's own folders may have gone."""
    teams = tuple(entry for entry, owner in ownership().items() if owner.strip() == "team" and entry.endswith("/"))
    for page in (ROOT / path for path in git_files() if path.endswith(".md")):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            path = os.path.relpath(page.parent / target, ROOT)
            assert (ROOT / path).exists() or f"{path}/".startswith(teams), f"{page.relative_to(ROOT)} links to {target}"


def anchors(page):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_links_to_headings_lead_somewhere():
    """The part of a link after # is a heading of the page it leads to."""
    for page in (ROOT / path for path in git_files() if path.endswith(".md")):
        for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
            there = page.parent / target if target else page
            assert heading in anchors(there), f"{page.relative_to(ROOT)} links to {target}#{heading}"


def test_the_start_page_ships_as_the_readme_does():
    """It names the targets of the README's section, in their order."""
    section = (ROOT / "README.md").read_text().partition("\n## Ship\n")[2].partition("\n## ")[0]
    page = (ROOT / "project/home/templates/home/next.html").read_text().partition("<h3>Ship it</h3>")[2]
    shown = [words.strip() for words in re.findall(r"<kbd>make ([a-z ]+)", page)]
    assert shown == [words.strip() for words in re.findall(r"^    make ([a-z ]+)", section, re.MULTILINE)] != []


NAMED = re.compile(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`")


def test_named_tests_exist():
    """Every test that a document names is there."""
    for page in (path for path in git_files() if path.endswith(".md")):
        for path, name in NAMED.findall((ROOT / page).read_text()):
            code = ROOT / "tests" / path
            assert code.exists() and f"\ndef {name}(" in code.read_text(), f"{page}: there is no {path}::{name}"


def test_every_invariant_names_its_tests():
    """The promise and each invariant of docs/design.md are followed by the tests that show them."""
    section = (ROOT / "docs/design.md").read_text().split("\n## Invariants\n")[1].split("\n## ")[0]
    found = re.split(r"^(\d+)\. ", section, flags=re.MULTILINE)[1:]
    assert found[::2] == [str(number) for number in range(len(found) // 2)] and len(found) >= 14
    for number, text in zip(found[::2], found[1::2]):
        assert NAMED.search(text), f"docs/design.md: invariant {number} names no test"
