"""Django's migrate. In a deploy, which sets LOCK_SECONDS and MAX_LOCK, it first tells who waits for a large table that
it locks, and refuses to lock one for longer than MAX_LOCK seconds. It tries again with growing pauses if others hold a
lock for longer than PATIENCE: then nobody queues for long behind an ALTER TABLE that waits itself."""

import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from ...schema import database, waits

PATIENCE = 2.0  # seconds
LOCKED = "LockNotAvailable"  # the driver's error after lock_timeout
TRIES = "\nlock: {} waits for a lock that others hold: tries again in {:.2g} s"
LONGEST = 30.0  # seconds to pause
# When such a statement fails, it may have committed some of its work. Comments may stand before it.
COMMITTING = re.compile(r"(\s|--[^\n]*\n|/\*([^*]|\*(?!/))*\*/)*(CALL|DO)\b", re.I)
HALFWAY = ". It is not atomic, so it may have ended halfway: undo by hand what it did, then deploy again"
OVER = ", and rollout.migrate is over"


class Command(migrate.Command):
    """Django's migrate, which in a deploy waits for locks again and again, each time briefly."""

    current: Any = "migrate"  # or the migration that runs
    pause = 1.0  # seconds
    until = 0.0  # until this time of the monotonic clock it tries to get its locks
    limits = False  # True: set lock_timeout

    def handle(self, *words: Any, **options: Any) -> Any:
        if "LOCK_SECONDS" not in os.environ:
            return super().handle(*words, **options)
        self.until = time.monotonic() + float(os.environ["LOCK_SECONDS"])
        self.connection = connections[options["database"]]
        self.connection.ensure_connection()
        pooled = self.connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")  # its sessions are others' next
        self.limits = self.connection.vendor == "postgresql" and not pooled
        with self.connection.execute_wrapper(self.executed):
            waits.judge(database.pending(), float(os.environ["MAX_LOCK"]), self.stdout.write)
            self.repeated(partial(super().handle, *words, **options), whole=True)
        return None

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        self.current = migration or self.current
        if action == "apply_success":  # what waits after it, such as post_migrate, can begin again
            self.current = "migrate"
            self.pause = 1.0
        self.limit_waits()
        super().migration_progress_callback(action, migration, fake)

    def limit_waits(self, seconds: float | None = None) -> None:
        """Set lock_timeout. Default: PATIENCE for what can begin again, else what the deploy has set."""
        seconds = seconds or PATIENCE * getattr(self.current, "atomic", True)
        if self.limits:
            with self.connection.connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = '{seconds}s'" if seconds else "RESET lock_timeout")

    def executed(self, execute: Callable[..., Any], sql: str, *params: Any) -> Any:
        """Execute a statement. Without a transaction, repeat it until it gets its locks. CONCURRENTLY waits for them
        to the end: nobody queues behind it, and it would leave an invalid index."""
        if self.connection.in_atomic_block or COMMITTING.match(str(sql)):
            return execute(sql, *params)
        left = self.until - time.monotonic()
        self.limit_waits(max(PATIENCE, left) if "CONCURRENTLY" in str(sql).upper() else PATIENCE)
        result = self.repeated(partial(execute, sql, *params))
        self.limit_waits()  # as before
        return result

    def repeated(self, call: Callable[[], Any], whole: bool = False) -> Any:
        """Call until that gets its locks. Raise CommandError if too little time is left, or if `call` is the `whole`
        command and the migration's transaction did not undo all that it did."""
        while True:
            try:
                return call()
            except OperationalError as error:
                if type(error.__cause__).__name__ != LOCKED:
                    raise
            apart = not getattr(self.current, "atomic", True)
            left = self.until - time.monotonic()
            if (whole and apart) or left <= 0:
                raise CommandError(f"{self.current} got no lock: others hold it{HALFWAY if apart else OVER}")
            self.stdout.write(TRIES.format(self.current, min(self.pause, left)))
            self.stdout.flush()
            time.sleep(min(self.pause, left))
            self.pause = min(self.pause * 2, LONGEST)
