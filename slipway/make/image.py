"""Build, push and run the image, for docker.mk: `image wheelhouse`, `build`, `push`, `up` or `down`. Needs Python 3.9.

make passes its variables in the environment. A folder without manage.py holds no Django site, see docs/image.md: its
build needs no wheels and runs no tests.
"""

from __future__ import annotations

import io
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from slipway.make import check, toml, uv, verdicts
from slipway.make.waiting import still
from slipway.make.wheelhouse import OWN

Env = Mapping[str, str]
HOUSE = Path("wheelhouse")
PACKAGES = "docker/packages.txt"
# Unpack the program and the wheelhouse before from stdin, and write the new one to stdout.
IN_BUILDER = """mkdir /tmp/old && tar -xf - -C /tmp/old &&
    UV_PINS=/tmp/old/uv.txt python /tmp/old/wheelhouse.py "$@" /tmp/old /tmp/new >&2 && tar -cf - -C /tmp/new ."""
REVISION = '{{index .Config.Labels "org.opencontainers.image.revision"}}'


def main(action: str, env: Env) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))  # so that half-made files are removed
    try:
        {"wheelhouse": wheelhouse, "build": build, "push": push, "up": up, "down": down}[action](env)
    except OSError as error:
        cure = ": take it from the template, see docs/make.md" if error.filename == PACKAGES else ""
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
    """Make the wheels that the pins name and the wheelhouse lacks; all of them, if it was made for another image."""
    source, mark = made_from(env), HOUSE / "made-from"
    before = mark.read_bytes() if mark.exists() else b""
    if before == source:
        return
    engine(env)
    with tempfile.TemporaryDirectory(prefix="wheelhouse.", dir=".") as folder:
        new = Path(folder, "new")
        new.mkdir()
        docker(env, *build_words(env), "--target=builder", "-t", f"{env['IMAGE']}-builder", ".")
        print("make: making wheels of the pins", file=sys.stderr)
        of_image = source.partition(b"\0")[0]
        make_wheels(env, HOUSE if before.partition(b"\0")[0] == of_image else None, new)
        (new / "made-from").write_bytes(source)
        shutil.rmtree(HOUSE, ignore_errors=True)
        new.rename(HOUSE)


def made_from(env: Env) -> bytes:
    """Return all from which the wheelhouse is made: first what holds for each wheel, then the pins."""
    values = f"BASE={env['BASE']} PLATFORM={env['PLATFORM']}\n".encode()
    lists = {Path(env["REQUIREMENTS"]), *Path().glob("requirements*.txt"), *Path("requirements").glob("*.txt")}
    pins = [Path("uv.lock")] if Path("uv.lock").exists() else sorted(lists)
    texts = [without_package(path.read_text("utf-8", errors="surrogateescape")) for path in pins]
    return b"\0".join(
        [
            values + Path(PACKAGES).read_bytes() + program(),
            *(text.encode("utf-8", errors="surrogateescape") for text in texts),
        ]
    )


def without_package(text: str) -> str:
    """Return pins, or uv.lock, without path and hash of the template's package, which the image has from vendor/."""
    blocks = re.split(r"^(?=\[\[package]])", text, flags=re.MULTILINE)
    others = "".join(block for block in blocks if f'source = {{ path = "{OWN}' not in block)
    return re.sub(rf'{OWN}[^\s"]*( *\\\n *--hash=\S+)*', "", others)


def program() -> bytes:
    return files("slipway.make").joinpath("wheelhouse.py").read_bytes()


def uv_pins() -> bytes:
    return files("slipway").joinpath("requirements/uv.txt").read_bytes()


def make_wheels(env: Env, old: Path | None, new: Path) -> None:
    """Fill the folder `new` by the program wheelhouse.py, in a container of the builder. What it takes from `old` goes
    there and back as an empty file of that name."""
    indexes = uv.pip_indexes(env)
    command = [*shlex.split(env["DOCKER"]), "run", "--rm", "-i", *platform(env), *(f"--env={name}" for name in indexes)]
    command += ["--env=EXPORT", "--env=EXPORT_DEV", *shlex.split(env["WHEEL_ARGS"]), f"{env['IMAGE']}-builder"]
    command += ["sh", "-c", IN_BUILDER, "sh", env["REQUIREMENTS"], env["REQUIREMENTS_DEV"]]
    sent, made = new / "sent.tar", new / "wheels.tar"
    with tarfile.open(sent, "w") as tar:
        if old:
            tar.add(old, ".", filter=emptied)
        for name, content in (("wheelhouse.py", program()), ("uv.txt", uv_pins())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with sent.open("rb") as source, made.open("wb") as target, still("making wheels of the pins"):
        done = subprocess.run(command, env={**env, **indexes}, stdin=source, stdout=target, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    subprocess.run(["tar", "-xof", made, "-C", new], check=True)
    sent.unlink()
    made.unlink()
    for path in new.rglob("*.whl"):
        if old and not path.stat().st_size:
            shutil.copy2(old / path.relative_to(new), path)


def emptied(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out the content of a wheel, but of uv's, which the builder runs."""
    if entry.name.endswith(".whl") and not entry.name.endswith("/uv.whl"):
        entry.size = 0
    return entry


# ---- build and push ----


def build(env: Env) -> None:
    image = f"{env['IMAGE']}:{env['TAG']}"
    engine(env)
    values = {"RELEASE": env["TAG"], "REVISION": env["REVISION"]}
    if Path("manage.py").exists():
        tests = " ".join(check.of_team(env)) or env["TESTS"]
        values |= {"WHEELS": "brought", "TESTS": tests}
        values |= {name: env[name] for name in ("TEST_DATABASE", "DRIFT_ALLOWED")}
    arguments = [word for name, value in values.items() for word in ("--build-arg", f"{name}={value}")]
    docker(env, *build_words(env), *arguments, "-t", image, ".")
    if new := verdicts.new():
        for line in verdicts.lines(verdicts.in_image(shlex.split(env["DOCKER"]), image), new):
            print(line)
    print(f"make: built {image}")


def push(env: Env) -> None:
    """Push the image. Refuse one that nobody could build again, and a name that would go to Docker Hub."""
    command, image = engine(env), f"{env['IMAGE']}:{env['TAG']}"
    servers = Path(env.get("DEPLOY_FOLDER") or "deploy", f"{env.get('ENV') or 'production'}.toml")
    if "/" not in env["IMAGE"]:
        if servers.exists() and toml.read(servers).get("registry") == "ssh":
            print(f'make: nothing to push: {servers} has registry = "ssh", so slipway deploy sends the image')
            return
        sys.exit(
            f"make: IMAGE={env['IMAGE']} names no registry: set image in {servers}, such as "
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
