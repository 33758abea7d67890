from unittest.mock import patch

from django.test import SimpleTestCase

from slipway.web.breaker import REST, SLOW, Breaker, Hangs


class Breaks(SimpleTestCase):
    def setUp(self) -> None:
        self.now, self.breaker = 100.0, Breaker("cache")
        self.enterContext(patch("slipway.web.breaker.time.monotonic", lambda: self.now))

    def use(self, seconds: float = 0, error: Exception | None = None) -> type[Exception] | None:
        """Call the service, which takes `seconds` and may fail. Return the type of the error raised."""
        try:
            with self.breaker.attempt():
                self.now += seconds
                if error:
                    raise error
            return None
        except Exception as raised:
            return type(raised)

    def wait(self) -> None:
        """Call the service, which times out."""
        self.assertIs(self.use(SLOW + 1, OSError()), OSError)

    def test_what_hangs_is_asked_now_and_then(self) -> None:
        """After two timeouts in a row, calls fail at once, except one every REST seconds."""
        self.wait()
        self.wait()
        self.assertIs(self.use(), Hangs)
        self.now += REST
        self.wait()
        self.assertIs(self.use(), Hangs)
        self.now += REST
        self.assertIsNone(self.use())
        self.assertIsNone(self.use())

    def test_those_who_waited_together_count_once(self) -> None:
        """Calls that time out at the same time count as one timeout."""
        with self.assertRaises(OSError), self.breaker.attempt(), self.breaker.attempt(), self.breaker.attempt():
            self.now += SLOW + 1
            raise OSError
        self.assertIsNone(self.use())

    def test_one_tries_at_a_time(self) -> None:
        """While one call tries, others fail at once. Calls that began before it do not count."""
        with self.assertRaises(OSError), self.breaker.attempt():
            self.wait()
            with self.breaker.attempt():
                self.assertIs(self.use(), Hangs)
            raise OSError
        self.assertIsNone(self.use())

    def test_what_fails_at_once_is_asked_each_time(self) -> None:
        """A service that fails quickly is called each time. After a single timeout, calls still reach it."""
        self.wait()
        self.assertIsNone(self.use())
        with self.breaker.attempt():
            self.assertIsNone(self.use())
        for _ in range(3):
            self.assertIs(self.use(0.1, OSError()), OSError)
