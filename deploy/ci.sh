#!/bin/sh
# ci.sh: what the CI files have in common. docs/ci.md tells how each is set up.
#
#   deploy/ci.sh push         make push, logged in where IMAGE goes, as REGISTRY_LOGIN (user:password) says, if it does;
#                             for that time alone: nothing of it is left on the machine, however it ends
#   deploy/ci.sh COMMAND...   run it with the key DEPLOY_KEY and the hosts in KNOWN_HOSTS (each the text itself, or the
#                             path of a file with it), or without, where the machine has a key of its own; refused where
#                             NEWEST_OF names a branch of origin that has moved on from the commit that is checked out
#
# A cancelled job tells only its first process, often by INT, and soon kills all: here any such signal reaches COMMAND
# as TERM (which make passes on), and its end is waited for.
set -eu

die() { echo "ci: $*" >&2; exit 2; }

login() { # in a configuration of its own, so that no other job's login on this machine comes or goes with it
    [ -n "${REGISTRY_LOGIN:-}" ] || { echo "ci: no REGISTRY_LOGIN, so nobody is logged in" >&2; return 0; }
    case $REGISTRY_LOGIN in *:*) ;; *) die "REGISTRY_LOGIN is not user:password" ;; esac
    case ${IMAGE:-} in
        '') die "no IMAGE: set it to where images go, such as registry.example/shop" ;;
        *[.:]*/* | localhost/*) set -- "${IMAGE%%/*}" ;;
        *) set -- ;; # Docker's own
    esac
    # which engine, as of a rootless Docker, is told by the configuration, too
    [ -n "${DOCKER_HOST:-}" ] ||
        DOCKER_HOST=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || DOCKER_HOST=''
    [ -z "$DOCKER_HOST" ] || export DOCKER_HOST
    folder=$(mktemp -d) # 0700
    export DOCKER_CONFIG="$folder"
    registry=${1:-} logged_in=1
    printf %s "${REGISTRY_LOGIN#*:}" | docker login --username "${REGISTRY_LOGIN%%:*}" --password-stdin "$@"
    unset REGISTRY_LOGIN # no process below has it in its environment
}

put() { # put VALUE FILE: a text, or what is in the file that it names; with a newline at its end, as ssh wants
    if [ -f "$1" ]; then cat "$1"; else printf '%s\n' "$1"; fi | tr -d '\r' >"$2"
}

keys() { # an ssh_config with the key and the hosts it was given
    [ -n "${DEPLOY_KEY:-}" ] || return 0
    [ -n "${KNOWN_HOSTS:-}" ] || die "no KNOWN_HOSTS: ssh-keyscan the servers, compare, and set it"
    folder=$(mktemp -d) # 0700
    put "$DEPLOY_KEY" "$folder/key"
    put "$KNOWN_HOSTS" "$folder/known_hosts"
    chmod 600 "$folder/key"
    cat >"$folder/ssh_config" <<END
Host *
IdentityFile "$folder/key"
IdentitiesOnly yes
UserKnownHostsFile "$folder/known_hosts"
StrictHostKeyChecking yes
Include ~/.ssh/config
END
    [ ! -f "${SSH_CONFIG:-}" ] || cat "$SSH_CONFIG" >>"$folder/ssh_config"
    export SSH_CONFIG="$folder/ssh_config"
}

newest() { # an older push must not overtake a newer one
    [ -n "${NEWEST_OF:-}" ] || return 0
    there=$(git ls-remote --exit-code origin "refs/heads/$NEWEST_OF") || die "origin does not tell its $NEWEST_OF"
    [ "${there%%[!0-9a-f]*}" = "$(git rev-parse HEAD)" ] ||
        die "$NEWEST_OF has moved on: nothing is deployed here, the newer push has a run of its own"
}

# shellcheck disable=SC2329 # a trap calls it
tidy() { # docker logout: some machines keep logins elsewhere than in the configuration
    [ -z "${logged_in:-}" ] || docker logout ${registry:+"$registry"} >/dev/null 2>&1 || :
    [ -z "${folder:-}" ] || rm -rf "$folder"
}

run() {
    trap tidy EXIT
    trap 'exit 143' HUP INT TERM
    if [ "$1" = push ]; then login; set -- make push; else newest; keys; fi
    unset DEPLOY_KEY KNOWN_HOSTS # no process below has the key in its environment
    "$@" &
    pid=$! told='' status=0
    trap 'told=1; kill -TERM "$pid" 2>/dev/null || :' HUP INT TERM
    wait "$pid" || status=$?
    while [ -n "$told" ]; do # that wait was cut short
        told='' again=0
        wait "$pid" || again=$?
        [ "$again" = 127 ] || status=$again # 127: it had ended before the signal came
    done
    exit "$status"
}

case ${1:-} in
    '') die "usage: deploy/ci.sh push, or deploy/ci.sh COMMAND..." ;;
    *) run "$@" ;;
esac
