"""The verdicts on a corpus of migrations, compared with what really happens: the models of before insert, select,
update and delete on the tables of after."""

import json
import os

import pytest

from proc import ROOT, output, passed, python
from schema.reasons import CAUTIOUS, WARNED

CASES = 400  # at least so many on both databases together
FORMS = 150  # of these so many by SQL on Postgres
ROLES = "CREATE ROLE corpus LOGIN; CREATE ROLE reader; GRANT reader TO corpus WITH ADMIN OPTION"


@pytest.fixture(scope="module")
def postgres_url(postgres):
    """Return the URL of a database whose owner is no superuser, from whom privileges can be taken."""
    name = postgres.database(migrated=False)
    psql = [postgres.bin / "psql", "-q", "-h", "127.0.0.1", "-p", postgres.port, "-U", "slip", name, "-c"]
    output([*psql, ROLES])
    output([*psql, f"ALTER DATABASE {name} OWNER TO corpus"])
    yield postgres.url(name).replace("slip:", "corpus:")
    output([*psql, f"ALTER DATABASE {name} OWNER TO slip"])
    output([*psql, "REASSIGN OWNED BY corpus TO slip; DROP OWNED BY corpus; DROP ROLE corpus, reader"])


@pytest.fixture(scope="module")
def corpus_on(request, tmp_path_factory):
    """Return a function that runs the corpus on a kind of database, and returns what came out of each case."""

    def run(vendor):
        url = request.getfixturevalue("postgres_url") if vendor == "postgresql" else "sqlite://:memory:"
        path = tmp_path_factory.mktemp("corpus") / "results.json"
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
        passed(python("-m", "schema.run", url, path, cwd=path.parent, env=env))
        return json.loads(path.read_text())

    return run


@pytest.mark.parametrize("vendor", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("psql"))])
def test_verdicts_tell_what_breaks(vendor, corpus_on):
    """A migration that breaks the live release is an error, unless only a warning can name it, and for a reason. At
    most 2 % of the migrations are errors though nothing showed that they break, each for a reason."""
    results = corpus_on(vendor)
    assert not {case["name"]: case["failed"] for case in results if case["failed"]}
    missed = {case["name"]: case for case in results if case["breaks"] and not case["errors"]}
    assert not {name: case["breaks"] for name, case in missed.items() if not case["warnings"]}
    assert {*missed} == {*WARNED[vendor]}
    cautious = [case["name"] for case in results if case["errors"] and not case["breaks"]]
    assert {*cautious} == {*CAUTIOUS[vendor]}
    assert len(cautious) <= len(results) * 0.02
    assert sum(bool(case["breaks"]) for case in results) > len(results) / 4  # the models really work
    assert len(results) > (CASES if vendor == "postgresql" else FORMS)
