"""What provisioning tells: what takes long before it begins, and in the end all changes, each with its hosts."""

from collections.abc import Iterable, Mapping
from typing import TextIO


class Progress:
    def __init__(self, out: TextIO, check: bool) -> None:
        self.out, self.check = out, check

    def announce(self, host: str, text: str) -> None:
        print(f"{host}: {text} …", file=self.out, flush=True)

    def report(self, changes: Mapping[str, Iterable[str]]) -> int:
        """The changes of each host, in their order; the number of all."""
        unique = {host: list(dict.fromkeys(texts)) for host, texts in sorted(changes.items())}
        would, total = "would " if self.check else "", sum(map(len, unique.values()))
        for text, hosts in in_order(unique):
            print(f"{', '.join(hosts)}: {would}{text}", file=self.out)
        counts = ", ".join(f"{host} {len(texts)}" for host, texts in unique.items())
        print(f"{total} change{'s' * (total != 1)}{' to make' * self.check} ({counts})", file=self.out, flush=True)
        return total


def in_order(changes: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """(change, its hosts), in the order of the host that came to it first."""
    hosts: dict[str, list[str]] = {}
    for host, texts in changes.items():
        for text in texts:
            hosts.setdefault(text, []).append(host)
    return sorted(hosts.items(), key=lambda item: (min(changes[host].index(item[0]) for host in item[1]), item[0]))
