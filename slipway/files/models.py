"""Tables of files. A Blob's content never changes: replacing a file makes a new Blob."""

from __future__ import annotations

from datetime import datetime

from django.db import models

NAME = 512  # characters; PostgreSQL indexes 2,700 bytes at most
CHUNK = 256 * 1024  # bytes


class Blob(models.Model):
    """A file. It has no name while it is being written."""

    name: models.CharField[str | None, str | None] = models.CharField(max_length=NAME, unique=True, null=True)
    size: models.BigIntegerField[int, int] = models.BigIntegerField(default=0)
    sha256: models.CharField[str, str] = models.CharField(max_length=64, default="")
    modified: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now=True, db_index=True)
    owned: models.BooleanField[bool, bool] = models.BooleanField(default=False)  # no code uses this field


class Chunk(models.Model):
    """A part of a file: CHUNK bytes, or fewer at the file's end."""

    blob: models.ForeignKey[Blob, Blob] = models.ForeignKey(Blob, models.CASCADE, db_index=False)
    number: models.IntegerField[int, int] = models.IntegerField()
    data: models.BinaryField[bytes, bytes] = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "number"], name="slipway_blobs_chunk_of_blob")]
