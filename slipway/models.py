"""The heartbeats and counts that a site's processes share."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models


class Heartbeat(models.Model):
    """The last heartbeat of `name`, which is "worker" or "beat"."""

    name: models.CharField[str, str] = models.CharField(primary_key=True, max_length=20)
    at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    host: models.CharField[str, str] = models.CharField(max_length=255)
    release: models.CharField[str, str] = models.CharField(max_length=255)


class Count(models.Model):
    """Counts of what ended, as health/counts.py keeps them."""

    kind: models.CharField[str, str] = models.CharField(primary_key=True, max_length=20)
    found: models.JSONField[Any, Any] = models.JSONField()
