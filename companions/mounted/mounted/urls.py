"""The page's addresses."""

from django.urls import path

from . import views

app_name = "mounted"
urlpatterns = [
    path("", views.browse, name="root"),
    path("<path:path>", views.browse, name="path"),
]
