"""manage.py dead_tasks"""

from time import gmtime, strftime
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from kombu import Message, Queue

from ...jobs import deliveries


class Command(BaseCommand):
    """Lists, sends again or deletes tasks that no worker could finish."""

    help = "Lists dead tasks: their worker was lost again and again, or no release knows them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID", help="only these (default: all)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--again", action="store_true", help="send them again as new tasks")
        what.add_argument("--drop", action="store_true", help="delete them")

    def handle(self, ids: list[str], again: bool, drop: bool, **_: Any) -> None:
        from slipway.celery import ask_broker, project_app

        try:
            with ask_broker() as connection:
                queue = Queue(deliveries.DEAD, channel=connection.default_channel)
                queue.declare()
                messages = list(iter(queue.get, None))  # each message must be acknowledged or requeued
                for message in messages:
                    meant = not ids or deliveries.headers(message).get("id") in ids
                    if meant:
                        self.stdout.write(line(message))
                    if meant and again:
                        deliveries.revive(project_app(), message)
                    elif meant and drop:
                        message.ack()
                    else:
                        message.requeue()
        except ConnectionError as error:
            raise CommandError(error) from error
        self.stdout.write(f"dead tasks: {len(messages)}")


def line(message: Message) -> str:
    """Return a dead task's UTC time, id, name and reason, not the arguments, which may be secrets."""
    mark = deliveries.death_mark(message)
    at = mark.get("at")
    when = strftime("%Y-%m-%d %H:%M:%S", gmtime(at)) if isinstance(at, float) and 0 <= at < 250e9 else "-"
    return (
        f"{when}  {deliveries.headers(message).get('id', '-')}  {deliveries.task_name(message)}: {mark.get('why', '')}"
    )
