from typing import Any

from django.core.management import BaseCommand, CommandParser

from ...health import counts


class Command(BaseCommand):
    help = "Counts how a command by the clock ended: systemd calls it with the result."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("result", help="systemd's SERVICE_RESULT, such as success or exit-code")

    def handle(self, name: str, result: str, **_: Any) -> None:
        ended = "succeeded" if result == "success" else "failed"
        counts.add(counts.RUNS, {f"{name} {state}": [state == ended, 0] for state in ("succeeded", "failed")})
