"""Sign-in to the real app, also through nginx: the limits on guesses, and secrets in the logs of both."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from ops.served import serve
from postgresql import migrate
from proc import ROOT, VE_PYTHON, output

from .conftest import ask

PASSWORD = "a ship in a bottle"
LOGIN = "/accounts/login/"
SPELLINGS = (
    LOGIN,
    "/accounts/login",
    "//accounts/login/",
    "/accounts//login/",
    "/ACCOUNTS/login/",
    "/%61ccounts/login/",
    "/accounts%2Flogin%2F",
    "/accounts/./login/",
    "/x/../accounts/login/",
    "/accounts/login/?next=/accounts/",
    "/accounts/login/#x",
    "/accounts/login/;x",
    "/accounts/login/%20",
    "/accounts/login/%0A",
    "/accounts/",
    "/accounts/?next=/accounts/login/",
    "http://localhost/accounts/login/",
)
TOKEN = "a" * 32  # of CSRF
ADD_FACTOR = """
from allauth.mfa.totp.internal.auth import TOTP
from project.accounts.models import User
TOTP.activate(User.objects.get(), "A" * 32)
"""


def add_ann(env):
    output(
        [VE_PYTHON, ROOT / "manage.py", "createsuperuser", "--noinput", "--email", "ann@example.org"],
        env={**os.environ, **env, "DJANGO_SUPERUSER_USERNAME": "ann", "DJANGO_SUPERUSER_PASSWORD": PASSWORD},
    )


def post(port, path, client, session="", **form):
    """Send a form; return (status, headers, text)."""
    return ask(
        port,
        path,
        "POST",
        urlencode({"csrfmiddlewaretoken": TOKEN, **form}),
        X_Forwarded_For=client,
        Cookie=f"csrftoken={TOKEN}; sessionid={session}",
        Content_Type="application/x-www-form-urlencoded",
    )


def sign_in(port, path, client, password=PASSWORD):
    """Send a password; return (status, the session if the visitor is signed in)."""
    status, headers, _ = post(port, path, client, login="ann@example.org", password=password)
    return status, "".join(re.findall(r"sessionid=(\w+)", str(headers)))


def test_no_password_gets_past_the_limits(nginx, tmp_path):
    """If the app accepts a password at a path, nginx counts it there, in any spelling. The app closes the account to a
    visitor after five failures, whatever address he claims. No log has the password, or a token."""
    env = {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "METRICS_TOKEN": "s3cret-token"}
    migrate(env["DATABASE_URL"])
    add_ann(env)
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
    assert {LOGIN, "/%61ccounts/login/", "/accounts/login/?next=/accounts/"} <= set(taken), taken
    for number in range(5):
        assert not sign_in(port, LOGIN, f"198.51.100.{number}, 192.0.2.200", "guess")[1]
    assert sign_in(port, LOGIN, "198.51.100.9, 192.0.2.200") == (429, "")
    assert all(sign_in(port, LOGIN, "192.0.2.201"))


def test_guesses_in_parallel(postgres, tmp_path):
    """Of many guesses at once, few are checked, and after five more none: codes by account, passwords by address."""
    env = {"DATABASE_URL": postgres.url(postgres.database())}
    add_ann(env)
    output([VE_PYTHON, ROOT / "manage.py", "shell", "-c", ADD_FACTOR], env={**os.environ, **env})
    with serve(tmp_path, **env) as site, ThreadPoolExecutor(16) as pool:
        sessions = {client: sign_in(site.port, LOGIN, client)[1] for client in map("198.51.100.{}".format, range(16))}
        said = pool.map(
            lambda client: post(site.port, "/accounts/2fa/authenticate/", client, sessions[client], code="000000")[2],
            sessions,
        )
        assert 1 <= sum("Incorrect code" in text for text in said) <= 5
        said = list(pool.map(lambda _: sign_in(site.port, LOGIN, "192.0.2.1", "guess")[0], sessions))
        assert 1 <= said.count(200) <= 6, "five, and one more as two are checked at a time"
        for _ in range(5):  # those that were not checked do not count
            sign_in(site.port, LOGIN, "192.0.2.1", "guess")
        assert sign_in(site.port, LOGIN, "192.0.2.1") == (429, "")
