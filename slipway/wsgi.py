from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
from django.core.handlers.wsgi import WSGIHandler

if TYPE_CHECKING:
    from wsgiref.types import StartResponse


class Handler(WSGIHandler):
    """Django's handler. It sends no body in answer to HEAD: otherwise gunicorn would log a warning."""

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Any:
        response = super().__call__(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return response
        response.close()
        return []


django.setup(set_prefix=False)
application = Handler()
