import socket

from django.core.management import CommandError
from django.test import SimpleTestCase

from slipway.management.commands.runserver import check_port


class Ports(SimpleTestCase):
    def test_what_is_none(self) -> None:
        """It is named, before anything listens."""
        for port in (0, 99999):
            with self.assertRaisesMessage(CommandError, f"{port} is not a port"):
                check_port("127.0.0.1", port)

    def test_one_in_use(self) -> None:
        """Another one is named; one that is free is no matter."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with self.assertRaisesMessage(CommandError, f"port {port} is in use"):
                check_port("127.0.0.1", port)
        check_port("127.0.0.1", port)
