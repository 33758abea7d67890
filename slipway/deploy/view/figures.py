"""Turns counts of visitors' answers into the figures of a chart. Does no I/O."""

from collections.abc import Iterable, Mapping

from ..agent.traffic import Bucket

# The spans that a reader may choose: its seconds → the seconds of a point.
SPANS = {900: 10, 3600: 60, 86_400: 900}
CLASSES = ("2", "3", "4", "5")


def series(buckets: Iterable[Bucket], span: int, now: float) -> list[dict[str, float | None]]:
    """Return a point for each step of the span that has ended: answers by their status' first digit, and the median
    and 99 % of the app's milliseconds, None without answers."""
    step = SPANS[span]
    last = now // step * step
    points: dict[float, list[Bucket]] = {last - number * step: [] for number in range(span // step, 0, -1)}
    for bucket in buckets:
        at = bucket["at"] // step * step
        if at in points:
            points[at].append(bucket)
    return [point(at, parts) for at, parts in points.items()]


def point(at: float, parts: Iterable[Bucket]) -> dict[str, float | None]:
    statuses: dict[str, int] = {}
    times: dict[int, int] = {}
    for part in parts:
        for digit, number in part["statuses"].items():
            statuses[digit] = statuses.get(digit, 0) + number
        for milliseconds, number in part["times"].items():
            times[int(milliseconds)] = times.get(int(milliseconds), 0) + number
    counts = {digit: statuses.get(digit, 0) for digit in CLASSES}
    return {"at": at, **counts, "median": quantile(times, 0.5), "p99": quantile(times, 0.99)}


def quantile(times: Mapping[int, int], share: float) -> int | None:
    """Return the milliseconds within which this share of the answers came; None without answers."""
    left = share * sum(times.values())
    for milliseconds in sorted(times):
        left -= times[milliseconds]
        if left <= 0:
            return milliseconds
    return None


def totals(points: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
    """Return how many answers, and how many of them errors, the points have."""
    sums = {digit: sum(point[digit] or 0 for point in points) for digit in CLASSES}
    return {"answers": sum(sums.values()), "errors": sums["5"]}
