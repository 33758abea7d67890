from django.conf import settings
from django.db import models


class Order(models.Model):
    if settings.RELEASE != "build-1":
        note = models.TextField(null=True)
