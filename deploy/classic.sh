#!/bin/sh
# classic.sh: stop the old release, then start the new one, on hosts with upstart or without Python (docs/deploy.md).
#
#   HOSTS="app1 app2" CELERY_HOSTS=app3 BEAT_HOSTS=app3 \
#     APP=shop IMAGE=registry.example/shop TAG=build-42 deploy/classic.sh
#
# Also: SSH="ssh -F file"; INIT=systemd or upstart (default: detected); READY=60, seconds for a host to get ready.
# Exit codes: 0 released; 1 failed and taken back; 2 refused, nothing changed; 3 failed, not taken back everywhere.
set -eu

say() { printf '%s\n' "classic: $*" >&2; }
die() { status=$1; shift; say "$*"; exit "$status"; }

# ---- on a host, as root: the host gets this file and runs `on_host STEP APP IMAGE TAG INIT READY [ROLE...]` ----
# RUN in the environment is ID,USER@HOST,BEGAN,SECONDS: the attempt, its owner, start and age by the deployer's clock.

host_check() { # refuse a host that lacks something
    for tool in docker docker-runner curl; do command -v "$tool" >/dev/null || die 2 "there is no $tool: install it"; done
    curl --unix-socket / --version >/dev/null || die 2 "curl is older than 7.40"
    [ -f "/etc/default/$app" ] || die 2 "there is no /etc/default/$app: provision this host first"
    [ -d "$www" ] || die 2 "there is no /var/www/$app: provision this host first"
}

host_pull() {
    docker pull -q "$image:$tag" >/dev/null
    ! grep -qsx "export TAG=$tag" "$www/TAG" || grep -qx "export IMAGE_ID=$(image_id)" "$www/TAG" ||
        die 2 "$tag is live here, but the registry has another image with this tag: build with a new tag"
    rm -f "$www/TAG.before" "$www/REVERT.before"
}

image_id() { docker image inspect --format '{{.Id}}' "$image:$tag"; }

host_write() { # copy TAG to REVERT, write the new TAG. Keep copies of both old files until the release is healthy
    cd "$www"
    ! grep -qsx "export TAG=$tag" TAG || return 0 # the tag is live already: this is a restart
    for file in TAG REVERT; do if [ -e $file ]; then cp $file $file.before; else : >$file.before; fi; done
    sync TAG.before REVERT.before
    if [ -e TAG ]; then
        cp TAG REVERT.new
        put REVERT.new REVERT
    fi
    printf 'export TAG=%s\nexport IMAGE_ID=%s\n' "$tag" "$(image_id)" >TAG.new
    put TAG.new TAG
}

put() { # put FILE TO: rename atomically, and survive a power cut
    sync "$1" && mv "$1" "$2" && sync .
}

# Succeed if the image has Django's manifest of static files. Without a manifest there are no static files to publish.
has_static() {
    folder=$(docker image inspect --format '{{.Config.WorkingDir}}' "$image:$tag") || die 1 "Docker does not answer for $image:$tag"
    container=$(docker create "$image:$tag" -) || die 1 "docker create of $image:$tag failed"
    said=$(docker cp "$container:$folder/static-root/staticfiles.json" - 2>&1 >/dev/null) && found=0 || found=1
    docker rm "$container" >/dev/null || die 1 "docker rm $container failed"
    case $found$said in 0*) return 0 ;; 1*"ould not find the file"* | 1*"o such container:path"*) return 1 ;; esac
    die 1 "docker cp from $image:$tag failed: $said"
}

host_publish() { # a container, as the app's user, writes static.new. Copy only its regular files, with our modes
    has_static || return 0
    cd "$www"
    [ -z "$(find static -type l)" ] || die 1 "there is a symlink in $www/static: remove it"
    rm -rf static.new
    install -d -m 700 -o "$app" static.new
    EXTRA="--network none -v $www/static.new:/static" docker-runner "$app" collectstatic /static
    umask 022
    (cd static.new && find . -type f -links 1 -exec sh -euc 'for file; do
        [ ! -e "../static/$file" ] || continue
        mkdir -p "../static/${file%/*}"
        cat "$file" >"../static/$file.part"
        mv "../static/$file.part" "../static/$file"
    done' sh {} +)
    rm -rf static.new
}
host_migrate() { docker-runner "$app" migrate; }

host_restart() {
    [ "$init" != detect ] || if [ -d /run/systemd/system ]; then init=systemd; else init=upstart; fi
    "stop_$init"
    # These files tell a unit which release and settings to start with. Without them it takes TAG and APP.env.
    for part in a b beat; do rm -f "/run/$app/$part.tag" "/run/$app/$part.env"; done
    [ ! -e "$www/TAG" ] || "start_$init"
}

stop_systemd() { systemctl stop "$app.target"; }
start_systemd() { systemctl start "$app.target"; }
jobs_here() { for kind in web worker beat; do [ ! -e "/etc/init/$app-$kind.conf" ] || echo "$app-$kind"; done; }
stop_upstart() { for job in $(jobs_here); do ! initctl status "$job" | grep -q start/ || initctl stop "$job"; done; }
start_upstart() { for job in $(jobs_here); do initctl start "$job"; done; }

host_probe() { # host_probe [ROLE...]: wait up to $ready seconds until each role runs the release in TAG
    [ -e "$www/TAG" ] || return 0
    # shellcheck source=/dev/null
    . "$www/TAG"
    deadline=$(($(clock) + ready))
    for role in "$@"; do
        until "ready_$role"; do
            [ "$(clock)" -lt "$deadline" ] || die 1 "$role does not run $TAG after $ready s: ${answer:-no container}"
            sleep 0.2
        done
    done
}

clock() { cut -d. -f1 /proc/uptime; } # seconds since boot: the host's clock may step

ready_web() { # /readyz, through nginx or from the app, must give 200 and name the release
    socket=/run/$app/nginx.sock
    [ -S "$socket" ] || socket=/run/$app/web.sock
    answer=$(curl -sS -m 5 -w ' (http %{http_code})' --unix-socket "$socket" http://localhost/readyz 2>&1) || return 1
    case $answer in *"\"release\": \"$TAG\""*"(http 200)") ;; *) return 1 ;; esac
}

ready_worker() { stays worker; }
ready_beat() { stays beat; }
stays() { # the release's container runs, and is the same one 3 seconds later
    answer='' first=$(container "$1")
    [ -n "$first" ] && sleep 3 && answer="it keeps restarting" && [ "$(container "$1")" = "$first" ]
}
container() { docker ps -q --filter "name=^/?$app-$1(-[ab])?\$" --filter "label=docker-runner.image=$IMAGE_ID"; }

record() { # record OUTCOME [ROLE...]: append to releases.log as the deployer does, with a CRC32 of the line
    cd "$www"
    outcome=$1 action=restart roles='' now=$(date +%s)
    shift
    [ ! -e TAG.before ] || action=deploy
    for role in "$@"; do roles="$roles${roles:+, }\"$role\""; done
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image:$tag" |
        sed -n "s,^$image@,,p" | head -n 1)
    who="$action $tag by ${by%@*} from ${by##*@} since $(date -d "@$began" '+%Y-%m-%d %H:%M:%S %Z')"
    set -- "$(printf '{"id": "%s", "action": "%s", "tag": "%s", "image_id": "%s", "digest": "%s", "who": "%s", ' \
        "$id" "$action" "$tag" "$(image_id)" "$digest" "$who")" \
        "$(printf '"began": %s, "at": %s, "seconds": %s, "outcome": "%s", "roles": [%s], "version": 1' \
        "$began" "$now" "$took" "$outcome" "$roles")"
    { [ ! -e releases.log ] || tail -n 4999 releases.log | awk 1 # awk adds a newline to an unfinished last line
      printf '%s, "crc32": "%s"}\n' "$1$2" "$(printf '%s}' "$1$2" | crc32)"; } >releases.log.new &&
        put releases.log.new releases.log
}

crc32() { # print stdin's CRC32, which gzip writes near its end, lowest byte first
    # shellcheck disable=SC2046 # unquoted: od prints four words
    set -- $(gzip -c | tail -c 8 | od -An -tx1 -N4)
    printf %s "$4$3$2$1"
}

host_back() {
    record "taken back" "$@" || say "releases.log could not be written"
    cd "$www"
    for file in TAG REVERT; do
        if [ -s $file.before ]; then mv $file.before $file; elif [ -e $file.before ]; then rm $file $file.before; fi
    done
    sync .
}

host_tidy() {
    record committed "$@" || say "releases.log could not be written"
    rm -f "$www/TAG.before" "$www/REVERT.before"
}

on_host() {
    step=$1 app=$2 image=$3 tag=$4 init=$5 ready=$6
    shift 6
    www=${CLASSIC_ROOT:-}/var/www/$app # CLASSIC_ROOT: tests only, a folder used as /
    id=${RUN%%,*} took=${RUN##*,} by=${RUN#*,} by=${by%%,*} began=${RUN%,*} began=${began##*,}
    PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin
    "host_$step" "$@"
}

# ---- on this machine ----

at() { # at HOST STEP: run a step on a host
    say "$1: $2"
    took=$(($(date +%s) - began))
    [ $took -ge 0 ] || took=0 # the clock stepped back
    # shellcheck disable=SC2086 # unquoted: SSH may hold options
    $SSH "$1" "sh=\"env RUN=$RUN,$took sh -s -- on_host $2 $APP $IMAGE $TAG $INIT $READY $(roles "$1")\";
        [ \"\$(id -u)\" = 0 ] || sh=\"sudo -n \$sh\"; exec \$sh" <"$0"
}

roles() {
    case " $HOSTS " in *" $1 "*) printf 'web ' ;; esac
    case " $CELERY_HOSTS " in *" $1 "*) printf 'worker ' ;; esac
    case " $BEAT_HOSTS " in *" $1 "*) printf 'beat ' ;; esac
}

fail() { # fail WHAT: return all changed hosts to the old release; exit 1, or 3 if a host cannot return
    trap '' HUP INT TERM
    say "$1: taking back$touched"
    left=''
    for host in $touched; do at "$host" back || left="$left $host"; done
    for host in $restarted; do at "$host" restart && at "$host" probe || left="$left $host"; done
    [ -z "$left" ] || die 3 "some hosts are not back on the old release, check them:$left"
    die 1 "$1; the old release serves (migrations stay)"
}

plain() { # plain NAME VALUE: refuse a value that is unsafe in a command line
    case $2 in '' | -* | *[!A-Za-z0-9._/:@-]*) die 2 "$1='$2' is invalid: set $1, with only letters, digits and . _ - / : @" ;; esac
}

main() {
    HOSTS=${HOSTS:-} CELERY_HOSTS=${CELERY_HOSTS:-} BEAT_HOSTS=${BEAT_HOSTS:-}
    APP=${APP:-} IMAGE=${IMAGE:-} TAG=${TAG:-} SSH=${SSH:-ssh -o BatchMode=yes}
    began=$(date +%s) by=$(printf '%s@%s' "$(id -un)" "$(uname -n)" | tr -cd 'A-Za-z0-9._@-')
    RUN=$(printf '%08x%04x,%s,%s' "$began" $$ "$by" "$began")
    INIT=${INIT:-detect} READY=${READY:-60} all='' touched='' restarted=''
    plain APP "$APP"; plain IMAGE "$IMAGE"; plain TAG "$TAG"
    case $READY in *[!0-9]*) die 2 "READY='$READY' is not a number of seconds" ;; esac
    case $INIT in systemd | upstart | detect) ;; *) die 2 "INIT='$INIT' is neither systemd nor upstart" ;; esac
    for host in $HOSTS $CELERY_HOSTS $BEAT_HOSTS; do
        plain HOSTS "$host"
        case " $all " in *" $host "*) ;; *) all="$all $host" ;; esac
    done
    [ -n "$all" ] || die 2 "no hosts: set HOSTS, CELERY_HOSTS or BEAT_HOSTS"
    first=${all# } first=${first%% *}

    for step in check pull; do
        for host in $all; do at "$host" $step || die 2 "$host: $step failed, nothing was changed"; done
    done
    trap 'fail interrupted' HUP INT TERM
    for host in $all; do touched="$touched $host"; at "$host" write || fail "$host: TAG can't be written"; done
    for host in $HOSTS; do at "$host" publish || fail "$host: static files can't be published"; done
    at "$first" migrate || fail "$first: migrate failed"
    for host in $all; do
        restarted="$restarted $host"
        at "$host" restart || fail "$host: the restart failed"
        at "$host" probe || fail "$host: $TAG did not become ready"
    done
    trap '' HUP INT TERM
    for host in $all; do at "$host" tidy || say "$host: TAG.before and REVERT.before can't be removed"; done
    say "$TAG is live on$all"
}

if [ "${1:-}" = on_host ]; then "$@" </dev/null; else main; fi
