"""Where what a host says becomes data: lines of bounded length, JSON of known shapes, text without control characters.

A host may be broken into, and its containers can write into what it reports. Whatever is not as agent/answers.py
declares is a HostProblem; what is used of an answer must be declared there.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import UnionType
from typing import (Annotated, Any, Literal, NoReturn, NotRequired, TypedDict, Union, get_args, get_origin,
                    get_type_hints, is_typeddict)

from ..agent import answers as said
from ..agent.shapes import Below, More, Text
from ..errors import Nonsense

Event = dict[str, Any]  # "event", and what docs/deploy.md tells of it
Tell = Callable[[Event], None]


class Problem(TypedDict):
    """Why something could not be done."""

    problem: str
    more: More


ANSWERS: Mapping[str, Any] = {  # of all else that the agent is told to do any object will do
    "facts": said.Facts, "resolve": said.Resolved, "pull": said.Image, "lock": said.Locked, "decide": said.Fate,
    "verdicts": said.Judged, "prune": said.Pruned, "said": said.Said, "command": said.Command,
    "read_settings": said.Settings}
EVENTS: Mapping[str, Any] = {  # what else they have is plain, as text
    "progress": dict[str, Any], "takeback": dict[str, Any], "committed": dict[str, Any], "sick": Problem}
SCALARS = (str, int, float, bool, type(None))
GREATEST = 2**63
MISSING = object()  # which None, where a key may hold that, is not


def visible(text: str) -> str:
    """The text with whatever would act on a terminal shown instead: control characters, as \\x1b, and those that hide
    or turn text. Ends of lines stay."""
    return "".join(character if character == "\n" or unicodedata.category(character)[0] != "C"
                   else character.encode("unicode_escape", "surrogatepass").decode() for character in text)


# ---- shapes ----

def wrong(value: Any, shape: Any, path: str = "it") -> str:
    """In a few words, where the value is not of that shape, a type as agent/shapes.py spells them; "" if it is."""
    origin, words = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return wrong(value, words[0], path) or unlike(value, words[1], path)
    if origin is UnionType or origin is Union:  # T | None
        return "" if value is None else wrong(value, words[0], path)
    if origin is Literal:
        return "" if type(value) is str and value in words else f"{path} is none of {', '.join(words)}"
    inner = parts(value, shape, path)
    if inner is None:
        return f"{path} is {kind(value)}"
    return next(filter(None, (wrong(*one) for one in inner)), "")


def unlike(value: Any, bound: Text | Below, path: str) -> str:
    """The same of what a type alone does not say."""
    fine = (re.fullmatch(bound.pattern, value) if isinstance(bound, Text) else 0 <= value < bound.end)
    return "" if fine else f"{path} is not as it can be"


def parts(value: Any, shape: Any, path: str) -> list[tuple[Any, Any, str]] | None:
    """(value, shape, path) of what a value holds, as far as that is declared; None where it is of another kind."""
    origin, words = get_origin(shape) or shape, get_args(shape)
    if is_typeddict(shape):
        return fields(value, shape, path) if type(value) is dict else None
    if origin is dict:
        return [(one, words[1], f"{path}.{key}") for key, one in value.items()] if type(value) is dict else None
    if origin is list:
        return [(one, words[0], f"{path}[{at}]") for at, one in enumerate(value)] if type(value) is list else None
    if origin is tuple:
        fits = type(value) is list and len(value) == len(words)
        return [(one, word, f"{path}[{at}]") for at, (one, word) in enumerate(zip(value, words))] if fits else None
    return [] if is_plain(value, shape) else None


def fields(value: dict[str, Any], shape: Any, path: str) -> list[tuple[Any, Any, str]]:
    return [(value.get(key, MISSING), inner, f"{path}.{key}") for key, inner in hints(shape).items()
            if key in shape.__required_keys__ or key in value]


@functools.cache
def hints(shape: Any) -> dict[str, Any]:
    """key → shape of a TypedDict."""
    found = get_type_hints(shape, include_extras=True)
    return {key: get_args(hint)[0] if get_origin(hint) is NotRequired else hint for key, hint in found.items()}


def is_plain(value: Any, shape: Any) -> bool:
    """Whether a value is of a plain type. Numbers are such as can be reckoned with."""
    if shape is float or shape is int:
        return type(value) in (int, shape) and abs(value) < GREATEST
    return shape is Any or type(value) is shape


def kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null",
             object: "missing"}
    return names.get(type(value), "such a number")


# ---- messages ----

def refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def parse(line: bytes) -> dict[str, Any]:
    """The object that a line holds. Raises Nonsense."""
    try:
        message = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Nonsense(f"not JSON: {line[:60]!r}") from None
    if type(message) is not dict:
        raise Nonsense(f"it is {kind(message)}, no object")
    return message


def event(message: Event) -> Event:
    """A line that tells how things go. Raises Nonsense."""
    shape = EVENTS.get(message["event"]) if type(message["event"]) is str else None
    if shape is None:
        raise Nonsense("an event that is not known")
    declared = hints(shape) if is_typeddict(shape) else ()
    said = wrong(message, shape, "the event")
    if said or not all(type(value) in SCALARS for key, value in message.items() if key not in declared):
        raise Nonsense(said or "an event that is not plain")
    return message


def answer(message: dict[str, Any], do: str) -> dict[str, Any]:
    """What was answered to `do`: {"ok": …} as declared, or {"problem", "more"}. Raises Nonsense."""
    if "problem" in message:
        said = wrong(message, Problem, do)
    else:
        said = wrong(message.get("ok"), ANSWERS.get(do, dict[str, Any]), f"{do}.ok")
    if said:
        raise Nonsense(said)
    return message
