"""A model with files."""

from django.db import models

from slipway.files import small_enough


class Paper(models.Model):
    scan = models.FileField(upload_to="papers", validators=[small_enough])
