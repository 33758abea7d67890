"""What has files."""

from django.db import models

from slipway.blobs import small_enough  # as migrations of projects name it


class Paper(models.Model):
    scan = models.FileField(upload_to="papers", validators=[small_enough])
