"""Parsers of environment variables. Each returns settings or raises ValueError. The message follows the variable's name
and must not quote the value. The deployer imports this module: at the top, import only the standard library."""

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from .settings import url_options

SAMPLE = re.compile(
    r"insecure|change.?(me|it|this)|example|sample|development|only-for|your.?secret|openssl", re.IGNORECASE
)
BLOBS = "slipway.files.storage.DatabaseStorage"
KEY = "<output of: openssl rand -hex 32>"  # an example of a secret key
HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
STORAGE = "s3://key:secret@s3.example/bucket"  # an example of a storage URL


@dataclass(frozen=True)
class Site:
    """The site's address. `secure` is True for https; `port` is "" or, for example, ":8443"."""

    host: str
    origin: str
    secure: bool
    port: str


def site(text: str) -> Site:
    url = split(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("is not an address that begins with https://")
    # Django would refuse each visitor by a name that urlsplit lets pass, or that it cuts.
    if not re.fullmatch(rf"https?://(.*@)?({HOST}|\[[0-9a-f:.]+\])(:[0-9]+)?([/?#].*)?", text, re.ASCII | re.I):
        raise ValueError(
            "has a host name that is not of letters, digits, - and single dots between them: write "
            "umlauts as browsers send them (xn--…)"
        )
    if url.path not in ("", "/") or url.query or url.fragment or url.username:
        raise ValueError("has more than a host name and a port")
    if url.scheme == "http" and not is_local(url.hostname):
        raise ValueError("is not https; http is allowed only for localhost")
    port = f":{url.port}" if url.port not in (None, 443) else ""
    return Site(url.hostname, f"{url.scheme}://{url.netloc.lower()}", url.scheme == "https", port)


def is_local(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


def sqlite(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


def secret_key(text: str) -> str:
    return random(text, 50)


def token(text: str) -> str:
    """Return `text`. Raise ValueError if this token is easy to guess, or if an HTTP header cannot hold it."""
    if not re.fullmatch("[!-~]+", text):
        raise ValueError("has a space or another character that an HTTP header cannot hold")
    return random(text, 20)


def random(text: str, least: int) -> str:
    if len(text) < least:
        raise ValueError(f"is shorter than {least} characters")
    if len(set(text)) < least // 5 or SAMPLE.search(text):
        raise ValueError("looks like an example, not like a random value")
    return text


def secret_keys(text: str) -> list[str]:
    return [secret_key(key.strip()) for key in text.split(",")]


def broker(text: str) -> str:
    url = split(text)
    by_socket = url.scheme == "redis+socket" and url.path.startswith("/")
    if not by_socket and (url.scheme not in ("redis", "rediss", "amqp", "amqps") or not url.hostname):
        raise ValueError("is neither redis://…, rediss://…, redis+socket:///path, amqp://… nor amqps://…")
    if url.scheme in ("redis", "rediss") and not re.fullmatch("(/[0-9]*)?", url.path):
        raise ValueError("is not redis://host:port/number, with the number of a database")
    url_options.check(url.query, url_options.BROKER[url.scheme])
    return text


def development_broker(text: str) -> str:
    return text if text in ("filesystem://", "memory://") else broker(text)


def broker_folder(url: str, folder: Path) -> dict[str, Any]:
    if url != "filesystem://":
        return {}
    return {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder / "control"}


def broker_tls(url: str) -> dict[str, Any] | bool:
    """Return Celery's TLS options, which verify authority and host name (its defaults do not), or False without TLS."""
    parts = urlsplit(url)
    scheme = parts.scheme
    host = parts.hostname
    authorities = parse_qs(parts.query).get("ssl_ca_certs")
    redis = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    options: dict[str, dict[str, Any]] = {
        "rediss": {**redis, "ssl_ca_certs": authorities[0]} if authorities else redis,
        "amqps": {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host},
    }
    return options.get(scheme, False)


@dataclass(frozen=True)
class Mail:
    """Mail settings. The defaults send nothing and log each mail's subject."""

    backend: str = "slipway.web.mail.Off"
    host: str = "localhost"
    port: int = 25
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False


def mail(text: str) -> Mail:
    """Return settings for smtp:// (STARTTLS), smtps:// (TLS) or smtp+plain:// (neither)."""
    url = split(text)
    ports = {"smtp": 587, "smtps": 465, "smtp+plain": 25}
    if url.scheme not in ports or not url.hostname:
        raise ValueError("is neither smtp://…, smtps://… nor smtp+plain://…")
    url_options.check(url.query, {})
    return Mail(
        "django.core.mail.backends.smtp.EmailBackend",
        url.hostname,
        url.port or ports[url.scheme],
        unquote(url.username or ""),
        unquote(url.password or ""),
        url.scheme == "smtp",
        url.scheme == "smtps",
    )


def storage(text: str) -> dict[str, Any]:
    """Return a STORAGES entry for `database:`, a bucket or, if the text is "", the folder MEDIA_ROOT."""
    if not text:
        return {"BACKEND": "slipway.files.folder.Folder"}
    if text.startswith(("s3:", "s3+http:")):
        return bucket(text)
    match = re.fullmatch(r"database:(?:\?limit=([1-9][0-9]{0,5})([MG])B)?", text)
    if not match:
        raise ValueError("is neither database:, database:?limit=50MB nor s3://key:secret@host/bucket")
    limit = int(match[1]) * {"M": 10**6, "G": 10**9}[match[2]] if match[1] else None
    return {"BACKEND": BLOBS, "OPTIONS": {"limit": limit} if limit else {}}


def apps(storages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the app that STORAGES needs: slipway.files, if uploads are in the database."""
    return ["slipway.files"] if storages.get("default", {}).get("BACKEND") == BLOBS else []


def bucket(text: str) -> dict[str, Any]:
    """Return a STORAGES entry for s3:// or (no TLS) s3+http://. Without a key, boto3 finds the machine's role."""
    url = split(text)
    schemes = {"s3": "https", "s3+http": "http"}
    name = url.path.strip("/")
    key = unquote(url.username or "")
    secret = unquote(url.password or "")
    if url.scheme not in schemes or not url.hostname or bool(key) != bool(secret) or not name or "/" in name:
        raise ValueError("is not s3://key:secret@host/bucket")
    url_options.check(url.query, {"region": url_options.WORD})
    if not find_spec("storages") or not find_spec("boto3"):
        raise ValueError("needs django-storages: uv add 'django-storages[s3]'")
    region = parse_qs(url.query).get("region")
    authority = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")  # boto3 ignores the latter
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": name,
            "endpoint_url": f"{schemes[url.scheme]}://{url.netloc.rpartition('@')[2]}",
            "file_overwrite": False,
            **({"access_key": key, "secret_key": secret} if key else {}),
            **({"region_name": region[0]} if region else {}),
            **({"verify": authority} if authority else {}),
        },
    }


def origin(text: str) -> str:
    """Return the URL or path of static files, with a slash at its end. Raise ValueError if it has other parts, such
    as a query: they would break file URLs and the Content-Security-Policy."""
    if not re.fullmatch(r"(https://[\w.:[\]-]+(?=/|$)|/[\w.-])[\w/.~%-]*", text, re.ASCII):
        raise ValueError("is neither https://host/path nor /path on this site")
    return text.rstrip("/") + "/"


def dsn(text: str) -> str:
    from sentry_sdk.utils import Dsn

    try:
        Dsn(text)
    except ValueError:
        raise ValueError("is not a Sentry DSN") from None
    return text


def split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  it checks the number
    except ValueError:  # its text quotes the URL's secret
        raise ValueError(
            "is malformed, or has a port that is not a number: write a password's special characters as "
            "%XX (%2F for /, %40 for @, %23 for #)"
        ) from None
    return url
