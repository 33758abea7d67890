"""Checks of the invariants of docs/design.md on real hosts, for use after any event. They do not use the deployer's
code. `check(shop)` raises AssertionError with all violations."""

import json

from slipway.fleet.fleet import in_parallel

READ = r"""
import glob, json, os, subprocess, sys
app = sys.argv[1]
var, run, units = "/var/www/" + app, "/run/" + app, "/etc/systemd/system/" + app
def text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None
def call(*words):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8").stdout
found = [path[len(units) + 1:-len(".service")] for path in glob.glob(units + "-*.service")
         if "docker-runner --unit" in text(path)]
alone = [name for name in found if not name.endswith("@")]
roles = [name.rstrip("@") for name in found]
names = alone + [name.replace("@", "-") + slot for name in found if name.endswith("@") for slot in "ab"]
units_of = ["%s-%s.service" % (app, name.replace("-", "@")) for name in names]
others = [app + "-deploy", app + "-retire.timer", app + "-retire.service"]
said = call("systemctl", "is-active", *units_of, *others).split()
state, (deploy, *retires) = dict(zip(names, said)), said[len(names):]
form = '{{.Names}}|{{.State}}|{{.Label "docker-runner.image"}}'
print(json.dumps({
    "roles": roles, "alone": alone, "states": state, "tag": text(var + "/TAG"), "revert": text(var + "/REVERT"),
    "log": text(var + "/releases.log"), "left": [name for name in os.listdir(var) if ".n" in name],
    "left_run": [name for name in os.listdir(run) if name.endswith(".new")],
    "web_sock": os.readlink(run + "/web.sock"), "attempt": text(run + "/attempt"),
    "slots": {slot: text("%s/%s.tag" % (run, slot)) for slot in ["a", "b", *alone]},
    "env": {slot: text("%s/%s.env" % (run, slot)) for slot in ["a", "b", *alone]},
    "settings": text("/etc/default/%s.env" % app),
    "workers": {slot: text("%s/%s/worker.ready" % (run, slot)) for slot in "ab"},
    "locked": deploy in ("active", "activating", "deactivating"), "retires": retires,
    "containers": [line.split("|") for line in call(
        "docker", "ps", "-a", "--filter", "name=^/?%s-" % app, "--format", form).splitlines()],
    "answers": "web" in roles and call("curl", "-s", "-m", "30", "--unix-socket", run + "/nginx.sock",
                                       "http://localhost/readyz"),
}))
"""


def read(host, app):
    """Return all data that the checks need from one host."""
    done = host.ssh(f"python3 - {app}", input=READ)
    assert done.returncode == 0, f"{host.name}: {done.stderr}"
    return json.loads(done.stdout)


def read_all(shop):
    """Return {name: data} of all hosts, read in parallel."""
    machines = shop.machines()
    return dict(zip(machines, in_parallel(lambda host: read(host, shop.app), machines.values()), strict=True))


def tags(shop):
    """Return the set of committed tags of all hosts."""
    texts = in_parallel(lambda host: host.ssh(f"cat /var/www/{shop.app}/TAG").stdout, shop.machines().values())
    return {(release(text) or {}).get("TAG") for text in texts}


def check(shop, divided=False, rebooted=False):
    """Raise AssertionError with all violations of the invariants. If `divided`, hosts may be on two releases; if
    `rebooted`, containers that do not run, and prepared files, may be left: the next deploy removes them."""
    found = read_all(shop)
    wrong = [f"{name}: {text}" for name, host in found.items() for text in of_host(shop.app, host, rebooted)]
    wrong += of_fleet(shop.app, found, divided)
    assert not wrong, "\n".join(wrong)
    return found


def release(text):
    """Return {"TAG", "IMAGE_ID"} of a TAG file's text, or None."""
    return dict(line.removeprefix("export ").split("=", 1) for line in text.splitlines()) if text else None


def records(text):
    """Return the records of releases.log, with None for a torn one."""
    return [record(line) for line in (text or "").splitlines()]


def record(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def of_fleet(app, result, divided):
    """Yield the violations between hosts."""
    tags = {name: host["tag"] for name, host in result.items()}
    if len({*tags.values()}) > 1 and not divided:
        yield f"hosts are on several releases: {tags}"
    beats = [name for name, host in result.items() for container in host["containers"] if container[0] == f"{app}-beat"]
    wanted = [name for name, host in result.items() if "beat" in host["roles"] and host["tag"]]
    if beats != wanted:
        yield f"beat runs on {beats}, not on {wanted}"


def of_host(app, host, rebooted=False):
    """Yield the violations on one host, whose stopped containers are none if it was `rebooted`."""
    for name in ("attempt", "locked", "left", "left_run"):
        if host[name] and not (name == "left" and rebooted):
            yield f"{name}: {host[name]}"
    yield from of_records(host)
    live = host["web_sock"].partition("/")[0]
    yield from of_live(app, host, live)
    yield from of_old(app, host, "b" if live == "a" else "a")
    names = {f"{app}-{name}" for name in host["states"]}
    for name, state, _ in host["containers"]:
        begins = state == "created" and host["states"].get(name.removeprefix(f"{app}-")) == "active"
        stopped = state in ("exited", "created") and rebooted
        if (name not in names or state != "running") and not begins and not stopped:
            yield f"container {name} is {state}"


def of_records(host):
    """Check that TAG and REVERT agree with the releases that the log has as committed."""
    log, tag, revert = records(host["log"]), release(host["tag"]), release(host["revert"])
    if None in log:
        yield "a line of releases.log is torn"
    done = [entry for entry in log if entry and entry["outcome"] == "committed"]
    if not tag or not done:
        return
    if (tag["TAG"], tag["IMAGE_ID"]) != (done[-1]["tag"], done[-1]["image_id"]):
        yield f"TAG is {tag}, and {done[-1]['tag']} was committed last"
    before, withdrawn = [], set()
    for entry in done:
        withdrawn -= {entry["tag"]}
        withdrawn |= {entry.get("withdrawn")} - {None}
        before.append(entry["tag"])
    wanted = [name for name in before if name != tag["TAG"] and name not in withdrawn]
    if (revert or {}).get("TAG") != (wanted[-1] if wanted else None):
        yield f"REVERT is {revert}, not {wanted[-1:]}"


def of_live(app, host, live):
    """Check that the live slot runs all of TAG's release, and answers as it."""
    tag = release(host["tag"])
    if not tag:
        return
    if release(host["slots"][live]) != tag:
        yield f"slot {live} is live with {host['slots'][live]!r}, and TAG is {tag}"
    if host["env"][live] != host["settings"]:
        yield "the live slot has other settings than APP.env"
    for role in host["alone"]:
        if release(host["slots"][role]) != tag or host["env"][role] != host["settings"]:
            yield f"{role} is pinned to {host['slots'][role]!r}, or other settings, and TAG is {tag}"
    images = {name: image for name, _, image in host["containers"]}
    for role in host["roles"]:
        name = role if role in host["alone"] else f"{role}-{live}"
        if host["states"][name] != "active" or images.get(f"{app}-{name}") != tag["IMAGE_ID"]:
            yield f"{name} is {host['states'][name]} with image {images.get(f'{app}-{name}')}, not {tag}"
    if "web" in host["roles"] and tag["TAG"] not in host["answers"]:
        yield f"nginx answers {host['answers']!r}, and TAG is {tag}"
    if "worker" in host["roles"] and host["workers"][live] != f"consuming {tag['TAG']}\n":
        yield f"the live worker says {host['workers'][live]!r}"


def of_old(app, host, old):
    """Check that the other slot is empty, or is warm with a release that was committed, and will retire."""
    there, units = release(host["slots"][old]), [name for name in host["states"] if name.endswith(f"-{old}")]
    running = [name for name in units if host["states"][name] != "inactive"]
    stay = [name for name in units if name.startswith(("web-", "worker-"))]
    if not there:
        if running or host["env"][old]:
            yield f"slot {old} has no tag, and {running} in it"
        return
    if not any(
        entry and entry["tag"] == there["TAG"] and entry["outcome"] == "committed" for entry in records(host["log"])
    ):
        yield f"slot {old} holds {there}, which was never committed"
    if sorted(running) != sorted(stay):
        yield f"of slot {old} {running} run"
    if "active" not in host["retires"]:
        yield f"slot {old} is warm, and nothing will retire it"
    if "worker" in host["roles"] and not (host["workers"][old] or "").startswith("paused "):
        yield f"the old worker says {host['workers'][old]!r}"
