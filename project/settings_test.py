"""Settings for tests: they are fast, and need no database server or broker."""

from tempfile import TemporaryDirectory

from slipway import values
from slipway.env import env
from slipway.logs.logging import logging_config

# settings_base.py may replace these.
CACHES = {"default": env.cache("TEST_CACHE_URL", "locmem://")}
DATABASES: dict[str, dict[str, object]] = {}
LOGGING = logging_config(json=False)
LOGGING["handlers"]["console"]["level"] = "ERROR"  # hide the warnings that tests cause on purpose
STATIC_URL = "static/"

from .settings_base import *

INSTALLED_APPS += values.apps(STORAGES)
SECRET_KEY = "only-for-tests-" + "x" * 50
ALLOWED_HOSTS = ["testserver", "localhost"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *PASSWORD_HASHERS]  # the first one is fast
AXES_ENABLED = False  # axes needs a request, but tests sign in without one; one test checks the lock
DATABASES = env.databases(DATABASES, "TEST_DATABASE_URL", "sqlite://:memory:")
_uploads = TemporaryDirectory()  # removed at the end
MEDIA_ROOT = _uploads.name

# ---- accounts ----
STAFF_NEED_MFA = False  # force_login() knows no second factor
# ---- end of accounts ----

# ---- background jobs ----
CELERY_BROKER_URL = "memory://localhost"  # kombu warns if this URL has no host
CELERY_TASK_ALWAYS_EAGER = True  # delay() runs the task at once, and .get() returns its result
CELERY_TASK_EAGER_PROPAGATES = True  # tests see a task's exception
# ---- end of background jobs ----

env.check(examples=True)  # required variables may be missing: examples replace them
