"""What all of the project's Celery tasks share."""

from datetime import datetime, timezone

from celery import Task as CeleryTask
from celery import signals

from .healthcheck import alive


class Task(CeleryTask):
    """A task that refuses what a broker would get wrong."""

    def apply_async(self, args=None, kwargs=None, task_id=None, producer=None, link=None, link_error=None,
                    shadow=None, **options):
        """Celery's own. Raises ValueError for an ETA beyond the broker's visibility timeout: a worker holds such a
        task until it is due, and Redis would meanwhile give it to the next one, and the next."""
        limit = self.app.conf.broker_transport_options.get("visibility_timeout")
        seconds = ahead(options.get("countdown"), options.get("eta"))
        if limit and seconds > limit:
            raise ValueError(f"{self.name} is put off for {seconds:.0f} s, and Redis allows {limit} (TASK_TIME_LIMIT "
                             f"and a minute): let beat send it, or keep the time in the database")
        return super().apply_async(args, kwargs, task_id, producer, link, link_error, shadow, **options)


def ahead(countdown, eta):
    """How many seconds from now a task is put off."""
    if isinstance(eta, str):
        eta = datetime.fromisoformat(eta)
    if eta is not None:
        return (eta - datetime.now(eta.tzinfo or timezone.utc).replace(tzinfo=eta.tzinfo)).total_seconds()
    return countdown or 0


@signals.heartbeat_sent.connect
def worker_is_alive(**_):
    """The worker's own heartbeat, every 2 s while it has a broker."""
    alive()
