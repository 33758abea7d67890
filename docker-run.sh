#!/bin/sh
# The image's entrypoint: docker-run.sh COMMAND [ARGS…]. `help` lists the commands; docs/image.md tells of each. What it
# starts takes its place (exec), so that signals reach it. Exit 64: an unknown command, or settings missing or malformed.
# A command is a function below, told by the text after its brace, or a file in docker-run.d, told by its second line.
set -eu

command_run() { # the site: on $SOCKET where that is set, else on port $PORT (8000)
    note_role web
    exec python -m gunicorn --config python:slipway.web.gunicorn "$@"
}

command_migrate() { # bring the database up to date
    exec python manage.py migrate --no-input "$@"
}

command_collectstatic() { # FOLDER | s3://BUCKET/FOLDER: add this release's static files; nothing there changes or goes
    exec python -m slipway.files.publish "$@"
}

command_compress() { # what django-compressor makes of the templates, where a project has it; the build does so
    python -c 'import compressor' 2>/dev/null || { echo 'compress: nothing to compress, no django-compressor'; exit; }
    exec python manage.py compress --force "$@"
}

command_shell() { # Python with the project loaded
    exec python manage.py shell "$@"
}

command_worker() { # background jobs; $WORKER_CONCURRENCY (2) at a time
    note_role worker
    # Any uid will do here; Celery takes one that the image has no name for to be root.
    export PYTHONWARNINGS="ignore:An entry for the specified gid,ignore:You're running the worker with superuser"
    exec celery -A "${PROJECT:-project}" --quiet worker --without-gossip --without-mingle \
        --concurrency "${WORKER_CONCURRENCY:-2}" "$@"
}

command_beat() { # sends jobs when they are due; a second one waits until the first has ended
    note_role beat
    exec celery -A "${PROJECT:-project}" --quiet beat --scheduler slipway.jobs.beat.Scheduler --pidfile= "$@"
}

command_manage() { # ARGS…: any command of manage.py
    exec python manage.py "$@"
}

command_healthcheck() { # does what this container runs work? Exit 0 or 1; `ready`: not before it once was ready
    exec python -m slipway.health.healthcheck "$@"
}

command_help() { # this list
    echo "usage: docker-run.sh COMMAND [ARGS…]"
    commands
}

# The part of the site that this container is, for the settings and for healthcheck; none for a one-off command.
note_role() {
    export ROLE="$1"
    printf %s "$ROLE" 2>/dev/null >/dev/shm/role || : # a platform without it has checks of its own
}

commands() {
    sed -n 's/^command_\([a-z]*\)() { # \(.*\)/\1 \2/p' "$script" | while read -r name text; do
        printf '  %-14s %s\n' "$name" "$text"
    done
    for file in docker-run.d/*; do
        [ ! -x "$file" ] || printf '  %-14s %s\n' "${file##*/}" "$(sed -n '2s/^# *//p' "$file")"
    done
}

usage() {
    printf 'docker-run.sh: %s\n' "$1" >&2
    exit 64
}

# What runs the command of that name: "own" for a file in docker-run.d, a function here, or nothing.
runner() {
    case $1 in *[!a-z0-9_-]*) return ;; esac # no path, least of all ../
    if [ -f "docker-run.d/$1" ] && [ -x "docker-run.d/$1" ]; then echo own; else command -v "command_$1"; fi
}

main() {
    cd "$(dirname "$0")"
    script=${0##*/}
    [ -z "${SETTINGS_FILE-}" ] || exec python -S -m slipway.envfile "./$script" "$@" # comes back without it
    case ${1-} in */"$script") shift ;; esac # a platform that names the whole command keeps the entrypoint, or does not
    name=${1-run}
    [ $# -eq 0 ] || shift
    # Of a container that ended, where this memory outlives it.
    [ $$ -ne 1 ] || rm -f /dev/shm/ready /dev/shm/alive /dev/shm/been-ready
    [ -w /tmp ] || export TMPDIR=/dev/shm # a read-only root filesystem: uploads need some place
    case $(runner "$name") in
        own) exec "docker-run.d/$name" "$@" ;;
        command_*) export ROLE=; "command_$name" "$@" ;;
        *) usage "there is no command '$name'; there are:
$(commands)" ;;
    esac
}

main "$@"
