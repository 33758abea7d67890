"""Build, push and run the image, for docker.mk: `image wheelhouse`, `build`, `push`, `up` or `down`. Needs Python 3.9.

make passes its variables in the environment. A folder without manage.py holds no Django site, see docs/image.md: its
build needs no wheels and runs no tests.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from slipway.make import check, verdicts

Env = Mapping[str, str]
HOUSE = Path("wheelhouse")
WHEELS_FROM = ("docker/packages.txt", "requirements.txt", "requirements/dev.txt")
REVISION = '{{index .Config.Labels "org.opencontainers.image.revision"}}'


def main(action: str, env: Env) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))  # so that half-made files are removed
    try:
        {"wheelhouse": wheelhouse, "build": build, "push": push, "up": up, "down": down}[action](env)
    except OSError as error:
        cure = ": take it from the template, see docs/make.md" if error.filename in WHEELS_FROM else ""
        sys.exit(f"make: {error.filename}: {error.strerror}{cure}")


# ---- docker's commands ----


def docker(env: Env, *words: str) -> None:
    """Run docker, whose output says what is wrong. Exit with its code if it fails."""
    if code := subprocess.call([*shlex.split(env["DOCKER"]), *words]):
        sys.exit(code)


def output(command: list[str], *words: str, seconds: float | None = None) -> str | None:
    """Return a command's output; None if it fails, or takes over `seconds`."""
    try:
        done = subprocess.run(
            [*command, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.strip()


def engine(env: Env) -> list[str]:
    """Return docker's command. Exit unless an engine answers."""
    command = shlex.split(env["DOCKER"])
    if output(command, "version") is None:
        sys.exit(f"make: {env['DOCKER']} does not answer: make doctor says why")
    return command


def build_words(env: Env) -> list[str]:
    project = ["--build-arg", f"PROJECT={env['PROJECT']}"] if Path("manage.py").exists() else []
    return ["build", *platform(env), "--build-arg", f"BASE={env['BASE']}", *project, *shlex.split(env["BUILD_ARGS"])]


def platform(env: Env) -> list[str]:
    return ["--platform", env["PLATFORM"]] if env["PLATFORM"] else []


# ---- wheelhouse ----


def wheelhouse(env: Env) -> None:
    """Make wheels of all pins, unless the wheelhouse was made from the same files and values."""
    source, mark = made_from(env), HOUSE / "made-from"
    if mark.exists() and mark.read_bytes() == source:
        return
    engine(env)
    with tempfile.TemporaryDirectory(prefix="wheelhouse.", dir=".") as folder:
        new = Path(folder, "new")
        new.mkdir()
        docker(env, *build_words(env), "--target", "builder", "-t", f"{env['IMAGE']}-builder", ".")
        print("make: making wheels of the pins", file=sys.stderr)
        make_wheels(env, new)
        (new / "made-from").write_bytes(source)
        shutil.rmtree(HOUSE, ignore_errors=True)
        new.rename(HOUSE)


def made_from(env: Env) -> bytes:
    """Return all from which the wheelhouse is made: values, files and the program."""
    values = f"BASE={env['BASE']} PLATFORM={env['PLATFORM']}\n"
    return values.encode() + b"".join(Path(path).read_bytes() for path in WHEELS_FROM) + program()


def program() -> bytes:
    return files("slipway.make").joinpath("wheelhouse.sh").read_bytes()


def make_wheels(env: Env, folder: Path) -> None:
    """Make the wheels in a container of the builder, to which this sends the program wheelhouse.sh."""
    command = [*shlex.split(env["DOCKER"]), "run", "--rm", "-i", *platform(env), *shlex.split(env["WHEEL_ARGS"])]
    tar = folder / "wheels.tar"
    with tar.open("wb") as file:
        done = subprocess.run([*command, f"{env['IMAGE']}-builder"], input=program(), stdout=file, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    subprocess.run(["tar", "-xof", tar, "-C", folder], check=True)
    tar.unlink()


# ---- build and push ----


def build(env: Env) -> None:
    image = f"{env['IMAGE']}:{env['TAG']}"
    engine(env)
    names = ("TEST_DATABASE", "DRIFT_ALLOWED", "TESTS") if Path("manage.py").exists() else ()
    values = {**env, "TESTS": " ".join(check.of_team(env)) or env["TESTS"]}
    tests = [word for name in names for word in ("--build-arg", f"{name}={values[name]}")]
    docker(
        env,
        *build_words(env),
        *tests,
        "--build-arg",
        f"RELEASE={env['TAG']}",
        "--build-arg",
        f"REVISION={env['REVISION']}",
        "-t",
        image,
        ".",
    )
    if new := verdicts.new():
        for line in verdicts.lines(verdicts.in_image(shlex.split(env["DOCKER"]), image), new):
            print(line)
    print(f"make: built {image}")


def push(env: Env) -> None:
    """Push the image. Refuse one that nobody could build again, and a name that would go to Docker Hub."""
    command, image = engine(env), f"{env['IMAGE']}:{env['TAG']}"
    servers = Path(env.get("DEPLOY_FOLDER") or "deploy", f"{env.get('ENV') or 'production'}.toml")
    if "/" not in env["IMAGE"]:
        if servers.exists() and re.search('^registry *= *"ssh"', servers.read_text("utf-8"), re.MULTILINE):
            print(f'make: nothing to push: {servers} has registry = "ssh", so make deploy sends the image')
            return
        sys.exit(
            f"make: IMAGE={env['IMAGE']} names no registry: set IMAGE in the Makefile, such as "
            f"registry.example/{env['APP']}"
        )
    revision = output(command, "image", "inspect", "--format", REVISION, image) or ""
    if revision.endswith("-dirty") and not env["ALLOW_DIRTY"]:
        sys.exit(
            f"make: {env['TAG']} has uncommitted changes, so nobody could build it again: commit, then make build push"
        )
    docker(env, "push", image)


# ---- the image on this machine ----


def compose(env: Env) -> list[str]:
    """Return Docker Compose's command: COMPOSE, docker's plugin, or the older program. Exit if there is none."""
    command = shlex.split(env["COMPOSE"]) or [*shlex.split(env["DOCKER"]), "compose"]
    if not env["COMPOSE"] and output(command, "version") is None:
        command = ["docker-compose"]
    if not shutil.which(command[0]):
        sys.exit("make: no Docker Compose here: see make doctor")
    return command


def of_app(env: Env) -> list[str]:
    """Return Compose's command for the app. An adopted project may have a compose.yaml of its own beside ours."""
    path = Path(env["SECRETS"])
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"SECRET_KEY={secrets.token_hex(32)}\nPOSTGRES_PASSWORD={secrets.token_hex(32)}\n")
    words, name = compose(env), env["APP"]
    if Path("compose.slipway.yaml").exists():
        words, name = [*words, "--file", "compose.slipway.yaml"], f"{name}-slipway"
    return [*words, "--project-name", name, "--env-file", env["SECRETS"]]


def up(env: Env) -> None:
    """Start the image with its services. Exit with the log of what failed unless the site answers within UP_SECONDS."""
    engine(env)
    command = of_app(env)
    if subprocess.call([*command, "up", "-d", "--remove-orphans"]):
        log(command, "migrate")
        sys.exit(1)
    wait(command, "web", ["./docker-run.sh", "healthcheck"], env["UP_SECONDS"], "the site")
    print(f"make: http://localhost:{env['PORT']}")


def wait(command: list[str], service: str, ask: Sequence[str], seconds: str, what: str) -> None:
    """Run the command `ask` in the service's container until it succeeds. Exit with its log if it never does."""
    deadline = time.monotonic() + float(seconds)
    while output(command, "exec", "-T", service, *ask) is None:
        if time.monotonic() > deadline:
            log(command, service)
            sys.exit(f"make: {what} does not answer within {seconds} s, see its log above")
        time.sleep(0.3)


def log(command: list[str], service: str) -> None:
    subprocess.call([*command, "logs", "--tail", "20", service], stdout=sys.stderr)


def down(env: Env) -> None:
    engine(env)
    sys.exit(subprocess.call([*of_app(env), "down", "--remove-orphans"]))


if __name__ == "__main__":
    main(sys.argv[1], os.environ)
