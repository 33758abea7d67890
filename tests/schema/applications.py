"""Compare Slipway's verdicts on the migrations of other authors' applications with what their old models really meet on
the new tables, and the time of judging with that of `migrate` alone. Takes half an hour and needs the network:

    make applications [ARGS=pretalx]
"""

import base64
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from postgresql import POSTGRES_USER, new_postgres
from proc import ROOT, UV, output, passed, run, wait_until

FOLDER = ROOT / "var/applications"
CPU = 1.3  # judging takes at most so many times the processor's time of `migrate`
TURNS = 2  # of each, one after the other
MOST = 10  # errors that nothing shows
PACKAGES = ("psycopg[binary]", "dj-database-url")
LIMIT = 3600  # seconds
CLIENTS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


class Application(NamedTuple):
    """An application of the index, and what its settings need."""

    settings: str
    env: dict[str, str]
    path: str = ""  # within its packages, where its settings are
    warned: dict[str, str] = {}  # migration that breaks, and gets only a warning → why
    cautious: dict[str, str] = {}  # migration that is an error, and that nothing showed to break → why


APPLICATIONS = {
    "pretalx": Application("pretalx.settings", {"PRETALX_FILESYSTEM_DATA": "."}),
    "pulpcore": Application(
        "pulpcore.app.settings",
        {"PULP_CONTENT_ORIGIN": "http://localhost", "PULP_DB_ENCRYPTION_KEY": "key", "PULP_SECRET_KEY": "no secret"},
        warned={
            "core.0134_task_insert_trigger": "a trigger overwrites the time at which old code says it made the row:"
            " what a trigger does is not in the catalog"
        },
    ),
    "label-studio": Application("core.settings.label_studio", {"LABEL_STUDIO_BASE_DATA_DIR": "."}, path="label_studio"),
}


def installed(name: str) -> Path:
    """Install the newest release into a virtualenv of its own. Return its Python."""
    folder = FOLDER / name
    interpreter = folder / "ve/bin/python"
    if not interpreter.exists():
        output([UV, "venv", "-q", folder / "ve"])
        output([UV, "pip", "install", "-q", "--python", interpreter, name, *PACKAGES])
    (folder / "key").write_bytes(base64.b64encode(b"k" * 32))
    return interpreter


def history(name, postgres, url, other, *words):
    """Run schema.history in the application's virtualenv. Return what it printed last."""
    application, python = APPLICATIONS[name], installed(name)
    packages = next((FOLDER / name / "ve/lib").glob("python*/site-packages"))
    paths = [ROOT / "tests", ROOT, packages / application.path]
    env = {**os.environ, **application.env, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    urls = [postgres.url(postgres.create(database)) if database else "" for database in (url, other)]
    command = [python, "-m", "schema.history", application.settings, *urls, *words]
    done = passed(run(command, timeout=LIMIT, cwd=FOLDER / name, env=env))
    return done.stdout.strip().rpartition("\n")[2]


def seconds_of(postgres) -> float:
    """Return the processor's time of all connections to Postgres, once they have ended."""
    psql = [postgres.bin / "psql", "-qAth127.0.0.1", f"-p{postgres.port}", f"-U{POSTGRES_USER}", "postgres", "-c"]
    wait_until(lambda: output([*psql, CLIENTS]).strip() == "1", what="the end of all connections")
    of_children = Path(f"/proc/{postgres.process.pid}/stat").read_text().rpartition(")")[2].split()[13:15]
    return sum(map(int, of_children)) / os.sysconf("SC_CLK_TCK")


def measured(name, postgres, how, turn) -> float:
    """Return the processor's time of the application and of Postgres, in seconds."""
    before = seconds_of(postgres)
    own = float(history(name, postgres, f"{name}_{how}_{turn}", "", how))
    return own + seconds_of(postgres) - before


def judged(name: str) -> list[str]:
    """Say how the application comes out. Return what is wrong."""
    application, path = APPLICATIONS[name], FOLDER / name / "history.json"
    installed(name)
    with new_postgres() as postgres:
        history(name, postgres, f"{name}_ahead", f"{name}_behind", path)
        turns = [[measured(name, postgres, how, turn) for how in ("plain", "judged")] for turn in range(TURNS)]
    plain, judging = map(min, zip(*turns, strict=True))  # what else the machine does only adds to a time
    lines = json.loads(path.read_text())
    breaking = [line["name"] for line in lines if line["breaks"]]
    missed = [line["name"] for line in lines if line["breaks"] and not line["errors"]]
    cautious = [line["name"] for line in lines if line["errors"] and not line["breaks"]]
    cannot = sum(len(line["cannot"]) for line in lines)
    print(f"{name}: {len(lines)} migrations, {len(breaking)} break, {len(missed)} of them without an error: {missed}")
    print(f"  errors that nothing shows: {cautious}; models of which no row can be made: {cannot}")
    print(f"  processor: {plain:.1f} s for migrate, {judging:.1f} s judged")
    problems = [f"{name} misses {each}" for each in missed if each not in application.warned]
    problems += [f"{name} has no reason for {each}" for each in cautious if each not in application.cautious]
    problems += [f"{name} has {len(cautious)} errors that nothing shows"] if len(cautious) > MOST else []
    return [*problems, *([f"{name} takes {judging / plain:.2f} times as long"] if judging > CPU * plain else [])]


if __name__ == "__main__":
    problems = [problem for name in sys.argv[1:] or APPLICATIONS for problem in judged(name)]
    sys.exit("\n".join(problems) or None)
