"""Sign-in through nginx to the real app: the limits on guesses of passwords, and secrets in the logs of both."""

import os
import re
from urllib.parse import urlencode

from ops.served import serve
from proc import ROOT, VE_PYTHON, output
from postgresql import migrate

from .conftest import ask

PASSWORD = "a ship in a bottle"
LOGIN = "/admin/login/"
SPELLINGS = (
    LOGIN, "/admin/login", "//admin/login/", "/admin//login/", "/ADMIN/login/", "/%61dmin/login/", "/admin%2Flogin%2F",
    "/admin/./login/", "/x/../admin/login/", "/admin/login/?next=/admin/", "/admin/login/#x", "/admin/login/;x",
    "/admin/login/%20", "/admin/login/%0A", "/admin/", "/admin/?next=/admin/login/", "http://localhost/admin/login/")


def sign_in(port, path, client, password=PASSWORD):
    """Send a password with a fresh form; return (status, True if the visitor is signed in)."""
    _, headers, page = ask(port, LOGIN)
    form = {"csrfmiddlewaretoken": re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1],
            "username": "ann", "password": password}
    status, headers, _ = ask(port, path, "POST", urlencode(form), X_Forwarded_For=client,
                             Cookie=headers["Set-Cookie"].partition(";")[0],
                             Content_Type="application/x-www-form-urlencoded")
    return status, any(cookie.startswith("sessionid=") for cookie in headers.get_all("Set-Cookie", ()))


def test_no_password_gets_past_the_limits(nginx, tmp_path):
    """If the app accepts a password at a path, nginx counts it there, in any spelling. The app closes the account to a
    visitor after five failures, whatever address he claims. No log has the password, or a token."""
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "METRICS_TOKEN": "s3cret-token"}
    migrate(env["DATABASE_URL"])
    output([VE_PYTHON, ROOT / "manage.py", "createsuperuser", "--noinput", "--email", ""], env={
        **os.environ, **env, "DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_PASSWORD": PASSWORD})
    port = nginx.site("shop", balancers=["127.0.0.1"])  # a trusted one that passes on visitors' headers
    with serve(tmp_path, "DEBUG = False\nALLOWED_HOSTS = ['*']\n", **env) as app:
        (nginx.root / "run/shop/a/web.sock").symlink_to(app.path)
        with nginx.serving(port):
            whoever_guesses_is_kept_out(port)
            assert ask(port, "/metrics", Authorization="Bearer s3cret-token", X_Forwarded_Proto="https")[0] == 200
        # nginx logs a request after its answer, so the log is complete only after nginx has exited.
        logs = app.process.output() + "".join(path.read_text() for path in nginx.root.glob("**/*.log"))
    assert '"/metrics"' in logs and PASSWORD not in logs and "s3cret-token" not in logs


def whoever_guesses_is_kept_out(port):
    taken = []
    for number, path in enumerate(SPELLINGS):
        client = f"192.0.2.{number + 10}"
        if sign_in(port, path, client)[1]:
            taken.append(path)
            counted = [ask(port, path, "POST", X_Forwarded_For=client)[0] for _ in range(15)]
            assert 429 in counted, (path, counted)
    assert {LOGIN, "/%61dmin/login/", "/admin/login/?next=/admin/"} <= set(taken), taken
    for number in range(5):
        assert not sign_in(port, LOGIN, f"198.51.100.{number}, 192.0.2.200", "guess")[1]
    assert sign_in(port, LOGIN, "198.51.100.9, 192.0.2.200") == (429, False)
    assert sign_in(port, LOGIN, "192.0.2.201") == (302, True)
