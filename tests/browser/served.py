"""A server of the page of `slipway view`, and what tests ask of the page."""

import threading

from axe_playwright_python.sync_playwright import Axe

from deployer import viewed
from deployer.viewed import NOW
from slipway.deploy.view import state
from slipway.deploy.view.server import Server

EVIL = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


def lines(request, at):
    return [f"11-30 12:00:00 web1 web {request}: GET /basket/ {EVIL}", f"11-30 12:00:01 work worker {request}: paid"]


class Served:
    """The page of the fleet in viewed.py, whose hosts may say something else later."""

    def __init__(self):
        self.watched, self.fleet = viewed.watched(), viewed.fleet()
        self.own = None
        self.now = NOW
        self.server = Server(0, lambda: state.page(self.fleet, self.watched, self.now, self.own), lines)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return self.server.address_with_token

    def value(self, host, request):
        """Return what the host has said, to be changed."""
        return self.watched[host].answers[request].value

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def opened(visit, served, width=1280, scheme="light"):
    page = visit(served.address, width, scheme)
    page.locator(".host").first.wait_for()
    return page


def clock(page, at):
    """Return a time as the page should write it."""
    return page.evaluate(
        """(at) => {
            const date = new Date(at * 1000);
            const clock = date.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
            return `${date.toLocaleDateString([], {day: "numeric", month: "short"})} ${clock}`;
        }""",
        at,
    )


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


def results_of(page):
    """Return how many faults axe finds."""
    results = Axe().run(page)
    if results.violations_count:
        print(results.generate_report())
    return results.violations_count
