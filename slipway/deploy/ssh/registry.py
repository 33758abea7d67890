"""Serves a local image over ssh, for `registry = "ssh"`: its layers as `docker save` writes them; ssh compresses."""

import contextlib
import hashlib
import io
import json
import os
import posixpath
import subprocess
import tarfile
import tempfile
from typing import IO, cast

from ..agent.host import lines_of
from ..errors import Refused
from .registry_http import Blob, Server

OCI = "application/vnd.oci.image"
COMPRESSED = {b"\x1f\x8b": "+gzip", b"\x28\xb5": "+zstd"}  # how a layer of containerd's store begins → its kind


def serve(image: str, docker: str = "docker") -> Server:
    """Return a Server for a local image. Raise Refused if Docker does not answer or lacks the image."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir="/var/tmp"))  # a disk, while /tmp may be memory
        try:
            done = subprocess.run([docker, "save", image], stdout=file, stderr=subprocess.PIPE, check=False)
        except OSError as error:
            raise Refused(f'registry = "ssh" needs Docker on this machine, but it fails: {error}') from None
        if done.returncode:
            output = lines_of(done.stderr.decode(errors="replace").strip()) or ["no output"]
            name, _, tag = image.rpartition(":")
            raise Refused(
                f'registry = "ssh" needs image {image} on this machine, but docker save fails ({output[-1]}):'
                f" run make build TAG={tag}, or correct image in the file of the servers, {name}"
            )
        server = make_server(file)
        stack.pop_all()  # the Server closes the file
        return server


def make_server(file: IO[bytes]) -> Server:
    """Return a Server for an archive of `docker save`, which has a manifest.json in both of its layouts. Append the
    image's manifest to the archive. The same parts always give the same bytes."""
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        about = json.loads(open_member(tar, "manifest.json").read())[0]
        config = blob(tar, about["Config"], "config.v1+json")
        layers = [
            blob(tar, name, "layer.v1.tar" + COMPRESSED.get(open_member(tar, name).read(2), ""))
            for name in about["Layers"]
        ]
    kind = f"{OCI}.manifest.v1+json"
    text = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": config.entry(),
            "layers": [layer.entry() for layer in layers],
        },
        sort_keys=True,
    ).encode()
    top = Blob(kind, f"sha256:{hashlib.sha256(text).hexdigest()}", len(text), file.seek(0, os.SEEK_END))
    file.write(text)
    file.flush()
    return Server(top.digest, [top, config, *layers], file)


def blob(tar: tarfile.TarFile, name: str, kind: str) -> Blob:
    digest = hashlib.file_digest(open_member(tar, name), "sha256").hexdigest()
    entry = tar.getmember(name)
    if entry.issym():  # a layer that the image has twice
        entry = tar.getmember(posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.linkname)))
    return Blob(f"{OCI}.{kind}", f"sha256:{digest}", entry.size, entry.offset_data)


def open_member(tar: tarfile.TarFile, name: str) -> io.BufferedReader:
    return cast(io.BufferedReader, tar.extractfile(name))
