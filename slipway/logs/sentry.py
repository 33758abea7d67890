"""Sends errors to Sentry, without request bodies, query strings, local variables, passwords, keys and tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

HIDDEN = "[Filtered]"

# Names of secrets. Letters may stand before a long one (dbPassword). A short one also occurs in texts: "3 pass: good".
HEADERS = ("authorization", "cookie")
SHORT = ("auth", "pass")
LONG = {"access_key", "encryption_key", "signing_key", "pwd", "passphrase", "credential", *DEFAULT_DENYLIST}.difference(
    HEADERS, SHORT
)
SHORTEST = sorted(name for name in LONG if not any(part in name for part in LONG - {name}))
LONG_NAME = f"(?:{'|'.join(re.escape(name).replace('_', '[ _-]?') for name in SHORTEST)})"
SHORT_NAME = f"(?<![A-Za-z0-9])(?:{'|'.join(SHORT)})"
HEADER = f"(?:{'|'.join(HEADERS)})"
MORE = r"(?:s|[_-][\w-]{0,40})?"  # as in SECRET_KEY_FALLBACKS
NAME = re.compile(f"(?i)(?:{LONG_NAME}|{SHORT_NAME}|{HEADER}){MORE}$")
QUOTE = r"\\*[\"']"
IS = rf"(?:{QUOTE}\]?)?\s*(?:=>|=(?!>)|:|%3[AD])\s*"  # token=, "token": in JSON, ['token'] =, token%3D
OPTION = rf"(?<!-)--[\w-]{{0,40}}?{LONG_NAME}\s+"
AS_BYTES = rf"(?:{LONG_NAME}|{HEADER}){QUOTE},\s*(?=b[\"'])"  # a header in ASGI's scope
START = rf"(?i:(?:{LONG_NAME}|{HEADER}){MORE}{IS}|{SHORT_NAME}{MORE}(?:=|{QUOTE}{IS})|{OPTION}|{AS_BYTES})"

# Parts of texts to hide, and what is shown in their place.
SECRETS = tuple(
    (re.compile(pattern), shown)
    for pattern, shown in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # User and password of a URL, which may hold / and quotes; no port, though.
        (r"://(?:[^\s'\"/?#:]*:(?!\d{1,5}[/?#'\",])\S{0,999}|[^\s'\"/?#]*)@", f"://{HIDDEN}@"),
        (r"(?<=[\w/])\?[^\s'\"]+", f"?{HIDDEN}"),
        # A value in quotes, to the same quote or the text's end; a header, to its line's end; in brackets; one word.
        (rf"({START}b?)({QUOTE})(?:\2\2|(?!\2)(?:\\[\s\S]|[^\\]))*(?:(\2)|\\?\Z)", rf"\1\2{HIDDEN}\3"),
        (rf"(?i)({HEADER}{MORE}\s*[:=]\s*)(?![\s(\[{{])(?:=\"[^\"\n]*\"|[^\n'\"])+", rf"\1{HIDDEN}"),
        (rf"({START})(?!b?{QUOTE})(?:[(\[{{][^)\]}}]*[)\]}}]?\S*|[^\s'\"]\S*?(?=['\"]?(?:\s|$)))", rf"\1{HIDDEN}"),
        (r"\b(Bearer\s+(?!tokens?\b|auth)|(?:Basic|Digest|Token)\s+(?=\w+[A-Z0-9+/=]))[^\s'\"]+", rf"\1{HIDDEN}"),
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]*", HIDDEN),
    )
)  # a JSON Web Token


def start(dsn: str, release: str, environment: str) -> None:
    sentry_sdk.init(
        dsn,
        release=release,
        environment=environment,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrub_event,
        event_scrubber=EventScrubber([*DEFAULT_DENYLIST, "http.query", "url.query"], recursive=True),
    )


def scrub_event(event: Event, hint: Hint) -> Event:
    event.get("request", {}).pop("query_string", None)
    scrubbed: Any = {key: value if key == "_meta" else scrub(value) for key, value in event.items()}
    return scrubbed  # type: ignore[no-any-return]


def scrub(value: Any, name: Any = "") -> Any:
    """Return `value` without secrets. `name` is its key, or the word before it."""
    if value and NAME.search(str(name)):
        return HIDDEN
    if isinstance(value, dict):
        return {key: scrub(item, key) for key, item in value.items()}
    if isinstance(value, (list, tuple)):  # an option's value, or a pair such as a header
        return [
            scrub(item, before if len(value) == 2 or str(before).startswith("--") else "")
            for before, item in zip(("", *value), value, strict=False)
        ]
    if isinstance(value, str):
        for secret, shown in SECRETS:
            value = secret.sub(shown, value)
    return value
