"""Asks hosts for what a recipe must know of the app's services before it runs: passwords, the team's own settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ..config import Fleet, Host, Service
from ..config.consistency import of_service_address
from ..config.validators import is_numeric
from ..errors import HostProblem, Refused, on_hosts
from ..server import backups, services
from ..ssh import connection
from ..ssh.gather import gathered
from ..ssh.validate import decoded, visible

# The variables in the environment of the service's container; the last one is the app's password.
VARIABLES = {"postgres": ("POSTGRES_PASSWORD", "APP_PASSWORD"), "redis": ("REDISCLI_AUTH",)}
# A secret is root's alone, whatever somebody has made of it.
OWN = 'own() { chmod 600 "$1" && chown "$(id -u):$(id -g)" "$1"; }'
# $1: path of the env file; $2: the variables to make if there is no file.
MAKE = (
    f"{OWN}\n"
    + r"""
umask 077
[ ! -e "$1" ] || [ -z "$2" ] || own "$1"
if [ ! -e "$1" ] && [ -n "$2" ]; then
    for name in $2; do
        printf '%s=%s\n' "$name" "$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
    done >"$1.$$"
    sync "$1.$$"
    ln "$1.$$" "$1" 2>/dev/null || [ -e "$1" ] # another provisioning may be faster
    rm "$1.$$"
fi
"""
)
# $3: the variable to print.
MAKE_AND_PRINT = MAKE + 'sed -n "s/^$3=//p" "$1" 2>/dev/null || :'
# $1: path without its end; $2: the address; $3: "" to make nothing; $4: what the address is, "ip" or "host". Print the
# certificate for this address.
CERTIFICATE = (
    f"{OWN}\n"
    + r"""
[ ! -e "$1.key" ] || [ -z "$3" ] || own "$1.key"
if [ -n "$3" ] && ! openssl x509 -noout "-check$4" "$2" -in "$1.crt" 2>/dev/null | grep -q "does match"; then
    [ "$4" = ip ] && kind=IP || kind=DNS
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=${1##*/}" \
        -addext "subjectAltName=$kind:$2" -keyout "$1.key.new" -out "$1.crt.new" 2>/dev/null ||
        { echo "openssl cannot make a certificate: apt-get install openssl" >&2; exit 1; }
    mv "$1.key.new" "$1.key"
    mv "$1.crt.new" "$1.crt"
    sync
fi
cat "$1.crt" 2>/dev/null || :
"""
)
# $1: path of APP.env; $2: names, as an expression. Staged settings count, as they are the next deploy's.
SET = r"""
[ ! -e "$1.next" ] || set -- "$1.next" "$2"
sed -En "s/^($2)(_FILE)?=.+/\1/p" "$1" 2>/dev/null || :
"""

# $1: a name. Print its addresses, as this host sees them.
RESOLVE = 'getent ahosts "$1" | cut -d" " -f1 || :'

UNASKED = "{}: {}: so {} stays as it is on all hosts; if this host is lost, take it out of production.toml"


@dataclass(frozen=True)
class Credentials:
    """`passwords`: kind of service → the app's password. `certificates`: kind → that of a service with TLS. `own`: the
    settings of services that the team has set. `repository`: the password and keys of the backups' repository, as lines
    NAME=value. `listen`: name of a host with services → its IP address for the others. `complete`: False if a host
    could not be asked."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    repository: str = ""
    listen: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


async def credentials(fleet: Fleet, hosts: Collection[Host], check: bool) -> Credentials:
    """Ask all hosts that have a service or the app. Make missing passwords on the services' hosts, unless `check`.
    Raise Refused if one of `hosts`, which are to be provisioned, cannot be asked; print a line for each other one."""
    if not fleet.services and not fleet.backup_hosts:
        return Credentials()
    passwords: dict[str, str] = {}
    certificates: dict[str, str] = {}
    repository: list[str] = []
    listen: dict[str, str] = {}

    async def ask(host: Host) -> Sequence[str]:
        if host.services and not fleet.by_socket:
            listen[host.name] = await own_address(fleet, host)
        for service in services.of_host(fleet, host):
            passwords[service.kind] = await password(fleet, service, check)
            if service.tls:
                certificates[service.kind] = await certificate(fleet, service, check)
        if host in fleet.backup_hosts[:1]:
            repository.append(await repository_keys(fleet, host, check))
        return await names_set(fleet, host) if host.roles and fleet.services else ()

    names, problems = await gathered([host for host in fleet.hosts if host.roles or host.services], ask)
    chosen = {host.name for host in hosts}
    if fatal := {name: list(problem.args) for name, problem in problems.items() if name in chosen}:
        raise Refused(on_hosts(fatal))
    for name, problem in problems.items():
        print(visible(UNASKED.format(name, problem, services.settings_path(fleet.app))))
    own = frozenset(name for each in names.values() for name in each)
    return Credentials(passwords, certificates, own, "".join(repository), listen, not problems)


async def own_address(fleet: Fleet, host: Host) -> str:
    """Return the IP address at which other hosts reach the services of this one. Raise HostProblem if it is not the
    host's alone, or if anybody could reach a service without TLS."""
    name = services.address(host)
    if is_numeric(name):  # consistency.py has checked it
        return name
    done = await connection.run(host, fleet.ssh, ["sh", "-euc", RESOLVE, "sh", name], check=True)
    address = (decoded(done.out).split() or [""])[0]
    if not address:
        raise HostProblem(f"hosts.{host.name}.internal: {name} has no address there: write the IP address")
    without_tls = [service.kind for service in services.of_host(fleet, host) if not service.tls]
    if problem := next(of_service_address(address, without_tls), ""):
        raise HostProblem(f"hosts.{host.name}.internal: {name}: {problem}")
    return address


async def repository_keys(fleet: Fleet, host: Host, check: bool) -> str:
    """Return the password of the backups' repository, with the keys that the team has added there."""
    path = backups.keys_path(fleet.app)
    words = ["sh", "-euc", MAKE + 'cat "$1" 2>/dev/null || :', "sh", path, "" if check else "RESTIC_PASSWORD"]
    done = await connection.run(host, fleet.ssh, words, check=True)
    return done.out.decode(errors="surrogateescape")


async def password(fleet: Fleet, service: Service, check: bool) -> str:
    path = f"/etc/default/{services.container(fleet.app, service.kind)}.env"
    variables = VARIABLES[service.kind]
    words = ["sh", "-euc", MAKE_AND_PRINT, "sh", path, "" if check else " ".join(variables), variables[-1]]
    return decoded((await connection.run(service.host, fleet.ssh, words, check=True)).out)


async def certificate(fleet: Fleet, service: Service, check: bool) -> str:
    path = f"/etc/default/{services.container(fleet.app, service.kind)}"
    address = services.address(service.host)
    kind = "ip" if is_numeric(address) else "host"
    words = ["sh", "-euc", CERTIFICATE, "sh", path, address, "" if check else "make", kind]
    return decoded((await connection.run(service.host, fleet.ssh, words, check=True)).out) + "\n"


async def names_set(fleet: Fleet, host: Host) -> Sequence[str]:
    names = "|".join(name for service in fleet.services for name in services.SETTINGS[service.kind])
    words = ["sh", "-euc", SET, "sh", f"/etc/default/{fleet.app}.env", names]
    return decoded((await connection.run(host, fleet.ssh, words, check=True)).out).split()
