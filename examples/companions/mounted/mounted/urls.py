"""The pages below one path."""

from django.urls import path

from .views import browse

app_name = "mounted"
urlpatterns = [path("", browse, name="root"), path("<path:path>", browse, name="path")]
