"""Checks hosts before a deploy, and finds the release for a rollback. Does no I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence

from ..agent.host import lines_of
from ..agent.message_types import Facts, Record, Release
from ..agent.roles import BUILT_IN
from ..config import Fleet, Host
from ..env.changes import wrong_site
from ..errors import Locked, Refused, by_text, on_hosts
from ..server import provisioned
from ..server.site import NGINX
from ..ssh.validate import first_line
from .plan import Target

AllFacts = Mapping[str, Facts]  # host name → facts

VERSIONS = {"systemd": (247,), "Docker": (20, 10), "python3": (3, 9)}  # minimum versions
NAMED = 3  # how many files a problem names


def expected_files(fleet: Fleet, host: Host) -> dict[str, str]:
    """Return path → state, after provisioning, of the files that are compared; "" for one that must not be there."""
    return provisioned.of_deploys(fleet, host) | provisioned.of_others(fleet, host)


def problems(fleet: Fleet, hosts: Sequence[Host], facts: AllFacts, target: Target) -> dict[str, list[str]]:
    back = target.action == "rollback"
    by_host = {
        host.name: [*host_problems(fleet, host, facts[host.name], back, is_warm(facts[host.name], target))]
        for host in hosts
    }
    return {name: texts for name, texts in by_host.items() if texts}


def host_problems(fleet: Fleet, host: Host, facts: Facts, back: bool = False, warm: bool = False) -> Iterator[str]:
    """Yield a host's problems. `back`: True for a rollback, which needs fewer checks. `warm`: True if the idle slot
    still runs the target release; then memory is not checked."""
    yield from fitness_problems(facts)
    yield from provisioning_problems(fleet, host, facts, back)
    yield from disk_problems(fleet, facts)
    yield from memory_problems(facts) if not warm else ()
    yield from misplaced_roles(fleet, host, facts)
    yield from scheme_problems(fleet, host, facts) if not back else ()
    yield from sqlite_problems(fleet, facts) if not back else ()
    if facts["blind"] and not back:  # a deploy is watched in nginx's log; a rollback is not watched
        yield facts["blind"]


def fitness_problems(facts: Facts) -> Iterator[str]:
    yield from facts["problems"]
    if facts["docker"].get("version"):
        yield from too_old("Docker", facts["docker"]["version"])
    else:
        yield "Docker does not answer: see systemctl status docker"


def too_old(name: str, version: str) -> Iterator[str]:
    least = VERSIONS.get(name, ())
    numbers = re.findall(r"^[0-9.]{0,30}", version)
    if tuple(int(part) for part in numbers[0].split(".") if part) < least:
        yield f"{name} is {version or 'of unknown version'}, but {'.'.join(map(str, least))} or newer is needed"


def provisioning_problems(fleet: Fleet, host: Host, facts: Facts, back: bool) -> Iterator[str]:
    """A way back waits for no change of nginx's files, such as one that is not provisioned yet, and not because others
    may read the settings."""
    expected = provisioned.of_deploys(fleet, host)
    if back:
        left_out = f"{NGINX}/", f"/etc/default/{fleet.app}.env"
        expected = {path: state for path, state in expected.items() if not path.startswith(left_out)}
    yield from file_problems(expected, facts["files"])
    yield from facts["settings"] if not missing_files(expected, facts["files"]) else ()


def file_problems(expected: Mapping[str, str], files: Mapping[str, str]) -> Iterator[str]:
    """Yield a problem if a host's `files` are not as provisioning writes them. Both: path → state."""
    old = [text for path in expected if (text := difference(path, expected[path], files.get(path, "")))]
    if missing := missing_files(expected, files):
        yield f"is not provisioned, {missing[0]} is missing: run slipway provision"
    elif old:
        more = f" and {len(old) - NAMED} more" if len(old) > NAMED else ""
        yield f"differs from this checkout in {', '.join(old[:NAMED])}{more}: run slipway provision"


def difference(path: str, expected: str, state: str) -> str:
    """Return the path of a file that is there and differs, with its mode and owner if these do; else ""."""
    parts = zip(("mode", "owner", "content"), expected.split(), [*state.split(), ""], strict=False)
    changed = {name: f"{name} {part}, not {right}" for name, right, part in parts if part != right}
    if not state or (expected and not changed):
        return ""
    changed.pop("content", "")
    return f"{path} ({', '.join(changed.values())})" if changed else path


def missing_files(expected: Mapping[str, str], files: Mapping[str, str]) -> list[str]:
    return [path for path, state in expected.items() if state and not files.get(path)]


def disk_problems(fleet: Fleet, facts: Facts) -> Iterator[str]:
    needs = {f"/var/www/{fleet.app}": 16, "/run": 4, "/var/log": 16, facts["docker"].get("root", ""): 256}  # MB
    for path, least in needs.items():
        if path in facts["free"] and facts["free"][path] < least * 2**20:
            yield f"{path} has {megabytes(facts['free'][path])} free, but needs {least} MB"


def memory_problems(facts: Facts) -> Iterator[str]:
    if facts["memory"] < facts["need"]:
        yield (
            f"{megabytes(facts['memory'])} of memory are free, but a second release beside the live one needs"
            f" {megabytes(facts['need'])}: add memory, lower WEB_CONCURRENCY or WORKER_CONCURRENCY, or stop another"
            " app's old release that still runs there: systemctl start OTHER-retire"
        )


def megabytes(size: int) -> str:
    return f"{size // 2**20} MB"


def is_warm(facts: Facts, target: Target) -> bool:
    """Return True for a rollback if the idle slot still runs the target release."""
    idle = facts["slots"].get({"a": "b", "b": "a"}.get(facts["live"] or "", ""))
    return (
        target.action == "rollback"
        and idle is not None
        and idle["release"] is not None
        and idle["release"]["tag"] == target.tag
        and all(unit["state"] == "active" for role, unit in idle["units"].items() if role in BUILT_IN)
    )


def misplaced_roles(fleet: Fleet, host: Host, facts: Facts) -> Iterator[str]:
    running = {name.removeprefix(f"{fleet.app}-").partition("-")[0] for name in facts["containers"]}
    for role in sorted(running - {*host.roles, "web", "worker"}):
        yield f"{role} runs, but the host does not have the role {role}: run slipway provision"


def scheme_problems(fleet: Fleet, host: Host, facts: Facts) -> Iterator[str]:
    if not host.has("web"):
        return
    tls = fleet.site["tls"]
    site = facts["site"]
    used = site["scheme"] if fleet.by_variables else "http" if tls == "off" else "https"
    why = wrong_site(site["url"])
    if not why and used and site["url"] and not site["url"].startswith(f"{used}:"):
        why = f'is {site["url"]}, but visitors use {used} (tls = "{tls}" in [site])'
    if why:
        yield (
            f'SITE_URL {why}: set it to https://… by slipway env set SITE_URL, set tls to "files", "certbot" or'
            ' "elsewhere", and run slipway provision; to try it without TLS, use http://localhost and tls = "off"'
        )
    elif site["scheme"] not in ("", used):
        yield f'nginx does not match tls = "{tls}" in [site]: run slipway provision'


def sqlite_problems(fleet: Fleet, facts: Facts) -> Iterator[str]:
    if facts["sqlite"] is not None and len(fleet.app_hosts) > 1:
        yield "DATABASE_URL names SQLite, but each server would have its own file: use Postgres, or only one server"
    elif facts["sqlite"]:
        yield facts["sqlite"]


def refuse_if_locked(facts: AllFacts) -> None:
    """Raise Locked if somebody else is changing a host. Ignore hosts that only stop their old slot."""
    locks = {
        name: [f"locked: {host_facts['lock']}"]
        for name, host_facts in facts.items()
        if host_facts["lock"] and not host_facts["lock"].startswith("retirement")
    }
    if locks:
        raise Locked(on_hosts(locks))


def live_tags(facts: AllFacts) -> dict[str, str]:
    """Return host name → tag of its release; "" if it has none."""
    return {name: host_facts["tag"]["tag"] if host_facts["tag"] else "" for name, host_facts in facts.items()}


def describe_spread(tags: Mapping[str, str | None]) -> str:
    """Return which hosts have which release, such as "v1 on web1, web2; v2 on work"; "" if all have the same."""
    by_tag = by_text({name: [tag or "no release"] for name, tag in tags.items()})
    return "; ".join(f"{tag} on {', '.join(names)}" for tag, names in by_tag.items()) if len(by_tag) > 1 else ""


def notes(facts: AllFacts) -> list[str]:
    """Return what hosts tell beside their problems."""
    return lines_of(on_hosts({name: map(first_line, host_facts["notes"]) for name, host_facts in facts.items()}))


def hosts_to_change(hosts: Sequence[Host], facts: AllFacts, tag: str) -> list[Host]:
    """Return the hosts with another release than `tag`; if there is no such host, all hosts with a release."""
    tags = {host.name: live["tag"] for host in hosts if (live := facts[host.name]["tag"])}
    return [host for host in hosts if tags.get(host.name, tag) != tag] or [host for host in hosts if host.name in tags]


def previous_releases(facts: AllFacts) -> dict[str, Release]:
    """Return host name → release before the live one. Raise Refused if no host has such a release, or hosts differ."""
    reverts = {name: host_facts["revert"] for name, host_facts in sorted(facts.items()) if host_facts["revert"]}
    if len({release["tag"] for release in reverts.values()}) > 1 or (reverts and len(reverts) < len(facts)):
        raise Refused(
            "hosts would go back to different releases: choose one by --to TAG\n"
            + on_hosts({name: [reverts[name]["tag"] if name in reverts else "none"] for name in facts})
        )
    if not reverts:
        raise Refused("there is no earlier release to go back to")
    return reverts


def records_of(facts: AllFacts, tag: str) -> dict[str, Record]:
    """Return host name → its newest record, else another's, of a committed rollout to `tag`. Raise Refused if none.
    Another's has no image_id, which means nothing here: this host pulls the image by its digest."""
    by_host = {
        name: [record for record in host_facts["history"] if record["tag"] == tag and record["outcome"] == "committed"]
        for name, host_facts in facts.items()
    }
    some = [record for records in by_host.values() for record in records]
    if not some:
        raise Refused(f"{tag} was never committed on these hosts: see slipway releases")
    return {
        name: records[-1] if records else {**some[-1], "image_id": own_image(facts[name], tag)}
        for name, records in by_host.items()
    }


def unpublished(facts: AllFacts, tag: str) -> tuple[str, ...]:
    """Return the hosts that may never have had the static files of `tag`: no commit of it there is recorded."""
    return tuple(
        name
        for name, host_facts in facts.items()
        if not any(
            record["tag"] == tag and record["outcome"] == "committed" and not record.get("inherited")
            for record in host_facts["history"]
        )
    )


def own_image(facts: Facts, tag: str) -> str:
    """Return the id of the tag's image by the host's files TAG and REVERT, or ""."""
    named = (release for release in (facts["tag"], facts["revert"]) if release and release["tag"] == tag)
    return next((release["image_id"] for release in named), "")
