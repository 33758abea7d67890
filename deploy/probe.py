"""What is on a host before anything is done there, and whether it is fit. The script only reads."""

import base64
import re

from . import desired
from .errors import HostProblem
from .conversation import why
from .render import render
from .things import Found, merged

COMMANDS = ("dockerd", "docker", "nginx", "certbot", "python3", "logrotate", "unattended-upgrade")
LEAST = {"systemd": (247,), "Docker": (20, 10), "python3": (3, 9)}
SCRIPT = """
app=$1 paths=$2 packages=$3 marks=$4 named=$5 settings=$6
has() { command -v "$1" >/dev/null 2>&1; }
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
for name in COMMANDS; do has $name || echo "missing $name"; done
for name in $packages; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok' || echo "missing $name"
done
for path in $paths; do [ ! -e "$path" ] && [ ! -L "$path" ] || echo "path $path"; done
has apt-get || echo "problem is not Debian or Ubuntu: there is no apt-get"
[ -d /run/systemd/system ] || echo "problem does not run systemd"
echo "version systemd $(systemctl --version | sed -n '1s/^systemd \\([0-9]*\\).*/\\1/p')"
! has python3 || echo "version python3 $(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
! has dockerd || echo "version Docker $(dockerd --version | sed -n 's/^Docker version \\([0-9.]*\\).*/\\1/p')"
[ ! -e /etc/docker/daemon.json ] || echo "daemon $(base64 </etc/docker/daemon.json | tr -d '\\n')"
! has docker || echo "swarm $(docker info --format '{{.Swarm.LocalNodeState}}' 2>/dev/null)"
whose() {
    of=$(dpkg -S "$1" 2>/dev/null | sed -n '1s/:.*//p')
    if [ -n "$of" ]; then echo "$1 (of the package $of)"; else echo "$1 (of $(stat -c %U "$1"))"; fi
}
taken() {
    for path in $marks; do
        ! [ -f "$path" ] || ! head -n 1 "$path" | grep -q -e '^# Goes to /' -e '^# For docker-runner; written' ||
            return 0
    done
    for path in $named; do if [ -e "$path" ] || [ -L "$path" ]; then whose "$path"; fi; done
    ! getent passwd "$app" >/dev/null || echo "the user $app"
    ! getent group "$app" >/dev/null || echo "the group $app"
}
others=$(taken | sed '$!s/$/,/' | tr '\n' ' ')
[ -z "$others" ] ||
    echo "problem has ${others% } that provisioning has not made: choose another name for the app, or remove that"
MALFORMED
for file in $settings; do
    ! [ -f "$file" ] || ! has docker-runner || bad=$(malformed "$file")
    [ -z "${bad:-}" ] || echo "problem has $file that docker-runner will not take ("$bad"): correct it"
    bad=
done
shell=$(getent passwd "$app" | cut -d: -f7)
case $shell in ''|*/nologin|*/false) ;; *)
    echo "problem has a user $app who may log in ($shell): choose another name for the app, or remove the user" ;;
esac
! has nginx || grep -rqsE 'include.*sites-enabled/' /etc/nginx/nginx.conf /etc/nginx/conf.d ||
    echo "problem has an nginx.conf that reads no sites-enabled: add 'include /etc/nginx/sites-enabled/*;' in http"
LC_ALL=C systemctl list-units --all --plain --no-legend --type=service,target "$app-web@*" "$app-worker@*" \
    "$app-beat.service" "$app-slot.service" "$app.target" |
    while read -r unit load state rest; do [ "$state" = inactive ] || echo "unit $unit"; done
! systemctl is-enabled --quiet "$app.target" 2>/dev/null || echo "unit $app.target"
echo "end"
""".replace("COMMANDS", " ".join(COMMANDS)).replace("MALFORMED\n", re.search(
    r"^malformed\(\) \{.*?^\}\n", render("docker-runner", {}), re.MULTILINE | re.DOTALL)[0])


def words(fleet, remove=False):
    """The words that run the probe."""
    app = fleet.app
    settings = [] if remove else [f"/etc/default/{app}.env", *(f"/run/{app}/{slot}.env" for slot in ("a", "b", "beat"))]
    return ["sh", "-c", SCRIPT, "sh", app, *(" ".join(each) for each in (
        desired.paths_that_matter(fleet), fleet.server["packages"], desired.marks(app), desired.named(app), settings))]


def parse(output):
    """The Found in what the probe has said. Raises HostProblem with all that makes the host unfit."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    told = {}
    for kind, rest in lines:
        told.setdefault(kind, []).append(rest.strip())
    if "end" not in told:
        raise HostProblem("cannot be looked at: the probe ended early")
    problems = told.get("problem", []) + [old for line in told.get("version", []) if (old := too_old(line))]
    daemon_json = decode(told.get("daemon", [""])[0], problems)
    if problems:
        raise HostProblem(*problems)
    return Found(frozenset(told.get("missing", ())), tuple(dict.fromkeys(told.get("unit", ()))),
                 frozenset(told.get("path", ())), daemon_json, told.get("swarm", [""])[0] == "active")


def too_old(line):
    """What is wrong with "NAME VERSION", if anything."""
    name, _, version = line.partition(" ")
    least = LEAST[name]
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    if parts >= least:
        return ""
    return f"{name} is {version or 'of no known version'}, and {'.'.join(map(str, least))} or newer is needed"


def decode(encoded, problems):
    """The text of daemon.json; what is wrong with it is added to the problems."""
    text = base64.b64decode(encoded).decode(errors="replace")
    try:
        merged(text, {})
    except ValueError as error:
        problems.append(f"/etc/docker/daemon.json is no JSON object ({error}): correct it")
    return text


def failed(done):
    """Why the probe could not be run."""
    return [why(done.returncode, done.stderr)]
