"""The app through nginx, from the app itself: whom both together show the figures, and what passwords they let pass."""

import os
import re
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from ops.served import serve
from proc import ROOT, VE_PYTHON, run
from postgresql import migrate

from .conftest import ask

TOKEN = "Bearer s3cret-token"
PASSWORD = "a ship in a bottle"
LOGIN = "/admin/login/"
SPELLINGS = (
    LOGIN, "/admin/login", "//admin/login/", "/admin//login/", "/ADMIN/login/", "/%61dmin/login/", "/admin%2Flogin%2F",
    "/admin/./login/", "/x/../admin/login/", "/admin/login/?next=/admin/", "/admin/login/#x", "/admin/login/;x",
    "/admin/login/%20", "/admin/login/%0A", "/admin/", "/admin/?next=/admin/login/", "http://localhost/admin/login/")


@pytest.fixture
def site(nginx, tmp_path):
    """nginx before the app as production has it, both behind a balancer of ours that passes on visitors' headers."""
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    migrate(url)
    port = nginx.site("shop", balancers=["127.0.0.1"])
    with serve(tmp_path, "DEBUG = False\nALLOWED_HOSTS = ['*']\n", DATABASE_URL=url, METRICS_TOKEN=TOKEN[7:]) as app:
        socket = nginx.root / "run/shop/a/web.sock"
        socket.symlink_to(app.path)
        with nginx.serving(port):
            yield SimpleNamespace(port=port, url=url, logs=lambda: app.process.output() + "".join(
                path.read_text() for path in nginx.root.glob("**/*.log")))


def test_figures_are_for_who_may_see_them(site):
    """With the right token from anywhere; 404 to all others, whatever they say of themselves. No log has the token."""
    for path, figure in (("/metrics", "http_requests_total"), ("/debug/vars", "memstats")):
        for client, token, status in (("192.0.2.1", TOKEN, 200), ("192.0.2.1", "", 404), ("127.0.0.1", "", 404),
                                      ("192.0.2.1", "Bearer x", 404), ("192.0.2.1", TOKEN + "x", 404)):
            answer = ask(site.port, path, X_Forwarded_For=client, X_Forwarded_Proto="https", Authorization=token)
            assert (answer[0], figure in answer[2]) == (status, status == 200), (path, client, token)
        for name in ("X_Real_IP", "Forwarded", "X_Client_IP", "Via"):
            assert ask(site.port, path, X_Forwarded_For="192.0.2.1", **{name: "192.0.2.9"})[0] == 404, name
    assert ask(site.port, "/nowhere", Authorization=TOKEN)[0] == 404
    assert '"/metrics"' in site.logs() and TOKEN[7:] not in site.logs()


def sign_in(site, path, client, password=PASSWORD):
    """(status, whether one is signed in) of who sends a password, with a form of his own."""
    _, headers, page = ask(site.port, LOGIN)
    form = {"csrfmiddlewaretoken": re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1],
            "username": "ann", "password": password}
    status, headers, _ = ask(site.port, path, "POST", urlencode(form), X_Forwarded_For=client,
                             Cookie=headers["Set-Cookie"].partition(";")[0],
                             Content_Type="application/x-www-form-urlencoded")
    return status, any(cookie.startswith("sessionid=") for cookie in headers.get_all("Set-Cookie", ()))


def test_no_password_gets_past_the_limits(site):
    """However a path is spelt: if the app takes a password there, nginx counts it. And whatever a visitor says of where
    he comes from: the app closes the account to him after five failures."""
    made = run([VE_PYTHON, ROOT / "manage.py", "createsuperuser", "--noinput", "--email", ""], env={
        **os.environ, "DATABASE_URL": site.url, "DJANGO_SUPERUSER_USERNAME": "ann",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD})
    assert made.returncode == 0, made.stderr
    taken = []
    for number, path in enumerate(SPELLINGS):
        client = f"192.0.2.{number + 10}"
        if sign_in(site, path, client)[1]:
            taken.append(path)
            counted = [ask(site.port, path, "POST", X_Forwarded_For=client)[0] for _ in range(15)]
            assert 429 in counted, (path, counted)
    assert {LOGIN, "/%61dmin/login/", "/admin/login/?next=/admin/"} <= set(taken), taken
    for number in range(5):
        assert not sign_in(site, LOGIN, f"198.51.100.{number}, 192.0.2.200", "guess")[1]
    assert sign_in(site, LOGIN, "198.51.100.9, 192.0.2.200") == (429, False)
    assert sign_in(site, LOGIN, "192.0.2.201") == (302, True)
    assert PASSWORD not in site.logs()
