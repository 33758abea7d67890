"""Python with Django loaded: each run is a fork with its own settings, and takes a third of a new process's time.

Use it for commands that run to their end and are called often. Tests of start and end use real processes.
"""

import contextlib
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

# Most of a run's time goes into these imports. None of them needs settings.
HEAVY = """
asyncio celery.app.base celery.schedules csp.constants dj_database_url django.contrib.auth.hashers django.core.mail
django.contrib.staticfiles.storage django.core.checks.registry django.core.management.commands.migrate django.forms
django.db.backends.sqlite3.base django.db.migrations.executor django.db.models.functions django.http django.template
django.template.defaulttags django.template.loader_tags django.test django.urls django.views.generic kombu
prometheus_client psycopg2 sqlparse
""".split()

_server = []


def python(*words, cwd, env, timeout=120):
    """Run `python words…`. Return the same as subprocess.run."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"words": [*map(str, words)], "cwd": str(cwd), "env": env, "streams": [str(out), str(err)],
                 "timeout": timeout}
        if not _server:
            _server.append(subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            text=True, start_new_session=True))
        print(json.dumps(asked), file=_server[0].stdin, flush=True)
        code = int(_server[0].stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text("utf-8", "replace"),
                                           err.read_text("utf-8", "replace"))


def serve():
    """Fork a child for each line, until the tests end."""
    for name in HEAVY:
        with contextlib.suppress(ImportError):  # a project may not use Celery
            importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            return become(**asked)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def become(words, cwd, env, streams, timeout):
    """Turn the child into the requested python."""
    importlib.import_module("signal").alarm(timeout)
    for number, path in enumerate([os.devnull, *streams]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[1:1] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    importlib.invalidate_caches()
    run(*words)


def run(first, *rest):
    """Run the arguments like python's command line."""
    if first == "-c":
        sys.path[0], sys.argv = "", ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.path[0], sys.argv = os.getcwd(), ["-m", *rest[1:]]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.abspath(first)), [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    serve()
