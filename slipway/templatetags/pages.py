"""Template tags for error pages: they need no request, context or service."""

from django import template
from django.conf import settings
from django.templatetags.static import static

from slipway.logs import request_id as ids

register = template.Library()


@register.simple_tag
def site_name() -> str:
    return str(settings.SITE_NAME)


@register.simple_tag
def request_id() -> str:
    return ids.current()


@register.simple_tag
def asset(path: str) -> str:
    """Return the URL that `{% static %}` gives. If the manifest lacks the file, return a URL without a hash. Use this
    tag only on pages that must never fail: on others `{% static %}` reports missing files."""
    try:
        return static(path)
    except Exception:
        return f"{settings.STATIC_URL}{path}"
