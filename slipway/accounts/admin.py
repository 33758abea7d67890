"""The admin behind the site's own sign-in."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

PROVED = "slipway_second_factor"  # in a session: the factor that was added there


class Site(AdminSite):
    """An admin that asks for a session's second factor, unless STAFF_NEED_MFA is False."""

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and (not settings.STAFF_NEED_MFA or proved(request))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        index = reverse("admin:index", current_app=self.name)
        if self.has_permission(request):
            return HttpResponseRedirect(index)
        if request.user.is_authenticated and not super().has_permission(request):
            raise PermissionDenied
        place = place_to_prove(request) if request.user.is_authenticated else None
        return redirect_to_login(request.GET.get("next", index), place)


def proved(request: HttpRequest) -> bool:
    """Return True if the user gave a second factor in this session, and still has it. The session may be older."""
    given = [record["id"] for record in get_authentication_records(request, request.user) if record["method"] == "mfa"]
    return bool(Authenticator.objects.filter(user=request.user, pk__in=[request.session.get(PROVED), *given]).exists())


def place_to_prove(request: HttpRequest) -> str:
    """Return the page that asks for the user's second factor or, if there is none, the page to add one."""
    ways = get_adapter().get_reauthentication_methods(request.user)
    return next((way["url"] for way in ways[:1] if way["id"].startswith("mfa")), reverse("mfa_index"))
