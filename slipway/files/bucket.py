"""Puts a release's static files into a bucket, for slipway.files.publish. It needs django-storages[s3].

A bucket sends every browser the same bytes, so the object NAME is uncompressed. NAME.gz and NAME.br are compressed
copies with a Content-Encoding, for a CDN that chooses by browser. No object is incomplete, even after an interruption.
"""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import InvalidStorageError, storages
from whitenoise.media_types import MediaTypes

from .. import values

THREADS = 8
ADDRESS = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,62})((?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)/?")
ENCODINGS = {".gz": "gzip", ".br": "br"}
FOREVER = "public, max-age=31536000, immutable"
# Timeouts in seconds, and retries. Many servers do not support checksums in trailers.
LIMITS = {
    "connect_timeout": 5,
    "read_timeout": 15,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "max_pool_connections": THREADS,
    "request_checksum_calculation": "when_required",
}


class Unfit(Exception):
    """The bucket cannot be used; the message says why."""


def add(root: Path, names: Iterable[str], address: str) -> int:
    """Upload the files `names` of `root` that the bucket at `address` lacks; return their number. Raise Unfit on an
    error: the bucket may then have some of these files."""
    from botocore.exceptions import BotoCoreError, ClientError  # they come with django-storages[s3]
    from botocore.parsers import ResponseParserError

    all_names, (bucket, prefix) = {*names}, place(address)
    client = connected(bucket)
    try:
        missing = sorted(all_names - existing(client, bucket, prefix))
        with ThreadPoolExecutor(THREADS) as pool:  # the first error cancels the uploads that have not begun
            [*pool.map(lambda name: put(client, bucket, prefix + name, root / name, headers(name, all_names)), missing)]
    except (BotoCoreError, ClientError, ResponseParserError, OSError, ValueError) as error:
        raise Unfit(f"{address}: {' '.join(str(error).split()) or type(error).__name__}") from None
    return len(missing)


def place(address: str) -> tuple[str, str]:
    """Return (bucket, prefix of names). Raise Unfit if the address is wrong; never quote it, as it may be secret."""
    match = ADDRESS.fullmatch(address)
    if not match:
        raise Unfit("name the bucket as s3://bucket/folder; STATIC_STORAGE_URL has its key and server")
    return match[1], f"{match[2]}/".lstrip("/")


def connected(bucket: str) -> Any:
    """Return botocore's client for the bucket; threads may share it. Raise Unfit if the bucket's settings are wrong."""
    try:
        entry = getattr(settings, "STATIC_STORAGE", None) or settings.STORAGES["default"]
        if "bucket_name" not in entry.get("OPTIONS", {}):
            raise Unfit(f"STATIC_STORAGE_URL is not set; for example STATIC_STORAGE_URL={values.STORAGE}")
        storage: Any = storages.create_storage({**entry, "OPTIONS": {**entry["OPTIONS"], "bucket_name": bucket}})
    except (InvalidStorageError, ImproperlyConfigured) as error:
        raise Unfit(f"the storage cannot be used: {' '.join(str(error).split())}") from None
    storage.client_config = storage.client_config.merge(type(storage.client_config)(**LIMITS))
    return storage.connection.meta.client


def existing(client: Any, bucket: str, prefix: str) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())}


def put(client: Any, bucket: str, key: str, path: Path, given: dict[str, str]) -> None:
    with path.open("rb") as file:
        client.put_object(Bucket=bucket, Key=key, Body=file, **given)


def headers(name: str, names: set[str]) -> dict[str, str]:
    """Return the headers of the object `name`. A compressed copy of a file in `names` gets a Content-Encoding. Other
    .gz files get none, so browsers download them as they are."""
    base, encoding = name[:-3], ENCODINGS.get(name[-3:])
    form = encoding and base in names
    kind = MediaTypes().get_type(base if form else name)
    return {
        "CacheControl": FOREVER,
        "ContentType": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        **({"ContentEncoding": encoding} if encoding and form else {}),
    }
