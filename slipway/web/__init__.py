"""How the site is served: gunicorn, ASGI, middleware, cache."""
