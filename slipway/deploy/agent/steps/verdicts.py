"""Judge if a release works after another release's migrations. `make build` saves in each image what its migrations
change in the database, and what its models use of it. A migration of which the image says nothing is "unjudged"."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

from slipway.schema.rules import NOTED, Noted, Uses, judge_entry, noted_in, uses_before

from .. import disk, images, releases, site, slots
from ..attempt import Attempt
from ..host import Host, Problem, in_parallel, lines_of
from ..message_types import NotRequired, Say
from .migrate import one_off, remove_one_offs
from .start import forbid_exits, web_plan
from .step import step

SCHEMES = {
    "postgres": "postgresql",
    "pgsql": "postgresql",
    "postgis": "postgresql",
    "timescale": "postgresql",
    "timescalegis": "postgresql",
    "spatialite": "sqlite",
}  # URL scheme → Django's `vendor`, if they differ
JUDGED = ("postgresql", "sqlite")  # database engines for which `make build` judges migrations
JUDGING = 40  # limit: seconds to find out if the older release works after a rollback


class InImage(TypedDict):
    """Content of an image's migrations.json."""

    vendors: dict[str, Noted]  # by database engine
    failed: dict[str, str]  # database engine → why `make build` could not judge migrations for this engine


class Verdicts(TypedDict):
    """Verdicts on migrations."""

    incompatible: dict[str, str]  # migration → why the release does not work after it
    warnings: NotRequired[dict[str, str]]  # migration → what the release may notice, or what nobody judged
    unjudged: list[str]  # migrations without a verdict for this database engine
    cure: str  # why `unjudged` could not be judged, and what to do; "" if `unjudged` is empty


class Judged(Verdicts):
    """Verdicts on a deploy's pending migrations, or on the migrations that a rollback's release lacks."""

    applied: NotRequired[bool]  # True: the web reports no pending migration, and the last deploy did not fail
    lacks: NotRequired[Verdicts]  # says if the new release works after migrations that only the live release has
    lacking: NotRequired[list[str]]  # what the new release misses in the database, whatever the migrations say
    uncompared: NotRequired[bool]  # True: no web told this
    media: NotRequired[str]  # where the new release stores uploads: local, database, bucket; "" if unknown
    unknown: NotRequired[str]  # the error because of which a rollback could not judge any migration


@step(900, undo=remove_one_offs, takeback="it only asks")
def verdicts(host: Host, attempt: Attempt, say: Say) -> Judged:
    """Judge two cases: whether the live release works after the pending migrations, and whether the new release works
    after migrations that only the live release has. A rollback needs only the second case."""
    settings = disk.read_bytes(host.slot_file(attempt.noted["slot"], "env"))
    scheme = site.setting(host, settings, "DATABASE_URL").partition(":")[0]
    vendor = SCHEMES.get(scheme, scheme)
    if attempt.noted["action"] == "rollback":
        try:
            return judge_rollback(host, attempt, vendor)
        except (Problem, OSError) as problem:  # do not fail: the rollback may repair this problem
            return {"incompatible": {}, "unjudged": [], "cure": "", "unknown": str(problem)}
    plan = web_plan(host, attempt) if host.has("web") else None
    listed = ask_migrations(host, attempt, say) if plan is None else plan
    disk.write(host.slot_file(attempt.noted["slot"], "plan"), "".join(f"[X]  {name}\n" for name in sorted(listed)))
    pending = [name for name, applied in listed.items() if not applied]
    in_live = functools.cache(lambda: verdicts_in_live(host, attempt))
    told: Judged = {
        "incompatible": {},
        "unjudged": [],
        "cure": "",
        "lacks": judge_lacking(host, attempt, vendor, {*listed}, in_live),
        "media": attempt.media,
        "lacking": attempt.lacking,
        "uncompared": plan is None,
    }
    if not pending:
        forbid_exits(attempt, say)
        ends = [record["outcome"] for record in releases.read_log(host)[0]]
        told["applied"] = plan is not None and ends[-1:] in ([], ["committed"])  # else `migrate` may have ended halfway
        return told
    in_image = verdicts_in(host, attempt.noted.get("image_id", ""))
    return {**told, **judge(pending, in_image, vendor, uses_in(in_live()["vendors"], vendor))}


def ask_migrations(host: Host, attempt: Attempt, say: Say) -> dict[str, bool]:
    """Return the migrations (name → True if applied) of the new release, whose web does not say them."""
    try:
        return parse_plan(one_off(host, attempt, ["manage", "showmigrations", "--plan"], 120))
    except Problem:
        forbid_exits(attempt, say)
        raise


def judge_lacking(
    host: Host, attempt: Attempt, vendor: str, of_new: set[str], in_live: Callable[[], InImage]
) -> Verdicts:
    """Return if the new release works with the migrations that only the live release has, which a deploy leaves
    applied. `of_new`: migrations of the new release. `in_live`: the verdicts in the live release's image."""
    before = migrations_in_plan(host, attempt.noted["live"])
    if attempt.noted["action"] == "restart" or (before and not before.keys() - of_new):
        return {"incompatible": {}, "unjudged": [], "cure": ""}
    in_image = in_live()
    if not before and (judged_names(in_image) - of_new or not judged_names(in_image)):
        # The image may list squashed migrations, so ask the live release.
        before = migrations_of(host, attempt, attempt.noted["live"]) or dict.fromkeys(judged_names(in_image), True)
    missing = before.keys() - of_new
    of_new_release = (
        uses_in(verdicts_in(host, attempt.noted.get("image_id", ""))["vendors"], vendor) if missing else None
    )
    return judge(sorted(missing), in_image, vendor, of_new_release)


def migrations_in_plan(host: Host, slot: str) -> dict[str, bool]:
    return parse_plan(disk.read(host.slot_file(slot, "plan")) or "")


def verdicts_in_live(host: Host, attempt: Attempt) -> InImage:
    """Return what the live release's image says; nothing if it is malformed: this deploy may replace it."""
    try:
        return verdicts_in(host, live_image(host, attempt))
    except (Problem, OSError):
        return {"vendors": {}, "failed": {}}


def live_image(host: Host, attempt: Attempt) -> str:
    live = slots.release_in(host, attempt.noted["live"]) or releases.read_tag(host.tag)
    return live["image_id"] if live else ""


def judge_rollback(host: Host, attempt: Attempt, vendor: str) -> Judged:
    before, after = (migrations_in_plan(host, slot) for slot in (attempt.noted["live"], attempt.noted["slot"]))
    if before and after and not before.keys() - after.keys():
        return {"incompatible": {}, "unjudged": [], "cure": ""}  # the older release has all migrations of the live one
    old = live_image(host, attempt)
    new = attempt.noted.get("image_id", "")
    coming, in_image, listed = in_parallel(
        [
            lambda: verdicts_in(host, new),
            lambda: verdicts_in(host, old),
            lambda: before or migrations_of(host, attempt, attempt.noted["live"]),
        ],
        JUDGING,
    )
    missing = {*listed, *judged_names(in_image)} - judged_names(coming)
    uses = uses_in(coming["vendors"], vendor)
    answer = judge(sorted(missing), in_image, vendor, uses, lacks_all=False)
    if answer["incompatible"] or answer["unjudged"]:  # an old image's list may be incomplete: ask the release itself
        of_older = {*(after or migrations_of(host, attempt, attempt.noted["slot"]))}
        answer = judge(sorted(missing - of_older), in_image, vendor, uses, lacks_all=bool(of_older))
    return answer


def migrations_of(host: Host, attempt: Attempt, slot: str) -> dict[str, bool]:
    try:
        return parse_plan(one_off(host, attempt, ["manage", "showmigrations", "--plan"], 30, slot=slot))
    except Problem:
        return {}


def verdicts_in(host: Host, image_id: str) -> InImage:
    return parse(images.read_file(host, image_id, "migrations.json") if image_id else None)


# ---- functions without I/O ----


def parse_plan(text: str) -> dict[str, bool]:
    """Return the migrations (name → True if applied) in the output of `showmigrations --plan`."""
    rows = [(line[:3], line[3:].split()) for line in lines_of(text) if line[:3] in ("[X]", "[ ]")]
    return {words[0]: mark == "[X]" for mark, words in rows if words}


def parse(text: str | None) -> InImage:
    try:
        content = json.loads(text or "{}")
        if content.get("version", 0) > NOTED:
            raise Problem(
                f"migrations.json in the image has version {content['version']}, which this deployer cannot read: use a"
                " newer deployer"
            )
        vendors = noted_in(content)
        return {"vendors": vendors, "failed": dict(content.get("failed", {}))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Problem("migrations.json in the image is malformed: build the image again") from None


def judged_names(in_image: InImage) -> set[str]:
    return {name for noted in in_image["vendors"].values() for name in noted["migrations"]}


def uses_in(vendors: Mapping[str, Noted], vendor: str) -> Uses | None:
    return vendors[vendor]["uses"] if vendor in vendors else None


def judge(
    migrations: Sequence[str], in_image: InImage, vendor: str, uses: Uses | None, lacks_all: bool = True
) -> Judged:
    """Return the verdicts on `migrations` for the database `vendor`: does a release that `uses` this of it work after
    them? If that is unknown, a release without these migrations; if it may have some of them (not `lacks_all`), one
    without any one of them."""
    noted = in_image["vendors"].get(vendor)
    entries = noted["migrations"] if noted else {}
    judged = [name for name in entries if name in migrations]
    unjudged = [name for name in migrations if name not in entries]
    if uses is None and lacks_all:
        uses = uses_before(entries, judged)
    verdicts = {name: judge_entry(entries[name], entries[name]["before"] if uses is None else uses) for name in judged}
    return {
        "incompatible": {name: "; ".join(verdict.errors) for name, verdict in verdicts.items() if verdict.errors},
        "warnings": {name: "; ".join(verdict.warnings) for name, verdict in verdicts.items() if verdict.warnings},
        "unjudged": unjudged,
        "cure": cure(in_image, vendor) if unjudged else "",
    }


def cure(in_image: InImage, vendor: str) -> str:
    if not vendor:
        return "the settings have no DATABASE_URL, so the database is unknown: set it"
    if vendor in in_image["vendors"]:
        return "their app was not in INSTALLED_APPS during the build: add it there, then run make build"
    if vendor in in_image["failed"]:
        return f"the build could not apply them to {vendor}: {in_image['failed'][vendor]}"
    if vendor in JUDGED:
        return f"the image has no verdicts for {vendor}: build it with make build"
    return f"DATABASE_URL is for {vendor}, but make build judges only for {' and '.join(JUDGED)}"
