"""The project's own image on provisioned hosts, with Postgres and Redis: what a stand-in cannot show."""

import json
import os
import re
import secrets
import shlex
import ssl
import time
import urllib.error
import urllib.request

import pytest

from e2e.byhand import containers
from e2e.provisioned import Project
from proc import running, wait_until

CERTIFICATE, KEY = "/etc/ssl/shop.pem", "/etc/ssl/private/shop.key"
WEB = ("web1", "web2")
HOSTS = (*WEB, "work1")
CLOSED = "--memory 400m"
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def shop(fleet, project_image, tmp_path_factory):
    """Two web hosts behind a balancer that has the certificate, worker and beat on a third; nothing may be written but
    where it must be. Started by hand, as docs/provision.md says."""
    image = project_image()
    fleet.reset(*HOSTS)
    fleet.hosts["work1"].run(f"openssl req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=shop.example -addext"
                             f" subjectAltName=DNS:shop.example -keyout {KEY} -out {CERTIFICATE} 2>/dev/null")
    project = Project(fleet, tmp_path_factory.mktemp("a project"), "shop", image.rpartition(":")[0], opts=CLOSED,
                      **{"site.tls": "files", "site.certificate": CERTIFICATE, "site.key": KEY})
    project.provision()
    stage(project, "https://shop.example", fleet.services.new_database("shop"))
    project.start(*HOSTS, image=image)
    return project


def stage(project, url, database):
    redis = project.fleet.services.redis_url
    settings = {"SITE_URL": url, "SECRET_KEY": secrets.token_hex(32), "DATABASE_URL": database,
                "BROKER_URL": redis, "CACHE_URL": redis.replace("/0", "/1"), "METRICS_TOKEN": TOKEN}
    done = project.deploy("env", "set", input="".join(f"{name}={value}\n" for name, value in settings.items()))
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def visit(shop, tmp_path_factory):
    """visit(path, **headers): a visitor's request through the balancer by https, its certificate checked: the
    response, with `.body`."""
    host = shop.fleet.hosts["work1"]
    trusted = tmp_path_factory.mktemp("ca") / "ca.pem"
    trusted.write_text(host.run(f"cat {CERTIFICATE}"))
    context = ssl.create_default_context(cafile=trusted)
    context.check_hostname = False  # it is asked by its address

    def get(path, **headers):
        request = urllib.request.Request(f"https://127.0.0.1:{host.https_port}{path}",
                                         headers={"Host": "shop.example", **headers})
        with urllib.request.urlopen(request, context=context, timeout=30) as response:
            response.body = response.read()
        return response
    return get


def test_commands_in_the_release(shop):
    """migrate has nothing left to do, check --deploy nothing to say; a broken command's exit code comes through."""
    host = shop.fleet.hosts["web1"]
    assert "No migrations to apply" in host.run("docker-runner shop migrate", timeout=120)
    done = host.ssh("docker-runner shop manage check --deploy", timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "System check identified no issues (2 silenced)."), done.stderr
    said = host.run("docker-runner shop manage shell -v 0 -c \"print('a  b', \\\"it's\\\")\"", timeout=120)
    assert said == "a  b it's\n"
    assert host.ssh("docker-runner shop manage migrate no_such_app", timeout=120).returncode == 1
    assert host.ssh("docker-runner shop no-such-command", timeout=120).returncode == 64


def test_a_shell_on_a_terminal(shop, tmp_path):
    """`docker-runner shop shell` typed at a terminal is one inside: what is typed is run, its exit code told."""
    keyboard = tmp_path / "keyboard"
    os.mkfifo(keyboard)
    words = ["ssh", "-tt", "-F", shop.fleet.ssh_config, "web1", "docker-runner shop shell"]
    with running(["sh", "-c", 'exec "$@" <"$0"', keyboard, *words]) as process, open(keyboard, "w") as keys:
        wait_until(lambda: ">>> " in process.output(), 60, "the shell asks")
        keys.write("import sys; print(sys.stdin.isatty(), 6 * 7); sys.exit(37)\n")
        keys.flush()
        assert process.wait(60) == 37
        assert "True 42" in process.output()


def test_the_page_reaches_a_visitor(shop, visit):
    """Each web host's nginx has the page, and so has the balancer, by https, with its headers; http moves there."""
    for name in WEB:
        status, body = shop.inside(name, "/")
        assert status == 200 and "<html" in body
        assert json.loads(shop.inside(name, "/readyz")[1])["release"] == "build-1"
    page = visit("/")
    assert b"<html" in page.body and page.headers["Strict-Transport-Security"]
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    moved = shop.fleet.hosts["work1"].run("curl -sI -H 'Host: shop.example' http://localhost/x?y")
    assert "308" in moved.splitlines()[0] and "https://shop.example/x?y" in moved


def test_operators_pages_are_not_for_visitors(shop, visit):
    """/metrics and /debug/vars are 404 through both nginx but to who has the token, and answered on the app's own
    socket."""
    host = shop.fleet.hosts["web1"]
    for path in ("/metrics", "/debug/vars"):
        assert shop.inside("web1", path)[0] == 404
        with pytest.raises(urllib.error.HTTPError, match="404"):
            visit(path)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            visit(path, Authorization="Bearer another")
        assert visit(path, Authorization=f"Bearer {TOKEN}").status == 200
        assert host.run(f"curl -sf --unix-socket /run/shop/a/web.sock -H 'Host: shop.example' http://localhost{path}")


def test_static_files_come_from_disk(shop, visit):
    """What the page names is served by nginx itself, compressed beforehand, to be kept for ever."""
    paths = sorted(set(re.findall(r"/static/[^\"]+\.(?:css|svg)", visit("/").body.decode())))
    assert len(paths) > 1
    for path in paths:
        answer = visit(path, **{"Accept-Encoding": "gzip"})
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        for name in WEB:
            host = shop.fleet.hosts[name]
            status, body = shop.inside(name, path)
            assert status == 200 and host.run(f"cat /var/www/shop{path}") == body
            line = host.run(f"grep -F '{path}' /var/log/nginx/shop.access.log | tail -n 1")
            assert json.loads(line)["app_status"] == "", "nginx asked the app"
            if path.endswith(".css"):
                assert answer.headers["Content-Encoding"] == "gzip"
                assert host.run(f"stat -c %s /var/www/shop{path}.gz") == f"{len(answer.body)}\n"


def test_worker_and_beat_are_alive(shop):
    """Beat's message goes through Redis to the worker, and both are ready in the eyes of a web host."""
    assert containers(shop.fleet.hosts["work1"]) == {"shop-worker-a": "running", "shop-beat": "running"}
    wait_until(lambda: shop.inside("web1", "/readyz?beat")[0] == 200, 90, "/readyz?beat is 200")
    parts = json.loads(shop.inside("web1", "/readyz?beat")[1])["parts"]
    assert {"worker", "beat", "broker", "database", "cache"} <= set(parts)


def test_who_reaches_the_socket(shop):
    """gunicorn runs as the app's user, alone with its files; nginx's user reaches its socket, others don't."""
    host = shop.fleet.hosts["web1"]
    uid = host.run("id -u shop").strip()
    assert set(host.run("docker top shop-web-a -o pid,uid").split()[3::2]) == {uid}
    assert host.run("stat -c '%a %U %G' /run/shop/a") == "2710 shop www-data\n"
    assert host.run("stat -c '%a %U' /run/shop/a/web.sock") == "666 shop\n", "its folder says who comes near"
    ask = "setpriv --reuid={0} --regid={1} --clear-groups curl -sf --unix-socket /run/shop/a/web.sock http://x/healthz"
    assert host.ssh(ask.format("www-data", "www-data")).returncode == 0
    assert host.ssh(ask.format("nobody", "nogroup")).returncode != 0
    for path in ("/app/x", "/etc/x", "/run/x", "/run/shop/x"):
        assert host.ssh(f"docker exec shop-web-a touch {path}").returncode != 0
    assert host.ssh("docker exec shop-web-a touch /tmp/x").returncode == 0


def test_the_visitor_is_known_all_the_way(shop, visit):
    """One request id, the visitor's own address and the https of the visitor are in the logs and eyes of all."""
    fleet = shop.fleet
    with pytest.raises(urllib.error.HTTPError) as error:
        visit("/no-such-place/", **{"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"})
    request_id = error.value.headers["X-Request-ID"]
    client = json.loads(fleet.hosts["work1"].run(
        f"grep {request_id} /var/log/nginx/shop-balancer.access.log"))["client"]
    lines = [json.loads(line) for name in WEB for line in fleet.hosts[name].ssh(
        f"grep -h {request_id} /var/log/nginx/shop.access.log; journalctl --sync;"
        f" journalctl -t shop-web-a -o cat | grep {request_id}").stdout.splitlines()]
    at_nginx, at_app = [line for line in lines if "client" in line], [line for line in lines if "forwarded_for" in line]
    assert [line["client"] for line in at_nginx] == [line["forwarded_for"] for line in at_app] == [client]
    assert client not in ("6.6.6.6", fleet.hosts["work1"].address)


def test_somebody_signs_in(shop):
    """Through the balancer and both hosts: secure cookies, the form's token, its origin and the session all hold."""
    web, front = shop.fleet.hosts["web1"], shop.fleet.hosts["work1"]
    web.run("EXTRA='-e DJANGO_SUPERUSER_PASSWORD=correct-horse-4' docker-runner shop manage createsuperuser"
            " --no-input --username ann --email ann@shop.example", timeout=120)
    curl = "curl -sS --cacert " + CERTIFICATE + " --resolve shop.example:443:127.0.0.1 -b /tmp/jar -c /tmp/jar"
    form = front.run(f"{curl} https://shop.example/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[1]
    post = (f"{curl} -o /dev/null -w '%{{http_code}} %{{redirect_url}}' -H 'Origin: https://shop.example'"
            f" -e https://shop.example/admin/login/ -d csrfmiddlewaretoken={token} -d username=ann"
            " -d password=correct-horse-4 'https://shop.example/admin/login/?next=/admin/'")
    assert front.run(post) == "302 https://shop.example/admin/"
    for _ in range(4):
        assert "Log out" in front.run(f"{curl} https://shop.example/admin/")


def test_gunicorns_master_runs_out_of_memory(shop, measured):
    """The kernel kills gunicorn's master, as the container's limit is reached: the host serves again by itself."""
    host = shop.fleet.hosts["web1"]
    before = host.run("docker inspect --format '{{.State.StartedAt}}' shop-web-a")
    master = host.run("pgrep -of slipway.web.gunicorn -u shop").strip()
    eat = "import time; food = [bytearray(b'x' * 1000000) for _ in range(2000)]; time.sleep(60)"
    since = host.run("date +%s").strip()
    began = time.monotonic()
    host.run(f"echo 1000 >/proc/{master}/oom_score_adj; docker exec shop-web-a python3 -c {shlex.quote(eat)} || :")

    def back():
        done = host.ssh("docker inspect --format '{{.State.StartedAt}}' shop-web-a")
        return done.returncode == 0 and done.stdout != before and shop.inside("web1", "/")[0] == 200
    wait_until(back, 60, "web1 serves again")
    measured("gunicorn's master killed for memory", time.monotonic() - began)
    said = host.run(f"docker events --since {since} --until $(date +%s) --filter container=shop-web-a"
                    " --format '{{.Action}} {{.Actor.Attributes.exitCode}}'").splitlines()
    assert "die 137" in said and any(line.startswith("oom ") for line in said), said


def test_a_host_with_uploads_of_its_own(shop, project_image, tmp_path):
    """A second app, TLS ended elsewhere, uploads on disk: they belong to it, nginx hands them out as they should be,
    and the first app reads none."""
    host, image = shop.fleet.hosts["web1"], project_image()
    gallery = Project(shop.fleet, tmp_path, "gallery", image.rpartition(":")[0], media="local", opts="--read-only",
                      **{"site.tls": "elsewhere", "site.proxies": ["192.0.2.1"]})
    gallery.hosts = {"web1": {"roles": ["web"]}}
    gallery.provision()
    stage(gallery, "https://gallery.example", shop.fleet.services.new_database("gallery"))
    gallery.start("web1", image=image)
    assert gallery.inside("web1", "/")[0] == 200
    save = ("from django.core.files.base import ContentFile; from django.core.files.storage import default_storage;"
            " print(*(default_storage.url(default_storage.save(name, ContentFile(b'<script>')))"
            " for name in ('in/page.html', 'a.png')))")
    page, picture = host.run(f"docker-runner gallery manage shell -v 0 -c {shlex.quote(save)}", timeout=120).split()
    assert page.startswith("/media/in/page")
    told = gallery.inside("web1", page, "-si")[1]
    assert "Content-Disposition: attachment" in told and told.endswith("<script>")
    assert "Content-Type: image/png" in gallery.inside("web1", picture, "-si")[1]
    assert set(host.run("find /var/www/gallery/media -printf '%u %g\\n'").splitlines()) == {"gallery www-data"}
    read = f"setpriv --reuid=shop --regid=shop --clear-groups cat /var/www/gallery{page}"
    assert host.ssh(read).returncode != 0
    gallery.provision("--remove", "web1")
    assert shop.inside("web1", "/")[0] == 200


def test_a_stranger_on_http(shop):
    """A web host behind a balancer moves who comes by http, and believes nobody but the balancer."""
    ask = "curl -sI -H 'Host: shop.example' -H 'X-Forwarded-Proto: https' http://localhost/"
    said = shop.fleet.hosts["web1"].run(ask)
    assert "301" in said.splitlines()[0] and "location: https://shop.example/" in said.lower()


def test_tls_that_ends_before_the_balancer(shop):
    """A proxy before the balancer has the certificate: who came by https gets the page, who did not is moved, and no
    redirect goes round in a circle. For anybody but that proxy it is the balancer's own word that counts."""
    host = shop.fleet.hosts["work1"]
    shop.settings.update({"site.tls": "elsewhere", "site.proxies": ["127.0.0.1"]})
    shop.provision()
    ask = "curl -sI -H 'Host: shop.example' -H 'X-Forwarded-For: 203.0.113.9' -H 'X-Forwarded-Proto: {}' http://{}/"
    assert "200" in host.run(ask.format("https", "127.0.0.1")).splitlines()[0]
    assert "location: https://shop.example/" in host.run(ask.format("http", "127.0.0.1")).lower()
    assert "location: https://shop.example/" in host.run(ask.format("https", host.address)).lower()
    assert json.loads(host.run("tail -n 1 /var/log/nginx/shop-balancer.access.log"))["client"] == host.address
