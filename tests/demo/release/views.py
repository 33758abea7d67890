"""The page of the demo. Release v3 has a bug."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def home(request: HttpRequest) -> HttpResponse:
    if settings.RELEASE == "v3":
        raise RuntimeError("the bug of v3")
    return HttpResponse(f"release {settings.RELEASE}\n", headers={"X-Release": settings.RELEASE})
