"""Serves a local image to hosts over ssh, for `registry = "ssh"`. A cache keeps compressed layers for later deploys.
Hosts pull only layers that they lack."""

import gzip
import hashlib
import io
import json
import os
import posixpath
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from ..errors import Refused
from .child import thread
from .registry_http import Server

CACHE = Path("var/layers")  # below the working folder, which is the project
KEEP = 30 * 24 * 3600  # seconds to keep a layer after its last use
OCI = "application/vnd.oci.image"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Blob:
    """A part of an image, in a file or in memory."""

    kind: str
    digest: str
    size: int  # bytes
    path: Path | None = None
    content: bytes = b""

    def entry(self) -> dict[str, str | int]:
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size}

    def open(self) -> IO[bytes]:
        return self.path.open("rb") if self.path else io.BytesIO(self.content)


def serve(image: str, cache: Path = CACHE, docker: str = "docker") -> Server:
    """Return a Server for a local image. `cache`: the folder for compressed layers. Raise Refused if Docker does not
    answer or lacks the image."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="save.", dir=cache, ignore_cleanup_errors=True) as folder:
        config, files = saved(image, Path(folder), docker)
        layers = at_once([partial(layer, diff_id, file, cache) for diff_id, file in files])
    forget(cache)
    blob = bytes_blob("config.v1", config)
    top = manifest(blob, layers)
    return Server(top.digest, [top, blob, *layers])


# ---- manifests ----

def bytes_blob(kind: str, content: bytes) -> Blob:
    return Blob(f"{OCI}.{kind}+json", "sha256:" + hashlib.sha256(content).hexdigest(), len(content), content=content)


def manifest(config: Blob, layers: Sequence[Blob]) -> Blob:
    """Return the image's manifest. The same parts always give the same bytes."""
    content = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config.entry(),
               "layers": [layer.entry() for layer in layers]}
    return bytes_blob("manifest.v1", json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


# ---- from docker save ----

def at_once(functions: Sequence[Callable[[], Blob]]) -> list[Blob]:
    turns = threading.Semaphore(os.cpu_count() or 1)

    def call(function: Callable[[], Blob]) -> Blob:
        with turns:
            return function()
    return [future.result() for future in [thread(call, function) for function in functions]]


def saved(image: str, folder: Path, docker: str) -> tuple[bytes, list[tuple[str, Path]]]:
    """Run `docker save`. Return (config, [(diff id, layer's file)]), the bottom layer first."""
    refuse_missing(image, docker)
    with subprocess.Popen([docker, "save", image], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as save:
        assert save.stdout
        try:
            config, files = read_save(save.stdout, folder)
            return config, list(zip(json.loads(config)["rootfs"]["diff_ids"], files, strict=True))
        except (tarfile.TarError, EOFError, KeyError, IndexError, ValueError) as error:
            raise Refused(f"docker save {image} wrote a broken archive: {error or type(error).__name__}") from None
        finally:
            save.stdout.close()


def refuse_missing(image: str, docker: str) -> None:
    try:
        done = subprocess.run([docker, "image", "inspect", image], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"registry = \"ssh\" needs Docker on this machine, but it fails: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no output"]
        name, _, tag = image.rpartition(":")
        raise Refused(f"registry = \"ssh\" needs image {image} on this machine ({said[-1]}): run make build"
                      f" IMAGE={name} TAG={tag}")


def read_save(stream: IO[bytes], folder: Path) -> tuple[bytes, list[Path]]:
    """Unpack `docker save`'s output into `folder`. Return (config, layers' files).
    Docker's archives have two layouts, both with a manifest.json."""
    files, links = unpack(stream, folder)

    def find(name: str) -> Path:
        return files[links.get(name, name)]
    manifest = json.loads(find("manifest.json").read_bytes())[0]
    return find(manifest["Config"]).read_bytes(), [find(name) for name in manifest["Layers"]]


def unpack(stream: IO[bytes], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Unpack a tar archive into `folder`. Return (name → file, link → name). Never use the archive's names as paths."""
    files: dict[str, Path] = {}
    links: dict[str, str] = {}
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for entry in tar:
            name = posixpath.normpath(entry.name)
            if entry.issym() or entry.islnk():
                base = posixpath.dirname(name) if entry.issym() else ""
                links[name] = posixpath.normpath(posixpath.join(base, entry.linkname))
            elif entry.isfile():
                files[name] = folder / str(len(files))
                with files[name].open("wb") as file:
                    shutil.copyfileobj(cast(IO[bytes], tar.extractfile(entry)), file, 1 << 20)
    return files, links


# ---- the cache of compressed layers ----
# A layer's file is named DIFF_ID.DIGEST: sha256 of the layer before and after compression.

def layer(diff_id: str, file: Path, cache: Path) -> Blob:
    """Return the layer's compressed copy in the folder `cache`. If there is none, make it from `file`."""
    name = diff_id.partition(":")[2]
    kept = next((path for path in cache.glob(f"{name}.*") if digest_of(path) == path.suffix[1:]), None)
    if kept:
        os.utime(kept)
    else:
        packed = pack(file, cache)
        kept = packed.rename(cache / f"{name}.{digest_of(packed)}")
    return Blob(f"{OCI}.layer.v1.tar{compression(kept)}", f"sha256:{kept.suffix[1:]}", kept.stat().st_size, kept)


def pack(source: Path, folder: Path) -> Path:
    """Compress `source` into a new file in `folder`. The same content makes the same bytes. If `source` is
    compressed already, as in containerd's store, copy it."""
    with source.open("rb") as file, tempfile.NamedTemporaryFile(prefix="new.", dir=folder, delete=False) as raw:
        if compression(source):
            shutil.copyfileobj(file, raw, 1 << 20)
        else:
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                shutil.copyfileobj(file, packed, 1 << 20)
    return Path(raw.name)


def compression(path: Path) -> str:
    with path.open("rb") as file:
        magic = file.read(4)
    return "+gzip" if magic.startswith(GZIP) else "+zstd" if magic == ZSTD else ""


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(cache: Path) -> None:
    for path in cache.iterdir():
        age = time.time() - path.stat().st_mtime
        if path.is_file() and age > KEEP:
            path.unlink(missing_ok=True)
        elif path.name.startswith("save.") and age > 24 * 3600:
            shutil.rmtree(path, ignore_errors=True)
