#!/bin/sh
# The image's entrypoint: docker-run.sh COMMAND [ARGS…], see docs/image.md. Exit code 64: no such command, or wrong
# settings. A command is a function below, or a file in docker-run.d with its help text in the second line.
set -eu

command_run() { # serve the site on $SOCKET or, if that is not set, on port $PORT (8000)
    note_role web
    set -- python -m gunicorn --config python:slipway.web.gunicorn "$@"
    [ "${DRAIN:-0}" != 0 ] || exec "$@"
    drained "$@"
}

command_migrate() { # apply migrations to the database
    exec python manage.py migrate --no-input "$@"
}

command_collectstatic() { # FOLDER | s3://BUCKET/FOLDER: add this release's static files; those there stay as they are
    exec python -m slipway.files.publish "$@"
}

command_compress() { # run django-compressor, if the project has it; the build does this
    python -c 'import compressor' 2>/dev/null || { echo 'compress: nothing to do without django-compressor'; exit; }
    exec python manage.py compress --force "$@"
}

command_shell() { # start a Python shell with the project loaded
    exec python manage.py shell "$@"
}

command_bash() { # start a shell in the container
    exec bash "$@"
}

command_worker() { # run background jobs, $WORKER_CONCURRENCY (2) at a time
    note_role worker
    # The container may run as any user. If its gid has no name, Celery warns as if it were root: hide that.
    export PYTHONWARNINGS="ignore:An entry for the specified gid,ignore:You're running the worker with superuser"
    exec celery -A "${PROJECT:-project}" --quiet worker --without-gossip --without-mingle \
        --concurrency "${WORKER_CONCURRENCY:-2}" "$@"
}

command_beat() { # send jobs when they are due; a second beat waits until the first ends
    note_role beat
    exec celery -A "${PROJECT:-project}" --quiet beat --scheduler slipway.jobs.beat.Scheduler --pidfile= "$@"
}

command_manage() { # ARGS…: run a command of manage.py
    exec python manage.py "$@"
}

command_healthcheck() { # exit 0 if this container works, else 1; with `ready` also 1 until it was ready once
    exec python -m slipway.health.healthcheck "$@"
}

command_help() { # show this list
    echo "usage: docker-run.sh COMMAND [ARGS…]"
    commands
}

# Run a server. After TERM, which balancers may not know of yet, it serves for $DRAIN seconds more, or to a second signal.
drained() {
    trap 'ends=yes' TERM
    "$@" &
    server=$! code=0
    wait "$server" || code=$?
    [ -n "${ends-}" ] || exit "$code"
    echo "$script: serving for $DRAIN s more (DRAIN) before the end" >&2
    sleep "$DRAIN" &
    trap 'kill "$!" || :' TERM INT QUIT
    wait "$!" || :
    trap '' TERM INT QUIT
    kill "$server" || :
    wait "$server"
}

# Record this container's role (web, worker or beat) for the settings and the health check. Other commands have none.
note_role() {
    export ROLE="$1"
    printf %s "$ROLE" 2>/dev/null >/dev/shm/role || : # a platform without /dev/shm has its own health checks
}

commands() {
    sed -n 's/^command_\([a-z]*\)() { # \(.*\)/\1 \2/p' "$script" | while read -r name text; do
        printf '  %-14s %s\n' "$name" "$text"
    done
    for file in docker-run.d/*; do
        [ ! -x "$file" ] || printf '  %-14s %s\n' "${file##*/}" "$(sed -n '2s/^# *//p' "$file")"
    done
}

# Print "own" if docker-run.d has the command $1, else command_$1 if there is such a function.
runner() {
    case $1 in *[!a-z0-9_-]*) return ;; esac # a name, not a path such as ../x
    if [ -f "docker-run.d/$1" ] && [ -x "docker-run.d/$1" ]; then echo own; else command -v "command_$1"; fi
}

main() {
    cd "$(dirname "$0")"
    script=${0##*/}
    [ -z "${SETTINGS_FILE-}" ] || exec python -m slipway.envfile "./$script" "$@" # starts this script again
    case ${1-} in */"$script") shift ;; esac # a platform's command may repeat the entrypoint
    name=${1-run}
    [ $# -eq 0 ] || shift
    # Remove an earlier container's files, which may still be in /dev/shm.
    [ $$ -ne 1 ] || rm -f /dev/shm/ready /dev/shm/alive /dev/shm/been-ready
    [ -w /tmp ] || export TMPDIR=/dev/shm # the root filesystem is read-only, but uploads need a place
    case $(runner "$name") in
        own) exec "docker-run.d/$name" "$@" ;;
        command_*) export ROLE=; "command_$name" "$@" ;;
        *)
            printf "docker-run.sh: there is no command '%s'; commands:\n%s\n" "$name" "$(commands)" >&2
            exit "${NO_COMMAND:-64}" ;; # by the clock 127: it waits for a release that has it
    esac
}

main "$@"
