"""Answers of the echo app and of a web host, as tests of nginx compare them."""

import json


def echoed(body):
    """Return the headers that the app got, with names in lower case."""
    return {name.lower(): value for name, value in json.loads(body)["headers"]}


def release(answer):
    return json.loads(answer[2])["release"]


FORGED = {
    "X_Forwarded_For": "6.6.6.6",
    "X_Forwarded_Proto": "https",
    "X_Request_ID": "forged-request-id",
    "X_Forwarded_Host": "evil.example",
    "X_Forwarded_Port": "1",
    "Forwarded": "for=6.6.6.6",
    "X_Real_IP": "6.6.6.6",
    "X_Forwarded_Prefix": "/x",
    "X_Forwarded_Protocol": "https",
    "X_Forwarded_Ssl": "on",
    "Proxy": "http://evil",
    "X_Forwarded_Scheme": "https",
    "X_Forwarded_Server": "evil",
}

# Apps of one host: what their configuration says of their names.
A, B, NOT_DEFAULT = ({"SERVER_NAMES": name, "DEFAULT": ""} for name in ("a.example", "b.example", "_"))
