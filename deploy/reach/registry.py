"""A registry of one image, for `registry = "ssh"`: what the engine here holds, served on the loopback for reading.

The connection forwards it to a host (Ssh.forward), whose `docker pull 127.0.0.1:PORT/app@DIGEST` then fetches only the
layers it lacks. A layer is known by the digest of its compressed form: that is made the same way each time, and kept.
"""

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
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from ..errors import Refused
from .registry_http import Server

CACHE = Path(__file__).resolve().parents[2] / "var" / "layers"
KEEP = 30 * 24 * 3600  # seconds a layer is kept that no image asked for
OCI = "application/vnd.oci.image"
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Blob:
    """A part of an image as it travels: a file, or bytes."""

    kind: str
    digest: str
    size: int
    path: Path | None = None
    content: bytes = b""

    def entry(self) -> dict[str, str | int]:
        """What a manifest says of it."""
        return {"mediaType": self.kind, "digest": self.digest, "size": self.size}

    def open(self) -> IO[bytes]:
        return self.path.open("rb") if self.path else io.BytesIO(self.content)


def serve(image: str, cache: Path = CACHE, docker: str = "docker") -> Server:
    """A Server of an image of the engine here, with `port`, `digest`, `login`, `sent`: serves while it is entered.

    Raises Refused when the engine does not answer or has no such image.
    """
    parts = parts_of(image, Path(cache), docker)
    return Server(parts[0].digest, parts)


# ---- pure: what a manifest is ----

def bytes_blob(kind: str, content: bytes) -> Blob:
    return Blob(f"{OCI}.{kind}+json", "sha256:" + hashlib.sha256(content).hexdigest(), len(content), content=content)


def manifest(config: Blob, layers: Sequence[Blob]) -> Blob:
    """The manifest's Blob, of the config's and the layers'. The same parts make the same bytes."""
    content = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config.entry(),
               "layers": [layer.entry() for layer in layers]}
    return bytes_blob("manifest.v1", json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


# ---- what the engine has ----

def parts_of(image: str, cache: Path, docker: str = "docker") -> list[Blob]:
    """The manifest, the config and the layers of an image, as Blobs; layers lie in `cache` afterwards."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="save.", dir=cache, ignore_cleanup_errors=True) as folder:
        config, files = saved(image, Path(folder), docker)
        layers = at_once([partial(layer, diff_id, file, cache) for diff_id, file in files])
    forget(cache)
    blob = bytes_blob("config.v1", config)
    return [manifest(blob, layers), blob, *layers]


def at_once(functions: Sequence[Callable[[], Blob]]) -> list[Blob]:
    """What each returns, as many at a time as there are processors; the end of the deployer waits for none."""
    turns, futures = threading.Semaphore(os.cpu_count() or 1), [Future[Blob]() for _ in functions]

    def call(function: Callable[[], Blob], future: Future[Blob]) -> None:
        with turns:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
    for words in zip(functions, futures):
        threading.Thread(target=call, args=words, daemon=True).start()
    return [future.result() for future in futures]


def saved(image: str, folder: Path, docker: str) -> tuple[bytes, list[tuple[str, Path]]]:
    """`docker save`, unpacked into `folder`: the config's bytes and, from the bottom up, layers: (diff id, file)."""
    refuse_missing(image, docker)
    with subprocess.Popen([docker, "save", image], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as save:
        assert save.stdout
        try:
            config, files = read_save(save.stdout, folder)
            return config, list(zip(json.loads(config)["rootfs"]["diff_ids"], files, strict=True))
        except (tarfile.TarError, EOFError, KeyError, IndexError, ValueError) as error:
            raise Refused(f"docker save {image} wrote what can't be read: {error or type(error).__name__}") from None
        finally:
            save.stdout.close()


def refuse_missing(image: str, docker: str) -> None:
    """Raises Refused, with a cure, unless the engine here has the image."""
    try:
        done = subprocess.run([docker, "image", "inspect", image], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"registry = \"ssh\" sends the image of this machine's Docker, which fails: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        raise Refused(f"no image {image} on this machine, to be sent by ssh ({said[-1]}): make build first")


def read_save(stream: IO[bytes], folder: Path) -> tuple[bytes, list[Path]]:
    """What `docker save` writes to `stream`, put into `folder`: the config's bytes and the layers' files.

    Both of its layouts, the old and OCI's, hold manifest.json; equal layers may be links. Names in the archive are
    never used as paths.
    """
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

    def find(name: str) -> Path:
        return files[links.get(name, name)]
    told = json.loads(find("manifest.json").read_bytes())[0]
    return find(told["Config"]).read_bytes(), [find(name) for name in told["Layers"]]


# ---- layers, compressed once ----
# In the cache a layer is DIFF_ID.DIGEST: of its content, and of its compressed form.

def layer(diff_id: str, file: Path, cache: Path) -> Blob:
    """The Blob of a layer, from the cache or else from its `file`, which is then put there."""
    name = diff_id.partition(":")[2]
    kept = next((path for path in cache.glob(f"{name}.*") if digest_of(path) == path.suffix[1:]), None)
    if kept:
        os.utime(kept)
    else:
        packed = pack(file, cache)
        kept = packed.rename(cache / f"{name}.{digest_of(packed)}")
    return Blob(f"{OCI}.layer.v1.tar{compression(kept)}", f"sha256:{kept.suffix[1:]}", kept.stat().st_size, kept)


def pack(source: Path, folder: Path) -> Path:
    """A new file in `folder`: `source` compressed, without name and time, so that the same content makes the same
    bytes; what is compressed stays as it is, as an engine with containerd's store saves layers as it got them."""
    with source.open("rb") as file, tempfile.NamedTemporaryFile(prefix="new.", dir=folder, delete=False) as raw:
        if compression(source):
            shutil.copyfileobj(file, raw, 1 << 20)
        else:
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
                shutil.copyfileobj(file, packed, 1 << 20)
    return Path(raw.name)


def compression(path: Path) -> str:
    """How a file is compressed, as media types end; empty where it is not."""
    with path.open("rb") as file:
        magic = file.read(4)
    return "+gzip" if magic.startswith(GZIP) else "+zstd" if magic == ZSTD else ""


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(cache: Path) -> None:
    """Remove layers that were not asked for in a month, and what an interrupted deploy has left."""
    for path in cache.iterdir():
        age = time.time() - path.stat().st_mtime
        if path.is_file() and age > KEEP:
            path.unlink(missing_ok=True)
        elif path.name.startswith("save.") and age > 24 * 3600:
            shutil.rmtree(path, ignore_errors=True)
