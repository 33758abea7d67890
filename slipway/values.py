"""What variables may hold. Each function takes a variable's text and returns settings, or raises ValueError with what
is wrong, in words that go after the variable's name and never show its value."""

import os
import re
import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

SAMPLE = re.compile(r"insecure|change.?(me|it|this)|example|sample|development|only-for|your.?secret|openssl",
                    re.IGNORECASE)
BLOBS = "slipway.files.storage.DatabaseStorage"
STORAGES = {"default": {"BACKEND": "slipway.files.folder.Folder"},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
STORAGE = "s3://key:secret@s3.example/bucket"  # an example
PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"


@dataclass(frozen=True)
class Site:
    """Where visitors find the site. `secure` is False for http://localhost alone; `port` is ":8443" or empty."""
    host: str
    origin: str
    secure: bool
    port: str


def site(text: str) -> Site:
    url = split(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("is not an address that begins with https://")
    if url.path not in ("", "/") or url.query or url.fragment or url.username:
        raise ValueError("has more than a host name and a port")
    if url.scheme == "http" and not is_local(url.hostname):
        raise ValueError("is not https; only http://localhost may do without")
    port = f":{url.port}" if url.port not in (None, 443) else ""
    return Site(url.hostname, f"{url.scheme}://{url.netloc}", url.scheme == "https", port)


def is_local(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


def hosts(found: Site) -> list[str]:
    if found.secure or not is_local(found.host):
        return [f"[{found.host}]" if ":" in found.host else found.host]
    return ["localhost", ".localhost", "127.0.0.1", "[::1]"]


def secret_key(text: str) -> str:
    """A SECRET_KEY that is random."""
    return random(text, 50)


def token(text: str) -> str:
    """What a header can hold, so that who has it can show it."""
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("has a space or another character that no header holds")
    return random(text, 20)


def random(text: str, least: int) -> str:
    """The text, unless it is short or looks like a sample."""
    if len(text) < least:
        raise ValueError(f"is shorter than {least} characters")
    if len(set(text)) < least // 5 or SAMPLE.search(text):
        raise ValueError("looks like a sample, not like something random")
    return text


def secret_keys(text: str) -> list[str]:
    """Several, separated by commas."""
    return [secret_key(key.strip()) for key in text.split(",")]


def session(database: dict[str, Any], name: str, limits: str, pooler: bool = False) -> dict[str, Any]:
    """A database's settings, those of Postgres with the name and the limits of a session. PGOPTIONS has the last word.
    `pooler`: each transaction may have another session, so that none has limits, nor a cursor that outlives it.
    """
    if database.get("ENGINE", "").endswith("postgresql"):
        options = "" if pooler else f"{limits} {os.environ.get('PGOPTIONS', '')}".strip()  # empty: libpq's own are none
        database["OPTIONS"] = {"application_name": name[:63], "options": options, **database["OPTIONS"]}
        database["DISABLE_SERVER_SIDE_CURSORS"] = pooler
    return database


def timeouts(part: str | None, time_limit: int) -> str:
    """What Postgres ends by itself: a statement, a wait for a lock, a transaction that does nothing. web and beat hold
    none for long, a worker none for longer than its task; a command may, as a migration does."""
    if not part:
        return ""
    longest, idle = (time_limit, time_limit) if part == "worker" else (30, 60)
    return (f"-c statement_timeout={longest}s -c lock_timeout=10s"
            f" -c idle_in_transaction_session_timeout={idle}s")


def broker(text: str) -> str:
    """The URL of a broker."""
    url = split(text)
    if url.scheme not in ("redis", "rediss", "amqp", "amqps") or not url.hostname:
        raise ValueError("is neither redis://…, rediss://…, amqp://… nor amqps://…")
    if url.scheme.startswith("redis") and not find_spec("redis"):
        raise ValueError("needs redis in requirements.in")
    return text


def development_broker(text: str) -> str:
    """Besides the real ones: a folder of files, and the process's own memory."""
    return text if text in ("filesystem://", "memory://") else broker(text)


def broker_options(url: str, time_limit: int) -> dict[str, Any]:
    """Celery's options for a broker, for tasks of at most `time_limit` seconds.

    Redis gives a task to another worker when none has finished it within its visibility timeout: soon after the
    longest a task can take, so that a killed worker's is done again, and no sooner, so that none is done twice.
    """
    if url.startswith("redis"):
        return {"visibility_timeout": time_limit + 60, "socket_keepalive": True, "socket_connect_timeout": 3}
    return {"confirm_publish": True}


def broker_haste(url: str) -> dict[str, Any]:
    """More of them for the site, whose visitors wait: all of a connection's waits are short, and none is between two
    attempts, as kombu's of 2 s."""
    if url.startswith("redis"):
        return {"max_retries": 0, "socket_timeout": 0.9, "socket_connect_timeout": 0.9}
    # Three of these may come in a row: for the message, the channel, the connection.
    return {"max_retries": 0, "read_timeout": 0.5, "write_timeout": 0.5}


def broker_tls(url: str) -> dict[str, Any] | bool:
    """Celery's options for TLS: rediss:// and amqps:// check the broker's certificate, authority and name; left to
    itself the one takes any, and the other anybody's. False for a broker without TLS."""
    scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    options: dict[str, dict[str, Any]] = {
        "rediss": {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True},
        "amqps": {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host}}
    return options.get(scheme, False)


def mail(text: str) -> dict[str, Any]:
    """Django's EMAIL_ settings for smtp:// (STARTTLS), smtps:// (TLS) or smtp+plain:// (neither)."""
    url = split(text)
    ports = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
    if url.scheme not in ports or not url.hostname:
        raise ValueError("is neither smtp://…, smtps://… nor smtp+plain://…")
    return {"EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend", "EMAIL_TIMEOUT": 10,
            "EMAIL_HOST": url.hostname, "EMAIL_PORT": url.port or ports[url.scheme],
            "EMAIL_HOST_USER": unquote(url.username or ""), "EMAIL_HOST_PASSWORD": unquote(url.password or ""),
            "EMAIL_USE_TLS": url.scheme == "smtp", "EMAIL_USE_SSL": url.scheme == "smtps"}


def storage(text: str) -> dict[str, Any]:
    """A STORAGES entry for database: or a bucket; none for files in MEDIA_ROOT."""
    if not text:
        return {}
    if text.startswith("s3:"):
        return bucket(text)
    match = re.fullmatch(r"database:(?:\?limit=([1-9][0-9]{0,5})([MG])B)?", text)
    if not match:
        raise ValueError("is neither database:, database:?limit=50MB nor s3://key:secret@host/bucket")
    limit = int(match[1]) * {"M": 10 ** 6, "G": 10 ** 9}[match[2]] if match[1] else None
    return {"BACKEND": BLOBS, "OPTIONS": {"limit": limit} if limit else {}}


def files(entry: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The settings that keep uploads where an entry says; `own`: those there are. None for no entry."""
    if not entry:
        return {}
    apps = [*own.get("INSTALLED_APPS", ())]
    if entry["BACKEND"] == BLOBS and "slipway.files" not in apps:
        apps.append("slipway.files")
    return {"STORAGES": {**STORAGES, **own.get("STORAGES", {}), "default": entry}, "INSTALLED_APPS": apps}


def bucket(text: str) -> dict[str, Any]:
    """A STORAGES entry for s3://key:secret@host/bucket?region=…"""
    url = split(text)
    name = url.path.strip("/")
    if url.scheme != "s3" or not url.hostname or not url.username or not url.password or not name or "/" in name:
        raise ValueError("is not s3://key:secret@host/bucket")
    if not find_spec("storages") or not find_spec("boto3"):
        raise ValueError("needs django-storages[s3] in requirements.in")
    region = parse_qs(url.query).get("region")
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {
        "access_key": unquote(url.username), "secret_key": unquote(url.password), "bucket_name": name,
        "endpoint_url": "https://" + url.netloc.rpartition("@")[2], "file_overwrite": False,
        **({"region_name": region[0]} if region else {})}}


def origin(text: str) -> str:
    """The address of a server of static files, with a slash at its end; or a path on this site. What else a URL may
    have would end up in the middle of each file's, and in a Content-Security-Policy."""
    url = split(text)
    if not (url.scheme == "https" and url.hostname) and not re.fullmatch(r"/[\w.-][\w/.-]*", text):
        raise ValueError("is neither https://… nor a path on this site")
    if not re.fullmatch(r"(https://[\w.:[\]-]+)?[\w/.~%-]*", text, re.ASCII):
        raise ValueError("has more than a host name, a port and a path")
    return text.rstrip("/") + "/"


def allow(directives: dict[str, Any], source: str) -> None:
    """Let pages load from there, too, what a Content-Security-Policy lets them load from the site itself."""
    for name, value in directives.items():
        sources = [value] if isinstance(value, str) else value or []
        if name == "default-src" or "-src" in name and "'self'" in sources:
            directives[name] = [*sources, source]


def dsn(text: str) -> str:
    from sentry_sdk.utils import Dsn
    try:
        Dsn(text)
    except ValueError:
        raise ValueError("is not a DSN of Sentry") from None
    return text


def server(text: str) -> str:
    if text not in ("wsgi", "asgi"):
        raise ValueError("is neither wsgi nor asgi")
    return text


def split(text: str) -> SplitResult:
    """urlsplit, which complains of a port that is none only when it is asked for it."""
    url = urlsplit(text)
    try:
        url.port
    except ValueError:
        raise ValueError("has a port that is no number") from None
    return url
