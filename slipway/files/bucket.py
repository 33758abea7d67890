"""A release's static files in a bucket, for slipway.files.publish. Needs django-storages[s3] in requirements.in.

A bucket does not choose between forms of a file as nginx does: whoever asks for a name gets the same bytes. So each
name has the file as it is, which anybody can read; its compressed forms lie beside it, and say how they are encoded,
for a CDN that chooses. An object is there as a whole or not at all, so what is interrupted leaves no half of a file.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
# How long a server may keep us waiting, and how often. Checksums in trailers are what many a server does not know; our
# own Content-MD5 is known to all.
LIMITS = {"connect_timeout": 5, "read_timeout": 15, "retries": {"mode": "standard", "total_max_attempts": 3},
          "max_pool_connections": THREADS, "request_checksum_calculation": "when_required"}


class Unfit(Exception):
    """There is no such bucket to write to: why, in a line."""


def add(root: Path, names: Iterable[str], address: str) -> int:
    """Add those of the names that the bucket lacks; how many they were. Raises Unfit; what was added then stays."""
    known, (bucket, prefix) = {*names}, place(address)
    client = connected(bucket)
    try:
        missing = sorted(known - there(client, bucket, prefix))
        with ThreadPoolExecutor(THREADS) as pool:  # at the first error the rest is not begun
            [*pool.map(lambda name: put(client, bucket, prefix + name, root / name, headers(name, known)), missing)]
    except Exception as error:  # of botocore, urllib3 or the disk
        raise Unfit(f"{address}: {' '.join(str(error).split()) or type(error).__name__}") from None
    return len(missing)


def place(address: str) -> tuple[str, str]:
    """The bucket, and what names in it begin with. What else the text is may be a secret, and is not told."""
    match = ADDRESS.fullmatch(address)
    if not match:
        raise Unfit("name the bucket as s3://bucket/folder; its key and its server are of STATIC_STORAGE_URL")
    return match[1], f"{match[2]}/".lstrip("/")


def connected(bucket: str) -> Any:
    """A client of botocore's, made by the storage that uploads would have. Threads may share it."""
    try:
        entry = getattr(settings, "STATIC_STORAGE", None) or settings.STORAGES["default"]
        if "bucket_name" not in entry.get("OPTIONS", {}):
            raise Unfit(f"STATIC_STORAGE_URL is not set; for example STATIC_STORAGE_URL={values.STORAGE}")
        storage: Any = storages.create_storage({**entry, "OPTIONS": {**entry["OPTIONS"], "bucket_name": bucket}})
    except (InvalidStorageError, ImproperlyConfigured) as error:
        raise Unfit(f"there is no storage: {' '.join(str(error).split())}") from None
    storage.client_config = storage.client_config.merge(type(storage.client_config)(**LIMITS))
    return storage.connection.meta.client


def there(client: Any, bucket: str, prefix: str) -> set[str]:
    """The names that the bucket has, less what all begin with; asked once, a thousand at a time."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {found["Key"].removeprefix(prefix) for page in pages for found in page.get("Contents", ())}


def put(client: Any, bucket: str, key: str, path: Path, given: dict[str, str]) -> None:
    """One file. The server compares the checksum before it takes it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).digest()
        file.seek(0)
        client.put_object(Bucket=bucket, Key=key, Body=file, ContentMD5=base64.b64encode(digest).decode(), **given)


def headers(name: str, names: set[str]) -> dict[str, str]:
    """What the bucket says of a file: the type that the site would, and how a form of another one is encoded. A file
    that visitors download as .gz is nobody's form."""
    base, encoding = name[:-3], ENCODINGS.get(name[-3:])
    form = encoding and base in names
    kind = MediaTypes().get_type(base if form else name)
    return {"CacheControl": FOREVER, "ContentType": kind + "; charset=utf-8" * kind.startswith("text/"),
            **({"ContentEncoding": encoding} if encoding and form else {})}
