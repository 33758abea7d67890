"""Mail that is not sent: production logs its subject, development keeps it for the page /mail/."""

import logging
import time
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage as Read
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render

logger = logging.getLogger(__name__)
SHOWN = 100
KINDS = {"text": "plain", "html": "html"}
# An HTML mail may show pictures, but run nothing.
LIMITS = "sandbox; default-src 'none'; img-src * data:; style-src 'unsafe-inline'"


class Off(BaseEmailBackend):
    """Logs a mail's subject instead of sending the mail. Raises no error: sign-ups still succeed."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        for message in messages:
            logger.warning("mail not sent (EMAIL_URL is not set): %s", message.subject)
        return 0


class Kept(BaseEmailBackend):
    """Writes mails into the folder EMAIL_FILE_PATH, from which all processes' mails are shown at /mail/."""

    def send_messages(self, messages: Sequence[EmailMessage]) -> int:
        Path(settings.EMAIL_FILE_PATH).mkdir(parents=True, exist_ok=True)
        for message in messages:
            file(time.time_ns()).write_bytes(message.message().as_bytes())
            logger.info("mail not sent, but kept: %s: see /mail/", message.subject)
        return len(messages)


def file(number: int) -> Path:
    return Path(settings.EMAIL_FILE_PATH, f"{number}.eml")


def read(number: int) -> Read:
    return message_from_bytes(file(number).read_bytes(), policy=policy.default)


def index(request: HttpRequest) -> HttpResponse:
    """Show the newest mails."""
    numbers = sorted((int(path.stem) for path in Path(settings.EMAIL_FILE_PATH).glob("[0-9]*.eml")), reverse=True)
    mails = [
        (number, mail := read(number), [kind for kind, subtype in KINDS.items() if mail.get_body((subtype,))])
        for number in numbers[:SHOWN]
    ]
    return render(request, "slipway/mail.html", {"mails": mails, "folder": settings.EMAIL_FILE_PATH})


def part(request: HttpRequest, number: int, kind: str) -> StreamingHttpResponse:
    """Show a mail's text, its HTML, or the whole as it would have been sent."""
    try:
        body = read(number).get_body((KINDS[kind],)) if kind in KINDS else None
        content = body.get_content() if body else file(number).read_bytes()
    except FileNotFoundError:
        raise Http404 from None
    kind = "html" if kind == "html" and body else "plain"
    return StreamingHttpResponse(
        [content],
        content_type=f"text/{kind}; charset=utf-8",  # the toolbar adds to no stream
        headers={"Content-Security-Policy": LIMITS},
    )
