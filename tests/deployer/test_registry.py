"""The registry that an ssh connection forwards: it serves an archive of `docker save` to Docker's clients."""

import base64
import gzip
import hashlib
import http.client
import io
import json
import tarfile
from collections import namedtuple

import pytest

from proc import executable
from slipway.deploy.errors import Refused
from slipway.deploy.ssh import registry

Answer = namedtuple("Answer", "status headers body")
LAYERS = (b"the base" * 1000, b"", b"the code")


def sha(content):
    return hashlib.sha256(content).hexdigest()


def archive(layers=LAYERS, oci=False, packed=False, release="v1"):
    """Return an archive of `docker save`, in OCI's layout or in the old one, where equal layers are links."""
    config = json.dumps(
        {
            "config": {"Env": [f"RELEASE={release}"]},
            "rootfs": {"diff_ids": [f"sha256:{sha(layer)}" for layer in layers]},
        }
    ).encode()
    files = [gzip.compress(layer, mtime=5) if packed else layer for layer in layers]
    names = [f"blobs/sha256/{sha(file)}" if oci else f"{index:064}/layer.tar" for index, file in enumerate(files)]
    told = {"Config": f"blobs/sha256/{sha(config)}" if oci else f"{sha(config)}.json", "Layers": names}
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, file in {
            **dict(zip(names, files, strict=True)),
            told["Config"]: config,
            "manifest.json": json.dumps([told]).encode(),
        }.items():
            entry = tarfile.TarInfo(name)
            twin = (
                next((other for other in names[: names.index(name)] if files[names.index(other)] == file), None)
                if name in names and not oci
                else None
            )
            if twin:
                entry.type, entry.linkname = tarfile.SYMTYPE, f"../{twin}"
            entry.size = 0 if twin else len(file)
            tar.addfile(entry, None if twin else io.BytesIO(file))
    return written.getvalue()


@pytest.fixture
def docker(tmp_path):
    """docker(saved): the path of a stand-in for docker whose `save` writes these bytes."""

    def make(saved, image="shop:v1"):
        (tmp_path / "saved").write_bytes(saved)
        return str(
            executable(
                tmp_path / "docker",
                (f"#!/bin/sh\n[ $2 != {image} ] || exec cat '{tmp_path}/saved'\necho no such image >&2\nexit 1\n"),
            )
        )

    return make


def ask(server, path, method="GET", login=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    coded = base64.b64encode((login or server.login).encode()).decode()
    connection.request(method, path, headers={"Authorization": f"Basic {coded}"})
    got = connection.getresponse()
    answer = Answer(got.status, got.headers, got.read())
    connection.close()
    return answer


def pull(server):
    """Fetch config and layers as a host does, check each blob's digest, and return config and contents."""

    def blob(entry):
        got = ask(server, f"/v2/app/blobs/{entry['digest']}").body
        assert f"sha256:{sha(got)}" == entry["digest"] and len(got) == entry["size"]
        return got

    manifest = ask(server, f"/v2/app/manifests/{server.digest}").body
    assert f"sha256:{sha(manifest)}" == server.digest
    told = json.loads(manifest)
    layers = [(layer["mediaType"].rpartition(".")[2], blob(layer)) for layer in told["layers"]]
    return json.loads(blob(told["config"])), [
        gzip.decompress(got) if kind == "tar+gzip" else got for kind, got in layers
    ]


@pytest.mark.parametrize("kind", [{}, {"oci": True}, {"oci": True, "packed": True}], ids=["old", "oci", "containerd"])
@pytest.mark.parametrize("layers", [LAYERS, (b"same", b"", b"same", b"")], ids=["all differ", "twins"])
def test_what_is_pulled_is_what_was_saved(docker, kind, layers):
    if kind.get("oci"):
        layers = tuple(dict.fromkeys(layers))
    with registry.serve("shop:v1", docker(archive(layers, **kind))) as server:
        config, got = pull(server)
    assert tuple(got) == layers and config["config"]["Env"] == ["RELEASE=v1"]


def test_only_who_knows_the_login_reads(docker):
    with registry.serve("shop:v1", docker(archive())) as server:
        for login in (":", "deploy:guessed"):
            for path in ("/v2/", f"/v2/app/manifests/{server.digest}"):
                answer = ask(server, path, login=login)
                assert (answer.status, answer.body, server.sent) == (401, b"", 0)
                assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert ask(server, "/v2/").status == 200


def test_the_api_a_host_uses(docker):
    with registry.serve("shop:v1", docker(archive())) as server:
        whole = ask(server, f"/v2/any/name/manifests/{server.digest}")
        assert whole.headers["Docker-Content-Digest"] == server.digest and server.sent == len(whole.body)
        head = ask(server, f"/v2/any/name/manifests/{server.digest}", "HEAD")
        assert head.body == b"" and dict(head.headers).keys() == dict(whole.headers).keys()
        assert head.headers["Content-Length"] == str(len(whole.body)) and server.sent == len(whole.body)
        for path in ("/", f"/v2/app/blobs/sha256:{'0' * 64}", "/v2/app/blobs/../../etc/passwd"):
            assert ask(server, path).status == 404, path


def test_what_can_not_be_served_is_refused(docker, tmp_path):
    with pytest.raises(Refused, match=r"^[^\n]*no-such-docker[^\n]*$"):
        registry.serve("shop:v1", str(tmp_path / "no-such-docker"))
    with pytest.raises(Refused, match=r"needs image shop:v2 on this machine, but docker save fails \(no such image\)"):
        registry.serve("shop:v2", docker(archive()))
