"""Its pages. Who says that he is staff is."""

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


def admin_login(request):
    return HttpResponse("sign in")


admin = [path("login/", admin_login, name="login")]
urlpatterns = [path("plain", plain), path("files/", include("mounted.urls")), path("admin/", include((admin, "admin")))]
