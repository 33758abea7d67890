from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpResponse
from django.urls import include, path


def who(get_response):
    def middleware(request):
        request.user = User(is_staff=True) if request.headers.get("X-Staff") else AnonymousUser()
        return get_response(request)

    return middleware


def plain(request):
    return HttpResponse("plain")


urlpatterns = [
    path("plain", plain),
    path("files/", include("mounted.urls")),
    path("admin/", include(([path("login/", plain, name="login")], "admin"))),
]
