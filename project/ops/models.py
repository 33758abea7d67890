"""What the template itself keeps in the database."""

from django.db import models


class Heartbeat(models.Model):
    """When worker and beat were last known to run: a row each, written by project.ops.heartbeat."""

    name = models.CharField(primary_key=True, max_length=20)
    at = models.DateTimeField()
    host = models.CharField(max_length=255)
    release = models.CharField(max_length=255)

    def __str__(self):
        return self.name
