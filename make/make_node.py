"""npm's packages, and what a bundler makes of a project's own, for node.mk: `make_node.py install`, `build`, `watch`.

node_modules/sentinel is removed first and written last, so packages with one are whole. It holds the checksum of what
they were installed from: node's version, package.json, package-lock.json, .npmrc. node.mk compares that with what is
wanted, and runs this only where they differ. One make at a time; standard library only.
"""

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Mapping, Sequence

sys.dont_write_bytecode = True  # the checkout is no place for it
try:
    from make_install import Problem, run, say
    from make_ve import lock
except ImportError:
    sys.exit("make: no make/make_ve.py here: take make/ from the template, see docs/make.md")

MODULES, PACKAGE = Path("node_modules"), Path("package.json")
SENTINEL = MODULES / "sentinel"
MADE_FROM = [PACKAGE, Path("package-lock.json"), Path(".npmrc")]
# Development's too, as the bundler is one, whatever NODE_ENV says.
CI = ["ci", "--include=dev", "--no-audit", "--no-fund", "--no-update-notifier"]
NETWORK = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|E(NET|HOST)UNREACH|ERR_SOCKET_TIMEOUT|\w+_CERT\w*)\b")


def main(words: Sequence[str], env: Mapping[str, str]) -> None:
    """Do it; or say in one line why not."""
    try:
        with lock(MODULES):
            {"install": install, "build": build, "watch": watch}[words[0]](env)
        if words[0] == "watch":  # others do not wait for it
            Path(env["ASSETS"]).mkdir(exist_ok=True)
            os.execvpe(env["NPM"], [env["NPM"], "run", "--silent", "watch"], dict(env))
    except Problem as problem:
        sys.exit(f"make: {problem}")
    except OSError as error:
        sys.exit(f"make: {error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


# ---- packages ----

def install(env: Mapping[str, str]) -> None:
    """Bring node_modules to where its sentinel holds. Raises Problem."""
    content = wanted(env)  # read before, so that an edit meanwhile is not taken for installed
    if SENTINEL.exists() and SENTINEL.read_bytes() == content:
        return
    if SENTINEL.exists():
        SENTINEL.unlink()
    say("installing what package-lock.json names")
    done = run([env["NPM"], *CI, *shlex.split(env["NPM_ARGS"])])
    if done.returncode:
        raise Problem(cause(done.stdout))
    MODULES.mkdir(exist_ok=True)  # where no package is named there is none
    SENTINEL.write_bytes(content)


def wanted(env: Mapping[str, str]) -> bytes:
    """The content of the sentinel: `node_wanted` in node.mk must write the same bytes."""
    done = run([env["NODE"], "--version"])
    if done.returncode:
        raise Problem(f"{env['NODE']} does not run: {done.stdout.strip() or done.returncode}")
    content = done.stdout.encode() + b"".join(path.read_bytes() for path in MADE_FROM if path.exists())
    return subprocess.run(["cksum"], input=content, stdout=subprocess.PIPE, check=True).stdout


def cause(said: str) -> str:
    """What is wrong and what to do, in one line, out of what a failed `npm ci` said."""
    lines = re.findall(r"^npm (?:error|ERR!) (.+)$", said, re.MULTILINE)
    differs = next((line for line in lines if re.match("(Missing|Invalid): ", line)), "")
    if differs:
        return f"package-lock.json does not fit package.json ({differs}): run npm install, then commit it"
    if found := NETWORK.search(said):
        return (f"cannot reach npm's registry ({found[0]}): check the network, the proxy, or registry in .npmrc,"
                " then run make again")
    texts = [line for line in lines if not re.match("code |A complete log", line)]
    return f"npm ci fails: {' '.join((texts or [last(said)])[0].split())[:200]}: npm ci tells more"


def last(said: str) -> str:
    """The last line of what was said."""
    return (said.strip().splitlines() or ["it does not say why"])[-1]


# ---- what the bundler makes ----

def watch(env: Mapping[str, str]) -> None:
    """Have builds refused. Raises Problem."""
    claim(env, shared=True)


def build(env: Mapping[str, str]) -> None:
    """Have package.json's script fill a new folder, which then takes the place of ASSETS: so that is always whole, and
    has nothing of before. Raises Problem."""
    assets = folder_of_ours(env["ASSETS"])
    new = assets.with_name(assets.name + ".new")
    if "build" not in json.loads(PACKAGE.read_text()).get("scripts", {}):
        raise Problem("package.json has no script build: write one that fills the folder $ASSETS")
    claim(env)
    remove(new)
    new.mkdir(parents=True)
    try:
        bundle(env, new)
        remove(assets)
        new.rename(assets)
    finally:
        remove(new)


def folder_of_ours(name: str) -> Path:
    """The folder ASSETS, which holds nothing but what was made. Raises Problem."""
    assets = Path(name)
    if not assets.name:
        raise Problem(f"ASSETS={name} names no folder that can be made anew")
    if assets.is_symlink():
        raise Problem(f"ASSETS={name} is a link: name the folder itself")
    if not assets.exists():
        return assets
    done = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", name])
    if done.returncode and any(assets.iterdir()):
        raise Problem(f"ASSETS={name} is emptied, and git does not say what of it is yours: {last(done.stdout)}")
    if not done.returncode and done.stdout:
        raise Problem(f"ASSETS={name} is emptied, and has {done.stdout.splitlines()[0]}, which git does not ignore:"
                      " name a folder of its own, and that in .gitignore")
    return assets


def claim(env: Mapping[str, str], shared: bool = False) -> None:
    """Hold the folder that ASSETS is in until this process ends, or what it becomes; make assets-watch `shared`. Raises
    Problem where that does, as a build would take its folder away, and have its maps; waits for another build."""
    assets = Path(env["ASSETS"])
    if not assets.name:
        raise Problem(f"ASSETS={env['ASSETS']} names no folder")
    assets.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(str(assets.parent), os.O_RDONLY)
    os.set_inheritable(folder, True)
    fcntl.flock(folder, fcntl.LOCK_SH)  # another build ends by itself
    try:
        fcntl.flock(folder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Problem(f"make assets-watch runs, and writes to {assets}: end it first") from None


def bundle(env: Mapping[str, str], folder: Path) -> None:
    """Run the script; what it says is seen. Raises Problem."""
    done = subprocess.run([env["NPM"], "run", "--silent", "build"], env={**env, "ASSETS": str(folder)},
                          stdin=subprocess.DEVNULL, close_fds=False)  # as it holds the lock, too
    if done.returncode:
        raise Problem(f"npm run build fails ({done.returncode}): {folder.with_suffix('')} stays as it was")
    if not any(path.is_file() for path in folder.rglob("*")):
        raise Problem("npm run build has left nothing in the folder $ASSETS: that is where it has to write")


def remove(folder: Path) -> None:
    """No folder is left there."""
    if folder.exists():
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
