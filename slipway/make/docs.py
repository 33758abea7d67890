"""Show the manual: `docs` lists its pages, `docs PAGE` shows one."""

import pydoc
import signal
import sys
from importlib.resources import files
from pathlib import Path


def main(*words: str) -> None:
    inside = files("slipway").joinpath("docs")
    folder = inside if inside.is_dir() else Path("docs")  # in Slipway's own repository the pages are in docs/
    pages = {
        path.name.removesuffix(".md"): path
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if path.name.endswith(".md")
    }
    name = "".join(words).removeprefix("docs/").removesuffix(".md")
    if name and name not in pages:
        sys.exit(f"slipway: the manual has no page {name}: see slipway docs")
    if name:
        pydoc.pager(pages[name].read_text("utf-8"))
    else:
        print(
            "\n".join(
                f"{page:12} {path.read_text('utf-8').splitlines()[0].lstrip('# ')}" for page, path in pages.items()
            )
        )


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly in `slipway docs | head`
    main(*sys.argv[1:])
