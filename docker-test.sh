#!/bin/sh
# docker-test.sh FOLDER: the project's tests, in the image's test stage; leaves a marker and migrations.json in FOLDER.
# TEST_DATABASE=postgres runs them on a Postgres of their own.
set -eu
export DJANGO_SETTINGS_MODULE=project.settings_test

tests() {
    python manage.py check
    python manage.py makemigrations --check --dry-run
    python manage.py test
    python -m project.ops.verdicts >"$1/migrations.json"
}

main() {
    mkdir -p "$1"
    case ${TEST_DATABASE:-sqlite} in
        sqlite) tests "$1" ;;
        postgres) TEST_DATABASE=started pg_virtualenv -- "$0" "$1" ;;
        started) export TEST_DATABASE_URL="postgres://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/postgres"; tests "$1" ;;
        *) echo "docker-test.sh: TEST_DATABASE is sqlite or postgres, not $TEST_DATABASE" >&2; exit 64 ;;
    esac
    echo "tests passed" >"$1/tested"
}

main "$@"
