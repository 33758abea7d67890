"""What provisioning tells: what takes long before it begins, and in the end all changes, each with its hosts."""

from collections.abc import Iterable, Mapping
from typing import TextIO

from ..config import Fleet
from ..errors import by_text
from ..server.site import Out
from .fitness import Found


def announce(out: TextIO, host: str, text: str) -> None:
    """Say what is about to begin on a host."""
    print(f"{host}: {text} …", file=out, flush=True)


def notes(out: TextIO, fleet: Fleet, found: Mapping[str, Found], who: Out) -> None:
    """Say what there is to know besides: which hosts are nodes of a swarm that the file does not ask for, and which web
    hosts the balancers leave out."""
    for name, each in found.items():
        if each.node and not fleet.is_swarm:
            print(f"{name}: is a node of a swarm and stays one, so live-restore stays off: a restart of Docker ends"
                  " containers", file=out)
    cure = "make deploy" if fleet.by_consul else "make deploy, then make provision"  # Consul sees one that answers
    for name in who.silent:
        print(f"{name}: its web does not answer yet, so balancers send it nobody: {cure}", file=out)
    for name in who.drained:
        print(f"{name}: is drained: make undrain HOST={name}", file=out)


def changes(out: TextIO, check: bool, done: Mapping[str, Iterable[str]]) -> int:
    """Say the changes of each host, in their order; with `check`, what would be. Returns the number of all."""
    unique = {host: list(dict.fromkeys(texts)) for host, texts in sorted(done.items())}
    would, total = "would " * check, sum(map(len, unique.values()))
    for text, hosts in in_order(unique):
        print(f"{', '.join(hosts)}: {would}{text}", file=out)
    counts = ", ".join(f"{host} {len(texts)}" for host, texts in unique.items())
    print(f"{total} change{'s' * (total != 1)}{' to make' * check} ({counts})", file=out, flush=True)
    return total


def in_order(changes: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """(change, its hosts), in the order of the host that came to it first."""
    return sorted(by_text(changes).items(),
                  key=lambda item: (min(changes[host].index(item[0]) for host in item[1]), item[0]))
