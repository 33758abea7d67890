"""The project's own image on provisioned hosts, with Postgres and Redis: what a stand-in cannot show."""

import json
import re
import secrets
import ssl
import urllib.error
import urllib.request

import pytest

from e2e.provisioned import Project

pytestmark = pytest.mark.extra

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
    redis = fleet.services.redis_url
    settings = {"SITE_URL": "https://shop.example", "SECRET_KEY": secrets.token_hex(32), "METRICS_TOKEN": TOKEN,
                "DATABASE_URL": fleet.services.new_database("shop"), "BROKER_URL": redis,
                "CACHE_URL": redis.replace("/0", "/1")}
    done = project.deploy("env", "set", input="".join(f"{name}={value}\n" for name, value in settings.items()))
    assert done.returncode == 0, done.stderr
    project.start(*HOSTS, image=image)
    return project


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


def test_the_page_reaches_a_visitor(shop, visit):
    """Each web host's nginx has the page, and so has the balancer, by https, with its headers; http moves there. What
    the page names is served by nginx itself, compressed beforehand. Figures are for who has the token."""
    for name in WEB:
        status, body = shop.inside(name, "/")
        assert status == 200 and "<html" in body
        assert json.loads(shop.inside(name, "/readyz")[1])["release"] == "build-1"
    page = visit("/")
    assert b"<html" in page.body and page.headers["Strict-Transport-Security"]
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    moved = shop.fleet.hosts["work1"].run("curl -sI -H 'Host: shop.example' http://localhost/x?y")
    assert "308" in moved.splitlines()[0] and "https://shop.example/x?y" in moved
    path = re.search(r"/static/[^\"]+\.css", page.body.decode())[0]
    answer = visit(path, **{"Accept-Encoding": "gzip"})
    assert "immutable" in answer.headers["Cache-Control"] and answer.headers["Content-Encoding"] == "gzip"
    for host in (shop.fleet.hosts[name] for name in WEB):
        assert host.run(f"stat -c %s /var/www/shop{path}.gz") == f"{len(answer.body)}\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        visit("/metrics")
    assert visit("/metrics", Authorization=f"Bearer {TOKEN}").status == 200


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
