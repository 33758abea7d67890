"""The verdicts on a corpus of migrations, compared with what really happens: the models of before insert, select,
update and delete on the tables of after."""

import json
import os

import pytest

from proc import ROOT, output, passed, python
from schema.cases import PARTS
from schema.reasons import CAUTIOUS, WARNED

ROLE = "DO $$ BEGIN CREATE ROLE {}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
VENDORS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.needs("psql")))


@pytest.fixture
def postgres_url(postgres):
    """Return the URL of a database whose owner is no superuser, from whom privileges can be taken."""
    name = postgres.database(migrated=False)
    for statement in (*map(ROLE.format, ("corpus LOGIN", "reader")), f"ALTER DATABASE {name} OWNER TO corpus"):
        output([postgres.bin / "psql", "-qh127.0.0.1", f"-p{postgres.port}", "-Uslip", name, "-c", statement])
    return postgres.url(name).replace("slip:", "corpus:")


@pytest.fixture
def come_out(request, tmp_path):
    """Return a function that runs a part of the corpus, and returns what comes out."""

    def run(vendor, part):
        url = request.getfixturevalue("postgres_url") if vendor == "postgresql" else "sqlite://:memory:"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
        passed(python("-m", "schema.run", url, tmp_path / "results.json", part, cwd=tmp_path, env=env))
        return json.loads((tmp_path / "results.json").read_text())

    return run


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_verdicts_tell_what_breaks(vendor, part, come_out):
    """A migration that breaks the live release is an error, unless only a warning can name it, and for a reason. At
    most 2 % of the migrations are errors though nothing shows that they break, each for a reason."""
    results = come_out(vendor, part)
    cases = {case["name"]: case for case in results["cases"]}
    assert not {name: case["failed"] for name, case in cases.items() if case["failed"]}
    missed = {name: case for name, case in cases.items() if case["breaks"] and not case["errors"]}
    assert not {name: case["breaks"] for name, case in missed.items() if not case["warnings"]}
    assert {*missed} == WARNED[vendor].keys() & cases.keys()
    cautious = {name for name, case in cases.items() if case["errors"] and not case["breaks"]}
    assert cautious == CAUTIOUS[vendor].keys() & cases.keys()
    assert len(CAUTIOUS[vendor]) <= results["all"] * 0.02
    assert sum(bool(case["breaks"]) for case in cases.values()) >= len(cases) / 5  # the models really do their work
