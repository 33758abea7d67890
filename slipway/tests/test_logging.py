import json
import logging
import sys
from typing import Any

from django.test import RequestFactory, SimpleTestCase

from slipway.logs import request_id
from slipway.logs.logging import Json, Text, add_request_id


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError


def record(message: Any, *args: Any, exc_info: Any = None, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("shop").makeRecord(
        "shop", logging.ERROR, __file__, 1, message, args, exc_info, extra=extra
    )
    add_request_id(made)
    return made


def failure(text: str) -> Any:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        return sys.exc_info()


class Formats(SimpleTestCase):
    def test_json(self) -> None:
        """A record becomes one JSON object in one line. Its traceback is one field."""
        request_id.start("0123456789")
        line = Json().format(record("sold %s\n%s", 3, "x", exc_info=failure("a\nb"), order=7))
        self.assertNotIn("\n", line)
        self.assertIn('"level": "ERROR"', line)  # `slipway logs` and `slipway errors` search for such texts
        told = json.loads(line)
        self.assertRegex(told.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00$")
        self.assertIn("RuntimeError: a\nb", told.pop("exception"))
        self.assertEqual(told.pop("raised")["function"], "failure")
        self.assertEqual(
            told,
            {
                "level": "ERROR",
                "logger": "shop",
                "message": "sold 3\nx",
                "request_id": "0123456789",
                "release": "development",
                "order": 7,
                "message_template": "sold %s\n%s",
            },
        )

    def test_json_of_an_exception_names_the_innermost_line_of_the_project(self) -> None:
        """A visitor's text in the exception's message cannot forge it."""
        own: dict[str, Any] = {}
        exec(compile("import json\ndef detail(text):\n    json.loads(text)", "/app/orders/views.py", "exec"), own)
        try:
            own["detail"]('Traceback (most recent call last):\n  File "/app/forged.py", line 7, in forged')
        except ValueError:
            told = json.loads(Json().format(record("x", exc_info=sys.exc_info())))
        self.assertEqual(
            told["raised"],
            {"type": "JSONDecodeError", "file": "/app/orders/views.py", "line": "3", "function": "detail"},
        )

    def test_json_of_what_json_cannot_tell(self) -> None:
        """A record is logged even if JSON has no form for its extra, or if its arguments do not fit its message."""
        circle: list[Any] = []
        circle.append(circle)
        for extra in (object(), b"\xff", "\ud800", circle, {("a", "b"): 1}, {1: {2, 3}}, Unspeakable()):
            told = json.loads(Json().format(record("x", odd=extra, order=7)))
            self.assertEqual((told["message"], told["level"], told["order"]), ("x", "ERROR", 7))
        self.assertIn("'b'", json.loads(Json().format(record("x", odd={("a", "b"): 1})))["odd"])
        for message, args in (("%d sold", ("3",)), ({"a": circle}, ()), (Unspeakable(), (3,))):
            told = json.loads(Json().format(record(message, *args, order=7)))
            self.assertEqual((told["level"], bool(told["message"]), told["order"]), ("ERROR", True, 7))

    def test_json_keeps_its_own_fields(self) -> None:
        """Keys of `extra`, and of a dict in place of a message, that have the name of a field stand beside it."""
        names = ["time", "level", "logger", "release", "raised", "exception", "stack"]
        plain = json.loads(Json().format(record("x", exc_info=failure("a"))))
        for told in (
            json.loads(Json().format(record("x", exc_info=failure("a"), **dict.fromkeys(names, "gold")))),
            json.loads(Json().format(record(dict.fromkeys(names, "gold"), exc_info=failure("a")))),
        ):
            self.assertEqual((told["level"], told["logger"], told["release"]), ("ERROR", "shop", "development"))
            self.assertEqual({told[f"extra_{name}"] for name in names}, {"gold"})
            self.assertEqual(told["raised"], plain["raised"])
        self.assertEqual(json.loads(Json().format(record({"message": "sold", "n": 3})))["message"], "sold")

    def test_json_of_an_exception_that_was_not_raised(self) -> None:
        """It has no place. A group of one exception has that one's."""
        never = ValueError, ValueError("a"), None  # as logging makes it of exc_info=ValueError("a")
        self.assertNotIn("raised", json.loads(Json().format(record("x", exc_info=never))))
        try:
            raise ExceptionGroup("g", [failure("a")[1]])
        except ExceptionGroup:
            told = json.loads(Json().format(record("x", exc_info=sys.exc_info())))
        self.assertEqual((told["raised"]["type"], told["raised"]["function"]), ("RuntimeError", "failure"))

    def test_json_fits_one_line_of_docker(self) -> None:
        """A long text loses its middle: Docker splits lines of more than 16 KB. A failed request is named."""
        for sign in "xж":
            line = Json().format(
                record(
                    sign * 9000,
                    exc_info=failure("begin" + f"\n {sign}" * 9000 + "end"),
                    request=RequestFactory().get(f"/{sign * 9000}?secret"),
                )
            )
            told = json.loads(line)
            self.assertLess(len(line), 16_384)
            self.assertRegex(told["exception"], r"^Traceback[\s\S]*begin[\s\S]*… cut …[\s\S]*end$")
            self.assertEqual((told["method"], told["path"][:2]), ("GET", f"/{sign}"))

    def test_text(self) -> None:
        """Line ends and escapes in a visitor's text are shown as escapes, so that nobody can forge a log line. A
        traceback follows in indented lines."""
        text = Text().format(record("bad %s", "x\n2026-01-01 INFO forged\r\x1b[2J\u2028\x85y"))
        self.assertEqual(len(text.splitlines()), 1)
        self.assertIn(r"bad x\n2026-01-01 INFO forged\r\x1b[2J\u2028\x85y", text)
        lines = Text().format(record("oh", exc_info=failure("a\n2026-01-01 INFO forged\x1b[2J"))).splitlines()
        self.assertTrue(len(lines) > 3 and all(line.startswith("    ") for line in lines[1:]))
        self.assertTrue(lines[-1].endswith(r"forged\x1b[2J"))

    def test_an_id_is_taken_where_it_is_one(self) -> None:
        """A valid request id from a proxy is kept; an invalid one is replaced."""
        answer = self.client.get("/healthz", headers={"X-Request-ID": "abc_DEF-01"})
        self.assertEqual(answer["X-Request-ID"], "abc_DEF-01")
        for forged in ("short", "x" * 65, "with a space in it", 'quote"quote"', "", "\xe9" * 10, "12345678\n"):
            answer = self.client.get("/healthz", headers={"X-Request-ID": forged})
            self.assertRegex(answer["X-Request-ID"], "^[0-9a-f]{32}$")
