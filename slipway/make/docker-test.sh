#!/bin/sh
# docker-test.sh tests FOLDER: run the project's tests in the image's build, and write FOLDER/tested if they pass.
# TESTS: the arguments of python that run them. TEST_DATABASE=postgres: start a Postgres for them. DRIFT_ALLOWED: apps
# that may lack migrations.
# docker-test.sh verdicts FOLDER: write what each migration changes in each kind of database, and what the models use of
# it, to FOLDER/migrations.json: a deploy judges by it if the live release works on.
set -eu
export DJANGO_SETTINGS_MODULE="$PROJECT.settings_test"
data=/tmp/postgres
postgres() { setpriv --reuid=nobody --regid=nogroup --clear-groups env LD_LIBRARY_PATH=/usr/lib/postgresql/shared "$@"; }

start_postgres() { # start it as nobody, because Postgres refuses to run as root; it listens only on its socket
    bin=$(echo /usr/lib/postgresql/*/bin)
    install -d -o nobody -g nogroup -m 700 "$data"
    { postgres "$bin/initdb" --pgdata="$data" --auth=trust --username=postgres --encoding=UTF8 --no-locale --no-sync &&
        postgres "$bin/pg_ctl" start -w -D "$data" -l "$data/log" -o "-F -k $data -c listen_addresses= -c jit=off"
    } >/tmp/said 2>&1 || { cat /tmp/said "$data/log" >&2; exit 1; }
    trap stop_postgres EXIT
    export TEST_DATABASE_URL=postgres://postgres@%2Ftmp%2Fpostgres/postgres
}

stop_postgres() { # stop it, and delete its files, which would otherwise be in the image's layer
    postgres "$bin/pg_ctl" stop -m immediate -D "$data" >/dev/null
    rm -rf "$data" /tmp/said
}

tests() {
    case ${TEST_DATABASE:-sqlite} in
        sqlite) ;;
        postgres) start_postgres ;;
        *) echo "docker-test.sh: TEST_DATABASE=$TEST_DATABASE: use sqlite or postgres" >&2; exit 64 ;;
    esac
    python manage.py check
    failed=
    python -m slipway.make.drift python manage.py || failed=' migrations'
    # shellcheck disable=SC2086
    python ${TESTS:-manage.py test} || failed="$failed tests"
    [ -z "$failed" ] || { echo "docker-test.sh: failed:$failed" >&2; exit 1; }
    echo "tests passed" >"$1/tested"
}

verdicts() {
    python -m slipway.schema.verdicts "$1/migrations.json"
    start_postgres
    python -m slipway.schema.verdicts "$1/migrations.json"
}

mkdir -p "$2"
"$1" "$2"
