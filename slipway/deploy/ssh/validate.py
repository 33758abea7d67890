"""The door for all that hosts say: JSON of the types that the agent's functions declare, and programs' output as text.

A host may be compromised, and its containers influence its reports. An answer of another shape raises Lost. Undeclared
keys of answers are ignored, those of events dropped. Control characters are escaped."""

import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypedDict,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from ..agent.message_types import Details
from ..agent.serve import REQUESTS
from ..agent.steps.table import STEPS
from ..errors import invalid_answer

Event = dict[str, Any]  # the key "event", and others as in docs/deploy.md
Tell = Callable[[Event], None]


class EventFields(TypedDict, total=False):
    """The fields that an event of an agent may have."""

    text: str
    step: str
    state: str
    problem: str


class Failure(TypedDict):
    """An agent's answer to a request that failed."""

    problem: str
    details: Details
    step: NotRequired[str]


# request or step → type of its answer, as the function on the host declares it; other answers may be any object
ANSWERS: Mapping[str, Any] = {
    do: shape
    for do, run in {**REQUESTS, **STEPS}.items()
    if is_typeddict(shape := get_type_hints(run, include_extras=True)["return"])
}
EVENTS: Mapping[str, Any] = {  # name of an event → its type
    **dict.fromkeys(("progress", "waiting", "committed", "unhealthy", "takeback"), EventFields),
    "sick": Failure,
}
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode's categories of control characters, and the like
GREATEST = 2**63
MISSING = object()  # stands for an absent key, because None may be a value


def visible(text: str) -> str:
    """Escape control and bidi characters except newlines, so that no terminal obeys them: ESC becomes \\x1b."""
    if text.isprintable():  # quickly: logs have many lines
        return text
    return "".join(
        character
        if character == "\n" or unicodedata.category(character) not in UNSEEN
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def decoded(data: bytes) -> str:
    """Return the output of ssh, or of a program on a host, as text without control characters."""
    return visible(data.decode(errors="replace").strip())


def make_visible(value: Any) -> Any:
    """Return the JSON value with all its texts made visible."""
    if type(value) is dict:
        return {visible(key): make_visible(item) for key, item in value.items()}
    return [*map(make_visible, value)] if type(value) is list else visible(value) if type(value) is str else value


def first_line(text: str) -> str:
    """Return the first line of a host's text, at most 200 characters."""
    return visible(text.lstrip()).partition("\n")[0][:200]


# ---- shapes ----


def mismatch(value: Any, shape: Any, path: str = "it") -> str:
    """Return how a value differs from the shape (a type as in agent/message_types.py), or "" if it fits."""
    origin, words = without_required(shape)
    if origin is Annotated:
        return mismatch(value, words[0], path) or ("" if is_within(value, words[1]) else f"{path} is invalid")
    if origin is UnionType or origin is Union:  # the only unions are T | None
        return "" if value is None else mismatch(value, words[0], path)
    if origin is Literal:
        return "" if type(value) is str and value in words else f"{path} is not one of {', '.join(words)}"
    components = parts(value, origin, words)
    if components is None:
        return f"{path} is {'missing' if value is MISSING else 'of another type'}"
    return next((text for place, part, inner in components if (text := mismatch(part, inner, path + place))), "")


@functools.cache  # many values have few shapes
def without_required(shape: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(shape) or shape, get_args(shape)


def is_within(value: Any, bound: str | float) -> bool:
    return bool(re.fullmatch(bound, value)) if isinstance(bound, str) else 0 <= value < bound


def parts(value: Any, origin: Any, words: Sequence[Any]) -> list[tuple[str, Any, Any]] | None:
    """Return the value's parts as (place, part, shape); None if the value is of another type."""
    if type(value) is dict and is_typeddict(origin):
        return [
            (f".{key}", value.get(key, MISSING), hint)
            for key, (hint, required) in hints(origin).items()
            if required or key in value
        ]
    if type(value) is dict and origin is dict:
        return [(f".{key}", part, words[1]) for key, part in value.items()]
    if type(value) is list and origin is list:
        return [(f"[{at}]", part, words[0]) for at, part in enumerate(value)]
    if type(value) is list and origin is tuple and len(value) == len(words):
        return [(f"[{at}]", part, words[at]) for at, part in enumerate(value)]
    return [] if is_scalar(value, origin) else None


@functools.cache
def hints(shape: Any) -> dict[str, tuple[Any, bool]]:
    """Return key → (type, True if the key is required)."""
    declared = get_type_hints(shape, include_extras=True)
    return {
        key: (get_args(hint)[0], False) if get_origin(hint) is NotRequired else (hint, key in shape.__required_keys__)
        for key, hint in declared.items()
    }


def is_scalar(value: Any, shape: Any) -> bool:
    """Return True if the value's type is `shape`. Float accepts int; Any accepts all. NaN is beyond ±GREATEST, too."""
    if shape is float or shape is int:
        return type(value) in (int, shape) and abs(value) < GREATEST
    return shape is Any or type(value) is shape


# ---- messages ----


def parse(line: bytes) -> dict[str, Any]:
    try:
        message = make_visible(json.loads(line))
    except (ValueError, RecursionError):
        raise invalid_answer(f"not JSON: {line[:60]!r}") from None
    if type(message) is not dict:
        raise invalid_answer("it is not an object")
    return message


def checked_event(message: Event) -> Event:
    """Return the declared keys of the message. Raise Lost if it is not a valid event."""
    shape = EVENTS.get(message["event"]) if type(message["event"]) is str else None
    if shape is None:
        raise invalid_answer("an unknown event")
    if problem := mismatch(message, shape, "the event"):
        raise invalid_answer(problem)
    return {key: message[key] for key in ("event", *hints(shape)) if key in message}


def check_answer(message: dict[str, Any], do: str) -> None:
    """Raise Lost if the message is no valid answer to `do`: {"ok": …} or {"problem": …, "more": …}."""
    if "problem" in message:
        problem = mismatch(message, Failure, do)
    else:
        problem = mismatch(message.get("ok"), ANSWERS.get(do, dict[str, Any]), f"{do}.ok")
    if problem:
        raise invalid_answer(problem)
