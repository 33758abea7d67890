"""Whether a release works with the database after another release's migrations. Builds judge each migration for each
database, and each release lists the migrations it has. A migration without a verdict counts as incompatible."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from .. import disk, http, images, releases, site, slots
from ..answers import Found, Judged, Verdicts
from ..attempt import Attempt
from ..host import Host, Problem, at_once
from ..shapes import Say
from .migrate import one_off
from .start import told

VERSION = 2  # of migrations.json
SCHEMES = {"postgres": "postgresql", "pgsql": "postgresql", "postgis": "postgresql", "timescale": "postgresql",
           "timescalegis": "postgresql", "spatialite": "sqlite"}  # where Django's vendor is called otherwise
JUDGED = ("postgresql", "sqlite")  # by `make build`
JUDGING = 40  # seconds that a rollback may wait for what it is judged by


def verdicts(host: Host, attempt: Attempt, say: Say) -> Judged:
    """The verdicts on migrations. Before a deploy: on the new ones, with which the live release has to work. Before a
    rollback, and a deploy too: on those that the release to come does not know, with which it has to work."""
    vendor = vendor_of(host, disk.read_bytes(host.slot_file(attempt.noted["slot"], "env")))
    if attempt.noted["action"] == "rollback":
        try:
            return going_back(host, attempt, vendor)
        except (Problem, OSError) as problem:  # it may be what mends that
            return {"incompatible": {}, "unjudged": [], "cure": "", "unknown": str(problem)}
    said = told(host, attempt) if host.has("web") else None
    if said is None and attempt.died and not has_new(host, attempt):
        raise attempt.died
    listed = parse_plan(one_off(host, attempt, ["manage", "showmigrations", "--plan"], 120)) if said is None else said
    disk.write(host.slot_file(attempt.noted["slot"], "plan"), "".join("[X]  %s\n" % name for name in sorted(listed)))
    pending = [name for name, applied in listed.items() if not applied]
    lacks = lacking(host, attempt, vendor, {*listed})
    if not pending:
        applied = said is not None and ended_well(host)
        return {"incompatible": {}, "unjudged": [], "cure": "", "applied": applied, "boots": True, "lacks": lacks}
    boots = said is not None or not attempt.died and http.listens(host.slot(attempt.noted["slot"], "web.sock"))
    found = verdicts_in(host, attempt.noted.get("image_id", ""))
    return {**judged(pending, found, vendor, pending), "boots": boots, "lacks": lacks}


def ended_well(host: Host) -> bool:
    """Return False if the last attempt failed: its `migrate` may have been cut off before permissions were made."""
    return [record["outcome"] for record in releases.read_log(host)[0]][-1:] in ([], ["committed"])


def has_new(host: Host, attempt: Attempt) -> bool:
    """Return True if the release may have to migrate what the live one has not, or another database."""
    settings = [disk.read_bytes(host.slot_file(slot, "env")) for slot in (attempt.noted["live"], attempt.noted["slot"])]
    if settings[0] != settings[1]:
        return True
    before = told_before(host, attempt.noted["live"])
    after = names(verdicts_in(host, attempt.noted.get("image_id", "")))
    return not after or not after <= before.keys()


def lacking(host: Host, attempt: Attempt, vendor: str, known: set[str]) -> Verdicts:
    """The verdicts on migrations of the live release that a release to deploy does not know, as an older one."""
    before = told_before(host, attempt.noted["live"])
    if attempt.noted["action"] == "restart" or before and not before.keys() - known:
        return {"incompatible": {}, "unjudged": [], "cure": ""}
    try:
        found = verdicts_in(host, live_image(host, attempt))
    except (Problem, OSError):  # a deploy may well leave what is malformed
        found = {"vendors": {}, "failed": {}}
    if not before and (names(found) - known or not names(found)):  # its build also has those that were squashed
        before = migrations_of(host, attempt, attempt.noted["live"]) or dict.fromkeys(names(found), True)
    wanted = before.keys() - known
    return judged(sorted(wanted), found, vendor, wanted)


def told_before(host: Host, slot: str) -> dict[str, bool]:
    """The migrations of a slot's release, as its deploy has written them down here; nothing where it has not."""
    return parse_plan(disk.read(host.slot_file(slot, "plan")) or "")


def live_image(host: Host, attempt: Attempt) -> str:
    """The id of the image that is live; "" where nothing is."""
    live = slots.release_in(host, attempt.noted["live"]) or releases.read_tag(host.tag)
    return live["image_id"] if live else ""


def going_back(host: Host, attempt: Attempt, vendor: str) -> Judged:
    """The verdicts before a rollback; `vendor`: Django's name of the database."""
    before, after = (told_before(host, slot) for slot in (attempt.noted["live"], attempt.noted["slot"]))
    if before and after and not before.keys() - after.keys():
        return {"incompatible": {}, "unjudged": [], "cure": ""}  # it knows all migrations that were applied
    old, new = live_image(host, attempt), attempt.noted.get("image_id", "")
    coming, found, listed = at_once([
        lambda: verdicts_in(host, new), lambda: verdicts_in(host, old),
        lambda: before or migrations_of(host, attempt, attempt.noted["live"])], JUDGING)
    wanted = {*listed, *names(found)} - names(coming)
    answer = judged(sorted(wanted), found, vendor, ())
    if answer["incompatible"] or answer["unjudged"]:  # an older build may have left out what its release knows
        known = {*(after or migrations_of(host, attempt, attempt.noted["slot"]))}
        wanted -= known
        answer = judged(sorted(wanted), found, vendor, wanted if known else ())
    return answer


def migrations_of(host: Host, attempt: Attempt, slot: str) -> dict[str, bool]:
    """Return the migrations that a slot's release lists; none where it is too broken to tell."""
    try:
        return parse_plan(one_off(host, attempt, ["manage", "showmigrations", "--plan"], 30, slot=slot))
    except Problem:
        return {}


def verdicts_in(host: Host, image_id: str) -> Found:
    """The verdicts that the build has left in an image."""
    return parse(images.content(host, image_id, "migrations.json") if image_id else None)


# ---- pure ----

def parse_plan(text: str) -> dict[str, bool]:
    """name → whether it is applied, of the lines of `showmigrations --plan`."""
    rows = [(line[:3], line[3:].split()) for line in text.splitlines() if line[:3] in ("[X]", "[ ]")]
    return {words[0]: mark == "[X]" for mark, words in rows if words}


def parse(text: str | None) -> Found:
    """The content of migrations.json; nothing where there is no file. Raises Problem for a malformed or a newer one."""
    try:
        found = json.loads(text or "{}")
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
    """The verdicts on the `wanted` migrations. The release that has to work with them uses no table that a migration
    `unknown` to it has made: errors of such tables alone do not count."""
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


def vendor_of(host: Host, settings: bytes | None) -> str:
    """Django's name of the database that the settings name; "" where they name none."""
    scheme = site.setting(host, settings, "DATABASE_URL").partition(":")[0]
    return SCHEMES.get(scheme, scheme)
