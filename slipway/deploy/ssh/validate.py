"""Turns what a host says into data: JSON of the shapes in agent/answers.py, text without control characters.

A host may be broken into, and its containers can write into what it reports. So an answer of another shape is Lost.
Keys that no shape declares are ignored: an agent may say more than this deployer knows.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import UnionType
from typing import (Annotated, Any, Literal, NoReturn, NotRequired, TypedDict, Union, get_args, get_origin,
                    get_type_hints, is_typeddict)

from ..agent import answers as agent
from ..agent.shapes import Below, More, Text
from ..errors import nonsense

Event = dict[str, Any]  # "event", and what docs/deploy.md tells of it
Tell = Callable[[Event], None]
Check = Callable[[Any], str]  # what is wrong with a value, after its path, in a few words; "" if nothing is


class Failure(TypedDict):
    """Why something could not be done."""

    problem: str
    more: More


ANSWERS: Mapping[str, Any] = {  # of all else that the agent is told to do any object will do
    "facts": agent.Facts, "resolve": agent.Resolved, "pull": agent.Image, "lock": agent.Locked, "decide": agent.Fate,
    "verdicts": agent.Judged, "prepare": agent.Prepared, "said": agent.Said,
    "command": agent.Command, "read_settings": agent.Settings}
EVENTS: Mapping[str, Any] = {  # what else they have is plain, as text
    "progress": dict[str, Any], "takeback": dict[str, Any], "committed": dict[str, Any],
    "unhealthy": dict[str, Any], "sick": Failure}
SCALARS = (str, int, float, bool, type(None))
GREATEST = 2**63
MISSING = object()  # stands for a key that is not there: None may be a value


def visible(text: str) -> str:
    """Return the text with control and bidi characters spelt out (\\x1b), but for line ends: no terminal obeys it."""
    return "".join(character if character == "\n" or unicodedata.category(character)[0] != "C"
                   else character.encode("unicode_escape", "surrogatepass").decode() for character in text)


def brief(text: str) -> str:
    """Somebody else's words for a row or a line of ours, which they are not to end."""
    return visible(text.lstrip()).partition("\n")[0][:200]


# ---- shapes ----

def mismatch(value: Any, shape: Any, path: str = "it") -> str:
    """Where the value does not have that shape, a type as agent/shapes.py spells them, in a few words; "" if it has."""
    said = check_of(shape)(value)
    return path + said if said else ""


@functools.cache
def check_of(shape: Any) -> Check:
    """The check of a shape. It is made once: there may be many hosts, with long lists each."""
    origin, words = get_origin(shape) or shape, get_args(shape)
    if origin is Annotated:
        return bounded(check_of(words[0]), words[1])
    if origin is UnionType or origin is Union:  # T | None
        inner = check_of(words[0])
        return lambda value: "" if value is None else inner(value)
    if origin is Literal:
        return lambda value: "" if type(value) is str and value in words else f" is none of {', '.join(words)}"
    if is_typeddict(shape):
        return fields(shape)
    if origin is dict:
        return each(dict, check_of(words[1]), lambda value: value.items(), ".{}")
    if origin is list:
        return each(list, check_of(words[0]), enumerate, "[{}]")
    if origin is tuple:
        return row([check_of(word) for word in words])
    return lambda value: "" if is_scalar(value, shape) else f" is {kind(value)}"


def bounded(check: Check, bound: Text | Below) -> Check:
    """The same with a bound, which a type cannot express."""
    matches = re.compile(bound.pattern).fullmatch if isinstance(bound, Text) else None

    def check_bound(value: Any) -> str:
        if said := check(value):
            return said
        fine = matches(value) if matches else isinstance(bound, Below) and 0 <= value < bound.end
        return "" if fine else " is not as it can be"
    return check_bound


def each(type_: type, check: Check, items: Callable[[Any], Iterable[tuple[Any, Any]]], place: str) -> Check:
    """For a dict or a list: all that it holds passes the check."""
    def check_each(value: Any) -> str:
        if type(value) is not type_:
            return f" is {kind(value)}"
        return next((place.format(at) + said for at, one in items(value) if (said := check(one))), "")
    return check_each


def row(checks: Sequence[Check]) -> Check:
    """For a list with one value for each check."""
    def check_row(value: Any) -> str:
        if type(value) is not list or len(value) != len(checks):
            return f" is {kind(value)}"
        return next((f"[{at}]{said}" for at, check in enumerate(checks) if (said := check(value[at]))), "")
    return check_row


def fields(shape: Any) -> Check:
    """For a TypedDict: its required keys, and those of its others that are there."""
    checks = [(key, check_of(hint), key in shape.__required_keys__) for key, hint in hints(shape).items()]

    def check_fields(value: Any) -> str:
        if type(value) is not dict:
            return f" is {kind(value)}"
        return next((f".{key}{said}" for key, check, required in checks
                     if (required or key in value) and (said := check(value.get(key, MISSING)))), "")
    return check_fields


@functools.cache
def hints(shape: Any) -> dict[str, Any]:
    """key → shape of a TypedDict."""
    found = get_type_hints(shape, include_extras=True)
    return {key: get_args(hint)[0] if get_origin(hint) is NotRequired else hint for key, hint in found.items()}


def is_scalar(value: Any, shape: Any) -> bool:
    """Whether a value has this type, which holds no others. Numbers are finite and of at most 64 bits."""
    if shape is float or shape is int:
        return type(value) in (int, shape) and abs(value) < GREATEST
    return shape is Any or type(value) is shape


def kind(value: Any) -> str:
    """What a value is, for an error."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null",
             object: "missing"}
    return names.get(type(value), "such a number")


# ---- messages ----

def refuse(name: str) -> NoReturn:
    """For NaN and Infinity, which JSON does not have. Raises ValueError."""
    raise ValueError(f"{name} is no number")


def parse(line: bytes) -> dict[str, Any]:
    """The JSON object in a line. Raises Lost."""
    try:
        message = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise nonsense(f"not JSON: {line[:60]!r}") from None
    if type(message) is not dict:
        raise nonsense(f"it is {kind(message)}, no object")
    return message


def checked_event(message: Event) -> Event:
    """The same message, an event. Raises Lost where it is none that is declared."""
    shape = EVENTS.get(message["event"]) if type(message["event"]) is str else None
    if shape is None:
        raise nonsense("an event that is not known")
    declared = hints(shape) if is_typeddict(shape) else ()
    said = mismatch(message, shape, "the event")
    if said or not all(type(value) in SCALARS for key, value in message.items() if key not in declared):
        raise nonsense(said or "an event that is not plain")
    return message


def checked_answer(message: dict[str, Any], do: str) -> dict[str, Any]:
    """The same message, the answer to `do`: {"ok": …} or {"problem", "more"}. Raises Lost for any other shape."""
    if "problem" in message:
        said = mismatch(message, Failure, do)
    else:
        said = mismatch(message.get("ok"), ANSWERS.get(do, dict[str, Any]), f"{do}.ok")
    if said:
        raise nonsense(said)
    return message
