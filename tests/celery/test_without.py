"""A project that does without Celery."""


from proc import answers, free_port, wait_until

# Taking the packages out of a virtualenv would cost an install: here Python does not find them, which is the same
# to the code that looks for them.
HIDE = """
from importlib.machinery import PathFinder
real = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.split(".")[0] in {"celery", "kombu", "django_celery_beat"} else real(name, path, target))
"""


def test_without_celery(clone):
    """Without project/celery.py, project/tasks.py and the packages, check, the tests and the page work."""
    (clone.path / "project/celery.py").unlink()
    (clone.path / "project/tasks.py").unlink()
    hide = clone.path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(HIDE)
    clone.environment["PYTHONPATH"] = str(hide)
    assert clone.run("python", "-c", "import celery").returncode == 1
    for command in ("check", "test"):
        done = clone.run("python", "manage.py", command, timeout=300)
        assert done.returncode == 0, done.stdout
    port = free_port()
    with clone.start("python", "manage.py", "runserver", str(port)):
        wait_until(lambda: answers(port))


def test_files_gone_packages_left(clone):
    """To remove the two files is enough for the project to run; the pins may go later."""
    (clone.path / "project/celery.py").unlink()
    (clone.path / "project/tasks.py").unlink()
    done = clone.run("python", "manage.py", "check")
    assert done.returncode == 0, done.stdout
