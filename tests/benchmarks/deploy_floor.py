"""What each part of a deploy takes at least: done by hand, one after the other, on one server, without load."""

import time
from statistics import median

# POSIX sh on the server; a line of seconds a step. Nobody waits for more than the step itself.
STEPS = """set -eu
now() { date +%s.%N; }
step() { at=$(now); echo "$1 $at $began"; began=$(now); }
folder=/run/{app}/a
began=$(now)
docker pull -q {image} >/dev/null; step "docker pull"
made=$(docker create {image}) && docker cp $made:/app - >/run/floor && docker rm $made >/dev/null
rm /run/floor; step "docker create, cp, rm"
{oneoff} step "migrate, nothing to do"
docker rm -f {app} >/dev/null; step "docker rm -f"
{run}; step "docker run"
until curl -sf -o /dev/null -H 'Host: {app}.example' --unix-socket $folder/web.sock http://localhost/
do sleep 0.01; done
step "boot to the first 200"
"""


def floors(bench, runs):
    """Print medians of each step's seconds."""
    host, app = bench.hand.web[0], bench.hand.app
    found = {}
    for _ in range(runs):
        tag = bench.releases.new()
        began = time.monotonic()
        host.run("true")
        found.setdefault("ssh HOST true", []).append(time.monotonic() - began)
        for line in host.run("sh -s", input=script(bench, app, tag), timeout=120).splitlines():
            name, ended, began = line.rsplit(" ", 2)
            found.setdefault(name, []).append(float(ended) - float(began))
    print(f"\nfloors: {bench.kind.title}, one host, by hand, no load; median of {runs}")
    for name, seconds in found.items():
        print(f"  {name:24} {median(seconds):.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})", flush=True)


def script(bench, app, tag):
    """STEPS for a release."""
    *_, run = bench.commands(tag)
    oneoff = run.replace(f"--name {app} --restart=always", "--rm").replace("docker run -d", "docker run")
    text = STEPS
    for name, value in {"app": app, "image": f"{bench.hand.settings['image']}:{tag}", "run": run,
                        "oneoff": oneoff.replace(" run >/dev/null", " migrate >/dev/null;")}.items():
        text = text.replace(f"{{{name}}}", value)
    return text
