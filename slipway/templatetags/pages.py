"""Template tags. Those for error pages need no request, context or service."""

from importlib import import_module

from django import VERSION, template
from django.conf import settings
from django.template import Context
from django.templatetags.static import static
from django.utils.html import format_html

from slipway.logs import request_id as ids

register = template.Library()


@register.simple_tag
def site_name() -> str:
    return str(settings.SITE_NAME)


@register.simple_tag(takes_context=True)
def nonce(context: Context) -> str:
    """Return the attribute with which the Content-Security-Policy allows an inline <script> or <style>."""
    request = context["request"]
    value = getattr(request, "csp_nonce", None)  # by django-csp
    if value is None and VERSION >= (6,):
        value = import_module("django.middleware.csp").get_nonce(request)
    return format_html('nonce="{}"', value)


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
