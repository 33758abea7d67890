"""The agent's requests to Docker's engine about images: real sockets, and answers as an engine gives them."""

import base64
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from connect import answer, listen
from proc import ROOT
from pull_failures import CAUSES
from slipway.deploy.agent import disk, docker, facts, images, progress, releases, retirement
from slipway.deploy.agent.attempt import Attempt
from slipway.deploy.agent.host import Host, Problem
from slipway.deploy.agent.steps import pull

PLATFORMS = [{"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux"}]
DIGEST = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:d"}
IMAGE = {
    "Id": "sha256:1",
    "RepoDigests": ["r.example/shop@sha256:d"],
    "Config": {"Labels": {images.REVISION: "0123-dirty"}},
}
MISSING = (404, {"message": "No such image"})
PULLED = '{"status":"Pulling from shop"}\r\n{"status":"Digest: sha256:d"}\r\n'


@pytest.fixture
def host(tmp_path):
    """A host; serve(…): its engine gives these answers in turn, (status, body), to the requests that it notes."""
    for folder in ("run/shop", "var/www/shop", "root/.docker"):
        (tmp_path / folder).mkdir(parents=True)
    host = Host("shop", str(tmp_path))
    host.called = []
    host.call = lambda *words, **options: host.called.append(words) or SimpleNamespace(returncode=0, stdout="{}")
    with listen(f"{tmp_path}/run/docker.sock") as host.listening:
        host.listening.settimeout(20)

        def serve(*answers):
            told = [(status, body if isinstance(body, str) else json.dumps(body)) for status, body in answers]
            host.asked = answer(
                host.listening,
                [f"HTTP/1.0 {status} X\r\nServer: Docker\r\n\r\n{body}".encode() for status, body in told],
            )

        host.serve = serve
        yield host


def login_shown(asked):
    """Return the credentials that a request contains, or None."""
    line = next((line for line in asked.split("\r\n") if line.startswith("X-Registry-Auth: ")), None)
    return line and json.loads(base64.urlsafe_b64decode(line.partition(": ")[2]))


def test_what_a_tag_stands_for(host):
    host.serve((200, {"Descriptor": DIGEST, "Platforms": PLATFORMS[:1]}), (200, {"Descriptor": DIGEST}))
    assert images.resolve(host, "r.example/shop", "v2", "ann:a:b") == {"digest": "sha256:d", "architectures": ["amd64"]}
    assert images.resolve(host, "r.example/shop", "v2") == {"digest": "sha256:d", "architectures": []}
    assert host.asked[0].startswith("GET /distribution/r.example/shop:v2/json HTTP/1.0\r\n")
    assert [login_shown(asked) for asked in host.asked] == [{"username": "ann", "password": "a:b"}, None]


def resolve(host):
    images.resolve(host, "r.example/shop", "v2", "ann:secret")


def pull_it(host, digest="sha256:d"):
    return images.pull(host, "r.example/shop", "v2", digest, "ann:secret")


@pytest.mark.parametrize(
    "ask, answers, text",
    [
        (
            resolve,
            [(404, {"message": "manifest unknown"})],
            "cannot find image r.example/shop:v2 in its registry: manifest unknown",
        ),
        (
            resolve,
            [(401, {"message": "unauthorized: no"})],
            r"r.example refuses the login of ann \(unauthorized: no\): check the variable",
        ),
        (resolve, [(500, "oops")], "its answer is not JSON"),
        pytest.param(resolve, [(200, "[" * 100_000)], "its answer is not JSON", id="deep"),
        (
            pull_it,
            [MISSING, (200, PULLED + '{"error":"no space left on device"}\r\n')],
            "docker pull r.example/shop@sha256:d: no space left on device",
        ),
        (
            pull_it,
            [(200, IMAGE), (404, {"message": "No such image: sha256:1"})],  # somebody has removed it just now
            "docker tag r.example/shop:v2: No such image: sha256:1",
        ),
        (lambda host: pull_it(host, ""), [], "its digest is unknown: run slipway deploy v2"),
    ],
)  # "" would pull all tags
def test_a_tag_that_cannot_be_had(host, ask, answers, text):
    host.serve(*answers)
    with pytest.raises(Problem, match=text):
        ask(host)


CURES = {
    "disk": "; the disk is full: free some space there",
    "DNS": "; the name r.example cannot be resolved there: check the name, and the server's DNS",
    "limit": "; r.example allows no more pulls for now: wait, or log in",
    "name or access": "; there is no such image, or no access to it: check its name and the login",
    "access": "; r.example gives no access: set registry.login, or run docker login there as root",
    "TLS": "; TLS with r.example fails: check its certificate and address",
    "network": "; r.example cannot be reached from there: check network, firewall and proxy",
    "name": "; there is no such image: push it, or check its name",
    "other": "",
}


@pytest.mark.parametrize("cause, why", [(cause, why) for cause, texts in CAUSES.items() for why in texts])
def test_why_an_image_cannot_be_pulled(host, cause, why):
    """Docker's words, and what to do about them."""
    host.serve((500, {"message": why}), MISSING, (200, json.dumps({"error": why})))
    for ask in (images.resolve, partial(images.pull, digest="sha256:d")):
        with pytest.raises(Problem) as raised:
            ask(host, "r.example/shop", "v2")
        assert str(raised.value).endswith(why + CURES[cause])


@pytest.mark.parametrize(
    "word",
    [
        "sha256:d HTTP/1.0\r\nHost: d\r\n\r\nPOST /containers/create HTTP/1.0",
        "a b",
        "a\nb",
        "a\tb",
        "a\\b",
        "a\x00",
        "é",
        "../..",
        "a/./b",
        "a/..",
    ],
)
def test_a_word_that_would_be_another_request(host, word):
    with pytest.raises(Problem, match=r"^invalid path for a request to Docker: '/"):
        images.inspect(host, word)
    host.serve((200, IMAGE))
    assert images.inspect(host, "r.example/a..b:v1..2") and len(host.asked) == 1


def test_what_was_pulled_is_told(host):
    host.serve(MISSING, (200, PULLED), (200, IMAGE), (201, ""))
    assert pull_it(host) == {"image_id": "sha256:1", "digests": ["sha256:d"], "revision": "0123-dirty", "others": []}
    assert host.asked[1].startswith("POST /images/create?fromImage=r.example/shop&tag=sha256:d HTTP/1.0\r\n")
    assert login_shown(host.asked[1]) == {"username": "ann", "password": "secret"}
    assert host.asked[3].startswith("POST /images/sha256:1/tag?repo=r.example/shop&tag=v2 ")
    assert host.called == []
    host.serve((200, IMAGE), (201, ""), (200, []))
    images.pull(host, "r.example/shop", "v2", "sha256:d", reference="localhost:5000/shop")
    assert host.asked[2].startswith("DELETE /images/localhost:5000/shop@sha256:d?noprune=1 ")


def test_what_is_here_makes_no_room(host, monkeypatch):
    pruned = []
    monkeypatch.setattr(facts, "docker_info", lambda host: {"root": "/"})
    monkeypatch.setattr(facts, "free_bytes", lambda path: pull.ROOM - 1)
    monkeypatch.setattr(images, "prune", lambda *words: pruned.append(words))
    attempt = Attempt(host, tag="v2", digest="sha256:d")
    host.serve((200, IMAGE), (200, IMAGE), (201, ""))
    assert pull.fetch_image(host, attempt, print, "r.example/shop", "", "")["image_id"] == "sha256:1" and not pruned
    host.serve(MISSING, MISSING, (200, PULLED), (200, IMAGE), (201, ""))
    assert pull.fetch_image(host, attempt, print, "r.example/shop", "", "")["image_id"] == "sha256:1" and pruned


def record(tag, image_id, digest):
    return {"tag": tag, "image_id": image_id, "digest": digest, "outcome": "committed", "action": "deploy"}


def test_a_tag_that_was_another_image_long_ago(host):
    log = [record("v2", "sha256:0", "sha256:c"), *(record(f"b-{number}", "sha256:9", "") for number in range(1200))]
    with open(host.log, "w") as file:
        file.writelines(releases.log_line(one) for one in log)
    host.serve(MISSING, (200, PULLED), (200, IMAGE))
    assert images.pull(host, "r.example/shop", "v2", "sha256:d")["others"] == ["sha256:0"]
    assert len(host.asked) == 3
    for same in (record("v2", "sha256:1", "sha256:e"), record("v2", "sha256:0", "sha256:d")):
        assert images.other_ids([same], {"image_id": "sha256:1", "digests": ["sha256:d"]}) == []


def test_old_images_go(host, capsys):
    with open(host.log, "w") as file:
        file.writelines(releases.log_line(record(f"v{number}", f"sha256:v{number}", "")) for number in range(1, 10))
    other = host.root + "/var/www/other"
    os.makedirs(other)
    pinned = {"v9": host.tag, "v2": host.revert, "v3": host.slot_file("b", "tag"), "v4": other + "/TAG"}
    for tag, path in pinned.items():
        disk.write(path, releases.tag_text({"tag": tag, "image_id": f"sha256:{tag}"}))
    found = [
        {
            "Id": f"sha256:v{number}",
            "Created": number,
            "RepoDigests": [f"shop@sha256:dv{number}"],
            "RepoTags": [] if number == 6 else [f"shop:v{number}"],
        }
        for number in range(9, 0, -1)
    ]
    host.serve((200, found), (200, []), (409, {"message": "a container uses it"}), (200, []), (200, []))
    images.prune(host, "shop", 2)
    assert [asked.partition(" HTTP")[0] for asked in host.asked] == [
        "GET /images/json?all=0&filters=%7B%22reference%22:%5B%22shop%22%5D%7D",
        *(f"DELETE /images/{name}" for name in ("shop:v1", "shop:v5", "shop@sha256:dv6", "shop:v7")),
    ]
    host.serve((200, found), (200, []))
    images.prune(host, "shop", 2, most=1)
    assert len(host.asked) == 2 and host.asked[1].startswith("DELETE /images/shop:v1 ")
    os.symlink("a/web.sock", host.web_sock)
    host.serve((500, {"message": "no answer"}))
    retirement.retire(host, "shop", "5", "a", "v1", "sha256:v1", "30")
    assert "some old images or secrets could not be removed: docker image ls: no answer" in capsys.readouterr().err


def auth(**result):
    return {"auths": {"r.example": result}}


@pytest.mark.parametrize(
    "config, shown",
    [
        (auth(auth=base64.b64encode(b"bob:x:y").decode()), {"username": "bob", "password": "x:y"}),
        (auth(identitytoken="t"), {"username": "", "password": "", "identitytoken": "t"}),
        ({"auths": {"other.example": {"auth": "Ym9iOng="}}}, None),
        ({"credHelpers": {"r.example": "keys"}}, {"username": "eve", "password": "z"}),
        ([1], Problem),
    ],
)
def test_a_host_that_is_logged_in_itself(host, config, shown):
    disk.write(host.root + "/root/.docker/config.json", json.dumps(config))
    host.call = lambda *words, **options: SimpleNamespace(
        returncode=0 if (words, options["input"]) == (("docker-credential-keys", "get"), "r.example") else 1,
        stdout='{"ServerURL": "r.example", "Username": "eve", "Secret": "z"}',
    )
    if shown is Problem:
        with pytest.raises(Problem, match=r"root/.docker/config.json is malformed"):
            docker.login_for(host, "r.example/shop")
    else:
        assert docker.login_for(host, "r.example/shop") == shown


def test_an_engine_that_stands_still(host):
    with pytest.raises(Problem, match=r"Docker did not finish /images/1/json within 0.2 s"):
        docker.call(host, "GET", "/images/1/json", seconds=0.2)
    os.unlink(host.root + "/run/docker.sock")
    with pytest.raises(Problem, match="Docker does not answer: No such file"):
        docker.call(host, "GET", "/images/1/json")


PULL = """import sys
sys.path.insert(0, sys.argv[1])
from slipway.deploy.agent import host, images
images.bring(host.Host("shop", sys.argv[2]), "r.example/shop", "sha256:d", sys.stdin.read())
"""


def holding(secret, *folders):
    """Return the files below the folders that contain the secret, as it is or as docker login encodes it."""
    forms = (secret, base64.b64encode(b"ann:" + secret))
    paths = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return [path for path in paths if any(form in path.read_bytes() for form in forms)]


def test_a_password_is_in_no_file(host):
    secret, before = os.urandom(8).hex().encode(), set(os.listdir("/run"))
    with subprocess.Popen([sys.executable, "-c", PULL, ROOT, host.root], stdin=subprocess.PIPE) as process:
        process.stdin.write(b"ann:" + secret)
        process.stdin.close()
        try:
            connection = host.listening.accept()[0]
            with connection:
                assert login_shown(connection.recv(65536).decode())["password"] == secret.decode()
                new = [f"/run/{name}" for name in {*os.listdir("/run")} - before]
                assert holding(secret, host.root, *new) == []
        finally:
            process.kill()
    assert holding(secret, host.root, *new) == []


def test_a_pull_tells_how_far_it_is(monkeypatch):
    told = []
    monkeypatch.setattr(progress, "EVERY", 0)
    pulled = progress.Pulled(lambda event: told.append(event["text"]))
    for status, id, current in [
        ("Downloading", "a", 10),
        ("Downloading", "b", 5),
        ("Download complete", "a", 0),
        ("Extracting", "a", 3),
        ("Pull complete", "b", 0),
        ("Digest", None, 0),
    ]:
        line = {
            "status": status,
            **({"id": id} if id else {}),
            "progressDetail": {"current": current * 10**6, "total": 40 * 10**6},
        }
        pulled.feed(b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(line).encode() + b"\n[1]\n")
    assert told == ["10 of 40 MB", "15 of 80 MB", "45 of 80 MB", "45 of 80 MB", "unpacks 80 MB", "unpacks 80 MB"]
