"""A visitor whose request came through a proxy that speaks https, as production expects it."""

import contextlib
import http.client
import json
import re
from dataclasses import dataclass
from urllib.parse import urlencode

from proc import wait_until

HOST = "shop.example"


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self):
        return self.body.decode()


class Visitor:
    """Asks a port of the loopback. `cookies` are kept as a browser does."""

    def __init__(self, port, host=HOST, proto="https"):
        self.port, self.host, self.proto, self.cookies = port, host, proto, {}

    def ask(self, path="/", method="GET", body=None, **headers):
        """headers: X_Name="value"; None leaves a header out. Returns an Answer, whatever the status."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given = {"Host": self.host, "X-Forwarded-Proto": self.proto, "Cookie": cookies or None,
                 **{name.replace("_", "-"): value for name, value in headers.items()}}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, {name: value for name, value in given.items() if value is not None})
            answer = connection.getresponse()
            found = Answer(answer.status, answer.headers, answer.read())
        for cookie in found.headers.get_all("Set-Cookie", []):
            name, value = re.match(r"([^=]+)=([^;]*)", cookie).groups()
            self.cookies[name] = value
        return found

    def post(self, path, fields, **headers):
        return self.ask(path, "POST", urlencode(fields), Content_Type="application/x-www-form-urlencoded",
                        Referer=f"{self.proto}://{self.host}/", **headers)

    def sign_in(self, path, name, password):
        """By Django's form there."""
        form = self.ask(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
        return self.post(path, {"username": name, "password": password, "csrfmiddlewaretoken": token})


def visitor(container, **options):
    """A Visitor of a container's site, once that answers."""
    def alive():
        assert container.state()["Running"], container.logs()
        return Visitor(container.port()).ask("/healthz").status == 200
    wait_until(alive, 60, "the site answers")
    return Visitor(container.port(), **options)


def entries(container):
    """What a container has logged: a dict a line."""
    return [json.loads(line) for line in container.logs().splitlines()]


def static_names(text):
    """The static files that a page names, below /static/."""
    return set(re.findall(r'(?:src|href)="/static/([^"]+)"', text))
