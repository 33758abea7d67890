"""What has files: with a manager that hides rows, a model below another one, a field with a limit of its own."""

from django.core.files.storage import FileSystemStorage
from django.db import models

from slipway.blobs import small_enough  # as migrations of projects name it


class Current(models.Manager):
    def get_queryset(self):
        return super().get_queryset().filter(archived=False)


class Paper(models.Model):
    scan = models.FileField(upload_to="papers", validators=[small_enough])
    archived = models.BooleanField(default=False)
    objects = Current()


class Contract(Paper):
    draft = models.FileField(upload_to="drafts", null=True)
    elsewhere = models.FileField(upload_to="x", storage=FileSystemStorage("/nowhere"))
