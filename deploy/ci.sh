#!/bin/sh
# ci.sh: all CI files run this script to push images and to deploy. docs/ci.md describes each CI.
#
#   deploy/ci.sh push         run make push; if REGISTRY_LOGIN (user:password) is set, log in before and out after
#   deploy/ci.sh COMMAND...   run COMMAND; its ssh uses DEPLOY_KEY and KNOWN_HOSTS, if set: a text or a file's path.
#                             The command slipway needs no virtualenv here: Python runs it from the wheel in vendor/.
#                             If NEWEST_OF=BRANCH is set, refuse if origin's BRANCH is not at the checked-out commit.
#
# A CI that cancels a job often signals only the first process, this script. The script then sends TERM to COMMAND.
set -eu

die() { echo "ci: $*" >&2; exit 2; }

login() { # with a new DOCKER_CONFIG, because other jobs on this machine log in and out with the user's
    [ -n "${REGISTRY_LOGIN:-}" ] || { echo "ci: REGISTRY_LOGIN is not set: push without a login" >&2; return 0; }
    case $REGISTRY_LOGIN in *:*) ;; *) die "REGISTRY_LOGIN is not user:password" ;; esac
    case ${IMAGE:-} in
        '') die "IMAGE is not set: set it to a name such as registry.example/shop" ;;
        *[.:]*/* | localhost/*) set -- "${IMAGE%%/*}" ;;
        *) set -- ;; # Docker Hub
    esac
    # The new DOCKER_CONFIG below hides the user's docker context: save the address of its Docker in DOCKER_HOST.
    [ -n "${DOCKER_HOST:-}" ] ||
        DOCKER_HOST=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || DOCKER_HOST=''
    [ -z "$DOCKER_HOST" ] || export DOCKER_HOST
    folder=$(mktemp -d) # 0700
    export DOCKER_CONFIG="$folder"
    registry=${1:-} logged_in=1
    printf %s "${REGISTRY_LOGIN#*:}" | docker login --username "${REGISTRY_LOGIN%%:*}" --password-stdin "$@"
    unset REGISTRY_LOGIN # keep it out of child processes
}

put() { # put VALUE FILE: write a text, or a file's content, with the final newline that ssh needs
    if [ -f "$1" ]; then cat "$1"; else printf '%s\n' "$1"; fi | tr -d '\r' >"$2"
}

keys() { # write an ssh_config with the key and the hosts
    [ -n "${DEPLOY_KEY:-}" ] || return 0
    [ -n "${KNOWN_HOSTS:-}" ] || die "KNOWN_HOSTS is not set: run ssh-keyscan for the servers, check the keys, and set it"
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
    there=$(git ls-remote --exit-code origin "refs/heads/$NEWEST_OF") || die "cannot read the branch $NEWEST_OF of origin"
    [ "${there%%[!0-9a-f]*}" = "$(git rev-parse HEAD)" ] ||
        die "$NEWEST_OF has a newer commit, whose own run deploys: nothing is deployed here"
}

package() { # the wheel in vendor/, or the source in Slipway's own repository
    set -- vendor/slipway_django-*.whl
    [ -f "$1" ] || set -- .
    export PYTHONPATH="$1"
}

# shellcheck disable=SC2329 # the EXIT trap calls it
tidy() { # log out, because some machines keep logins outside DOCKER_CONFIG; remove our folder
    [ -z "${logged_in:-}" ] || docker logout ${registry:+"$registry"} >/dev/null 2>&1 || :
    [ -z "${folder:-}" ] || rm -rf "$folder"
}

run() {
    trap tidy EXIT
    trap 'exit 143' HUP INT TERM
    if [ "$1" = push ]; then login; set -- make push; else newest; keys; fi
    if [ "$1" = slipway ]; then shift; package; set -- python3 -B -m slipway "$@"; fi
    unset DEPLOY_KEY KNOWN_HOSTS # keep the key out of child processes
    "$@" &
    pid=$! told='' status=0
    trap 'told=1; kill -TERM "$pid" 2>/dev/null || :' HUP INT TERM
    wait "$pid" || status=$?
    while [ -n "$told" ]; do # a signal interrupted the wait: wait again
        told='' again=0
        wait "$pid" || again=$?
        [ "$again" = 127 ] || status=$again # 127: the command had ended before the signal
    done
    exit "$status"
}

[ -n "${1:-}" ] || die "usage: deploy/ci.sh push, or deploy/ci.sh COMMAND..."
run "$@"
