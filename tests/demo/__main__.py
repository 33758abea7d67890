"""The demo: two servers and a balancer in containers, visitors, a good release, a bad one, and a power cut. `make demo`
makes the servers, runs this, and removes them."""

import argparse
import contextlib
import os
import re
import secrets
import subprocess
import sys
import tempfile
import traceback
import webbrowser
from pathlib import Path

from demo import recording
from demo.screen import COLUMNS, ROWS, Screen
from demo.visitors import RATE, Visitors
from e2e.fleet import attach
from e2e.provisioned import Project
from e2e.rollouts import QUICK
from proc import ROOT, end, wait_until
from slipway.fleet.docker import FleetError, build, content_of, docker

TITLE = "Slipway: two servers, a balancer, and visitors"
APP, BASE = "demo", "slipway-demo:base"
TRIED = ("--allow-dirty",)  # whoever changes Slipway may look before he commits
HERE = Path(__file__).parent
KEPT = ("slipway-demo*", "fleet-*")  # images
LOG = ROOT / "var/demo.log"


class Demo:
    """The app on the servers, and the screen that shows it."""

    def __init__(self, fleet, folder, screen):
        self.shop = Project(fleet, folder, APP, f"{fleet.registry.address}/{APP}", **{**QUICK, "site.names": []})
        self.screen = screen
        self.shop.hosts["work1"]["roles"] = []

    def run(self, *words, code=0):
        """Run a command of Slipway, and show what it prints. Raise AssertionError at another exit code."""
        env = {**os.environ, "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            self.shop.command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=env
        )
        with process:
            for line in process.stdout:
                self.screen.hear(line)
        assert process.returncode == code, "\n".join([f"slipway {' '.join(words)}", *self.screen.output])

    @contextlib.contextmanager
    def act(self, text):
        """Show that this happens during the block."""
        self.screen.begin(text)
        try:
            yield
        except BaseException:
            self.screen.end("failed")
            raise
        self.screen.end()

    @contextlib.contextmanager
    def page(self, opened):
        """Serve the page of `slipway view` during the block."""
        process = subprocess.Popen(
            self.shop.command("view", "--no-open"), stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            address = re.search(r"http://\S+", process.stdout.readline())[0]
            self.screen.note = f"the same as a page: {address}"
            if opened:
                webbrowser.open(address)
            yield
        finally:
            end(process)
            process.stdout.close()


def images(registry):
    """Build the releases v1 to v3 on the project's own image, and put them into the registry."""
    made = docker("image", "inspect", "--format", "{{.Id}}", BASE).stdout.strip()
    for tag in ("v1", "v2", "v3"):
        image = build(content_of(HERE / "release"), "slipway-demo-release", BASE=BASE, BASE_ID=made, TAG=tag)
        registry.push(image, f"{APP}:{tag}")


def settings(services):
    return {
        "SITE_URL": "http://localhost",
        "ALLOWED_HOSTS": "*",
        "SECRET_KEY": secrets.token_hex(32),
        "DATABASE_URL": services.new_database(APP),
    }


def play(demo, opened):
    """Tell the story. Return the visitors."""
    shop, screen = demo.shop, demo.screen
    web2 = shop.fleet.hosts["web2"]
    with demo.act("The servers are prepared: Docker, nginx, units"):
        demo.run("provision")
        shop.set(**settings(shop.fleet.services))
    with demo.page(opened), Visitors(shop.fleet.hosts["work1"].url) as visitors:
        with demo.act("v1 goes live"):
            demo.run("deploy", "v1", *TRIED)
        screen.visitors = visitors.start()
        with demo.act(f"Visitors come, {RATE} a second"):
            visitors.wait_for(4 * RATE)
        with demo.act("v2 rolls out"):
            demo.run("deploy", "v2", *TRIED)
            visitors.wait_for(2 * RATE)
        with demo.act("v3 has a bug: it is taken back before a visitor meets it"):
            demo.run("deploy", "v3", *TRIED, code=1)
            visitors.wait_for(3 * RATE)
        with demo.act("web2 loses power"):
            web2.power_cut()
            visitors.wait_for(5 * RATE)
        with demo.act("web2 is back, and serves v2"):
            web2.power_on()
            wait_until(lambda: '"v2"' in shop.inside("web2", "/readyz")[1], 120, "web2 serves v2")
            visitors.wait_for(2 * RATE)
    return visitors


def show(opened):
    """Play on the servers that with_fleets has made. Return the screen and the visitors."""
    fleet = attach()
    images(fleet.registry)
    with tempfile.TemporaryDirectory() as folder, Screen(TITLE) as screen:
        return screen, play(Demo(fleet, Path(folder), screen), opened)


def failure(error):
    """Write what has happened to LOG. Return one line about it: what failed, and the last that was printed."""
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text("".join(traceback.format_exception(error)))
    lines = str(error).strip().splitlines() or [type(error).__name__]
    cause = ": ".join(dict.fromkeys([lines[0], lines[-1].strip()]))
    return f"demo: {cause}; all of it: {LOG.relative_to(ROOT)}; on a busy machine try again"


def images_that_stay():
    """Tell how to remove the images, which the next run need not make again."""
    try:
        listed = [
            docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"--filter=reference={name}") for name in KEPT
        ]
    except FleetError:
        return ""  # the line about what failed says it
    names = " ".join(" ".join(each.stdout for each in listed).split())
    return f"\nThese images stay for the next demo. To remove them: docker image rm {names}" if names else ""


def main():
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--record", metavar="FILE", help="write an SVG that plays it")
    parser.add_argument("--no-open", action="store_true", help="do not open the page in a browser")
    args = parser.parse_args()
    try:
        screen, visitors = show(not args.no_open)
    except Exception as error:  # whatever it is, as on a busy machine: one line
        sys.exit(failure(error))
    finally:
        print(images_that_stay())
    if args.record:
        recording.write(args.record, screen.pictures, COLUMNS, ROWS)
    by = ", ".join(f"{release} {count:,}" for release, count in sorted(visitors.served.items()))
    print(f"\n{sum(visitors.served.values()):,} visitors were served ({by}); {sum(visitors.failed.values())} failed.")
    return 1 if visitors.failed else 0


if __name__ == "__main__":
    sys.exit(main())
