"""What a deploy or rollback goes to, and what is in its way, by a manager's facts. Pure."""

from ..agent import releases
from ..agent.answers import SwarmFacts
from ..agent.shapes import Record, Release as Named
from ..config import Fleet
from ..engine.workloads import Release, workloads
from ..errors import Refused


def problems(fleet: Fleet, facts: SwarmFacts) -> list[str]:
    """What keeps any release from coming, a line each."""
    found = []
    if not facts["settings"]:
        found.append("no settings are there yet: make env ARGS='set NAME …'")
    labels = {label for node in facts["nodes"] if (node["state"], node["availability"]) == ("ready", "active")
              for label in node["labels"]}
    for work in workloads(fleet):
        if work.replicas and f"{fleet.app}.{work.name}" not in labels:
            found.append(f"no node that is up has the role {work.name}: run make provision, see make status")
    return found


def live(facts: SwarmFacts) -> Record | None:
    """The record of the release that is live."""
    return next((record for record in reversed(facts["records"]) if record["outcome"] == "committed"), None)


def back(facts: SwarmFacts, tag: str = "") -> Release:
    """The release that a rollback goes to: of that tag, or the one before. Raises Refused."""
    now = live(facts)
    if not now:
        raise Refused("nothing is live yet: there is no way back")
    if tag == now["tag"]:
        raise Refused(f"{tag} is live already")
    found = before(facts, now, tag)
    if not found:
        raise Refused(f"no release {tag} was committed here: see make releases" if tag else
                      "no release came before this one: there is no way back")
    return Release(found["tag"], found["image_id"])


def before(facts: SwarmFacts, now: Record, tag: str) -> Named | None:
    """The committed release of that tag, or the newest that was not withdrawn."""
    named: Named = {"tag": now["tag"], "image_id": now["image_id"]}
    known = releases.committed(facts["records"], named)
    if tag:
        return next((one for one in reversed(known) if one["tag"] == tag), None)
    return releases.revert_for(facts["records"], named, now["tag"])
