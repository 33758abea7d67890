"""A model with files."""

from django.db import models

from slipway.blobs import small_enough  # as projects' migrations import it


class Paper(models.Model):
    scan = models.FileField(upload_to="papers", validators=[small_enough])
