"""What a page may say without a request, a context or a service: error pages are rendered with none of them."""

from django import template
from django.conf import settings
from django.templatetags.static import static

from slipway.logs import request_id as ids

register = template.Library()


@register.simple_tag
def site_name() -> str:
    """The name that visitors read: SITE_NAME of the settings."""
    return str(settings.SITE_NAME)


@register.simple_tag
def request_id() -> str:
    """The id under which the logs know this request; empty outside of one."""
    return ids.current()


@register.simple_tag
def asset(path: str) -> str:
    """As `{% static %}`, but never raises: where the manifest lacks the file, its plain address. For pages that must
    come whatever is broken; elsewhere `{% static %}`, so that a release without its files is noticed."""
    try:
        return static(path)
    except Exception:
        return f"{settings.STATIC_URL}{path}"
