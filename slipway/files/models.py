"""A file is a Blob, and its content that Blob's chunks. A Blob's content never changes: a file that is replaced is
another Blob with the same name."""

from __future__ import annotations

from datetime import datetime

from django.db import models

NAME = 512  # characters; what PostgreSQL indexes is 2,700 bytes at most
CHUNK = 256 * 1024  # bytes


class Blob(models.Model):
    """A file. Without a name it is being written, or what writing it has left."""

    name: models.CharField[str | None, str | None] = models.CharField(max_length=NAME, unique=True, null=True)
    size: models.BigIntegerField[int, int] = models.BigIntegerField(default=0)
    sha256: models.CharField[str, str] = models.CharField(max_length=64, default="")
    modified: models.DateTimeField[datetime, datetime] = models.DateTimeField(auto_now=True, db_index=True)
    owned: models.BooleanField[bool, bool] = models.BooleanField(default=False)  # nobody asks for it any more

    def __str__(self) -> str:
        return self.name or "-"


class Chunk(models.Model):
    """CHUNK bytes of a file, or its last ones."""

    blob: models.ForeignKey[Blob, Blob] = models.ForeignKey(Blob, models.CASCADE, db_index=False)
    number: models.IntegerField[int, int] = models.IntegerField()
    data: models.BinaryField[bytes, bytes] = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "number"], name="slipway_blobs_chunk_of_blob")]
