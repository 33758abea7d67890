"""Translates times of crontab into systemd's OnCalendar, for the message that refuses them. Does no I/O."""

import re

NAMED = {
    "@hourly": "hourly",
    "@daily": "daily",
    "@midnight": "daily",
    "@weekly": "weekly",
    "@monthly": "monthly",
    "@yearly": "yearly",
    "@annually": "yearly",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")  # 7 is Sunday, too
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # of minute, hour, day, month, day of the week
PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def is_crontab(text: str) -> bool:
    """Return True for crontab's names and lines. OnCalendar has at most four words: days, date, time, time zone."""
    return text.lstrip().startswith("@") or len(text.split()) > 4


def calendar(text: str) -> str:
    """Return the same times for OnCalendar, or "" if it has no such form."""
    words = text.lower().split()
    if len(words) != len(LIMITS):
        return NAMED.get(text.strip().lower(), "")
    try:
        minute, hour, day, month = (field(word, *limits) for word, limits in zip(words[:4], LIMITS, strict=False))
        days = weekdays(words[4])
    except ValueError:
        return ""
    if days and day != "*":  # crontab runs on both, OnCalendar on those that are both
        return ""
    return f"{days} *-{month}-{day} {hour}:{minute}".strip()


def field(word: str, least: int, most: int) -> str:
    """Return a field for OnCalendar. Raise ValueError if crontab does not know it either."""
    for number, name in enumerate(MONTHS, 1) if most == len(MONTHS) else ():
        word = word.replace(name, str(number))
    parts = []
    for part in word.split(","):
        begin, end, step = numbers(part, least, most)
        text = f"{begin:02}" if begin is not None else f"{least:02}" if step else "*"
        parts.append(f"{text}{f'..{end:02}' if end is not None else ''}{f'/{step}' if step else ''}")
    return "*" if "*" in parts else ",".join(parts)


def numbers(part: str, least: int, most: int) -> tuple[int | None, int | None, int | None]:
    """Return begin, end and step of a part of a field; None for each that it lacks."""
    match = PART.fullmatch(part)
    if not match:
        raise ValueError(part)
    begin, end, step = (None if text is None else int(text) for text in match.groups())
    if any(not least <= number <= most for number in (begin, end, step) if number is not None) or step == 0:
        raise ValueError(part)
    if begin is not None and end is not None and end < begin:  # crontab runs at no such time
        raise ValueError(part)
    return begin, end, step


def weekdays(word: str) -> str:
    """Return the days of the week for OnCalendar, "" for all."""
    for number, name in enumerate(DAYS):
        word = word.replace(name, str(number))
    chosen: set[int] = set()
    for part in word.split(","):
        begin, end, step = numbers(part, *LIMITS[4])
        first, last = (0, 6) if begin is None else (begin, begin if end is None else end)
        chosen.update(number % 7 for number in range(first, last + 1, step or 1))
    names = [DAYS[number].capitalize() for number in (1, 2, 3, 4, 5, 6, 0) if number in chosen]
    if names == ["Mon", "Tue", "Wed", "Thu", "Fri"]:
        return "Mon..Fri"
    return "" if len(names) == len(DAYS) else ",".join(names)
