"""Tests of whose values hold in an adopted project: its own, but for what production sets."""

import json
import re

from proc import output, passed
from theirs import LAYERS, production

OWN = {
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "TIMEOUT": 60}},
    "LOGGING": {"version": 1, "disable_existing_loggers": False, "loggers": {"shop": {"level": "ERROR"}}},
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.ScryptPasswordHasher"],
    "CELERY_RESULT_BACKEND": "redis://results/0",
    "STORAGES": {"default": {"BACKEND": "shop.Storage"}, "staticfiles": {"BACKEND": "shop.Static"}},
}


SWITCH = (
    "DEBUG = os.environ.get('SHOP_DEBUG', 'true') != 'false'\nSHOP_MODE = 'development' if DEBUG else 'production'\n"
)


def values(project, names, **env):
    """Return the settings of these names."""
    code = f"import json; from django.conf import settings as s; print(json.dumps([getattr(s, n) for n in {[*names]}]))"
    python = project.folder / "ve/bin/python"
    return json.loads(output([python, "-c", code], cwd=project.folder, env={**project.env, **env}))


def test_values_of_its_own_hold(theirs):
    """Caches, logs, hashers, result backend and uploads of the project are those of production and of tests. check
    shows the lines of what production sets instead. adopt says that production needs the result backend."""
    base = "config/settings/base.py"
    own = "".join(f"{name} = {value!r}\n" for name, value in OWN.items())
    project = theirs({**LAYERS, base: LAYERS[base] + own + SWITCH})
    said = project.adopted("--level", "image")
    assert re.search(rf"{base}:19: .*result backend", said), said
    env = production(project, CACHE_URL="redis://cache/1", BROKER_URL="redis://broker/0")
    assert values(project, [*OWN, "SHOP_MODE"], **env) == [*OWN.values(), "production"]
    tests = {"DJANGO_SETTINGS_MODULE": "config.settings_test"}
    assert values(project, OWN, **tests) == [*OWN.values()]
    said = passed(project.manage("check", **env, IMAGE_BUILD="1")).stderr
    twice = re.findall(r"(\w+) is assigned twice, in (\S+):\d+ and (\S+):\d+: the latter", said)
    docker = "config/settings_docker.py"
    assert {name: last for name, _, last in twice} == {
        **dict.fromkeys(["CACHES", "LOGGING", "STORAGES"], base),
        **dict.fromkeys(["DEBUG", "SECRET_KEY", "STATIC_URL", "CELERY_TASK_ALWAYS_EAGER"], docker),
    }
    project.edit(docker, 'os.environ["SHOP_DEBUG"] = "false"', "#")
    refused = project.manage("check", **env)
    assert refused.returncode and re.search(rf"E015\) DEBUG is on .*, {base}:22: set", refused.stderr)


def test_own_settings_stay(theirs):
    """The project's own settings stay unless production sets them, for example its user model. They may have names that
    slipway's have too."""
    module = "config/settings/production.py"
    names = "env = values = production = adopted = role = site = REQUIRED = RELEASE = Path = None\n"
    project = theirs({**LAYERS, module: LAYERS[module] + names})
    project.adopted("--level", "image")
    env = production(project, SHOP_KEY="from the environment", BROKER_URL="redis://localhost/0")
    user, is_open, key, secret, middleware, readiness = values(
        project, ["AUTH_USER_MODEL", "SHOP_OPEN", "SHOP_KEY", "SECRET_KEY", "MIDDLEWARE", "READINESS"], **env
    )
    assert (user, is_open, key, secret) == ("shop.Customer", True, "from the environment", env["SECRET_KEY"])
    assert middleware.count("whitenoise.middleware.WhiteNoiseMiddleware") == 1
    common = middleware.index("django.middleware.common.CommonMiddleware")
    assert middleware.index("slipway.web.middleware.Probes") < common
    assert readiness.keys() == {"database", "migrations", "cache", "broker"}
