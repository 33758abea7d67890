"""Turns the options of `logs` into journalctl's. Does no I/O."""

import argparse
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

LEVELS = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}  # with the journal's priorities
AGO = re.compile(r"-?(\d{1,6}) ?(s|sec|second|m|min|minute|h|hour|d|day|w|week)s?( ago)?")
TOKEN = re.compile(r'\[\^?\]?(?:\\.|[^]\\])*\]|\\.|"|[^\x00-\x7f]')  # of a regular expression: a class, an escape…
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_moment(text: str) -> float:
    """Return the seconds since the epoch for "-1h", "1 hour ago", "14:05", "yesterday 14:05" or a date, by this
    machine's clock: a host may have another time zone."""
    now = datetime.now()
    if ago := AGO.fullmatch(text):
        return max(0.0, now.timestamp() - int(ago[1]) * SECONDS[ago[2][0]])
    date = text.replace("yesterday", str(now.date() - timedelta(days=1)))
    try:
        return max(0.0, datetime.fromisoformat(re.sub(r"^(?=\d\d:)", f"{now.date()} ", date)).timestamp())
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: give -1h, '1 hour ago', 14:05, yesterday or '2026-11-25 14:05'"
        ) from None


def parse_past_moment(text: str) -> float:
    """Return the same as `moment`. Refuse a time to come, since which there is nothing to show."""
    if (time := parse_moment(text)) > datetime.now().timestamp():
        raise argparse.ArgumentTypeError(f"{text!r} is still to come: give a time such as -1h or 'yesterday 14:05'")
    return time


def check_expression(text: str) -> str:
    """Return a regular expression unchanged. Refuse one that would reach beyond itself, as it is put into a group."""
    rest = TOKEN.sub("", text)
    for _ in range(rest.count("(")):
        rest = re.sub(r"\([^()]*\)", "", rest)
    if odd := re.search(r"[(\[\\)]", rest):
        raise argparse.ArgumentTypeError(f"{text!r} has a {odd[0]} too many: for the character write \\{odd[0]}")
    return text


def join_values(words: Sequence[str]) -> list[str]:
    """Join an option of a time and -1h to one word, as argparse takes -1h for an option; so it does with an id."""
    joined = re.sub(r"(--(?:since|until|at))\0(?=-\d)", r"\1=", "\0".join(words))
    return re.sub(r"(?<=--request)\0(?=-[\w-]{7})", "=", joined).split("\0") if words else []


def patterns(args: argparse.Namespace) -> list[str]:
    """Return regular expressions, all of which a line must contain. They know how Slipway writes JSON: ASCII (nginx:
    UTF-8), and a space after each colon. Quotes in a text have a backslash there, so no text can look like a field."""
    levels = [name.upper() for name, level in LEVELS.items() if args.level and level <= LEVELS[args.level]]
    fields = {
        "level": "|".join(levels) if args.role != "nginx" else "",
        "release": re.escape(args.release),
        "request_id": re.escape(args.request),
    }
    expressions = [f'"{name}": ?"({value})"' for name, value in fields.items() if value]
    if args.grep:
        both = args.grep.islower()
        text = TOKEN.sub(lambda token: in_json(token[0], both), args.grep)
        expressions.append(f"(?i:{text})" if both else f"(?:{text})")
    return expressions


def in_json(token: str, both: bool) -> str:
    """Return a token that has a quote, or a letter such as é, so that it also fits as these are in JSON. `both`: in
    lower and upper case, which (?i) does only for ASCII. Return any other token unchanged."""
    chars = set() if token.startswith("[^") else {char for char in token if char == '"' or not char.isascii()}
    if both:
        chars |= {char.upper() for char in chars}
    if not chars:
        return token
    forms = {token, *chars, *(re.escape(json.dumps(char)[1:-1]) for char in chars)}
    return f"(?:{'|'.join(sorted(forms))})"


def journalctl(names: Sequence[str], args: argparse.Namespace) -> list[str]:
    """Return the command that prints the journal's entries as JSON: with `lines` one more than that, newest first. (Of
    a time, -n without --reverse keeps the oldest entries before systemd 254, and the newest since.)"""
    words = ["journalctl", "--quiet", "--no-pager", "--all", "-o", "json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER"]
    words += [f"--{name}=@{value:.6f}" for name in ("since", "until") if (value := getattr(args, name)) is not None]
    if args.level and args.role == "nginx":
        words.append(f"--priority={LEVELS[args.level]}")
    if expressions := patterns(args):
        words += ["--case-sensitive=yes", "--grep=(?s)^" + "".join(f"(?=.*{pattern})" for pattern in expressions)]
    if args.follow:
        words += ["-f", "-n", "all" if args.lines is None else str(args.lines)]
    elif args.lines is not None:
        words += ["--reverse", "-n", str(args.lines + 1)]
    return [*words, *(word for name in names for word in ("-t", name))]
