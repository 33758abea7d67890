#!/bin/sh
# Inspects a server before provisioning changes it; changes nothing. Prints a line KIND REST for each finding.
#
# $1: app; $2: files whose first line shows if provisioning wrote them; $3: all paths with the app's name; $4: its env
# file; $5: units of the team's processes; $6: Consul's service definition; $7: names of the app's services here; $8: the
# team's certificate and key, if nginx needs them here; $9: the text of slipway/envfile.py. POSIX sh. fitness.py puts the
# function `processes` from docker-slot in front of this script.

units=/etc/systemd/system/$1 app=$1 marks=$2 named=$3 settings=$4 own=$5 service=$6 services=$7 tls=$8 envfile=$9
root=${DOCKER_RUNNER_ROOT:-} # tests only: a folder used as /
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
has() { command -v "$1" >/dev/null 2>&1; }

# ---- programs ----

for name in apt-get dockerd docker nginx certbot python3 logrotate restic sudo; do
    has $name || echo "missing $name"
done
[ -d /run/systemd/system ] || echo "missing systemd"
echo "hostname $(uname -n)"
echo "version systemd $(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')"
! has python3 || echo "version python3 $(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
! has dockerd || echo "version Docker $(dockerd --version | sed -n 's/^Docker version \([0-9.]*\).*/\1/p')"
[ "$(readlink "$root/run/systemd/system/nginx.service")" != /dev/null ] || echo "masked"
[ ! -e /etc/docker/daemon.json ] || printf 'daemon %s\n' "$(tr '\r\n' '  ' </etc/docker/daemon.json)"
! has docker || echo "swarm $(docker info --format '{{.Swarm.LocalNodeState}}' 2>/dev/null || echo inactive)"
if ! [ -d "${service%/*}" ] || ! systemctl cat consul.service >/dev/null 2>&1; then echo "missing consul-agent"; fi
! has nginx || grep -rqsE 'include.*sites-enabled/' /etc/nginx/nginx.conf /etc/nginx/conf.d || echo "missing sites-enabled"

# ---- other uses of the app's name ----

ours() { [ -f "$1" ] && head -n 1 "$1" | grep -q -e '^# Goes to /' -e '^# For docker-runner; written'; }
others() {
    for path in $marks; do ! ours "$path" || return 0; done
    for path in $named; do if [ -e "$path" ] || [ -L "$path" ]; then echo "other $path"; fi; done
    ! getent passwd "$app" >/dev/null || echo "other the user $app"
    ! getent group "$app" >/dev/null || echo "other the group $app"
}
others
for path in $own; do
    if [ -e "$path" ] && ! ours "$path"; then echo "other $path"; fi
done
for name in $services; do # what no provisioning has made
    ! head -n 1 "$root/etc/default/$name" 2>/dev/null | grep -q "^# A service of $app," || continue
    [ ! -e "$root/etc/default/$name" ] || echo "other $root/etc/default/$name"
    ! has docker || ! docker container inspect "$name" >/dev/null 2>&1 || echo "other the container $name"
    ! has docker || ! docker volume inspect "$name" >/dev/null 2>&1 || echo "other the volume $name"
done
timers() { # print names of the app's processes that have a timer here
    sed -n "s|^# Goes to $units-\([a-z0-9]*\)\.timer .*|\1|p" "$root$units-"*.timer 2>/dev/null
}
if grep -qs 'written by provisioning' "$service"; then echo "registered"; elif [ -e "$service" ]; then echo "defined"; fi
[ "$(id -gn "$app" 2>/dev/null)" != "$app" ] || echo "user $app"  # otherwise provisioning adds user and group

# ---- the team's certificate ----

# shellcheck disable=SC2086  # two paths
[ -z "$tls" ] || python3 - $tls 2>/dev/null <<'END'
import os, ssl, sys
missing = [path for path in sys.argv[1:] if not os.path.isfile(path)]
if missing:
    print("certificate has no", ", ".join(missing))
else:
    try:  # as nginx does
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*sys.argv[1:], password=lambda: "")
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or "malformed"
        print("certificate cannot use", " with ".join(sys.argv[1:]), "(" + cause.replace("_", " ").lower() + ")")
END

# ---- the app's state ----

[ ! -e "$settings" ] || python3 - "$settings" "$envfile" 2>/dev/null <<'END'
import sys
envfile = {"__name__": "envfile"}
exec(sys.argv[2], envfile)
for problem in envfile["read_file"](sys.argv[1])[1]:
    print("malformed", problem)
END
answers() { # answers SOCKET: true if the web is ready. The file of a socket may exist without a web
    [ -S "$1" ] && python3 - "$1" 2>/dev/null <<'END'
import http.client, socket, sys
connection = http.client.HTTPConnection("localhost", timeout=5)
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.settimeout(5)
connection.sock.connect(sys.argv[1])
connection.request("GET", "/readyz")
sys.exit(connection.getresponse().status != 200)
END
}
own_name() { # own_name APP: print the name in its SITE_URL
    cat "$root/etc/default/$1.env.next" "$root/etc/default/$1.env" 2>/dev/null |
        sed -n 's|^SITE_URL=[a-z]*://\([^:/@]*\).*|\1|p' | head -n 1
}
echo "own $(own_name "$app")"
# Each other site of nginx, with its names; _ stands for the default of port 80, and for all names. Then =NAME is its own.
for site in "$root"/etc/nginx/sites-enabled/* "$root"/etc/nginx/conf.d/*.conf; do
    name=${site##*/} public=$root/etc/nginx/${site##*/}/public.conf
    case $name in "$app" | "$app-balancer" | default) continue ;; esac
    names=$(sed -n 's/^ *server_name \(.*\);.*/\1/p' "$public" 2>/dev/null | sort -u | tr '\n' ' ')
    ! grep -qsE '^ *listen +([^ ;]*:)?80 [^;]*default_server' "$site" "$public" || names="$names _"
    case " $names " in *" _ "*) names="$names =$(own_name "${name%-balancer}")" ;; esac
    [ -z "$names" ] || echo "site ${name%-balancer} $names"
done
! answers "$root/run/$app/web.sock" || echo "serves"
! [ -e "/etc/nginx/$app-balancer/drained" ] || sed 's/^/drained /' "/etc/nginx/$app-balancer/drained"
{ processes; timers; } | sed 's/^/process /'
# shellcheck disable=SC2046
LC_ALL=C systemctl list-units --all --plain --no-legend --type=service,target \
    $(processes | sed "s/^/$app-/; s/@\$/@*/; /@\*\$/!s/\$/.service/") "$app-slot.service" "$app.target" |
    while read -r unit _ state _; do [ "$state" = inactive ] || echo "unit $unit"; done
for unit in "$app.target" "docker-service@$app-postgres.service" "docker-service@$app-redis.service" \
    "docker-backup-base@$app.timer" "docker-backup-wal@$app.timer" "docker-backup-files@$app.timer" "docker-backup-dump@$app.timer" "docker-backup-drill@$app.timer" \
    "balancer-hosts@$app.service" "consul-hosts@$app.service" $(timers | sed "s/.*/$app-&.timer/"); do
    ! systemctl is-enabled --quiet "$unit" 2>/dev/null || echo "unit $unit"
done
