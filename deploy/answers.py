"""Where what a host says becomes data: lines of bounded length, JSON of known shapes, text without control characters.

A host may be broken into, and its containers can write into what it reports. Whatever is not as declared here is a
HostProblem; what is used of an answer must be declared. Keys that are not are let pass unseen, so hosts may say more.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from .errors import Nonsense

GREATEST = 2**63


def visible(text):
    """The text with whatever would act on a terminal shown instead: control characters, as \\x1b, and those that hide
    or turn text. Ends of lines stay."""
    return "".join(character if character == "\n" or unicodedata.category(character)[0] != "C"
                   else character.encode("unicode_escape", "surrogatepass").decode() for character in text)


# ---- shapes: a type; [shape], a list; (shape, …), one of that length; an object, where "key?" may be missing; or ----

@dataclass(frozen=True)
class Maybe:
    """That, or null."""
    shape: object


@dataclass(frozen=True)
class Each:
    """An object whose values are all of that shape."""
    shape: object


@dataclass(frozen=True)
class Text:
    """Text that matches."""
    pattern: str


@dataclass(frozen=True)
class Choice:
    """One of these words."""
    words: tuple


BASE64 = "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
RELEASE = {"tag": str, "image_id": str}
RECORD = {**RELEASE, "id?": Maybe(str), "action": str, "outcome": str, "at?": datetime, "seconds?": datetime,
          "digest?": Maybe(str),
          "who?": Maybe(str)}
UNIT = {"state": Maybe(str), "restarts": Maybe(Text("[0-9]{0,9}")), "since": Maybe(str), "health?": str,
        "dead?": int}
ANSWERS = {  # of what the agent is told to do; of all other steps any object will do
    "look": {
        "python": [int], "arch": str, "systemd": int, "memory": int, "need": int, "torn": int, "staged": bool,
        "docker": {"version?": Text("[A-Za-z0-9.+~:-]{0,99}"), "root?": str},
        "containers": Each((str, str, float)), "now": float, "problems": [str], "settings": [str],
        "files": Each(str), "free": Each(int),
        "tag": Maybe(RELEASE), "revert": Maybe(RELEASE), "records": [RECORD], "known": [RECORD],
        "attempt": Maybe({"tag": str}),
        "site": {"scheme": str, "url": str, "unlimited": bool}, "one_offs": Each(str),
        "live": Maybe(Choice(("a", "b"))), "slots": Each({"release": Maybe(RELEASE), "units": Each(UNIT)}),
        "beat": Maybe({**UNIT, "release": Maybe(RELEASE)}), "lock": Maybe(str)},
    "resolve": {"digest": str, "index": bool},
    "pull": {"image_id": str, "architecture?": str, "digests?": [str], "revision?": str, "others?": [str]},
    "lock": {"locked": Maybe(str), "said?": [str], "attempt?": bool, "tag?": Maybe(str)},
    "decide": {"fate": Choice(("committed", "back", "settling", "stuck", "promised", "open"))},
    "verdicts": {"incompatible": Each(str), "unjudged": [str], "cure": str},
    "prune": {"removed": [str]},
    "said": {"log": [str]},
    "command": {"code": int, "out": Text(BASE64), "err": Text(BASE64)},
    "read_settings": {"settings": Text(BASE64), "staged": Maybe(Text(BASE64))},
}
PROBLEM = {"problem": str, "more": {"body?": Maybe(str), "log?": [str], "log_of?": Maybe((str, float))}}
EVENTS = {"progress": {}, "takeback": {}, "committed": {}, "sick": PROBLEM}  # what else they have is plain, as text
SCALARS = (str, int, float, bool, type(None))


def wrong(value, shape, path="it"):
    """In a few words, where the value is not of that shape; "" if it is."""
    if isinstance(shape, Maybe):
        return "" if value is None else wrong(value, shape.shape, path)
    if isinstance(shape, Text):
        return "" if type(value) is str and re.fullmatch(shape.pattern, value) else f"{path} is not as it can be"
    if isinstance(shape, Choice):
        return "" if value in shape.words else f"{path} is none of {', '.join(shape.words)}"
    if isinstance(shape, list):
        inner = type(value) is list and [(one, shape[0], f"{path}[{index}]") for index, one in enumerate(value)]
    elif isinstance(shape, tuple):
        inner = type(value) is list and len(value) == len(shape) and [
            (one, of, f"{path}[{index}]") for index, (one, of) in enumerate(zip(value, shape))]
    elif isinstance(shape, (dict, Each)):
        inner = type(value) is dict and parts(value, shape, path)
    else:
        return "" if fits(value, shape) else f"{path} is {kind(value)}"
    if inner is False:
        return f"{path} is {kind(value)}"
    return next(filter(None, (wrong(*one) for one in inner)), "")


def parts(value, shape, path):
    """(value, shape, path) of what an object holds, as far as that is declared."""
    if isinstance(shape, Each):
        return [(one, shape.shape, f"{path}.{key}") for key, one in value.items()]
    return [(value.get(key.rstrip("?")), inner, f"{path}.{key.rstrip('?')}") for key, inner in shape.items()
            if not key.endswith("?") or key[:-1] in value]


def fits(value, shape):
    """Whether a value is of a plain type. Numbers are such as can be reckoned with."""
    if shape is float or shape is int:
        return type(value) in (int, shape) and abs(value) < GREATEST
    if shape is datetime:  # seconds since the epoch, to the year 9999
        return type(value) in (int, float) and 0 <= value < 250e9
    return type(value) is shape


def kind(value):
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "missing"}
    return names.get(type(value), "such a number")


# ---- messages ----

def refuse(name):
    raise ValueError(f"{name} is no number")


def parse(line):
    """The object that a line holds. Raises Nonsense."""
    try:
        message = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Nonsense(f"not JSON: {line[:60]!r}") from None
    if type(message) is not dict:
        raise Nonsense(f"it is {kind(message)}, no object")
    return message


def event(message):
    """A line that tells how things go. Raises Nonsense."""
    shape = EVENTS.get(message["event"]) if type(message["event"]) is str else None
    if shape is None:
        raise Nonsense("an event that is not known")
    said = wrong(message, shape, "the event")
    if said or not all(type(value) in SCALARS for key, value in message.items() if key not in shape):
        raise Nonsense(said or "an event that is not plain")
    return message


def answer(message, do):
    """What was answered to `do`: {"ok": …} as declared, or {"problem", "more"}. Raises Nonsense."""
    shape = PROBLEM if "problem" in message else {"ok": ANSWERS.get(do, {})}
    said = wrong(message, shape, do)
    if said:
        raise Nonsense(said)
    return message
