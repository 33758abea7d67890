"""A recording of the screen: an SVG that plays it, from the text that was drawn."""

import html
from pathlib import Path

SPEED = 4  # times as fast as it was
LETTER, LINE, EDGE = 8.4, 19, 14  # pixels
COLOURS = {"bold": "#f0f3f6", "dim": "#9ea7b3", "green": "#56d364", "red": "#ff7b72", "blue": "#79c0ff", "": "#e6edf3"}
PAUSE = 6  # seconds that the last picture stands


def write(path, pictures, columns, rows):
    """Write the SVG of pictures: [(seconds, [(style, text)])]."""
    seconds = pictures[-1][0] / SPEED + PAUSE
    width, height = round(columns * LETTER + 2 * EDGE), rows * LINE + 2 * EDGE
    body = "\n".join(text_of(*piece, seconds) for piece in pieces(pictures, rows))
    Path(path).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="14"'
        f' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace">\n'
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117">'
        f'<animate id="all" attributeName="opacity" values="1;1" begin="0s;all.end" dur="{seconds:.2f}s"/></rect>\n'
        f"{body}\n</svg>\n",
        encoding="utf-8",
    )


def pieces(pictures, rows):
    """Yield (row, style, text, from, to) for each text that stood in a row; seconds as it plays, `to` None: to the
    end."""
    for row in range(rows):
        shown, since = ("", ""), 0.0
        for seconds, picture in pictures:
            now = picture[row] if row < len(picture) else ("", "")
            if now != shown:
                if shown[1].strip():
                    yield row, *shown, since, seconds / SPEED
                shown, since = now, seconds / SPEED
        if shown[1].strip():
            yield row, *shown, since, None


def text_of(row, style, text, since, until, seconds):
    """Return the SVG of a text. What stands at the end is shown even where nothing plays."""
    weight = ' font-weight="bold"' if style in ("bold", "red", "green") else ""
    start = len(text) - len(text.lstrip())
    place = f'x="{EDGE + start * LETTER:.1f}" y="{EDGE + (row + 1) * LINE - 5}" fill="{COLOURS[style]}"{weight}'
    if until is None:
        play = f'<set attributeName="opacity" to="0" begin="all.begin" dur="{max(since, 0.01):.2f}s"/>'
        hidden = ""
    else:
        play = f'<set attributeName="opacity" to="1" begin="all.begin+{since:.2f}s" dur="{until - since:.2f}s"/>'
        hidden = ' opacity="0"'
    return f'<text xml:space="preserve" {place}{hidden}>{html.escape(text.strip())}{play}</text>'
