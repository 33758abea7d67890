"""Django's runserver, with what a newcomer trips over seen to first: the port, and the database."""

import errno
import os
import socket
from typing import Any

from django.contrib.staticfiles.management.commands.runserver import Command as Runserver
from django.core.management import CommandError
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from slipway.schema.database import is_own, prepare, tell


class Command(Runserver):
    """Django's, as above."""

    addr: str
    port: str
    use_ipv6: bool
    _raw_ipv6: bool

    def run(self, **options: Any) -> None:
        """Serve, once port and database are right."""
        if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":  # once, not at each reload
            check_port(self.addr, int(self.port), self.use_ipv6)
            prepare(self.stdout.write if is_own() else lambda line: None)  # of others check_migrations tells
        super().run(**options)

    def check_migrations(self) -> None:
        """At the start and each reload: in a line, and of make."""
        tell(self.stdout.write)

    def on_bind(self, server_port: int) -> None:
        """Says where to look, last and in a form that terminals make clickable."""
        host = "localhost" if self.addr in (self.default_addr, self.default_addr_ipv6) else self.addr
        host = {"0": "0.0.0.0"}.get(host, f"[{host}]" if self._raw_ipv6 and host != "localhost" else host)
        self.stdout.write(f"{self.protocol}://{host}:{server_port}/ (stop it with Ctrl-C)")
        self.stdout.flush()


def check_port(address: str, port: int, ipv6: bool = False) -> None:
    """Raise CommandError, of one line, where a server could not listen there."""
    if not 0 < port < 65536:
        raise CommandError(f"{port} is not a port: one is between 1 and 65535, as in make runserver PORT=8001")
    try:
        with socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)  # two may bind an address that both would share; only one may listen
    except OSError as error:
        raise CommandError(said(error, address, port)) from None


def said(error: OSError, address: str, port: int) -> str:
    """Why nothing can listen there, and what to do."""
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return f"port {port} is in use: stop what runs there, or take another: make runserver PORT={other}"
    if error.errno == errno.EACCES:
        return f"port {port} is not yours to use: take another, as in make runserver PORT=8000"
    return f"cannot listen on {address}:{port}: {error.strerror or error}"
