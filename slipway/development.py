"""Tools of development, for settings.py."""

from importlib.util import find_spec


def toolbar(apps: list[str], middleware: list[str]) -> None:
    """Add django-debug-toolbar, if it is installed: within the Content-Security-Policy, which has the page's nonce."""
    if find_spec("debug_toolbar") and "debug_toolbar" not in apps:
        apps.append("debug_toolbar")
        place = max((number for number, name in enumerate(middleware, 1) if "csp." in name), default=0)
        middleware.insert(place, "debug_toolbar.middleware.DebugToolbarMiddleware")
