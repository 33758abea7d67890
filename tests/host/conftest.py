"""Fixtures for the tests of a server's files: Debian's programs, and an nginx with the shipped configuration."""

import contextlib
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

import services
from connect import connection_to
from proc import free_port, output, put, running, wait_until
from slipway.deploy.server.balancer_hosts import Web, servers
from slipway.deploy.server.render import each, render
from slipway.deploy.server.site import probes_as_sent, with_port

from .runner import Server

NAMELESS = {"SERVER_NAMES": "_", "DEFAULT": " default_server"}  # of a site without names


def program(name):
    """Return the path of a program of Debian; if it is missing, skip the test, or in CI on Linux fail it."""
    if sys.platform != "linux":
        pytest.skip("servers run Linux")
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") or services.missing(name)


class App(ThreadingMixIn, UnixStreamServer):
    """A release on a slot's socket. It answers with its name and the request, as JSON, and to / with `status`; it
    answers a request with X-Hang only after `let_go` is set. At /crash, or if X-Crash names it, it breaks off."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, path, release, status=200):
        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if "X-Hang" in self.headers:
                    self.server.hanging += 1
                    self.server.let_go.wait(60)
                if self.path.startswith("/crash") or self.headers.get("X-Crash") == release:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if self.path.startswith("/upgrade"):
                    self.wfile.write(
                        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                        b"Upgrade: websocket\r\nSec-WebSocket-Accept: "
                        b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello from the socket"
                    )
                    return
                body = json.dumps({"release": release, "path": self.path, "headers": self.headers.items()}).encode()
                self.send_response(int(self.headers.get("X-Status", status if self.path == "/" else 200)))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if self.command != "HEAD" else b"")

            do_GET = do_HEAD = do_POST = do_DELETE = answer

            def log_message(self, *args):
                pass

        super().__init__(str(path), Handler)
        self.hanging, self.let_go = 0, threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()
        os.unlink(self.server_address)


def ask(address, path="/", method="GET", body=None, **headers):
    """Send a request over a new connection; return (status, headers, body as text)."""
    connection = connection_to(address, 30)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()


class Nginx:
    """Debian's nginx in its own folder, with rendered files at the paths that the heads of the templates name."""

    def __init__(self, root, binary):
        self.root, self.binary = root, binary
        for folder in ("run", "etc/nginx/sites-enabled", "var/log/nginx", "var/www", "tmp"):
            (root / folder).mkdir(parents=True)
        user = "user root root;" if os.geteuid() == 0 else ""
        temp = " ".join(
            f"{kind}_temp_path {root}/tmp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (root / "nginx.conf").write_text(
            f"{user} worker_processes 2; daemon off; pid {root}/nginx.pid; error_log {root}/error.log;\n"
            f"events {{ worker_connections 500; }}\nhttp {{ {temp} include /etc/nginx/mime.types;\n"
            f"default_type application/octet-stream; include {root}/etc/nginx/sites-enabled/*; }}\n"
        )

    def put(self, path, text):
        """Write a rendered file, with its paths moved below our folder."""
        for folder in ("/etc/nginx/", "/run/", "/var/www/", "/var/log/nginx/"):
            text = text.replace(folder, f"{self.root}{folder}")
        put(self.root / path, text)

    def put_site(self, kind, app, site, trusted, tls=False, word="trusted", **extra):
        """Write the site's files, without IPv6: a machine may lack it, and parallel tests would share its ports. Return
        its port. `trusted`: who is believed about visitors, as `word`."""
        port = free_port()
        values = with_port(
            {
                "APP": app,
                "SITE": site,
                "SCHEME": "https",
                "BODY_LIMIT": "2m",
                "PROBES": probes_as_sent(),
                **NAMELESS,
                "HTTP_PORT": f"127.0.0.1:{port}",
                "TRUSTED": each(f"{{}} {word};", trusted),
                "REAL_IP": each("set_real_ip_from {};", trusted),
                **extra,
            },
            tls,
        )
        self.put(
            f"etc/nginx/sites-enabled/{site}",
            render(f"nginx/{kind}site.conf", {**values, "MAPS": render("nginx/maps.conf", values)}),
        )
        public = render("nginx/public.conf", values)
        self.put(f"etc/nginx/{site}/public.conf", re.sub(r".*listen \[::\].*\n", "", public))
        self.put(f"etc/nginx/{site}/app.conf", render(f"nginx/{kind}app.conf", values))
        self.put(f"etc/nginx/{site}/common.conf", render("nginx/common.conf", values))
        self.put(f"etc/nginx/{site}/maintenance.html", render("nginx/maintenance.html", values))
        return port

    def site(self, app, tls=False, balancers=(), **extra):
        """Write the site of an app, and its slots' folders with web.sock on slot a; return the site's port."""
        port = self.put_site("", app, app, balancers, tls, **{"word": "balancer", **extra})
        for slot in "ab":
            (self.root / "run" / app / slot).mkdir(parents=True)
        (self.root / "run" / app / "web.sock").symlink_to("a/web.sock")
        return port

    def balancer(self, app, ports, proxies=()):
        """Write the site of a balancer before hosts on these ports and behind proxies; return its port."""
        hosts = "".join(servers(Web(f"127.0.0.1:{port}", f"web{port}")) for port in ports)
        self.put(f"etc/nginx/{app}-balancer/hosts.conf", hosts)
        return self.put_site("balancer-", app, f"{app}-balancer", proxies)

    def flip(self, app, slot):
        """Move web.sock to a slot by one rename, as a deploy does."""
        link = self.root / "run" / app / "web.sock"
        new = link.with_name("web.sock.new")
        new.symlink_to(f"{slot}/web.sock")
        new.rename(link)

    def command(self, *extra):
        return [self.binary, "-p", self.root, "-e", self.root / "error.log", "-c", self.root / "nginx.conf", *extra]

    @contextlib.contextmanager
    def serving(self, *ports):
        """Run nginx while the block runs, which starts as soon as every port answers, and every socket of a path: nginx
        opens one after another, and then writes its pid file."""
        output(self.command("-t"))
        with running(self.command()) as process:
            wait_until(lambda: (self.root / "nginx.pid").read_text() == f"{process.pid}\n", what=process.output)
            for connection in map(connection_to, ports):
                wait_until(lambda: process.poll() is None and connection.connect() is None, what=process.output)
            yield process


@pytest.fixture
def nginx():
    """An Nginx without sites, in a path that has no spaces and is short enough for sockets' names."""
    root = Path(tempfile.mkdtemp(prefix="nginx-"))
    yield Nginx(root, program("nginx"))
    shutil.rmtree(root)


@pytest.fixture
def apps(nginx):
    """start(app, slot, release): an App on that slot's socket; it is stopped after the test."""
    started = []

    def start(app, slot, release, status=200):
        started.append(App(nginx.root / "run" / app / slot / "web.sock", release, status))
        return started[-1]

    yield start
    for app in started:
        with contextlib.suppress(FileNotFoundError):
            app.stop()


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for localhost, and its key: the values that name their files."""
    return dict(zip(("CERTIFICATE", "CERTIFICATE_KEY"), map(str, services.certificate(tmp_path)), strict=False))


@pytest.fixture
def server(shell, tmp_path):
    return Server(tmp_path / "a server", shell)
