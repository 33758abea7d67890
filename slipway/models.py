from __future__ import annotations

from datetime import datetime

from django.db import models


class Heartbeat(models.Model):
    """The last heartbeat of `name`, which is "worker" or "beat"."""

    name: models.CharField[str, str] = models.CharField(primary_key=True, max_length=20)
    at: models.DateTimeField[datetime, datetime] = models.DateTimeField()
    host: models.CharField[str, str] = models.CharField(max_length=255)
    release: models.CharField[str, str] = models.CharField(max_length=255)


class Count(models.Model):
    """How often something ended in a state, such as a task ("task") that failed; release "" is all releases."""

    kind: models.CharField[str, str] = models.CharField(max_length=10)
    name: models.CharField[str, str] = models.CharField(max_length=255)
    state: models.CharField[str, str] = models.CharField(max_length=10)
    release: models.CharField[str, str] = models.CharField(max_length=255)
    number: models.BigIntegerField[int, int] = models.BigIntegerField()
    seconds: models.FloatField[float, float] = models.FloatField()
    at: models.DateTimeField[datetime, datetime] = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "name", "state", "release"], name="slipway_count_once")]
