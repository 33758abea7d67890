"""What gunicorn and runserver serve."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication


def without_body(app: WSGIHandler) -> WSGIApplication:
    """The answer to HEAD as gunicorn wants it: Django makes the body too, and gunicorn would warn each time."""
    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        response = app(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return response
        response.close()
        return []
    return answer


application = without_body(get_wsgi_application())
