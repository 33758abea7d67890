"""Whether a release can work with the database as it is after the other one's migrations: by what the build found of
each migration for the database of this host, and by the list of migrations that the release itself has. A migration
that nobody judged counts as one that nobody may apply."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from .. import disk, envfile, images, releases, site, slots
from ..answers import Found, Judged
from ..attempt import Attempt
from ..host import Host, Problem, at_once
from ..shapes import Say
from .migrate import one_off

VERSION = 2
SCHEMES = {"postgres": "postgresql", "pgsql": "postgresql", "postgis": "postgresql", "timescale": "postgresql",
           "timescalegis": "postgresql", "spatialite": "sqlite"}  # Django's vendor is called otherwise
JUDGED = ("postgresql", "sqlite")  # by `make build`


def verdicts(host: Host, attempt: Attempt, say: Say) -> Judged:
    """{"incompatible": name → why, "unjudged": names, "cure"}: before a deploy of the migrations to come, with which
    the release that is live has to work; before a rollback of those that the release to come does not know."""
    vendor = vendor_of(host, disk.read_bytes(host.slot_file(attempt.noted["slot"], "env")) or b"")
    if attempt.noted["action"] == "rollback":
        return going_back(host, attempt, vendor)
    found, listed = at_once([lambda: found_in(host, attempt.noted.get("image_id", "")),
                             lambda: parse_plan(one_off(host, attempt, ["manage", "showmigrations", "--plan"], 120))])
    disk.write(host.slot_file(attempt.noted["slot"], "plan"), "".join("[X]  %s\n" % name for name in sorted(listed)))
    pending = [name for name, applied in listed.items() if not applied]
    return judged(pending, found, vendor, pending)


def going_back(host: Host, attempt: Attempt, vendor: str) -> Judged:
    """The verdicts before a rollback."""
    before, after = (disk.read(host.slot_file(slot, "plan")) for slot in (attempt.noted["live"], attempt.noted["slot"]))
    if before and after and not parse_plan(before).keys() - parse_plan(after).keys():
        return judged([], {"vendors": {}, "failed": {}}, vendor, ())  # a warm rollback is urgent, and asks nobody
    live = slots.release_in(host, attempt.noted["live"]) or releases.read_tag(host.tag)
    old, new = live["image_id"] if live else "", attempt.noted.get("image_id", "")
    coming, found, listed = at_once([lambda: found_in(host, new), lambda: found_in(host, old),
                                     lambda: listed_by(host, attempt, attempt.noted["live"])])
    wanted = {*listed, *names(found)} - names(coming)
    answer = judged(sorted(wanted), found, vendor, ())
    if answer["incompatible"] or answer["unjudged"]:  # an older build may have left out what its release does know
        known = {*listed_by(host, attempt, attempt.noted["slot"])}
        wanted -= known
        answer = judged(sorted(wanted), found, vendor, wanted if known else ())
    return answer


def listed_by(host: Host, attempt: Attempt, slot: str) -> dict[str, bool]:
    """The migrations of a slot's release by its own word. It may be too broken to say so, and that is no reason to stay
    with it: then what its build has seen is all that is known of it."""
    try:
        return parse_plan(one_off(host, attempt, ["manage", "showmigrations", "--plan"], 30, slot=slot))
    except Problem:
        return {}


def found_in(host: Host, image_id: str) -> Found:
    """What the build has left in an image."""
    return parse(images.content(host, image_id, "migrations.json") if image_id else None)


# ---- pure ----

def parse_plan(text: str) -> dict[str, bool]:
    """name → whether it is applied, of the lines of `showmigrations --plan`."""
    rows = [(line[:3], line[3:].split()) for line in text.splitlines() if line[:3] in ("[X]", "[ ]")]
    return {words[0]: mark == "[X]" for mark, words in rows if words}


def parse(text: str | None) -> Found:
    """{"vendors": vendor → name → (verdict, why, makers), "failed": vendor → why there is none} of migrations.json,
    also of the one that knew a single vendor. Makers are of the tables of an error; older builds tell none."""
    try:
        found = json.loads(text or "{}")
        if found.get("version") == 1:
            found = {"vendors": {found["vendor"]: found["migrations"]}}
        if found.get("version", 0) > VERSION:
            raise Problem("migrations.json in the image is of version %s, which only a newer deployer knows: use that"
                          % found["version"])
        vendors = {vendor: {name: (entry["verdict"], "; ".join(entry["messages"]), frozenset(entry.get("since", ())))
                            for name, entry in entries.items()}
                   for vendor, entries in found.get("vendors", {}).items()}
        return {"vendors": vendors, "failed": dict(found.get("failed", {}))}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Problem("migrations.json in the image is malformed: build it again") from None


def names(found: Found) -> set[str]:
    """The migrations that a build has judged."""
    return {name for entries in found["vendors"].values() for name in entries}


def judged(wanted: Sequence[str], found: Found, vendor: str, unknown: Iterable[str]) -> Judged:
    """What is to be told of these migrations. The code that has to work with them uses no table that migrations made
    which are `unknown` to it: an error that concerns only such ones does it no harm."""
    entries = found["vendors"].get(vendor, {})
    unjudged = [name for name in wanted if name not in entries]
    wrong = {name: why for name, (verdict, why, makers) in entries.items()
             if name in wanted and verdict == "error" and not (makers and makers <= {*unknown})}
    return {"incompatible": wrong, "unjudged": unjudged, "cure": cure(found, vendor) if unjudged else ""}


def cure(found: Found, vendor: str) -> str:
    """Why there is no verdict for a vendor, and how to get one."""
    if not vendor:
        return "the settings name no DATABASE_URL, which says whose verdicts count: set it"
    if vendor in found["vendors"]:
        return "the image has them and its build has not: put them into the project, then make build"
    if vendor in found["failed"]:
        return "its build could not apply them on %s: %s" % (vendor, found["failed"][vendor])
    if vendor in JUDGED:
        return "the image has no verdicts for %s: make build gives it those" % vendor
    return "DATABASE_URL is one of %s; make build judges for %s alone" % (vendor, " and ".join(JUDGED))


def vendor_of(host: Host, settings: bytes) -> str:
    """Django's name of the database that the settings name; "" where they name none."""
    values = envfile.read(settings, "")[0]
    url = values.get("DATABASE_URL") or site.secret(host, values.get("DATABASE_URL_FILE", ""))
    scheme = url.partition(":")[0]
    return SCHEMES.get(scheme, scheme)
