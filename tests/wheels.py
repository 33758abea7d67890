"""Small Python packages for tests of an install; their folder is a stand-in for the package index."""

import base64
import hashlib
import io
import tarfile
import zipfile

# A package that builds without a build tool, reports its start, and waits for permission to go on.
SLOW_BACKEND = """
import os, pathlib, shutil, time

def build_wheel(folder, config_settings=None, metadata_directory=None):
    pathlib.Path(os.environ["SLOW_STARTED"]).touch()
    deadline = time.monotonic() + 60
    while not os.path.exists(os.environ["SLOW_MAY_GO_ON"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return shutil.copy("slow-1.0-py3-none-any.whl", folder).rpartition("/")[2]

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    shutil.copytree("slow-1.0.dist-info", folder + "/slow-1.0.dist-info")
    return "slow-1.0.dist-info"
"""


def wheel(folder, name, version, files, more=""):
    """Write a wheel with `files` {path: text} into `folder`. Return its path. A path in NAME-VERSION.data/scripts/
    becomes a program in bin/. `more`: lines of its metadata."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": metadata(name, version) + more,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={digest(text)},{len(text.encode())}\n" for path, text in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            archive.writestr(entry, text)
    return path


def slow_package(folder):
    """Write slow-1.0.tar.gz, whose install waits for the file $SLOW_MAY_GO_ON. Return its path."""
    path = folder / "slow-1.0.tar.gz"
    parts = {
        "PKG-INFO": metadata("slow", "1.0"),
        "backend.py": SLOW_BACKEND,
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "slow-1.0.dist-info/METADATA": metadata("slow", "1.0"),
    }
    built = wheel(folder, "slow", "1.0", {"slow.py": ""})
    files = {**{name: text.encode() for name, text in parts.items()}, built.name: built.read_bytes()}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"slow-1.0/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    built.unlink()  # it would be installed instead
    return path


def metadata(name, version):
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def digest(text):
    """Return the digest in RECORD's form."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def pin(path):
    """Return the line of a requirements file that accepts only this file."""
    name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
