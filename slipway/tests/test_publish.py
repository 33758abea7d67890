"""Tests of publishing a release's static files."""

import contextlib
import io
import json
import tempfile
from pathlib import Path

from django.test import SimpleTestCase

from ..files.publish import main, publish


def release(folder: Path, **files: str) -> Path:
    """Create a release's static-root with these files {name with hash: content}."""
    (folder / "css").mkdir(parents=True)
    for name, content in files.items():
        (folder / "css" / f"{name}.css").write_text(content)
    names = {f"css/{name[:1]}.css": f"css/{name}.css" for name in files}
    (folder / "staticfiles.json").write_text(json.dumps({"paths": names}))
    return folder


class Publish(SimpleTestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.root, self.folder = folder / "root", folder / "static"

    def published(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.rglob("*") if path.is_file()}

    def test_releases(self) -> None:
        """Files of an older release stay unchanged. The new release's are added, with compressed forms and
        django-compressor's files, but without manifest or leftovers."""
        publish(release(self.root / "1", a1="one", b1="b"), self.folder)
        (self.folder / "css/b1.css").write_text("touched")
        root = release(self.root / "2", a2="two", b1="b")
        for name in ("css/a2.css.gz", "CACHE/css/out.0123.css", "CACHE/js/deep/out.4567.js", "CACHE/manifest.json"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("made")
        self.assertEqual(publish(root, self.folder), (4, 5))
        self.assertEqual(
            self.published(),
            {
                "a1.css": "one",
                "a2.css": "two",
                "a2.css.gz": "made",
                "b1.css": "touched",
                "out.0123.css": "made",
                "out.4567.js": "made",
            },
        )

    def test_without_a_folder(self) -> None:
        """Without arguments the command prints its purpose and succeeds. A wrong folder fails with one line."""
        with contextlib.redirect_stdout(io.StringIO()) as said:
            main([])
        self.assertRegex(said.getvalue(), "^collectstatic: .*docker-run.sh collectstatic /static\n$")
        with self.assertRaisesRegex(SystemExit, "^collectstatic: "):
            main(["/proc/nowhere"])

    def test_whole_or_not(self) -> None:
        """If one file cannot be written, no file is published."""
        root = release(self.root, a1="one", b1="two")
        self.folder.mkdir()
        (self.folder / "css").write_text("in the way")
        with self.assertRaises(OSError):
            publish(root, self.folder)
        self.assertEqual(self.published(), {"css": "in the way"})
