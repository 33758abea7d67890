"""The admin's pages for users."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from .models import User

admin.site.site_header = admin.site.site_title = settings.SITE_NAME
admin.site.register(User, UserAdmin)
