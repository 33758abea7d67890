"""What the template itself keeps in the database."""

from __future__ import annotations

from datetime import datetime

from django.db import models


class Heartbeat(models.Model):
    """When worker and beat were last known to run: a row each, written by slipway.heartbeat."""

    name: models.CharField[str, str] = models.CharField(primary_key=True, max_length=20)
    at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    host: models.CharField[str, str] = models.CharField(max_length=255)
    release: models.CharField[str, str] = models.CharField(max_length=255)

    def __str__(self) -> str:
        return self.name
