"""Reads the times of backups: in this machine's zone, or with an offset, as they are told. Does no I/O, but knows the
clock and its zone."""

import contextlib
import re
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from .backup.shell import told
from .errors import Refused

FORM = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?) ?(\S*)")
OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):?([0-5]\d)")
AREA = re.compile(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+")  # a short name such as CET or EST means different things
EXAMPLE = '"2026-11-24 02:20", also with +0100, UTC or Europe/Berlin behind it'


def parse_latest(text: str) -> str:
    """Return "latest", or a time in seconds, as docker-backup takes them."""
    return text if text == "latest" else str(parse(text))


def parse(text: str) -> float:
    """Return the seconds of a past time. Raise Refused if it is none, or if a clock had it twice or never."""
    form, moments = FORM.fullmatch(text), None
    if form:
        with contextlib.suppress(ValueError, OverflowError, OSError):  # February 30, the year 9999, no such zone
            moments = readings(datetime.fromisoformat(f"{form[1]} {form[2]}"), zone_of(form[3]))
    if not form or moments is None:
        raise Refused(f"--at: {text!r} is no time: give one such as {EXAMPLE}")
    where = f"{form[1]} {form[2]} in {form[3] or 'the zone of this machine'}"
    if not moments:
        raise Refused(f"--at: clocks skip {where}: give an offset from UTC, such as +0100")
    if len(moments) > 1:
        both = " or ".join(f'--at "{moment:%Y-%m-%d %H:%M:%S %z}"' for moment in moments)
        raise Refused(f"--at: clocks show {where} twice: say which, {both}")
    return passed(moments[0].timestamp())


def passed(at: float) -> float:
    now = time.time()
    if at > now:
        raise Refused(f"--at: {told(at)} is still to come: it is {told(now)}")
    return at


def zone_of(text: str) -> tzinfo | None:
    """Return a zone by its offset or name; None, which is this machine's, for "". Raise ValueError if unknown."""
    if not text:
        return None
    if text in ("Z", "UTC"):
        return UTC
    if offset := OFFSET.fullmatch(text):
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    if not AREA.fullmatch(text):
        raise ValueError(text)
    try:
        return ZoneInfo(text)
    except (KeyError, OSError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(text) from None


def readings(local: datetime, zone: tzinfo | None) -> list[datetime]:
    """Return the moments at which a clock of the zone shows this, in order: two in the hour that it has twice, none in
    the one that it skips."""
    moments = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = [moment.astimezone(zone) for moment in sorted(moments)]
    return [moment for moment in shown if moment.replace(tzinfo=None, fold=0) == local]
