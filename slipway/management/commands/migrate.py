"""Django's migrate. In a deploy, which sets LOCK_SECONDS, it tries again with growing pauses if others hold a lock for
longer than lock_timeout: then nobody queues for long behind an ALTER TABLE that waits itself."""

import os
import time
from collections.abc import Callable
from typing import Any

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

LOCKED = "55P03"  # SQLSTATE after lock_timeout
LONGEST = 30.0  # seconds to pause
MARK = "lock: "  # with it begins each line that a deploy repeats


class Command(migrate.Command):
    current: Any = None  # the migration that runs
    pause = 1.0  # seconds

    def handle(self, *words: Any, **options: Any) -> None:
        if seconds := float(os.environ.get("LOCK_SECONDS", 0)):
            self.until, self.connection = time.monotonic() + seconds, connections[options["database"]]
            with self.connection.execute_wrapper(self.executed):
                while not self.has_ended(*words, **options):
                    pass
        else:
            super().handle(*words, **options)

    def has_ended(self, *words: Any, **options: Any) -> bool:
        """Migrate. Return False, after a pause, if a migration got no lock; its transaction is undone."""
        try:
            super().handle(*words, **options)
        except OperationalError as error:
            if self.current and not self.current.atomic and is_locked(error):
                raise CommandError(f"{self.current} got no lock: others hold it. It is not atomic, so it may have ended"
                                   " halfway: undo by hand what it did, then deploy again") from None
            self.wait(error)
            return False
        return True

    def migration_progress_callback(self, action: str, migration: Any = None, fake: bool = False) -> None:
        self.current = migration or self.current
        super().migration_progress_callback(action, migration, fake)

    def executed(self, execute: Callable[..., Any], sql: str, *more: Any) -> Any:
        """Execute a statement. Without a transaction, repeat it until it gets its locks. CONCURRENTLY waits for them
        without a limit: nobody queues behind it, and it would leave an invalid index."""
        if self.connection.in_atomic_block:
            return execute(sql, *more)
        if "CONCURRENTLY" in str(sql).upper():
            with self.connection.connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = 0")
                result = execute(sql, *more)
                cursor.execute("RESET lock_timeout")
                return result
        while True:
            try:
                return execute(sql, *more)
            except OperationalError as error:
                self.wait(error)

    def wait(self, error: OperationalError) -> None:
        """Pause if the error is that of a lock, else raise it. Raise CommandError if too little time is left."""
        if not is_locked(error):
            raise error
        if time.monotonic() + self.pause > self.until:
            raise CommandError(f"{self.current} got no lock: others hold it, and rollout.migrate is over") from None
        self.stdout.write(f"\n{MARK}{self.current} waits for a lock that others hold: tries again in {self.pause:g} s")
        self.stdout.flush()
        time.sleep(self.pause)
        self.pause = min(self.pause * 2, LONGEST)


def is_locked(error: OperationalError) -> bool:
    return LOCKED in (getattr(error.__cause__, "sqlstate", ""), getattr(error.__cause__, "pgcode", ""))
