"""Tests of the documents' figures: one that stands in two places, or comes from the code, is the same everywhere."""

import itertools
import re

import pytest

from matrix import page
from proc import ROOT
from slipway.deploy.agent.roles import BUILT_IN
from slipway.deploy.config import schema

# A figure: each file that has it, and a pattern with one group, or several that stand for one figure.
SAME = r"""
a slot's memory               | docs/compare.md             | \[(\d+) MB\]\(benchmarks\.md#the-image\) with them
                              | docs/benchmarks.md          | a slot has (\d+) MB
end of what is never ready    | docs/compare.md             | after (\d+) s, if it answers an error
                              | docs/benchmarks.md          | is taken back in (\d+) s
a build after a line          | README.md                   | ([\d.]+) of the \[time\]\(docs/benchmarks\.md#the-image\)
                              | docs/benchmarks.md          | after a changed line .*\| ([\d.]+) \(
two servers by a loop         | README.md                   | in ([\d.]+) of its \[time\]
                              | docs/benchmarks.md          | ^\| 2 \| [\d.]+ s \| [\d.]+ s \| [\d.]+ s \| ([\d.]+) \(
oldest Python                 | pyproject.toml              | requires-python = ">=([\d.]+)
                              | README.md                   | Python ([\d.]+) or newer
                              | docs/tutorial.md            | Python ([\d.]+) or newer
                              | docs/adopt.md               | Python ≥ ([\d.]+);
                              | docs/make.md                | else `([\d.]+)` \| oldest
a server's oldest Docker      | docs/server.md              | Docker ≥ ([\d.]+),
                              | .github/CONTRIBUTING.md     | Docker ≥ ([\d.]+),
oldest GNU Make               | docs/make.md                | GNU Make ([\d.]+)\.
                              | .github/CONTRIBUTING.md     | GNU Make ([\d.]+)
                              | ve.mk                       | GNU Make ([\d.]+)
most web processes            | slipway/web/capacity.py     | ^MOST = (\d+)
                              | docs/image.md               | CPUs \+ 1, at most (\d+) \|
a request's end               | slipway/web/gunicorn.py     | ^graceful_timeout = (\d+)
                              | docs/how-it-works.md        | still has within (\d+) s
                              | docs/image.md               | the longest request, which is (\d+) s
requests of a web worker      | slipway/web/gunicorn.py     | ^max_requests = (\d+_\d+)
                              | docs/image.md               | replaces after ([\d,]+) to
logs that a host keeps        | slipway/deploy/server/journald.conf | SystemMaxUse=(\d+)G
                              | docs/trouble.md             | Hosts keep (\d+) GB of logs
records of releases           | slipway/deploy/agent/releases.py | ^KEPT = (\d+)
                              | docs/server.md              | the last ([\d,]+) records
memory for /tmp               | slipway/deploy/server/docker-runner | tmpfs=/tmp:size=(\d+)m
                              | docs/server.md              | `/tmp` \| (\d+) MB
threads of a container        | slipway/deploy/server/docker-runner | --pids-limit=(\d+)
                              | docs/server.md              | threads \| (\d+)
a web process' memory         | slipway/web/capacity.py     | ^EACH = (\d+)
                              | docs/image.md               | limited by memory \((\d+) MB each\)
a locked account              | project/settings_base.py    | AXES_COOLOFF_TIME = timedelta\(minutes=(\d+)\)
                              | docs/operations.md          | locks an account for (\d+) minutes
a task's limit                | docs/image.md               | `TASK_TIME_LIMIT` \| `(\d+)`
                              | slipway/deploy/server/systemd/APP-PROCESS.service | TASK_TIME_LIMIT, (\d+) s
"""


def only(path, pattern):
    """Return the figure that the pattern finds in a file: exactly one, without marks of thousands."""
    found = re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 1, f"{path}: {pattern} finds {found}"
    return found[0].replace(",", "").replace("_", "")


def test_a_figure_is_the_same_everywhere():
    """A figure that stands in several places is one."""
    name, figures = "", {}
    for row in SAME.strip("\n").split("\n"):
        label, path, pattern = (cell.strip(" ") for cell in row.split(" | ", 2))
        name = label or name
        figures.setdefault(name, {})[f"{path}: {pattern}"] = only(path, pattern)
    assert {name: each for name, each in figures.items() if len({*each.values()}) > 1} == {}


def test_the_fault_matrix_is_counted_everywhere_alike():
    """docs/faults.md is what docs/faults.tsv gives, and README has its sums."""
    cells = page.read()
    assert (ROOT / "docs/faults.md").read_text(encoding="utf-8") == page.page(cells)
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    requests, failed = sum(int(cell["requests"]) for cell in cells), sum(map(page.failed, cells))
    assert f"Of {requests:,} requests during [{len(cells)} deploys and rollbacks" in readme
    assert f"(docs/faults.md) {failed:,} failed" in readme


def rows(path, heading):
    """Return the tables' rows below a heading of a page, each a list of cells."""
    section = (ROOT / path).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip("|").split("|") for line in section.splitlines() if re.match(r"\|[^-]", line)]


def numbers(text):
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text.replace(",", ""))]


def test_readmes_ranges_are_those_of_the_benchmarks():
    """README's ranges go from the least to the greatest of docs/benchmarks.md's figures."""
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    pages = [
        row for row in rows("docs/benchmarks.md", "Fresh clone to the first page") if row[0].strip() in ("cold", "warm")
    ]
    ours = [number for row in pages for number in numbers(row[1])]
    ratios = [number for row in pages for number in numbers(re.sub(r"\(.*?\)", "", row[3]))]
    assert f"{min(ours)}–{max(ours)} s from `git clone`" in readme
    assert f"{min(ratios):.2f}–{max(ratios):.2f} of plain Django's" in readme
    lost = [
        numbers(row[2])
        for row in rows("docs/benchmarks.md", "Deploys")
        if re.search(r"^ [124] $", row[0]) and " of " in row[2]
    ]
    shares = [100 * failed / requests for failed, requests in lost]
    assert f"loses {min(shares):.0f}–{max(shares):.0f} %" in readme


DEFAULTS = {name: str(default) for table in schema.TABLES for name, default in schema.defaults(table).items()}


@pytest.mark.parametrize("path", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_a_key_has_its_default_in_parentheses(path):
    """Where a page names a key of production.toml, and its value in parentheses, that is the default."""
    text = (ROOT / "docs" / path).read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)`\s+(?:seconds\s+)?\(([\d.]+)\)", text)
    assert [(name, value) for name, value in named if DEFAULTS.get(name, value) != value] == []


def test_how_long_units_may_stop():
    """docs/server.md has the seconds for which each built-in process may stop."""
    stops = {row[0]: row[2].split() for row in rows("docs/server.md", "Units")}
    for name, process in BUILT_IN.items():
        [stop] = [stop for unit, stop in stops.items() if re.search(rf"`APP-{name}(@a)?`", unit)]
        assert stop == [str(process.stop), "s"], name


TOGETHER = {"publish", "start", "verdicts"}  # steps of one group; a picture has them by their ends


def begins(picture):
    """Return [step, second of its begin] of each step in a picture of a deploy."""
    text = re.sub("<[^>]+>", "", (ROOT / "docs/images" / picture).read_text(encoding="utf-8"))
    steps = [(name, float(took)) for name, took in re.findall(r"^(\w+)[ \w+]*? +([\d.]+) s  ", text, re.MULTILINE)]
    groups = itertools.groupby(steps, key=lambda step: step[0] if step[0] not in TOGETHER else "")
    groups = [[*group] for _, group in groups]
    lengths = [max(took for _, took in group) for group in groups]
    total = float(re.search(r"is live on .*? \(([\d.]+) s", text)[1])
    starts = itertools.accumulate(lengths, initial=total - sum(lengths))
    return [(name, begin) for group, begin in zip(groups, starts, strict=False) for name, _ in group]


def test_how_it_works_tells_the_pictures_seconds():
    """In docs/how-it-works.md, each step of a deploy begins when it does in README's picture, within a second."""
    steps = begins("deploy.svg")
    for after, names, _ in rows("docs/how-it-works.md", "One deploy on two web hosts")[2:]:
        told = []
        for name in names.split(","):
            while steps[0][0] != name.split()[0]:
                del steps[0]
            told.append(steps.pop(0)[1])
        if after.strip():
            assert abs(numbers(after)[0] - told[0]) < 1, (names, told[0])


def test_the_tutorial_counts_the_questions():
    """docs/tutorial.md says how many questions of copier.yml `make new` asks."""
    questions = re.findall(r"^[a-z]\w*:$", (ROOT / "copier.yml").read_text(encoding="utf-8"), re.MULTILINE)
    words = "no one two three four five six seven eight nine ten eleven twelve".split()
    assert f"`make new` asks {words[len(questions)]} questions" in (ROOT / "docs/tutorial.md").read_text(
        encoding="utf-8"
    )
