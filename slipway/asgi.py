"""Django's pages as an ASGI application; in development with its static files. A project's own ASGI_APPLICATION takes
it for what is no websocket."""

from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

application = get_asgi_application()
if settings.DEBUG:
    application = ASGIStaticFilesHandler(application)
