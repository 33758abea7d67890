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


class TaskCount(models.Model):
    """How many runs of a task ended in a state, and the seconds they took: written by slipway.jobs.tally."""

    task: models.CharField[str, str] = models.CharField(max_length=255)
    state: models.CharField[str, str] = models.CharField(max_length=20)
    count: models.BigIntegerField[int, int] = models.BigIntegerField(default=0)
    seconds: models.FloatField[float, float] = models.FloatField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "state"], name="slipway_taskcount_of_state")]

    def __str__(self) -> str:
        return f"{self.task} {self.state}"
