"""Sends errors to Sentry, without request bodies, query strings, local variables and passwords."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

# Parts of texts to hide: user and password of a URL; a query; the value after "password".
SECRETS = ((re.compile(r"://[^\s'\"]*@"), "://[Filtered]@"),
           (re.compile(r"(?<=[\w/])\?[^\s'\"]+"), "?[Filtered]"),
           (re.compile(r"(?i)(passw\w*['\"]?\s*[=:]\s*)\S+"), r"\1[Filtered]"))


def start(dsn: str, release: str, environment: str) -> None:
    sentry_sdk.init(dsn, release=release, environment=environment, include_local_variables=False,
                    max_request_body_size="never", before_send=scrub_event,
                    event_scrubber=EventScrubber([*DEFAULT_DENYLIST, "http.query", "url.query"], recursive=True))


def scrub_event(event: Event, hint: Hint) -> Event:
    event.get("request", {}).pop("query_string", None)
    scrubbed: Event = scrub(event)
    return scrubbed


def scrub(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrub(item) for item in value]
    if isinstance(value, str):
        for secret, shown in SECRETS:
            value = secret.sub(shown, value)
    return value
