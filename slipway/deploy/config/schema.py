"""The keys that deploy/production.toml may hold. Does no I/O."""

from typing import Any

from ..agent.roles import BUILT_IN, SERVICES
from ..backup.place import has_credentials
from .crontab import calendar, is_crontab
from .validators import (
    Check,
    Problems,
    Required,
    each_of,
    flag,
    list_of,
    network,
    number,
    one_of,
    options,
    printable,
    table,
    text,
    value_text,
)

Keys = dict[str, tuple[Check, Any]]  # key → (check of its value, default)
# Names that an app cannot have. Provisioning refuses names in use on a server, but cannot see these: packages not
# yet installed use them, or nginx's variables begin with them.
TAKEN = (
    "docker",
    "containerd",
    "nginx",
    "html",
    "snippets",
    "sites-available",
    "sites-enabled",
    "modules-available",
    "modules-enabled",
    "http",
    "sent-http",
    "request",
)
# Names that a process cannot have, because a unit, container or file on a server, or a command of the image, has them.
NO_PROCESS = (
    "a",
    "b",
    "slot",
    "deploy",
    "retire",
    "migrate",
    "manage",
    "collectstatic",
    "compress",
    "shell",
    "bash",
    "run",
    "healthcheck",
    "help",
    "attempt",
    "nginx",
    "wal",
    "backup",
    "drill",
    "restored",
    *SERVICES,
)
OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
NUMBER = r"(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])"  # a port, from 1 to 65535
PART = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"


# ---- checks used only here ----


def registry(value: object) -> Problems:
    if isinstance(value, dict):
        yield from table(REGISTRY)(value)
    elif value != "ssh":
        yield "", f'{value_text(value)} is neither "ssh" nor a table'


def app_name(value: object) -> Problems:
    yield from text(r"[a-z][a-z0-9-]{0,23}", "a name of up to 24 characters (a-z, 0-9, -) that begins with a-z")(value)
    if value in TAKEN:
        yield "", f"{value_text(value)} is taken on servers: choose another name"


def some_hosts(value: object) -> Problems:
    yield from each_of(host_name, table(HOST))(value) if value else [("", "there is no host: add [hosts.web1]")]


def process_name(value: object) -> Problems:
    if value in (*BUILT_IN, *NO_PROCESS):
        yield "", "the name is taken: choose another one"
    yield from text(r"[a-z][a-z0-9]{0,15}", "a name of up to 16 characters (a-z, 0-9) that begins with a-z")(value)


def words(value: object) -> Problems:
    yield from options(value)
    if isinstance(value, str) and not value.strip(" \t'\""):
        yield "", "the command is empty"


def schedule(value: object) -> Problems:
    if isinstance(value, str) and is_crontab(value):
        form = f'"{calendar(value)}"' if calendar(value) else 'such as "daily" or "*-*-* 04:00"'
        yield "", f"{value_text(value)} is for crontab: write the time for systemd's OnCalendar, {form}"
    else:
        yield from on_calendar(value)


# ---- the keys ----

image = text(rf"(?:[A-Za-z0-9.-]+(?::\d+)?/)?{PART}(?:/{PART})*", "an image's name without a tag")
host_name = text(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a host's name of letters, digits and . _ -")
address = text(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9_.:%-]*", "a name or an address for ssh")
internal = text(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*(?::\d+)?|\[?[0-9a-fA-F:]+\]?(?::\d+)?", "a name or an address, with :port or without"
)
site_name = text(r"(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", "the name of a site")
url_path = text(r"/[!-~]{0,1999}", "a path that begins with /")  # requests.py takes no longer one
server_path = text(r"/[A-Za-z0-9._/@+-]+", "a full path such as /etc/ssl/shop.pem")
variable = text(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")
command = text(r"[^\x00-\x1f\x7f]+", "a command")
size = text(r"\d+[kmg]?", "a size such as 20m")
memory = text(r"auto|off|[1-9]\d*[kmg]", '"auto", "off" or a size such as 2g')
service_image = text(
    rf"(?:[A-Za-z0-9.-]+(?::\d+)?/)?{PART}(?:/{PART})*:[A-Za-z0-9_][A-Za-z0-9_.-]*", "an image with a tag"
)
extension = text(r"[a-z][a-z0-9_-]{0,62}", "the name of an extension such as postgis")
service_memory = text(r"[1-9]\d*[mg]", "a size such as 512m or 2g")
email = text(r"[!-:<-?A-~]+@[!-:<-?A-~]+", "a mail address")
any_name = text(r"[\s\S]*", "a name")  # consistency.py checks that the app has a process of this name
seconds = number(0, 86_400)
ready = text(
    rf"seconds \d{{1,4}}|file|port {NUMBER}|http (:{NUMBER})?/[!-~]*",
    '"seconds N", "file", "port N", "http /path" or "http :N/path"',
)
bucket = text(
    r"|s3://[A-Za-z0-9][A-Za-z0-9._-]{1,62}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?", "a bucket such as s3://bucket/folder"
)
proxy = text(r"[A-Za-z0-9][A-Za-z0-9./:@_-]*", "an image of HAProxy such as haproxy:lts")
port = text(
    rf"({OCTET}(\.{OCTET}){{3}}:)?{NUMBER}:{NUMBER}(/(tcp|udp))?", "a port such as 2525:2525 or 127.0.0.1:2525:2525"
)

on_calendar = text(r"|[A-Za-z0-9*][A-Za-z0-9 *,./:~+_-]*", "a time for systemd's OnCalendar, such as *-*-* 06:30")

any_repository = text(
    r"sftp:[^\s:]+:\S+|sftp://\S+|s3:\S+|(?:rest|b2|azure|gs|swift|rclone):\S+|/\S+",
    'a place for backups, such as "sftp:backup@nas.example:/shop", "s3:https://..." or "/mnt/nas/shop"',
)


def repository(value: object) -> Problems:
    """Errors do not show a value with a key: they may go to a log."""
    if isinstance(value, str) and has_credentials(value):
        yield (
            "",
            "has a password or key in it: give sftp root's key of ssh, and write those of others to"
            " /etc/default/APP.backup on the database's server, as docs/backup.md shows",
        )
    else:
        yield from any_repository(value)


day_time = text(r"(?:[01]\d|2[0-3]):[0-5]\d", 'a time such as "03:00"')
week_time = text(r"(?:mon|tue|wed|thu|fri|sat|sun) (?:[01]\d|2[0-3]):[0-5]\d", 'a day and a time such as "sun 04:00"')
kept = text(r"all|[1-9]\d{0,3}[dwm](?: [1-9]\d{0,3}[dwm])*", 'days, weeks and months such as "7d 4w 6m", or "all"')

REGISTRY: Keys = {"login": (variable, "")}
HOST: Keys = {
    "address": (address, ""),
    "roles": (list_of(any_name), []),
    "balancer": (flag, False),
    "internal": (internal, ""),
    "opts": (options, ""),
}
PROCESS: Keys = {
    "command": (words, Required()),
    "overlap": (flag, False),
    "ready": (ready, "seconds 5"),
    "ports": (list_of(port), []),
    "schedule": (schedule, ""),
}
SITE: Keys = {
    "names": (list_of(site_name), []),
    "tls": (one_of("off", "elsewhere", "files", "certbot"), "off"),
    "certificate": (server_path, ""),
    "key": (server_path, ""),
    "email": (email, ""),
    "body_limit": (size, "20m"),
    "proxies": (list_of(network), []),
}
ROLLOUT: Keys = {
    "smoke": (list_of(url_path, 100), ["/"]),
    "ready": (number(1, 3600), 60),
    "migrate": (number(1, 86_400), 300),
    "always_migrate": (flag, False),
    "max_lock": (number(0, 86_400, float), 2),
    "canary": (seconds, 2),
    "parallel": (number(0, 10_000), 0),
    "bake": (seconds, 10),
    "max_errors": (number(0, 1, float), 0.05),
    "keep_warm": (seconds, 600),
    "drain": (number(0, 30), 30),
    "keep_releases": (number(0, 1000), 5),
    "dead_after": (number(3, 3600), 30),
}
HOOKS: Keys = {"before": (command, ""), "committed": (command, ""), "failed": (command, ""), "alert": (command, "")}
WATCH: Keys = {
    "hosts_up": (number(0, 1, float), 0.8),
    "ttl": (number(3, 3600), 60),
    "disk": (size, "2g"),
    "errors": (flag, False),
    "certificates": (number(0, 365), 14),
    "backup": (number(60, 31_536_000), 3600),
}
ENGINE: Keys = {
    "kind": (one_of("hosts", "swarm"), "hosts"),
    "replicas": (each_of(any_name, number(0, 10_000)), {}),
    "proxy": (proxy, "haproxy:lts"),
}
STATIC: Keys = {"publish": (bucket, "")}
BACKUP: Keys = {
    "to": (repository, ""),
    "wal": (number(60, 86_400), 300),
    "full": (day_time, "03:00"),
    "any_second": (number(1, 3650), 7),
    "keep": (kept, "7d 4w 6m"),
    "drill": (week_time, "sun 04:00"),
    "dump": (service_image, ""),
}
SERVICE: Keys = {
    "image": (service_image, ""),
    "memory": (service_memory, ""),
    "tls": (flag, False),
    "extensions": (list_of(extension), []),
}
TABLES = {
    "site": SITE,
    "rollout": ROLLOUT,
    "hooks": HOOKS,
    "watch": WATCH,
    "engine": ENGINE,
    "static": STATIC,
    "backup": BACKUP,
}
public_key = text(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r" (?:[A-Za-z0-9+/]{4}){10,1000}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?(?: [!-~][ -~]*)?",
    'a public key such as "ssh-ed25519 AAAA... ci"',
)
TOP: Keys = {
    "app": (app_name, Required(": set it here, or set APP")),
    "image": (image, Required(": set it here, or set IMAGE")),
    "registry": (registry, {}),
    "media": (one_of("local", "database", "bucket", "none"), "local"),
    "opts": (options, ""),
    "memory": (memory, "auto"),
    "deploy_keys": (list_of(public_key), []),
    "watch_keys": (list_of(public_key), []),
    "balancer": (one_of("file", "consul"), "file"),
    **{name: (table(keys), {}) for name, keys in TABLES.items()},
    "process": (each_of(process_name, table(PROCESS)), {}),
    "service": (each_of(one_of(*SERVICES), table(SERVICE)), {}),
    "hosts": (some_hosts, Required(": set it here, or set HOSTS")),
}


def defaults(name: str) -> dict[str, Any]:
    return {key: default for key, (_, default) in TABLES[name].items()}


def check(data: dict[str, Any]) -> list[str]:
    """Check each key by itself. Return the problems, a line each."""
    return [printable(f"{path.removeprefix('.')}: {problem}") for path, problem in table(TOP)(data)]
