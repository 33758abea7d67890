"""make mutants: break the code at one place at a time, each time in a copy of the checkout, and run the nearest tests.

tests/mutants.txt has a heading `== FILE: TESTS` (pytest's names from tests/ on, or Django's), then a line per mutant:
`OLD => NEW # HARM`. OLD occurs once in FILE, in Python with whatever layout; HARM is what would go wrong.
"""

import argparse
import ast
import io
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT, LIST = Path(__file__).resolve().parent.parent, "tests/mutants.txt"
HEADING, ENTRY = re.compile(r"== (\S+):((?: \S+)+)"), re.compile(r"(.+?) => (.*?) *# (.+)")
PYTEST = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
DJANGO = ["manage.py", "test", "--failfast"]
SKIP = re.compile(r"^SKIPPED (?!.*not to be had)|skipped=\d", re.MULTILINE)  # as pytest and Django say it
SKIPPED = 6  # pytest's own codes end with 5
LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
LIMIT = 300  # seconds for a mutant's tests; a mutant whose tests last longer counts as noticed


class Mutant(NamedTuple):
    """A change of `file`: `new` in place of `old`. `number`: its line in the list."""

    number: int
    tests: list[str]
    file: str
    old: str
    new: str
    harm: str

    def __str__(self) -> str:
        return f"{LIST}:{self.number}: {self.file}: `{self.old}` => `{self.new}`"

    def problem(self) -> str:
        """Return why the entry no longer fits the code, or ""."""
        path = ROOT / self.file
        times = len(places(self.old, path.read_text())) if path.is_file() else 0
        if times != 1:
            return f"{self}: the old text is there {times} times, not once: follow the code, keep the harm"
        try:
            if path.suffix == ".py":
                ast.parse(self.applied())
        except SyntaxError as error:  # any test would notice it
            return f"{self}: is no Python: {error}"
        return ""

    def applied(self) -> str:
        """Return the file's code with the change."""
        code = (ROOT / self.file).read_text()
        ((begin, end),) = places(self.old, code)
        return code[:begin] + self.new + code[end:]

    def paths(self) -> list[str]:
        """Return the files of its tests."""
        return [
            f"tests/{name.partition('::')[0]}" if "/" in name else name.replace(".", "/") + ".py" for name in self.tests
        ]

    def apply(self, root: Path) -> None:
        path = root / self.file
        path.unlink()  # all copies have this file in common
        path.write_text(self.applied())
        shutil.copymode(ROOT / self.file, path)


def tokens(code: str) -> list[tuple[str, int, int]]:
    """Return Python's tokens with begin and end, without layout and trailing commas, which a formatter may change.
    `code` may be a part of a statement."""
    begins = [0]
    found: list[tuple[str, int, int]] = []
    for line in code.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.string in (")", "]", "}") and found and found[-1][0] == ",":
                found.pop()
            if token.type not in LAYOUT:
                (row, column), (last, end) = token.start, token.end
                found.append((token.string, begins[row - 1] + column, begins[last - 1] + end))
    except (tokenize.TokenError, IndentationError):
        pass  # a bracket or an indentation that the part does not close
    return found


def places(old: str, code: str) -> list[tuple[int, int]]:
    """Return begin and end of each place of `old` in `code`: as it is written, or else as the same tokens."""
    if exact := [(found.start(), found.end()) for found in re.finditer(re.escape(old), code)]:
        return exact
    wanted, whole = [text for text, *_ in tokens(old)], tokens(code)
    size = len(wanted)
    return [
        (whole[at][1], whole[at + size - 1][2])
        for at in range(len(whole) - size + 1)
        if [text for text, *_ in whole[at : at + size]] == wanted
    ]


def read(lines: Sequence[str] = ()) -> Iterator[Mutant]:
    """Yield the mutants of the list, or of these lines of an older one."""
    file = ""
    tests: list[str] = []
    for number, line in enumerate(lines or (ROOT / LIST).read_text().splitlines(), 1):
        if heading := HEADING.fullmatch(line):
            file, tests = heading[1], heading[2].split()
        elif entry := ENTRY.fullmatch(line):
            yield Mutant(number, tests, file, *entry.groups())
        else:
            sys.exit(f"{LIST}:{number}: neither `== FILE: TESTS` nor `OLD => NEW # HARM`: {line}")


def git(*words: str) -> list[str]:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else sys.exit(f"mutants: {done.stderr.strip()}")


def since(commit: str, mutants: Sequence[Mutant]) -> list[Mutant]:
    """Return the mutants that are new, or whose file, tests, or helpers beside the tests, have changed since then."""
    names = {*git("diff", "--name-only", commit)}
    helped = {os.path.dirname(name) for name in names if not os.path.basename(name).startswith("test_")} - {"tests"}
    known = [one._replace(number=0) for one in read(git("show", f"{commit}:{LIST}"))]
    return [
        one
        for one in mutants
        if one._replace(number=0) not in known
        or names & {one.file, *one.paths()}
        or helped & {*map(os.path.dirname, one.paths())}
    ]


def sample(mutants: Sequence[Mutant], most: int) -> list[Mutant]:
    """Return at most so many of the mutants, another choice for each commit."""
    return random.Random(git("rev-parse", "HEAD")[0]).sample(mutants, min(most, len(mutants)))


def run(root: Path, names: Sequence[str]) -> tuple[int, str]:
    """Run tests of the code at `root`; their files go beside it. Return their exit code, SKIPPED if one was skipped
    that could be run, and their output."""
    tests = [*PYTEST, *(f"tests/{name}" for name in names)] if "/" in names[0] else [*DJANGO, *names]
    try:
        done = subprocess.run(
            [sys.executable, *tests],
            cwd=root,
            env={**os.environ, "TMPDIR": str(root.parent)},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        said = done.stdout + done.stderr
        return SKIPPED if SKIP.search(said) else done.returncode, said
    except subprocess.TimeoutExpired:
        return 1, ""


def end_of(mutant: Mutant, base: Path) -> str:
    """Return what is wrong, or "" if the tests notice the mutant."""
    with tempfile.TemporaryDirectory(dir=base.parent.parent) as folder:
        root = Path(shutil.copytree(base, f"{folder}/code", symlinks=True, copy_function=os.link))
        mutant.apply(root)
        code, said = run(root, mutant.tests)
    return "" if code == 1 else f"{mutant} " + (f"exit code {code}: {said}" if code else f"survived: {mutant.harm}")


def report(mutants: Sequence[Mutant], base: Path) -> str:
    """Run the tests without mutants, then with each mutant. Return what is wrong, or ""."""
    for name in filter(os.path.exists, git("ls-files", "-co", "--exclude-standard")):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, base / name)
    # Some tests list the checkout's files, and the package's version is made from its commits.
    author = ["-c", "user.name=mutants", "-c", "user.email=mutants@localhost", "-c", "commit.gpgsign=false"]
    commit = [*author, "commit", "--quiet", "--no-verify", "--message", "Copy"]
    for words in (["init", "--quiet"], ["add", "."], commit):
        subprocess.run(["git", *words], cwd=base, check=True)
    (base / "ve").symlink_to(sys.prefix)
    if os.path.isdir("var/uv"):  # where no uv is on the path, make installs it there
        (base / "var").mkdir()
        (base / "var/uv").symlink_to(ROOT / "var/uv")
    names = sorted({name for one in mutants for name in one.tests})
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for code, said in pool.map(lambda name: run(base, [name]), names):
            if code:
                return f"{said}\nmutants: these tests fail or are skipped though nothing is changed: mend that first"
        ends = [*filter(None, pool.map(lambda mutant: end_of(mutant, base), mutants))]
    print(f"{len(mutants) - len(ends)} of {len(mutants)} noticed")
    return "\n".join(ends)


def main() -> str:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--since", metavar="COMMIT", help="only mutants of what has changed since a commit")
    parser.add_argument("--most", type=int, metavar="N", help="at most N of these, another choice for each commit")
    args, mutants = parser.parse_args(), [*read()]
    if problems := [*filter(None, map(Mutant.problem, mutants))]:
        return "\n".join(problems)
    mutants = since(args.since, mutants) if args.since else mutants
    mutants = sample(mutants, args.most) if args.most else mutants
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        return report(mutants, Path(folder, "code"))


if __name__ == "__main__":
    sys.exit(main() or None)
