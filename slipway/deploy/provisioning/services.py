"""Asks hosts for what a recipe must know of the app's services before it runs: passwords, the team's own settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..config import Fleet, Host, Service
from ..server import services
from ..ssh import connection
from ..ssh.gather import on_each
from ..ssh.validate import decoded

# The variables in the environment of the service's container; the last one is the app's password.
VARIABLES = {"postgres": ("POSTGRES_PASSWORD", "APP_PASSWORD"), "redis": ("REDISCLI_AUTH",)}
# $1: path of the env file; $2: the variables to make if there is no file; $3: the variable to print.
MAKE_AND_PRINT = r"""
umask 077
if [ ! -e "$1" ] && [ -n "$2" ]; then
    for name in $2; do
        printf '%s=%s\n' "$name" "$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
    done >"$1.$$"
    sync "$1.$$"
    ln "$1.$$" "$1" 2>/dev/null || [ -e "$1" ] # another provisioning may be faster
    rm "$1.$$"
fi
sed -n "s/^$3=//p" "$1" 2>/dev/null || :
"""
# $1: path of APP.env; $2: names, as an expression. Staged settings count, as they are the next deploy's.
SET = r"""
[ ! -e "$1.next" ] || set -- "$1.next" "$2"
sed -En "s/^($2)(_FILE)?=.+/\1/p" "$1" 2>/dev/null || :
"""


@dataclass(frozen=True)
class Credentials:
    """`passwords`: kind of service → the app's password. `own`: the settings of services that the team has set."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()


async def credentials(fleet: Fleet, check: bool) -> Credentials:
    """Ask all hosts that have a service or the app. Make missing passwords on the services' hosts, unless `check`.
    Raise DeployError if a host cannot be asked."""
    if not fleet.services:
        return Credentials()
    passwords: dict[str, str] = {}

    async def ask_password(host: Host) -> None:
        for service in services.of_host(fleet, host):
            passwords[service.kind] = await password(fleet, service, check)

    await on_each(list(dict.fromkeys(service.host for service in fleet.services)), ask_password)
    names = await on_each(fleet.app_hosts, lambda host: names_set(fleet, host))
    return Credentials(passwords, frozenset(name for each in names.values() for name in each))


async def password(fleet: Fleet, service: Service, check: bool) -> str:
    path = f"/etc/default/{services.container(fleet.app, service.kind)}.env"
    variables = VARIABLES[service.kind]
    words = ["sh", "-euc", MAKE_AND_PRINT, "sh", path, "" if check else " ".join(variables), variables[-1]]
    return decoded((await connection.run(service.host, fleet.ssh, words, check=True)).out)


async def names_set(fleet: Fleet, host: Host) -> Sequence[str]:
    names = "|".join(name for service in fleet.services for name in services.SETTINGS[service.kind])
    words = ["sh", "-euc", SET, "sh", f"/etc/default/{fleet.app}.env", names]
    return decoded((await connection.run(host, fleet.ssh, words, check=True)).out).split()
