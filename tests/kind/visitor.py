"""A visitor, in a pod of the cluster: visitor.py HOST NAME. It asks the site at HOST, known as NAME, again and again,
each time by a new connection and as a proxy that ends TLS, and says a line of each: when, the status, the release."""

import http.client
import json
import sys
import time

SECONDS = 5


def ask(host, name, path):
    """(status, body)."""
    connection = http.client.HTTPConnection(host, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"Host": name, "X-Forwarded-Proto": "https"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def visit(host, name):
    """(status, release): of its page, and of what tells the release; what goes wrong is a status, too."""
    try:
        (page, _), (status, body) = ask(host, name, "/"), ask(host, name, "/healthz")
        return max(page, status), json.loads(body)["release"]
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__, "none"


def main(host, name):
    while True:
        at = time.time()
        print(f"{at:.3f}", *visit(host, name), flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
