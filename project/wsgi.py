"""What gunicorn and runserver serve."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


def without_body(app):
    """The answer to HEAD as gunicorn wants it: Django makes the body too, and gunicorn would warn each time."""
    def answer(environ, start_response):
        response = app(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return response
        response.close()
        return []
    return answer


application = without_body(get_wsgi_application())
