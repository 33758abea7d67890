"""The output of every benchmark: two things measured in turn in one run, and their ratio for each pair."""

from statistics import median


def report(title, ours, other, pairs, unit="s"):
    """Print both medians in `unit`, and the ratio ours / other: its median, minimum and maximum over the pairs."""
    ratios = [a / b for a, b in pairs]
    print(
        f"{title}: {ours} {median(a for a, _ in pairs):.3g} {unit}, {other} "
        f"{median(b for _, b in pairs):.3g} {unit}; "
        f"ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {len(pairs)} pairs)",
        flush=True,
    )
