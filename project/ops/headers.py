"""Headers that Django has no setting for."""

from django.conf import settings


class PermissionsPolicy:
    """Takes from pages, and from what they embed, what the site makes no use of. A view's own header stays."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", settings.PERMISSIONS_POLICY)
        return response
