"""The place of backups: `to` of [backup], in restic's form, and as options of pgBackRest. Does no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

FILES, DATABASE = "files", "database"  # folders of the place: restic's repository, pgBackRest's
INSIDE = "/repository"  # where containers have a place that is a folder
CONFIGURATION = "/etc/pgbackrest"  # where containers have pgBackRest's configuration
FORMS = {
    "sftp": re.compile(r"sftp:(?://(?P<where>[^:/\s]+(?::\d+)?)/(?P<path>\S+)|(?P<where2>[^:/\s]+):(?P<path2>\S+))"),
    "s3": re.compile(
        r"s3:(?:https://)?(?P<endpoint>[^/:\s]+)(?::(?P<port>\d+))?/(?P<where>[^/\s]+)(?P<path>(?:/\S*)?)"
    ),
    "gcs": re.compile(r"gs:(?P<where>[^:/\s]+):(?P<path>/\S*)"),
    "azure": re.compile(r"azure:(?P<where>[^:/\s]+):(?P<path>/\S*)"),
    "posix": re.compile(r"(?P<where>)(?P<path>/\S+)"),
}
PARAMETER = re.compile(r"(?:key|pass|password|secret|sig|token)=", re.IGNORECASE)
AUTHORITY = "SSL_CERT_FILE"  # as restic reads it: a file with the certificates that a server of one's own is known by
CERTIFICATES = "ca.crt"  # its copy in the configuration
# restic's variables of the environment, and what pgBackRest calls them
KEYS = {
    "AWS_ACCESS_KEY_ID": "s3-key",
    "AWS_SECRET_ACCESS_KEY": "s3-key-secret",
    "AWS_SESSION_TOKEN": "s3-token",
    "AWS_DEFAULT_REGION": "s3-region",
    "GOOGLE_ACCESS_TOKEN": "gcs-key",
    "AZURE_ACCOUNT_NAME": "azure-account",
    "AZURE_ACCOUNT_KEY": "azure-key",
    "AZURE_ACCOUNT_SAS": "azure-key",
}


@dataclass(frozen=True)
class Place:
    """`kind`: a repo-type of pgBackRest. `where`: the bucket or container, or the host with user@ and :port as in `to`.
    `path`: the folder of both tools; of sftp it may be relative to the user's home."""

    kind: str
    where: str
    path: str
    port: str = ""
    endpoint: str = ""

    @property
    def database(self) -> str:
        """The path of pgBackRest's repository."""
        return f"{self.path.rstrip('/')}/{DATABASE}"

    @property
    def folder(self) -> str:
        """The repository's folder on this host, "" if it is elsewhere."""
        return self.database if self.kind == "posix" else ""


def parse(to: str) -> Place | None:
    """Return the place that `to` names, None if pgBackRest knows none of this kind."""
    for kind, form in FORMS.items():
        if match := form.fullmatch(to):
            values = {name.rstrip("2"): value for name, value in match.groupdict().items() if value}
            return Place(kind, **{"where": "", "path": "", **values})
    return None


def has_credentials(to: str) -> bool:
    """Return True if a password or key seems to be in `to`: a parameter, or before the "@" of an address. A secret of
    S3 may have a slash; what a port has before its slash is no secret."""
    kind, _, rest = to.partition(":")
    before, at, after = re.sub(r"^(?:https?:)?/*", "", rest).partition("@")
    if to.startswith("/"):
        return False
    if PARAMETER.search(to):
        return True
    if kind == "sftp":
        is_address = rest.startswith("//") or ":" in after
        return bool(at) and is_address and ":" in before and "/" not in before
    is_url = kind in ("s3", "rest") or rest.startswith("//")
    return bool(at) and is_url and ("/" not in before or bool(re.match(r"[^:]*:(?!\d+/)", before)))


def of_files(to: str) -> str:
    """Return restic's repository."""
    return f"{to.rstrip('/')}/{FILES}"


def options(place: Place, keys: Mapping[str, str]) -> dict[str, str]:
    """Return pgBackRest's options of a repository, for all kinds but sftp, which asks ssh."""
    values = {"path": INSIDE if place.folder else place.database, "type": place.kind}
    if place.kind == "s3":
        values |= {"s3-endpoint": place.endpoint, "s3-bucket": place.where, "s3-uri-style": "path"}
        values |= {"s3-region": "us-east-1", **({"storage-port": place.port} if place.port else {})}
    elif place.kind == "gcs":
        values |= {"gcs-bucket": place.where, "gcs-key-type": "token" if "GOOGLE_ACCESS_TOKEN" in keys else "auto"}
        if "GOOGLE_APPLICATION_CREDENTIALS" in keys:
            values |= {"gcs-key-type": "service", "gcs-key": f"{CONFIGURATION}/gcs.json"}
    elif place.kind == "azure":
        values |= {"azure-container": place.where, "azure-key-type": "sas" if "AZURE_ACCOUNT_SAS" in keys else "shared"}
    if AUTHORITY in keys and not place.folder:
        values |= {"storage-ca-file": f"{CONFIGURATION}/{CERTIFICATES}"}
    prefix = f"{place.kind}-"
    return values | {to: keys[name] for name, to in KEYS.items() if to.startswith(prefix) and keys.get(name)}
