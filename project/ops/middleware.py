"""What each request passes first."""

from . import request_id


class RequestId:
    """Takes the id that nginx gave the request, or makes one; the answer says it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request_id.start(request.headers.get(request_id.HEADER, ""))
        response = self.get_response(request)
        response[request_id.HEADER] = given
        return response


class Metrics:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)


Probes = Metrics
