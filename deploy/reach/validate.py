"""Turns what a host says into data: JSON of the shapes in agent/answers.py, text without control characters.

A host may be broken into, and its containers can write into what it reports. So an answer of another shape is Lost.
Keys that no shape declares are ignored: an agent may say more than this deployer knows.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import UnionType
from typing import (Annotated, Any, Literal, NoReturn, NotRequired, TypedDict, Union, get_args, get_origin,
                    get_type_hints, is_typeddict)

from ..agent import answers as agent
from ..agent.shapes import Below, More, Text
from ..errors import nonsense

Event = dict[str, Any]  # "event", and what docs/deploy.md tells of it
Tell = Callable[[Event], None]


class Problem(TypedDict):
    """Why something could not be done."""

    problem: str
    more: More


ANSWERS: Mapping[str, Any] = {  # of all else that the agent is told to do any object will do
    "facts": agent.Facts, "resolve": agent.Resolved, "pull": agent.Image, "lock": agent.Locked, "decide": agent.Fate,
    "verdicts": agent.Judged, "prune": agent.Pruned, "said": agent.Said, "command": agent.Command,
    "read_settings": agent.Settings}
EVENTS: Mapping[str, Any] = {  # what else they have is plain, as text
    "progress": dict[str, Any], "takeback": dict[str, Any], "committed": dict[str, Any], "sick": Problem}
SCALARS = (str, int, float, bool, type(None))
GREATEST = 2**63
MISSING = object()  # stands for a key that is not there: None may be a value


def visible(text: str) -> str:
    """The text with control characters, and those that hide or turn text, spelt out, as \\x1b: no terminal obeys it.
    Line ends stay."""
    return "".join(character if character == "\n" or unicodedata.category(character)[0] != "C"
                   else character.encode("unicode_escape", "surrogatepass").decode() for character in text)


# ---- shapes ----

def mismatch(value: Any, shape: Any, path: str = "it") -> str:
    """Where the value does not have that shape, a type as agent/shapes.py spells them, in a few words; "" if it has."""
    origin, words = get_origin(shape), get_args(shape)
    if origin is Annotated:
        return mismatch(value, words[0], path) or out_of_bounds(value, words[1], path)
    if origin is UnionType or origin is Union:  # T | None
        return "" if value is None else mismatch(value, words[0], path)
    if origin is Literal:
        return "" if type(value) is str and value in words else f"{path} is none of {', '.join(words)}"
    inner = members(value, shape, path)
    if inner is None:
        return f"{path} is {kind(value)}"
    return next(filter(None, (mismatch(*one) for one in inner)), "")


def out_of_bounds(value: Any, bound: Text | Below, path: str) -> str:
    """The same for a bound, which a type cannot express."""
    fine = (re.fullmatch(bound.pattern, value) if isinstance(bound, Text) else 0 <= value < bound.end)
    return "" if fine else f"{path} is not as it can be"


def members(value: Any, shape: Any, path: str) -> list[tuple[Any, Any, str]] | None:
    """(value, shape, path) of each declared part of a value; None where the value is of another kind."""
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
    return [] if is_scalar(value, shape) else None


def fields(value: dict[str, Any], shape: Any, path: str) -> list[tuple[Any, Any, str]]:
    """The same for a TypedDict: its required keys, and those of its others that are there."""
    return [(value.get(key, MISSING), inner, f"{path}.{key}") for key, inner in hints(shape).items()
            if key in shape.__required_keys__ or key in value]


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
        said = mismatch(message, Problem, do)
    else:
        said = mismatch(message.get("ok"), ANSWERS.get(do, dict[str, Any]), f"{do}.ok")
    if said:
        raise nonsense(said)
    return message
