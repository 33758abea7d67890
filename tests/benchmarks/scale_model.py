"""What a deploy takes by the number of hosts, as formulas that are fitted to what was measured. Pure.

Each figure is a sum of terms, each a number that is fitted times 1, the waves after the first host, or the hosts.
"""

from collections.abc import Sequence

TERMS = {"1": lambda hosts, parallel: 1, "waves": lambda hosts, parallel: waves(hosts, parallel),
         "hosts": lambda hosts, parallel: hosts}
MODEL = {  # figure → its terms
    "seconds": ("1", "waves", "hosts"),
    "two releases": ("1", "waves", "hosts"),
    "takeback": ("1", "hosts"),
    "CPU": ("1", "hosts"),
    "memory": ("1", "hosts"),
    "files": ("1", "hosts"),
    "programs": ("1", "hosts"),
    "bytes": ("1", "hosts"),
}


def waves(hosts: int, parallel: int = 0) -> int:
    """In how many waves the hosts flip after the first one: 2, 4, 8 and so on, `parallel` at most (0: no limit)."""
    left, many = hosts - 1, 0
    doubling = max(0, (parallel - 1).bit_length() - 1) if parallel else hosts.bit_length()
    while left > 0 and many < doubling:
        many += 1
        left -= 2 ** many
    return many + max(0, -(-left // (parallel or 1)))


def terms(figure: str, hosts: int, parallel: int = 0) -> list[float]:
    """What the numbers of a figure are multiplied by."""
    return [float(TERMS[term](hosts, parallel)) for term in MODEL[figure]]


def fitted(figure: str, measured: Sequence[tuple[int, float]]) -> list[float]:
    """The numbers of a figure that fit what was measured, (hosts, value), best: by least squares, none below 0, as
    nothing is less because hosts are more."""
    kept, values = [*range(len(MODEL[figure]))], [value for _, value in measured]
    while True:
        rows = [[terms(figure, hosts)[number] for number in kept] for hosts, _ in measured]
        found = dict(zip(kept, least_squares(rows, values)))
        least = min(found, key=lambda number: found[number])
        if found[least] >= 0:
            return [found.get(number, 0.0) for number in range(len(MODEL[figure]))]
        kept.remove(least)


def least_squares(rows: list[list[float]], values: list[float]) -> list[float]:
    """The x for which rows · x is closest to the values."""
    size = range(len(rows[0]))
    return solved([[sum(row[i] * row[j] for row in rows) for j in size] for i in size],
                  [sum(row[i] * value for row, value in zip(rows, values)) for i in size])


def solved(matrix: list[list[float]], values: list[float]) -> list[float]:
    """The x of matrix · x = values, by elimination."""
    rows = [[*row, value] for row, value in zip(matrix, values)]
    for column in range(len(rows)):
        best = max(range(column, len(rows)), key=lambda number: abs(rows[number][column]))
        rows[column], rows[best] = rows[best], rows[column]
        pivot = rows[column] = [value / rows[column][column] for value in rows[column]]
        rows = [row if row is pivot else [a - row[column] * b for a, b in zip(row, pivot)] for row in rows]
    return [row[-1] for row in rows]


def predicted(figure: str, numbers: Sequence[float], hosts: int, parallel: int = 0) -> float:
    """A figure at so many hosts."""
    return sum(number * term for number, term in zip(numbers, terms(figure, hosts, parallel)))


def formula(figure: str, numbers: Sequence[float]) -> str:
    """The fitted formula, to read."""
    words = [f"{number:.3g}{'' if term == '1' else f' · {term}'}" for number, term in zip(numbers, MODEL[figure])
             if number]
    return f"{figure} = {' + '.join(words)}"


def out(share: float, hosts: int) -> float:
    """The chance that one host at least is out, if each is so for this share of the time."""
    return 1 - (1 - share) ** hosts


def pulled(hosts: int, megabytes: float, gigabits: float) -> float:
    """Seconds until all hosts have so much of an image, through an uplink of the registry that they share."""
    return hosts * megabytes * 8 / 1000 / gigabits
