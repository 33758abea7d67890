"""A small site with the page, for tests. A visitor who claims to be staff is staff."""

import os

SECRET_KEY, ALLOWED_HOSTS, ROOT_URLCONF, USE_TZ = "only-for-tests", ["*"], "urls_of_site", True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "mounted"]
MIDDLEWARE = ["urls_of_site.who"]
BASE = "<title>{% block title %}{% endblock %}</title>{% block body %}{% endblock %}"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [
                ("django.template.loaders.locmem.Loader", {"base.html": BASE}),
                "django.template.loaders.app_directories.Loader",
            ]
        },
    }
]
MOUNTED_ROOT = os.environ.get("MOUNTED_ROOT", "/nothing")
