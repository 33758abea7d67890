"""node.mk with the real npm and small packages of a folder, without network: tests/image has a real bundler."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile

import pytest

from proc import ROOT, end, run, wait_until

# Fills $ASSETS as a bundler does; with a file `broken` it stops half way.
BUNDLER = """#!/usr/bin/env node
const fs = require("fs");
for (const name of fs.readdirSync("assets")) fs.copyFileSync(`assets/${name}`, `${process.env.ASSETS}/${name}`);
fs.writeFileSync(`${process.env.ASSETS}/by`, "%s");
if (fs.existsSync("broken")) process.exit(3);
"""
ESLINT = """#!/usr/bin/env node
console.log("looked", process.argv.slice(2).join(" "));
"""
# npm, as long as a test lets it.
COUNTED = """#!/bin/sh
echo "$*" >>calls
[ ! -e hold ] || [ "$1" != ci ] || { mkdir -p node_modules/half; touch started; exec sleep 600; }
exec npm "$@"
"""


@pytest.fixture(autouse=True)
def npm():
    """A CI has it."""
    if not shutil.which("npm"):
        pytest.fail("npm is not installed") if os.environ.get("CI") else pytest.skip("npm is not installed")


def package(folder, name, version, script):
    """A package of one program, as npm packs it; the file's name."""
    files = {"package.json": json.dumps({"name": name, "version": version, "bin": {name: "run.js"}}), "run.js": script}
    path = folder / f"{name}-{version}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for inside, text in files.items():
            entry = tarfile.TarInfo(f"package/{inside}")
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path.name


class Front:
    """A project with a front end, in a folder with a space and a quote in its name."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "assets").mkdir(parents=True)
        shutil.copytree(ROOT / "make", folder / "make", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "node.mk", folder)
        (folder / "Makefile").write_text("include node.mk\n")
        (folder / "assets/app.js").write_text("one\n")
        (folder / "npm").write_text(COUNTED)
        (folder / "npm").chmod(0o755)
        (folder.parent / "home").mkdir()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder.parent / "home"), "NPM": f"{folder}/npm"}
        run(["git", "init", "--quiet"], cwd=folder, env=self.env)
        (folder / ".gitignore").write_text("/*/static/built/\n/*/static/built.new/\n")
        self.wants(bundler="1.0.0")

    def wants(self, scripts=None, **packages):
        """Name packages of the folder, and have npm lock them."""
        texts = {"bundler": BUNDLER % packages.get("bundler"), "eslint": ESLINT}
        files = {name: package(self.folder, name, version, texts[name]) for name, version in packages.items()}
        self.write({"private": True, "scripts": {"build": "bundler"} if scripts is None else scripts,
                    "devDependencies": {name: f"file:{file}" for name, file in files.items()}})
        done = run(["npm", "install", "--package-lock-only", "--offline"], cwd=self.folder, env=self.env)
        assert done.returncode == 0, done.stderr

    def write(self, package):
        (self.folder / "package.json").write_text(json.dumps(package))

    def command(self, *words):
        return ["make", "--no-print-directory", *words]

    def make(self, *words, **env):
        return run(self.command(*words), cwd=self.folder, env={**self.env, **env})

    def made(self, *words):
        """make, which must succeed; what it said of what it did."""
        done = self.make(*words)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def installs(self):
        """How often packages were installed since the last time."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return sum(line.startswith("ci ") for line in lines)

    def built(self):
        """Name → text of what is in the static files."""
        folder = self.folder / "project/static"
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def front(tmp_path):
    return Front(tmp_path / "a 'front' end")


WHOLE = {"built/app.js": "one\n", "built/by": "1.0.0"}


def test_packages_by_content(front):
    """They are installed once, whatever time a file has; and again, anew, for another lock or another Node."""
    assert front.made("assets") == "make: installing what package-lock.json names\n" and front.installs() == 1
    assert front.built() == WHOLE
    os.utime(front.folder / "package.json")
    assert front.made("assets") == "" and front.installs() == 0
    front.wants(bundler="2.0.0")
    front.made("assets")
    assert front.installs() == 1 and front.built()["built/by"] == "2.0.0"
    other = front.folder / "new/node"
    other.parent.mkdir()
    own = shutil.which("node")
    other.write_text(f'#!/bin/sh\n[ "$1" != --version ] || {{ echo v99.0.0; exit; }}\nexec {own} "$@"\n')
    other.chmod(0o755)
    assert "installing" in front.made("assets", "NODE=./new/node") and front.installs() == 1
    assert front.made("assets", "NODE=./new/node") == ""


def test_all_use_the_node_that_is_named(front):
    """npm does, and the bundler; and a password of .npmrc stays there."""
    other = front.folder / "other/node"
    other.parent.mkdir()
    other.write_text(f'#!/bin/sh\necho "$*" >>"{front.folder}/nodes"\nexec {shutil.which("node")} "$@"\n')
    other.chmod(0o755)
    (front.folder / ".npmrc").write_text("//npm.example/:_authToken=secret\n")
    front.made("assets", "NODE=other/node")
    ran = (front.folder / "nodes").read_text()
    assert " ci " in ran and "/bundler" in ran, ran
    assert "secret" not in (front.folder / "node_modules/sentinel").read_text()


@pytest.mark.parametrize("committed", [True, False])
def test_files_of_yours_stay(front, committed):
    """Only what git ignores is taken away."""
    own = front.folder / "project/static/own.css"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    if committed:
        assert run(["git", "add", own], cwd=front.folder, env=front.env).returncode == 0
    assert wrong(front.make("assets", "ASSETS=project/static")).startswith(
        "ASSETS=project/static is emptied, and has project/static/own.css, which git does not ignore: ")
    shutil.rmtree(front.folder / ".git")
    assert "git does not say what of it is yours" in wrong(front.make("assets", "ASSETS=project/static"))
    assert front.built() == {"own.css": "mine"}


def test_folders_that_will_not_do(front):
    """A line says why."""
    (front.folder / "link").symlink_to("assets")
    assert wrong(front.make("assets", "ASSETS=")) == "ASSETS= names no folder that can be made anew"
    assert wrong(front.make("assets", "ASSETS=link")) == "ASSETS=link is a link: name the folder itself"
    assert wrong(front.make("assets", "PYTHON_MIN=9.1")) == "python3 is older than Python 9.1: run make PYTHON=…"


def test_not_while_it_is_watched(front):
    """A build would take the watcher's folder away, and have its maps."""
    front.wants({"build": "bundler", "watch": "bundler && exec sleep 600"}, bundler="1.0.0")
    with subprocess.Popen(front.command("assets-watch"), cwd=front.folder, env=front.env,
                          start_new_session=True) as watcher:
        wait_until(lambda: front.built() == WHOLE)
        said = wrong(front.make("assets"))
        os.killpg(watcher.pid, signal.SIGTERM)
        end(watcher)
    assert said == "make assets-watch runs, and writes to project/static/built: end it first"
    assert front.made("assets") == "" and front.built() == WHOLE


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_the_service_ends(tmp_path, sent):
    """At Ctrl-C too, and soon where somebody has sent half a request."""
    script = (ROOT / "examples/node/server.js").read_text()
    assert "LAST = 25000;" in script
    (tmp_path / "server.js").write_text(script.replace("LAST = 25000;", "LAST = 500;"))
    path = tmp_path / "web.sock"
    with subprocess.Popen(["node", tmp_path / "server.js"], env={**os.environ, "SOCKET": str(path)}) as server:
        wait_until(path.exists)
        with socket.socket(socket.AF_UNIX) as half:
            half.connect(str(path))
            half.sendall(b"GET / HTTP/1.1\r\n")
            server.send_signal(sent)
            try:
                assert server.wait(20) == 0
            finally:
                server.kill()


def test_an_install_that_was_killed(front):
    """Its packages count for nothing, nor do those of before."""
    front.made("assets")
    front.wants(bundler="2.0.0")
    (front.folder / "hold").touch()
    with subprocess.Popen(front.command("assets"), cwd=front.folder, env=front.env, start_new_session=True) as make:
        wait_until((front.folder / "started").exists)
        os.killpg(make.pid, signal.SIGKILL)
        end(make)
    assert not (front.folder / "node_modules/sentinel").exists()
    (front.folder / "hold").unlink()
    front.made("assets")
    assert front.built()["built/by"] == "2.0.0" and not (front.folder / "node_modules/half").exists()


def test_two_at_once(front):
    """The second waits, and finds all there."""
    both = [subprocess.Popen(front.command("assets"), cwd=front.folder, env=front.env, stderr=subprocess.PIPE)
            for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0], [process.stderr.read() for process in both]
    for process in both:
        process.stderr.close()
    assert front.installs() == 1 and front.built() == WHOLE


def test_assets_are_whole(front):
    """What a source no longer makes is gone; a build that fails leaves those of before, and nothing half made."""
    front.made("assets")
    (front.folder / "assets/app.js").rename(front.folder / "assets/site.js")
    front.made("assets")
    after = {"built/site.js": "one\n", "built/by": "1.0.0"}
    assert front.built() == after
    (front.folder / "assets/site.js").write_text("two\n")
    (front.folder / "broken").touch()
    assert wrong(front.make("assets")) == "npm run build fails (3): project/static/built stays as it was"
    assert front.built() == after


def wrong(done):
    """The line that says what is wrong; make's own follows."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if "***" not in line and "installing" not in line]
    assert len(lines) == 1 and lines[0].startswith("make: "), lines
    return lines[0].removeprefix("make: ")


def test_what_is_missing(front):
    """A line says what, and what to do."""
    assert "install Node.js" in wrong(front.make("assets", "NODE=no-such-node"))
    assert "install Node.js" in wrong(front.make("assets", "NPM=no-such-npm"))
    assert wrong(front.make("eslint")) == (
        "no eslint here: npm install --save-dev eslint @eslint/js, and commit what that changes")
    lock = front.folder / "package-lock.json"
    lock.rename(front.folder / "lock")
    assert wrong(front.make("assets")) == "no package-lock.json here: npm install, then commit it"
    (front.folder / "package.json").unlink()
    assert wrong(front.make("assets")).startswith("no package.json here: npm init")


def test_scripts_that_do_not_fit(front):
    """There has to be one, and it writes where it is told."""
    front.wants({}, bundler="1.0.0")
    assert wrong(front.make("assets")).startswith("package.json has no script build: ")
    front.wants({"build": "true"}, bundler="1.0.0")
    assert wrong(front.make("assets")).startswith("npm run build has left nothing in the folder $ASSETS: ")
    assert not front.built()


def test_a_lock_that_does_not_fit(front):
    """That is told with the package, and with the cure."""
    lock = (front.folder / "package-lock.json").read_text()
    front.wants(bundler="1.0.0", eslint="9.9.9")
    (front.folder / "package-lock.json").write_text(lock)
    assert wrong(front.make("assets")) == (
        "package-lock.json does not fit package.json (Missing: eslint@9.9.9 from lock file): run npm install, then"
        " commit it")


def test_a_registry_that_is_not_reached(front):
    """It is told as that."""
    (front.folder / ".npmrc").write_text("registry=http://127.0.0.1:9/\n")
    front.write({"devDependencies": {"left": "1.0.0"}, "scripts": {"build": "bundler"}})
    packages = {"": {"devDependencies": {"left": "1.0.0"}}, "node_modules/left": {"version": "1.0.0", "dev": True}}
    (front.folder / "package-lock.json").write_text(json.dumps({"lockfileVersion": 3, "packages": packages}))
    said = wrong(front.make("assets", "NPM_ARGS=--fetch-retries=0"))
    assert said.startswith("cannot reach npm's registry (ECONNREFUSED): "), said


def test_eslint(front):
    """It gets ARGS, and is no older than the lock."""
    front.wants(bundler="1.0.0", eslint="9.9.9")
    assert front.make("eslint", "ARGS=--fix").stdout == "looked --fix\n"


@pytest.fixture
def whole(tmp_path):
    """A project with all .mk files, and one that includes node.mk as well."""
    for path in [ROOT / "Makefile", *ROOT.glob("*.mk")]:
        shutil.copy(path, tmp_path)
    shutil.copytree(ROOT / "make", tmp_path / "make")
    (tmp_path / "with.mk").write_text("include Makefile node.mk\n")
    return tmp_path


def test_nothing_of_it_unless_it_is_included(whole):
    """Then the image's build begins with the assets, and plain make looks at JavaScript, too."""
    for target, word in (("build", "make_node.py build"), ("all", "node_modules/.bin/eslint")):
        without, included = (run(["make", "-n", "-f", file, target], cwd=whole).stdout
                             for file in ("Makefile", "with.mk"))
        assert "node_modules/sentinel" not in without and word not in without
        assert word in included
    build = run(["make", "-n", "-f", "with.mk", "build", "TAG=1"], cwd=whole).stdout
    assert build.index("make_node.py build") < build.rindex("docker build")
