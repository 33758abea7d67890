#!/bin/sh
# classic.sh: stop the old release, then start the new one, on hosts with upstart or without Python (docs/deploy.md).
#
#   HOSTS="app1 app2" CELERY_HOSTS=app3 BEAT_HOSTS=app3 \
#     APP=shop IMAGE=registry.example/shop TAG=build-42 sh deploy/classic.sh
# Exit codes: 0 released; 1 failed and taken back; 2 refused, nothing changed; 3 failed, not taken back everywhere.
set -eu

say() { printf '%s\n' "classic: $*" >&2; }
die() { status=$1; shift; say "$*"; exit "$status"; }

# host_STEP runs on a host, as root, in /var/www/APP. `at` sends this file there, and the variables it needs.

host_pull() {
    curl --unix-socket / --version >/dev/null || die 2 "there is no curl 7.40 or newer: install it"
    docker pull -q "$IMAGE:$TAG" >/dev/null
    rm -f TAG.before
    if [ -e TAG ]; then cp TAG TAG.before; sync TAG.before; fi
}

host_publish() { # the app's user adds the release's static files. chown -h: a link that an image made leads nowhere
    docker run --rm --network none --user 65534 --entrypoint test "$IMAGE:$TAG" -e static-root/staticfiles.json ||
        case $? in 1 | 127) return 0 ;; *) return 1 ;; esac # no manifest, or no program `test`: there are none
    chown -hR "$APP" static
    EXTRA="--network none -v $PWD/static:/static" docker-runner "$APP" collectstatic /static
}
host_migrate() { docker-runner "$APP" migrate; }

host_restart() {
    id=$(docker image inspect --format '{{.Id}}' "$IMAGE:$TAG")
    printf 'export TAG=%s\nexport IMAGE_ID=%s\n' "$TAG" "$id" >TAG.new
    sync TAG.new
    mv TAG.new TAG
    again
}

host_back() {
    if [ -e TAG.before ]; then mv TAG.before TAG; else rm -f TAG; fi
    again
}

again() { # restart, and wait until each role runs the release in TAG
    sync . # a power cut does not undo the new name
    units stop
    # These files tell a unit which release and settings to start with. Without them it takes TAG and APP.env.
    for part in a b beat; do rm -f "${CLASSIC_ROOT-}/run/$APP/$part.tag" "${CLASSIC_ROOT-}/run/$APP/$part.env"; done
    [ -e TAG ] || return 0 # the first release was taken back
    units start
    # shellcheck source=/dev/null
    . ./TAG
    for role in $ROLES; do
        for _ in $(seq "$READY"); do ! runs "$role" || continue 2; sleep 1; done
        die 1 "$role does not run $TAG: $answer"
    done
}

units() { # units start|stop: the app's jobs of upstart or, if it has none, its units of systemd
    jobs=''
    for job in "$APP-web" "$APP-worker" "$APP-beat"; do [ ! -e "/etc/init/$job.conf" ] || jobs="$jobs $job"; done
    [ -n "$jobs" ] || systemctl "$1" "$APP.target"
    for job in $jobs; do initctl "$1" "$job" || [ "$1" = stop ]; done # what does not run can't be stopped
}

runs() { # runs ROLE: web's /readyz gives 200 and names the release; another's container still runs after 3 seconds
    if [ "$1" = web ]; then
        answer=$(curl -sS -m 5 -w ' (http %{http_code})' --unix-socket "/run/$APP/web.sock" http://localhost/readyz 2>&1)
        case $answer in *"\"release\": \"$TAG\""*"(http 200)") return 0 ;; *) return 1 ;; esac
    fi
    answer='its container does not stay'
    running=$(docker ps -q --filter "name=^/?$APP-$1(-[ab])?\$" --filter "label=docker-runner.image=$IMAGE_ID")
    [ -n "$running" ] && sleep 3 && [ -n "$(docker ps -q --filter "id=$running")" ]
}

at() { # at HOST STEP: run a step on a host
    say "$1: $2"
    ROLES=''
    case " $HOSTS " in *" $1 "*) ROLES=web ;; esac
    case " $CELERY_HOSTS " in *" $1 "*) ROLES="$ROLES worker" ;; esac
    case " $BEAT_HOSTS " in *" $1 "*) ROLES="$ROLES beat" ;; esac
    # shellcheck disable=SC2086 # unquoted: SSH may hold options
    $SSH "$1" "[ \"\$(id -u)\" = 0 ] || sudo='sudo -n'
        exec \${sudo-} env APP=$APP IMAGE=$IMAGE TAG=$TAG READY=$READY ROLES='$ROLES' sh -s $2" <"$0" ||
        { say "$1: $2 failed"; return 1; }
}

take_back() {
    trap '' HUP INT TERM
    left=''
    for host in $restarted; do at "$host" back || left="$left $host"; done
    [ -z "$left" ] || die 3 "some hosts are not back on the old release, check them:$left"
    die 1 "failed; the old release serves (migrations stay)"
}

main() {
    all=$(echo "$HOSTS $CELERY_HOSTS $BEAT_HOSTS" | tr -s '[:space:]' '\n' | awk 'NF && !seen[$0]++')
    for value in "$APP" "$IMAGE" "$TAG" ${all:-''}; do
        case $value in '' | -* | *[!A-Za-z0-9._/:@-]*)
            die 2 "'$value' is invalid: set APP, IMAGE, TAG and HOSTS, with only letters, digits and . _ - / : @" ;;
        esac
    done
    case $READY in *[!0-9]*) die 2 "READY='$READY' is not a number of seconds" ;; esac
    for host in $all; do at "$host" pull || die 2 "nothing was changed"; done
    trap take_back EXIT
    trap 'exit 1' HUP INT TERM
    for host in $HOSTS; do at "$host" publish; done
    for host in $all; do at "$host" migrate; break; done
    for host in $all; do
        restarted="$restarted $host"
        at "$host" restart
    done
    trap - EXIT
    say "$TAG is live"
}

HOSTS=${HOSTS:-} CELERY_HOSTS=${CELERY_HOSTS:-} BEAT_HOSTS=${BEAT_HOSTS:-} APP=${APP:-} IMAGE=${IMAGE:-} TAG=${TAG:-}
SSH=${SSH:-ssh -o BatchMode=yes} READY=${READY:-60} restarted=''
case ${1:-} in # CLASSIC_ROOT: tests only, a folder used as /
    '') main ;;
    *) PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin; cd "${CLASSIC_ROOT-}/var/www/$APP"; "host_$1" </dev/null ;;
esac
