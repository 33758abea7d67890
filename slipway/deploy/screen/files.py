"""Files that a command makes for other programs."""

from collections.abc import Mapping
from pathlib import Path

from ..errors import DeployError


def put_files(folder: Path, made: Mapping[str, str]) -> None:
    """Write all of them into the folder that --out names: path → text. Raises DeployError."""
    try:
        for name, text in made.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DeployError(f"--out {folder}: {error.strerror}") from None
