"""The files of an app's services, such as Postgres, on their host, and the settings by which the app reaches them. Does
no I/O."""

import shlex
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import quote

from ..backup import place
from ..config import Fleet, Host, Service
from ..config.validators import address_and_port
from .files import File, Folder
from .site import nginx_address

MARK = "# A service of {}, for docker-service and docker-runner; written by provisioning."
PORTS = {"postgres": 5432, "redis": 6379}
SETTINGS = {"postgres": ("DATABASE_URL",), "redis": ("BROKER_URL", "CACHE_URL")}
MEGABYTE = 1 << 20
# Connections of a process on one host, both slots of a deploy together: web has at most 9 workers of 4 threads.
OF_PROCESS = {"web": 2 * 9 * (4 + 1), "worker": 4 * 2}
SPARE = 20  # also for Postgres' own reserve of 3
ROOM = 500  # connections to begin with, for some five hosts: more hosts than there is room for cost a restart
# docker-runner puts in what docker-service has found out of the image: its user, and where it keeps data. A restore
# sets DATA, the volume's name.
OF_IMAGE = '--user "$OWNER" -v "${DATA:-$NAME}:$VOLUME"'
OF_ARCHIVE = '--tmpfs "/spool:uid=${OWNER%:*},gid=${OWNER#*:},mode=700"'
# docker-backup mounts the place there. If it is away, the database starts all the same.
OF_FOLDER = (
    '--mount "type=bind,source=/var/backups/{app}/place,target=/repository,bind-propagation=${{PROPAGATION:-rprivate}}"'
)
# Before provisioning has set up the place, no backup needs what happens.
ARCHIVE = "test ! -e /etc/pgbackrest/pgbackrest.conf || exec pgbackrest --stanza={app} archive-push %p"
# Who has the socket must still know a password. The superuser is let in by the socket alone.
ACCESS = """\
local all all scram-sha-256
host all postgres all reject
{host} all all all scram-sha-256
"""
REDIS = """\
dir /data
appendonly yes
unixsocket {folder}/redis.sock
unixsocketperm 777
requirepass {password}
maxmemory {memory}
# Only what has an expiry is dropped for want of memory: the cache, never a task that waits.
maxmemory-policy volatile-lru
bind * -::*
port {port}
"""
REDIS_TLS = """\
tls-port {port}
tls-cert-file /etc/tls/tls.crt
tls-key-file /etc/tls/tls.key
tls-auth-clients no
"""
CERTIFICATES = "/run/services"  # in the app's containers: a certificate KIND.crt of each service with TLS


def container(app: str, kind: str) -> str:
    return f"{app}-{kind}"


def unit(app: str, kind: str) -> str:
    return f"docker-service@{container(app, kind)}.service"


def folder(app: str, kind: str) -> str:
    """Return the folder of the service's unix socket, on the host and in containers."""
    return f"/run/{container(app, kind)}"


def address(host: Host) -> str:
    """Return the name or address at which other hosts reach this host's services. A port in `internal` is web's."""
    return address_and_port(host.internal_address)[0]


def of_host(fleet: Fleet, host: Host) -> list[Service]:
    return [service for service in fleet.services if service.host == host]


# ---- files on the service's host ----


def description(fleet: Fleet, service: Service, listen: str, allowed: int = 0) -> File:
    """Return /etc/default/APP-KIND, which docker-service and docker-runner read. `listen`: the IP address of the host
    at which other hosts reach the service; `allowed`: how many connections it allows until now."""
    name = container(fleet.app, service.kind)
    lines = [
        MARK.format(fleet.app),
        f"NAME={name}",
        f"APP={fleet.app}",
        f"KIND={service.kind}",
        *([f"TLS={address(service.host)}"] if service.tls else []),
        *(["BACKUP=yes"] if is_backed_up(fleet, service) else []),
        *([f"EXTENSIONS={shlex.quote(' '.join(service.extensions))}"] if service.extensions else []),
        f"IMAGE={service.image}",
        f"OPTS={shlex.quote(' '.join([*of_image(fleet, service), shlex.join(options(fleet, service, listen))]))}",
        f"COMMAND={shlex.quote(shlex.join(command(fleet, service, allowed)))}",
    ]
    return File(f"/etc/default/{name}", "".join(f"{line}\n" for line in lines))


def is_backed_up(fleet: Fleet, service: Service) -> bool:
    return service.kind == "postgres" and service.host in fleet.backup_hosts


def of_image(fleet: Fleet, service: Service) -> list[str]:
    """Return options of `docker run` that docker-runner completes by what docker-service has found out."""
    if not is_backed_up(fleet, service):
        return [OF_IMAGE]
    kept = place.parse(fleet.backup["to"])
    return [OF_IMAGE, OF_ARCHIVE, *([OF_FOLDER.format(app=fleet.app)] if kept and kept.folder else [])]


def configured(app: str) -> list[str]:
    """Return the option of `docker run` by which pgBackRest in the container knows its place."""
    source = f"/etc/default/{container(app, 'postgres')}.pgbackrest"
    return ["--mount", f"type=bind,source={source},target={place.CONFIGURATION},readonly"]


def network(fleet: Fleet, service: Service, listen: str) -> list[str]:
    """Return the options by which others reach the service, and its backups their place."""
    port = PORTS[service.kind]
    if not fleet.by_socket:
        return ["-p", f"{nginx_address(listen)}:{port}:{port}"]
    kept = place.parse(fleet.backup["to"]) if is_backed_up(fleet, service) else None
    return [] if kept and not kept.folder else ["--network=none"]


def options(fleet: Fleet, service: Service, listen: str) -> list[str]:
    """Return options of `docker run` that do not depend on the image."""
    run = folder(fleet.app, service.kind)
    return [
        *("-v", f"{run}:{run}", "--read-only", "--tmpfs=/tmp"),
        *(f"--memory={service.memory}", f"--memory-swap={service.memory}"),
        *network(fleet, service, listen),
        *("--health-interval=30s", "--health-timeout=5s", "--health-retries=3", "--health-start-period=5m"),
        *(tls_mounts(fleet.app, service.kind) if service.tls else []),
        *of_kind(fleet, service),
    ]


def tls_mounts(app: str, kind: str) -> list[str]:
    folder = f"/etc/default/{container(app, kind)}.d"
    return [word for name in ("tls.crt", "tls.key") for word in ("-v", f"{folder}/{name}:/etc/tls/{name}:ro")]


def of_kind(fleet: Fleet, service: Service) -> list[str]:
    """Return options of `docker run` for this kind of service."""
    name, run = container(fleet.app, service.kind), folder(fleet.app, service.kind)
    if service.kind == "redis":
        health = f"redis-cli -s {run}/redis.sock ping"
        return ["-v", f"/etc/default/{name}.d/redis.conf:/etc/redis.conf:ro", f"--health-cmd={health}"]
    return [
        *("-v", f"/etc/default/{name}.d/pg_hba.conf:/etc/pg_hba.conf:ro"),
        f"--shm-size={size(service.memory) // 4}",  # for parallel queries; Docker's 64 MB are too few
        "--stop-signal=SIGINT",  # do not wait for clients that stay connected
        f"--health-cmd=pg_isready -q -h {run} -U postgres",
        *(configured(fleet.app) if is_backed_up(fleet, service) else []),
    ]


def command(fleet: Fleet, service: Service, allowed: int) -> list[str]:
    """Return the words after the image."""
    if service.kind == "redis":
        return ["redis-server", "/etc/redis.conf"]
    memory = size(service.memory) // MEGABYTE
    values = {
        "listen_addresses": "" if fleet.by_socket else "*",
        "unix_socket_directories": folder(fleet.app, service.kind),
        "hba_file": "/etc/pg_hba.conf",
        "max_connections": str(connections(fleet, allowed)),
        "shared_buffers": f"{memory // 4}MB",
        "effective_cache_size": f"{memory * 3 // 4}MB",
        "maintenance_work_mem": f"{max(memory // 16, 16)}MB",
    }
    if is_backed_up(fleet, service):
        values |= {"archive_mode": "on", "archive_command": ARCHIVE.format(app=fleet.app)}
        values |= {"archive_timeout": str(fleet.backup["wal"])}
    if service.tls:
        values |= {"ssl": "on", "ssl_cert_file": "/etc/tls/tls.crt", "ssl_key_file": "/etc/tls/tls.key"}
    return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]


def connections(fleet: Fleet, allowed: int) -> int:
    """Return how many connections Postgres allows: as many as until now if they are enough, as another number costs a
    restart; else ROOM, or double that until it is enough."""
    needed, room = connections_needed(fleet), ROOM
    if allowed >= needed:
        return allowed
    while room < needed:
        room *= 2
    return room


def connections_needed(fleet: Fleet) -> int:
    """Return what docs/image.md's sum gives for the default settings of web and worker on large hosts, and some for
    people and tools."""
    return sum(OF_PROCESS.get(role, 4) for host in fleet.hosts for role in host.roles) + SPARE


def size(text: str) -> int:
    """Return the bytes of a size such as "512m" or "2g"."""
    return int(text[:-1]) * {"m": MEGABYTE, "g": 1024 * MEGABYTE}[text[-1]]


def secret_folder(app: str, kind: str) -> Folder:
    return Folder(f"/etc/default/{container(app, kind)}.d", "700")


def configuration(fleet: Fleet, service: Service, password: str) -> File:
    """Return the file that the container reads. Its folder is root's alone; Docker mounts the file itself."""
    path = secret_folder(fleet.app, service.kind).path
    if service.kind == "postgres":
        return File(f"{path}/pg_hba.conf", ACCESS.format(host="hostssl" if service.tls else "host"), "444")
    values = {
        "folder": folder(fleet.app, "redis"),
        "password": password,
        "memory": str(size(service.memory) * 3 // 4),
        "port": "0" if fleet.by_socket or service.tls else str(PORTS["redis"]),
    }
    text = REDIS.format(**values)
    if service.tls:
        text += REDIS_TLS.format(port=PORTS["redis"])
    return File(f"{path}/redis.conf", text, "444")


def secrets(fleet: Fleet, service: Service) -> list[File]:
    """Return the files that provisioning lets the host make: passwords, the key of a certificate."""
    path = f"/etc/default/{container(fleet.app, service.kind)}"
    return [File(f"{path}.{end}", "", "600") for end in ("env", *(["key"] if service.tls else []))]


# ---- settings of the app ----


def settings(fleet: Fleet, passwords: Mapping[str, str], own: Collection[str]) -> File:
    """Return /etc/default/APP.services, an env file. `passwords`: kind → password; `own`: settings that the team has
    set, which stay as they are."""
    values = {
        name: value
        for service in fleet.services
        for name, value in urls(fleet, service, passwords[service.kind]).items()
        if name not in own
    }
    return File(settings_path(fleet.app), "".join(f"{name}={value}\n" for name, value in values.items()), "600")


def certificate(app: str, kind: str, text: str) -> File:
    """Return the file on the app's hosts by which its containers know the service."""
    return File(f"{certificates_folder(app).path}/{kind}.crt", text)


def certificates_folder(app: str) -> Folder:
    return Folder(f"/etc/default/{app}.services.d", "755")


def settings_path(app: str) -> str:
    return f"/etc/default/{app}.services"


def urls(fleet: Fleet, service: Service, password: str) -> dict[str, str]:
    """Return the settings by which the app reaches a service. Root may have given it a password of any characters."""
    app, run, password = fleet.app, folder(fleet.app, service.kind), quote(password, safe="")
    where = f"{nginx_address(address(service.host))}:{PORTS[service.kind]}"
    known_by = f"{CERTIFICATES}/{service.kind}.crt"
    if service.kind == "postgres":
        socket_or_address = quote(run, safe="") if fleet.by_socket else where
        tls = f"?sslmode=verify-full&sslrootcert={known_by}" if service.tls else ""
        return {"DATABASE_URL": f"postgres://{app}:{password}@{socket_or_address}/{app}{tls}"}
    if fleet.by_socket:
        return {
            "BROKER_URL": f"redis+socket://:{password}@{run}/redis.sock?virtual_host=0",
            "CACHE_URL": f"unix://:{password}@{run}/redis.sock?db=1",
        }
    scheme, tls = ("rediss", f"?ssl_ca_certs={known_by}") if service.tls else ("redis", "")
    return {
        "BROKER_URL": f"{scheme}://:{password}@{where}/0{tls}",
        "CACHE_URL": f"{scheme}://:{password}@{where}/1{tls}",
    }


# ---- what is left of a role that a host no longer has ----


def stale_units(fleet: Fleet, host: Host) -> Iterator[str]:
    yield from (unit(fleet.app, kind) for kind in PORTS if kind not in host.services)
