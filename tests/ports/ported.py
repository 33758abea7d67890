"""A port while it is made: its folder, its commands, and what each step took."""

import contextlib
import os
import re
import shutil
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from checkout import WHO
from ports.port import Edit, Move, Port, apply
from proc import ROOT, run

sys.path.insert(0, str(ROOT / "make"))
from make_update import owner, owners  # noqa: E402

HERE = ROOT / "var/ports"
LONG = 3600  # seconds a command may take


@dataclass
class Step:
    """What was typed (git left out), what was edited by hand, and how long it took."""

    name: str
    commands: list[str] = field(default_factory=list)
    files: int = 0
    lines: int = 0
    seconds: float = 0.0


class Ported:
    """The repository of a port. `folder` has manage.py; what commands say is in `log`."""

    def __init__(self, port: Port) -> None:
        self.port, self.steps = port, list[Step]()
        self.repository = HERE / port.package
        self.folder = self.repository / port.folder
        self.log = HERE / f"{port.package}.log"
        self.env = {**os.environ, **WHO}
        shutil.rmtree(self.repository, ignore_errors=True)
        HERE.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time the block; its commands and edits count for this step."""
        step, began = Step(name), time.monotonic()
        self.steps.append(step)
        try:
            yield step
        finally:
            step.seconds = time.monotonic() - began

    # ---- commands ----

    def type(self, *words: object, input: str | None = None, **env: str) -> str:
        """What a person would type in the project's folder; what it said. Fails when it failed."""
        command = [str(word) for word in words]
        self.steps[-1].commands.append(" ".join(command))
        given = {} if input is None else {"input": input, "stdin": None}
        with self.log.open("a+") as log:
            print("$", *command, file=log, flush=True)
            began = log.tell()
            done = run(command, LONG, cwd=self.folder, env={**self.env, **env}, stdout=log, stderr=log, **given)
            log.seek(began)
            said = log.read()
        assert done.returncode == 0, f"{' '.join(command)}: {said[-3000:]}"
        return said

    def make(self, *words: str, input: str | None = None, **env: str) -> str:
        return self.type("make", "--no-print-directory", *words, input=input, **env)

    def git(self, *words: str) -> str:
        done = run(["git", *words], cwd=self.repository, env=self.env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    # ---- steps ----

    def unpack(self) -> None:
        """Its source package, as a repository."""
        with tarfile.open(source(self.port)) as archive:
            top = archive.getnames()[0].split("/")[0]
            archive.extractall(HERE / "unpacked", filter="data")
        (HERE / "unpacked" / top).rename(self.repository)
        self.git("init", "--quiet")
        self.commit("As it is")

    def adopt(self, template: Path) -> None:
        """The template, a committed clone of this checkout, is taken over."""
        self.type("python3", template / "make/adopt.py", ".", "--level", "servers", "--apply")
        self.commit("Adopt the template")
        self.git("tag", "adopted")

    def move(self, moves: Iterable[Move]) -> None:
        """A move counts for one file."""
        for move in moves:
            self.git("-C", str(self.folder), "mv", move.path, move.to)
            self.steps[-1].files += 1
        self.commit("Moved")

    def edit(self, edits: Iterable[Edit], message: str) -> None:
        """Edits by hand, committed and counted."""
        paths = {edit.path for edit in edits}
        texts = {path: (self.folder / path).read_text() for path in paths if (self.folder / path).exists()}
        for path, text in apply(edits, texts).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        self.keep(message)

    def keep(self, message: str) -> None:
        """Commit what was written by hand, and count it."""
        self.git("add", "--all")
        rows = [line.split("\t") for line in self.git("diff", "--cached", "--numstat").splitlines()]
        self.steps[-1].files += len(rows)
        self.steps[-1].lines += sum(max(int(added), int(gone)) for added, gone, _ in rows)
        self.commit(message)

    def taken_over(self, template: Path) -> list[str]:
        """The template's own files that the port has edited: there should be none. Compiled pins are nobody's edit."""
        rows = owners((template / "docs/ownership.md").read_text())
        self.git("add", "--all")
        changed = self.git("-C", str(self.folder), "diff", "--relative", "--name-only", "adopted").splitlines()
        return [path for path in changed
                if owner(path, rows) == "template" and (template / path).exists()
                and not re.fullmatch(r"requirements/.*\.txt", path)]

    # ---- what it took ----

    def table(self) -> list[str]:
        """A line a step, and their sum."""
        total = Step("all", [word for step in self.steps for word in step.commands],
                     sum(step.files for step in self.steps), sum(step.lines for step in self.steps),
                     sum(step.seconds for step in self.steps))
        return [f"{'step':28}{'commands':>9}{'files':>7}{'lines':>7}{'minutes':>9}",
                *(f"{step.name:28}{len(step.commands):9}{step.files:7}{step.lines:7}{step.seconds / 60:9.1f}"
                  for step in [*self.steps, total])]


def source(port: Port) -> Path:
    """Its source package, fetched once. pip checks its sum, then asks its build system for the package's name."""
    folder = HERE / "sources"
    pin = folder / f"{port.package}-{port.version}.txt"
    name = f"{port.package.replace('-', '_')}-{port.version}.tar.gz"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).exists():
        pin.write_text(f"{port.package}=={port.version} --hash=sha256:{port.sha256}\n")
        done = run(["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
                    "--require-hashes", "-r", pin, "-d", folder], 600)
        assert done.returncode == 0, done.stderr
    return folder / name
