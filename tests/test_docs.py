"""Tests of the documents against the code."""

import inspect
import re

from documented import block, blocks, commands
from proc import ROOT, output, put, run
from slipway.deploy import config, errors
from slipway.deploy.__main__ import COMMANDS
from slipway.deploy.agent.host import Host
from slipway.deploy.screen.overview import OTHERS
from slipway.deploy.server import files, site
from slipway.deploy.swarm import engine
from slipway.env import Env

PROJECTS = {"slipway/make/README.project.md"}  # this page is read in a project


def git_files():
    """Return every path that git tracks or would add: new files count before they are committed."""
    listed = output(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT).split("\n")
    return [path for path in listed if path and (ROOT / path).exists()]


def anchors(page):
    """Return GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    """A relative link or picture in a Markdown file names an existing path, and after # a heading of its page."""
    for page in (ROOT / path for path in git_files() if path.endswith(".md") and path not in PROJECTS):
        for target, heading in re.findall(r"\]\((?!https?:|mailto:)([^)#]*)#?([^)]*)\)", page.read_text()):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.relative_to(ROOT)} links to {target}"
            assert not heading or heading in anchors(there), f"{page.relative_to(ROOT)} links to {target}#{heading}"


def test_blocks_of_code_are_closed():
    """A fence that names a language opens a block, and the next one, which names none, closes it."""
    for page in (ROOT / path for path in git_files() if path.endswith(".md")):
        fences = re.findall(r"^ *```(.*)$", page.read_text(), re.MULTILINE)
        assert all(fences[::2]) and not any(fences[1::2]) and len(fences) % 2 == 0, (page, fences)


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
    for number, text in zip(found[::2], found[1::2], strict=False):
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


def test_commands_exist():
    """`slipway` has every command that a document or a message names."""
    known = {*COMMANDS, *OTHERS, "adopt", "diff"}
    for path in (path for path in git_files() if re.fullmatch(r"(docs/)?\w+\.md|slipway/.*\.py", path)):
        named = set(
            re.findall(r"(?:^    |[`:] ?|run |see |by )slipway ([a-z][a-z-]*)\b", (ROOT / path).read_text(), re.M)
        )
        assert named <= known, f"{path}: slipway has no {named - known}"


def test_pictures_show_the_same_command():
    """A picture of a terminal begins with a command as the documents write it: slipway COMMAND."""
    typed = [re.findall(r">\$ ([^<]+)<", path.read_text()) for path in (ROOT / "docs/images").glob("*.svg")]
    assert [line for lines in typed for line in lines if not re.match(rf"slipway ({'|'.join(COMMANDS)})\b", line)] == []
    assert len([*filter(None, typed)]) >= 2


# The tests that run the documents' commands in a small form: a pattern of "page: command", a file in tests/, and a text
# in it which shows that it runs this command or reads the page. The first row that fits counts.
RUN_BY = r"""
docs/adopt.md: PYTHONPATH.*                               | template/test_adopt.py         | adopted(
docs/benchmarks.md: .*                                     | e2e/test_benchmarks.py         | docs/benchmarks.md
docs/backup.md: .*                                         | e2e/test_backups.py            | docs/backup.md
docs/ci.md: (make fleet|export|DEPLOY_USER|slipway).*      | e2e/test_ci_lines.py           | docs/ci.md
docs/data.md: .*                                           | e2e/test_services.py           | docs/data.md
docs/deploy.md: HOSTS=.*|.*: export HOSTS=.*       | e2e/test_classic.py            | CELERY_HOSTS
docs/deploy.md: (#!|python manage).*                       | docker/test_settings_file.py   | with_name("migrate")
docs/deploy.md: make classic.*                             | template/test_project.py       | "classic"
docs/files.md: .*                                          | blobs/test_blobs.py            | movefiles
docs/image.md: (cat|docker run) .*                         | image/test_run.py              | docs/image.md
docs/image.md: PYTHONPATH.*|examples/node/.*                 | e2e/test_contract.py           | examples/node/README.md
docs/make.md: (cp|echo|mkdir|printf|make -C) .*            | make/test_reuse.py             | docs/make.md
.*: (uv add .*|make upgrade.*)                             | template/test_project.py       | "pillow"
docs/one-server.md: .*                                     | e2e/test_from_nothing.py       | docs/one-server.md
docs/provision.md: (?!make|slipway|export).*               | e2e/provisioned.py             | docs/provision.md
docs/server.md: (sudo|systemctl status|journalctl) .*      | host/test_docker_runner.py     | EXTRA
docs/server.md: .*(redis|create shop).*                    | e2e/test_units.py              | docs/server.md
docs/server.md: .*                                         | host/test_units.py             | systemd-tmpfiles
docs/swarm.md: (web1#|ssh) .*|.*: slipway plan .*             | e2e/swarms.py                  | join-token
docs/tasks.md: docker-runner shop manage dead_tasks.*      | celery/test_deliveries.py      | dead_tasks
examples/README.md: cp .*                                  | image/test_node.py             | examples/frontend
.*/mounted/README.md: .*|docs/ci.md: ssh-.*                | e2e/test_mounted.py            | README.md
examples/monitoring/README.md: .*                          | ops/test_monitoring.py         | README.md
.*/companions/.*: (uvx|cp).*                               | ../examples/companions/cbp/tests/test_cbp.py | {UV}x
.*: make companion.*                                       | image/test_companions.py       | companion-image
.*/tapemock/README.md: .*              | ../examples/companions/tapemock/tests/test_faults.py | README
.*: make demo.*                                            | e2e/test_demo.py               | "demo"
.*: make dev                                               | celery/test_dev.py             | dev
.*: make(| (runserver|app|migrate|migrations|test).*)      | celery/test_start_page.py      | make test
.*: make (lint|format)                                     | make/test_app.py               | "--all-files"
.*: make coverage                                          | make/test_check.py             | "coverage"
.*: make requirements.*                                    | make/test_indexes.py           | "requirements"
.*: make (services.*|up)                                   | docker/test_services.py        | "services-down"
docs/trouble.md: (systemctl|mv|rm) .*                      | e2e/test_trouble.py            | docs/trouble.md
docs/update.md: cd .*|.*: make build                       | template/test_project.py       | docs/update.md
docs/update.md: (printf|sed|uv|git rm) .*                  | template/test_update.py        | docs/update.md
.*: make (template-update|slipway-diff).*                  | template/test_update.py        | "slipway-diff"
docs/settings.md: op .*                                | deployer/test_env.py           | op inject
.*: slipway env (un)?set.* | deployer/test_env.py | "unset"
.*: make build push .*                                     | e2e/test_ci_lines.py           | ci_lines
.*: slipway drain .*                                     | e2e/test_balancer.py           | "drain"
.*: slipway (logs|errors|releases).*                          | e2e/test_trouble.py            | "errors"
.*: slipway watch.*                                           | e2e/test_deploy.py             | "--once"
.*: slipway view.*                                            | e2e/test_view.py               | "view"
.*: (git|printf .*\||\. ve|make new).*                     | e2e/test_tutorial.py           | docs/tutorial.md
.*: slipway (provision|env|deploy|status|rollback).*       | e2e/test_tutorial.py           | docs/tutorial.md
"""


def test_every_command_is_run():
    """A test runs each command of the documents. That of the tutorial runs all of its page."""
    rows = [[cell.strip() for cell in row.rsplit(" | ", 2)] for row in RUN_BY.strip().splitlines()]
    typed = [
        f"{path}: {line}"
        for path in git_files()
        if path.endswith(".md") and path != "docs/tutorial.md"
        for line in commands(ROOT / path)
    ]
    fits = [next((row for row in rows if re.fullmatch(row[0], line)), None) for line in typed]
    assert [line for line, row in zip(typed, fits, strict=True) if not row] == [], (
        "run each in a test, then name it in RUN_BY"
    )
    assert [row for row in rows if row not in fits or row[2] not in (ROOT / "tests" / row[1]).read_text()] == []


def test_the_tutorial_ends_with_the_file_of_one_server():
    """The test of that page puts it on a bare server."""
    tutorial, page = (block(ROOT / f"docs/{name}.md", "app =") for name in ("tutorial", "one-server"))
    assert tutorial == page


def linted(folder, *words):
    """Run a linter there, with a project's settings. Return what it says."""
    done = run([ROOT / "ve/bin" / words[0], *words[1:]], cwd=folder)
    return done.stdout + done.stderr if done.returncode else ""


def test_samples_pass_the_linters(tmp_path):
    """A project's linters let each sample pass, but for names that a fragment does not define or use, and types outside
    the site. The tutorial's test lints that page's."""
    pages = [path for path in git_files() if re.fullmatch(r"docs/(?!tutorial).*\.md|examples/.*\.md|\..*\.md", path)]
    samples = [(page, *block) for page in pages for block in blocks(ROOT / page)]
    for number, (page, language, text) in enumerate(samples):
        kind = "more" if re.match("docs/provision|[^d]", page) else "app"
        path = tmp_path / {"python": f"{kind}/n{number}.py"}.get(language, f"{language or 'none'}/{number}")
        put(path, text if text.startswith("#!") else f"# {page}\n{text}")
    for name in ("app/__init__.py", "app/tasks.py", "project/chat.py"):
        put(tmp_path / name, "from typing import Any\n\nchat: Any\nsend_invoices: Any\n")
    (tmp_path / "slipway").symlink_to(ROOT / "slipway")
    assert linted(tmp_path, "flake8", "--config", ROOT / ".flake8", "--extend-ignore=F401,F821", "app", "more") == ""
    assert (
        linted(
            tmp_path,
            "mypy",
            "--config-file",
            ROOT / "pyproject.toml",
            "--cache-dir",
            ROOT / ".mypy_cache",
            "--follow-imports=silent",
            "--disable-error-code=name-defined",
            "app",
        )
        == ""
    )
    assert linted(tmp_path, "hadolint", *tmp_path.glob("dockerfile/*")) == ""
    assert linted(tmp_path, "shellcheck", "--shell=sh", "--severity=error", *tmp_path.glob("sh/*")) == ""


def test_settings_of_the_image():
    """docs/image.md lists exactly the variables that production or gunicorn reads, with their numeric defaults; and the
    image's commands."""
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
    commands = re.findall(r"^command_(\w+)\(", (ROOT / "docker-run.sh").read_text(), re.MULTILINE)
    assert {*commands} <= {*re.findall(r"^\| `(\w+)", part("docs/image.md", "| command |", "\n\n"), re.MULTILINE)}


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
    paths = {agents[name] for name in agents.keys() - {"app", "root", "lock", "retiring", "docker_sock"}}
    paths |= {file.path for file in (*files.app_files(fleet, host), files.tmpfiles(fleet))}
    paths |= {path for each in site.sites(fleet, host, False) for path in each.files}
    for path in (path.replace("shop", "APP") for path in paths):
        assert any(
            path == name
            or name.startswith(f"{path}/")
            or path.endswith((f"/{name}", f".env{name}"))
            or (name.endswith("/") and path.startswith(name))
            for name in names
        ), f"docs/server.md lacks {path}"


def test_units_of_a_server():
    """docs/server.md names each unit that provisioning writes, all that runs there between two deploys."""
    section = part("docs/server.md", "\n## Units\n", "\n## ")
    names = {path.name.partition(".")[0] for path in (ROOT / "slipway/deploy/server/systemd").glob("*.*")}
    units = {name.replace("PROCESS", "NAME").removesuffix("@") for name in names}
    parts_and_others = {"container", "timed", "docker", "nginx"}  # of units, and changes of Debian's
    assert [unit for unit in sorted(units - parts_and_others) if f"`{unit}" not in section] == []


def test_what_swarm_refuses():
    """docs/swarm.md lists each command and option that does not work there."""
    listed = part("docs/swarm.md", "| what | on Swarm |", "| `[watch]`")
    options = [f"--{name.replace('_', '-')}" for name in engine.OPTIONS]
    assert [word for word in (*engine.OF_HOSTS, *options) if f"`{word}`" not in listed] == []
