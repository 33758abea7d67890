"""Test of a front end, examples/frontend with examples/README.md's lines, in the image, with npm's real packages."""

import re
import shutil

from proc import ROOT, edit, output, run

LINES = re.search(r"```html\n(.*?)```", (ROOT / "examples/README.md").read_text(), re.DOTALL)[1]


def test_a_front_end(builders, project, name):
    """make build bundles it, without the registry once its packages are there. The image has its files, with hashes in
    their names, and nothing of Node."""
    shutil.copytree(ROOT / "examples/frontend", project, dirs_exist_ok=True)
    edit(project / "project/templates/base.html", "</head>", f"{LINES}</head>")
    output(["make", "-f", "node.mk", "eslint"], cwd=project)
    words = ["npm_config_offline=true", "-f", "node.mk", "build", f"IMAGE={name}", "TAG=front"]
    done = builders["classic"].make(project, *words)
    assert done.returncode == 0, done.stdout
    said = run(
        [
            "docker",
            "run",
            "--rm",
            "--entrypoint",
            "sh",
            f"{name}:front",
            "-c",
            "find /app /ve /usr -name node -o -name nodejs -o -name node_modules -o -name 'package*.json';"
            "cat static-root/built/app.*.js",
        ]
    ).stdout
    assert "Good morning" in said and "/" not in said.split("Good")[0], said
