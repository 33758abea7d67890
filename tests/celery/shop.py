"""An app such as a team adds: a page that queues a task. Both write to the database."""

from proc import put

FILES = {
    "shop/__init__.py": "",
    "shop/models.py": """
from django.db import models, transaction

class Note(models.Model):
    source = models.CharField(max_length=20)
    number = models.IntegerField()

def note(source):
    with transaction.atomic():  # reads first, then writes: what ends as "database is locked" in a deferred transaction
        Note.objects.create(source=source, number=Note.objects.filter(source=source).count())
""",
    "shop/tasks.py": """
import logging
from celery import shared_task
from .models import note

@shared_task
def record():
    logging.getLogger("shop").info("recorded")
    note("task")
""",
    "shop/urls.py": """
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from .models import note
from .tasks import record

@csrf_exempt
def order(request):
    note("web")
    record.delay()
    return HttpResponse("noted")

urlpatterns = [path("order", order)]
""",
    "shop/settings.py": """
from project.settings import *
INSTALLED_APPS = [*INSTALLED_APPS, "shop"]
ROOT_URLCONF = "shop.urls"
""",
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_note.py": """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Note", [
        ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
        ("source", models.CharField(max_length=20)),
        ("number", models.IntegerField()),
    ])]
""",
    "shop/writer.py": """
import sys, django
django.setup()
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from slipway.health.heartbeat import beat
from shop.models import note
daily, _ = IntervalSchedule.objects.get_or_create(every=1, period="days")
for _ in range(int(sys.argv[1])):  # as beat: its own row, and the last run of an entry
    beat("beat")
    PeriodicTask.objects.update_or_create(name="entry", defaults={"task": "none", "interval": daily})
    note("writer")
""",
}
SETTINGS = {"DJANGO_SETTINGS_MODULE": "shop.settings", "PYTHONPATH": "."}


def add_shop(clone):
    """Put the app into the clone. All processes started there later use it, and the first one migrates."""
    for name, text in FILES.items():
        put(clone.path / name, text)
    clone.environment.update(SETTINGS)
