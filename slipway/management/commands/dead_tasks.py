"""What became of tasks that were given up, and what to do with them."""

from time import gmtime, strftime
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from kombu import Message

from ...jobs import deliveries


class Command(BaseCommand):
    help = "Shows the tasks that were given up: they circled, killed their worker, or nobody knows them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID", help="only these; without any, all")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--again", action="store_true", help="send them again, as new")
        what.add_argument("--drop", action="store_true", help="throw them away")

    def handle(self, ids: list[str], again: bool, drop: bool, **_: Any) -> None:
        """Show all, and do with those that are meant what is asked."""
        from slipway.celery import app, ask_broker
        try:
            with ask_broker() as connection:
                queue = deliveries.dead_queue(connection.default_channel)
                queue.declare()
                messages = list(iter(queue.get, None))  # each has to be acknowledged or requeued
                for message in messages:
                    meant = not ids or deliveries.headers(message).get("id") in ids
                    if meant:
                        self.stdout.write(line(message))
                    if meant and again:
                        deliveries.revive(app, message)
                    elif meant and drop:
                        message.ack()
                    else:
                        message.requeue()
        except ConnectionError as error:
            raise CommandError(error)
        self.stdout.write(f"dead tasks: {len(messages)}")


def line(message: Message) -> str:
    """When, which task, and why; no arguments, as they may be secrets."""
    headers = deliveries.headers(message)
    told: dict[str, Any] = headers.get(deliveries.MARK) or {}
    return (f"{strftime('%Y-%m-%d %H:%M:%S', gmtime(told.get('at', 0)))}  {headers.get('id', '-')}  "
            f"{deliveries.name(message)}: {told.get('why', '')}")
