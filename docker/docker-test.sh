#!/bin/sh
# docker-test.sh tests FOLDER: the project's tests, while the image is built; leaves a marker in FOLDER. Python runs
# TESTS; TEST_DATABASE=postgres gives them a Postgres of their own; of the apps in DRIFT_ALLOWED models and migrations
# may disagree.
# docker-test.sh verdicts FOLDER: leaves migrations.json there, what the linter says of each migration on each database;
# that of an earlier build, in /verdicts, where it still holds.
set -eu
export DJANGO_SETTINGS_MODULE="$PROJECT.settings_test"
data=/tmp/postgres
postgres() { setpriv --reuid=nobody --regid=nogroup --clear-groups env LD_LIBRARY_PATH=/usr/lib/postgresql/shared "$@"; }

start_postgres() { # it is not reached but through its socket; it refuses to be root
    bin=$(echo /usr/lib/postgresql/*/bin)
    install -d -o nobody -g nogroup -m 700 "$data"
    { postgres "$bin/initdb" --pgdata="$data" --auth=trust --username=postgres --encoding=UTF8 --no-locale --no-sync &&
        postgres "$bin/pg_ctl" start -w -D "$data" -l "$data/log" -o "-F -k $data -c listen_addresses= -c jit=off"
    } >/tmp/said 2>&1 || { cat /tmp/said "$data/log" >&2; exit 1; }
    trap stop_postgres EXIT
    export TEST_DATABASE_URL=postgres://postgres@%2Ftmp%2Fpostgres/postgres
}

stop_postgres() { # nothing of it stays in a layer
    postgres "$bin/pg_ctl" stop -m immediate -D "$data" >/dev/null
    rm -rf "$data" /tmp/said
}

tests() {
    case ${TEST_DATABASE:-sqlite} in
        sqlite) ;;
        postgres) start_postgres ;;
        *) echo "docker-test.sh: TEST_DATABASE is sqlite or postgres, not $TEST_DATABASE" >&2; exit 64 ;;
    esac
    python manage.py check
    failed=
    sh /drift.sh python manage.py || failed=' migrations'
    # shellcheck disable=SC2086
    python ${TESTS:-manage.py test} || failed="$failed tests"
    [ -z "$failed" ] || { echo "docker-test.sh: failed:$failed" >&2; exit 1; }
    echo "tests passed" >"$1/tested"
}

verdicts() {
    judge() { python -m slipway.schema.verdicts "$@" /wheelhouse/requirements.txt /wheelhouse/dev/requirements.txt \
        /usr/lib/postgresql/*/bin/postgres; }
    [ ! -f /verdicts/migrations.json ] || cp /verdicts/migrations.json "$1"
    if judge --hold "$1/migrations.json"; then echo 'verdicts: those of an earlier build hold'; return; fi
    echo 'verdicts: judging all migrations anew'
    judge "$1/migrations.json"
    start_postgres
    judge "$1/migrations.json"
}

mkdir -p "$2"
"$1" "$2"
