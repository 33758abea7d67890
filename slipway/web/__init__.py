"""The serving of the site: gunicorn, ASGI, middleware, cache."""
