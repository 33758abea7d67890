#!/bin/sh
# ci.sh: what the CI files have in common. docs/ci.md tells how each is set up.
#
#   deploy/ci.sh login        log Docker in where IMAGE is pushed to, as REGISTRY_LOGIN (user:password) says, if it does
#   deploy/ci.sh COMMAND...   run it with the key DEPLOY_KEY and the hosts in KNOWN_HOSTS (each the text itself, or the
#                             path of a file with it), or without, where the machine has a key of its own
#
# A cancelled job tells only its first process, often by INT, and soon kills all: here any such signal reaches COMMAND
# as TERM (which make passes on), and its end is waited for.
set -eu

die() { echo "ci: $*" >&2; exit 2; }

login() {
    [ -n "${REGISTRY_LOGIN:-}" ] || { echo "ci: no REGISTRY_LOGIN, so nobody is logged in" >&2; return 0; }
    case $REGISTRY_LOGIN in *:*) ;; *) die "REGISTRY_LOGIN is not user:password" ;; esac
    case ${IMAGE:-} in
        '') die "no IMAGE: set it to where images go, such as registry.example/shop" ;;
        *[.:]*/* | localhost/*) set -- "${IMAGE%%/*}" ;;
        *) set -- ;; # Docker's own
    esac
    printf %s "${REGISTRY_LOGIN#*:}" | docker login --username "${REGISTRY_LOGIN%%:*}" --password-stdin "$@"
}

put() { # put VALUE FILE: a text, or what is in the file that it names; with a newline at its end, as ssh wants
    if [ -f "$1" ]; then cat "$1"; else printf '%s\n' "$1"; fi | tr -d '\r' >"$2"
}

prepare() { # an ssh_config with the key and the hosts it was given
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

tidy() { [ -z "${folder:-}" ] || rm -rf "$folder"; }

run() {
    trap tidy EXIT
    trap 'exit 143' HUP INT TERM
    prepare
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
    '') die "usage: deploy/ci.sh login, or deploy/ci.sh COMMAND..." ;;
    login) login ;;
    *) run "$@" ;;
esac
