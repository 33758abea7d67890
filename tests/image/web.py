"""A visitor whose request came through a proxy that speaks https, as production expects."""

import contextlib
import http.client
import json
import re
from collections import namedtuple

from proc import wait_until

HOST = "shop.example"


class Answer(namedtuple("Answer", "status headers body")):
    @property
    def text(self):
        return self.body.decode()


class Visitor:
    """A client of a loopback port."""

    def __init__(self, port, host=HOST, proto="https"):
        self.port, self.host, self.proto = port, host, proto

    def ask(self, path="/", **headers):
        """Get a path. Return an Answer, whatever the status. Headers: X_Name="value"; None omits a header."""
        given = {"Host": self.host, "X-Forwarded-Proto": self.proto,
                 **{name.replace("_", "-"): value for name, value in headers.items()}}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", path, headers={name: value for name, value in given.items() if value is not None})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())


def visitor(container, **options):
    """Wait until a container's site answers. Return a Visitor of it."""
    def alive():
        assert container.state()["Running"], container.logs()
        return Visitor(container.port()).ask("/healthz").status == 200
    wait_until(alive, 60, "the site answers")
    return Visitor(container.port(), **options)


def entries(container):
    """Return a container's log, one dict a line."""
    return [json.loads(line) for line in container.logs().splitlines()]


def static_names(text):
    """Return the static files that a page names, relative to /static/."""
    return set(re.findall(r'(?:src|href)="/static/([^"]+)"', text))
