"""The app's figures through nginx, from the app itself: what both together show to whom."""

import pytest

from ops.served import serve
from services import migrate

from .conftest import ask

TOKEN = "Bearer s3cret-token"


@pytest.fixture
def port(nginx, tmp_path):
    """nginx before the app as production has it, both behind a balancer of ours that passes on visitors' headers."""
    url = f"sqlite:///{tmp_path}/db.sqlite3"
    migrate(url)
    port = nginx.site("shop", balancers=["127.0.0.1"], METRICS_FROM="192.0.2.9 named;")
    with serve(tmp_path, "DEBUG = False\nALLOWED_HOSTS = ['*']\n", DATABASE_URL=url, METRICS_TOKEN=TOKEN[7:]) as site:
        socket = nginx.root / "run/shop/a/web.sock"
        socket.symlink_to(site.path)
        with nginx.serving(port):
            yield port


def test_figures_are_for_who_may_see_them(port):
    """With the right token from anywhere, and from the named address without one; 404 to all others, whatever they say
    of themselves."""
    for path, figure in (("/metrics", "http_requests_total"), ("/debug/vars", "memstats")):
        for client, token, status in (("192.0.2.1", TOKEN, 200), ("192.0.2.9", "", 200), ("192.0.2.9", "Bearer x", 200),
                                      ("192.0.2.1", "", 404), ("192.0.2.1", "Bearer x", 404),
                                      ("192.0.2.1", TOKEN + "x", 404), ("192.0.2.9, 192.0.2.1", "", 404)):
            answer = ask(port, path, X_Forwarded_For=client, X_Forwarded_Proto="https", Authorization=token)
            assert (answer[0], figure in answer[2]) == (status, status == 200), (path, client, token)
        for name in ("X_Real_IP", "Forwarded", "X_Client_IP", "Via"):
            assert ask(port, path, X_Forwarded_For="192.0.2.1", **{name: "192.0.2.9"})[0] == 404, name
