"""Tests: nothing outside the process, and as fast as it gets."""
# This is run over settings_shared.py; Django, looking for tests, also imports it alone, by its name.

from slipway import values
from slipway.env import env
from slipway.logs.logging import logging_config

SECRET_KEY = "only-for-tests-" + "x" * 50
ALLOWED_HOSTS = ["testserver", "localhost"]
DATABASES = {"default": env.database("TEST_DATABASE_URL", "sqlite://:memory:")}
CACHES = {"default": env.cache("TEST_CACHE_URL", "locmem://")}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; a test sees to the real one
AXES_ENABLED = False  # tests sign in without a request; a test sees to the lock

CELERY_BROKER_URL = "memory://localhost"  # without a host kombu warns
CELERY_TASK_ALWAYS_EAGER = True  # a task runs where it is queued, and .get() has its result
CELERY_TASK_EAGER_PROPAGATES = True  # what it raises, the test sees
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
globals().update(values.files(
    env.url("STORAGE_URL", values.storage, globals().get("STORAGE_URL", ""), values.STORAGE), globals()))
LOGGING = logging_config(json=False)
LOGGING["handlers"]["console"]["level"] = "ERROR"  # a warning that a test calls forth tells nobody anything

env.check()
