"""Turns the hosts' answers about Postgres and Redis into problems. Does no I/O."""

from collections.abc import Iterator, Mapping, Sequence

from .agent.services import ServiceFacts
from .server.services import unit


def problems(app: str, kinds: Sequence[str], facts: Mapping[str, ServiceFacts]) -> Iterator[str]:
    """Yield what is wrong with the services of a host. `kinds`: those that it should have; `facts`: kind → facts."""
    for kind in kinds:
        if text := outage(kind, facts.get(kind)):
            yield text
        elif facts[kind]["outdated"]:
            yield (
                f"{kind} runs as it was set up before: when some seconds of errors do no harm, run systemctl restart "
                f"{unit(app, kind)}"
            )


def outage_texts(kinds: Sequence[str], facts: Mapping[str, ServiceFacts]) -> list[str]:
    """Return a text for each service that the app cannot use."""
    return [text for kind in kinds if (text := outage(kind, facts.get(kind)))]


def outage(kind: str, facts: ServiceFacts | None) -> str:
    if facts is None:
        return f"{kind} is not set up: run slipway provision"
    if not facts["version"]:
        return f"{kind} does not answer, its unit is {facts['state']}: slipway logs --role {kind}"
    return ""
