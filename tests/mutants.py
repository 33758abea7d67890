"""make mutants: break the code at one place at a time, each time in a copy of the checkout, and run the nearest tests.

tests/mutants.txt has a heading `== FILE: TESTS` (pytest's names from tests/ on, or Django's), then a line per mutant:
`OLD => NEW # HARM`. OLD occurs once in FILE, in Python with whatever layout; HARM is what would go wrong.
With --generated, a tool makes the mutants: see tests/generated_mutants.py.
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
import time
import tokenize
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import generated_mutants
from generated_mutants import Generated

ROOT, LIST = Path(__file__).resolve().parent.parent, "tests/mutants.txt"
HEADING, ENTRY = re.compile(r"== (\S+):((?: \S+)+)"), re.compile(r"(.+?) => (.*?) *# (.+)")
PYTEST = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
DJANGO = ["manage.py", "test", "--failfast"]
SKIP = re.compile(r"^SKIPPED (?!.*not to be had)|skipped=\d", re.MULTILINE)  # as pytest and Django say it
SKIPPED = 6  # pytest's own codes end with 5
LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
LIMIT = 300  # seconds for tests; a mutant whose tests last longer counts as noticed
IMPORTS = (2, 4)  # pytest's codes if a file of the tests, or conftest.py, cannot be imported
SLOWER, START = 5, 60  # so many times slower than without a mutant, and seconds more: they do not end


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


def new_since(commit: str, mutants: Sequence[Generated]) -> list[Generated]:
    """Return the generated mutants that the code of then did not have."""
    changed = {*git("diff", "--name-only", commit)} & {one.file for one in mutants}
    before = git("ls-tree", "-r", "--name-only", commit, *changed) if changed else []
    old = {
        one.name
        for file in before
        for one in generated_mutants.mutants_of(file, "\n".join(git("show", f"{commit}:{file}")))
    }
    return [one for one in mutants if one.file in changed and one.name not in old]


def tests_of_files() -> dict[str, list[str]]:
    """Return the nearest tests of each file: those that both lists name for it."""
    tests: dict[str, list[str]] = {}
    for file, names in [*((one.file, one.tests) for one in read()), *generated_mutants.tests_of_files().items()]:
        tests[file] = [*dict.fromkeys([*tests.get(file, ()), *names])]
    return {
        file: [name for name in names if "::" not in name or name.partition("::")[0] not in names]
        for file, names in tests.items()
    }


def run(root: Path, names: Sequence[str], limit: float = LIMIT) -> tuple[int, str]:
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
            timeout=limit,
            check=False,
        )
        said = done.stdout + done.stderr
        return SKIPPED if SKIP.search(said) else done.returncode, said
    except subprocess.TimeoutExpired:
        return 1, ""


def apply(mutant: Mutant | Generated, root: Path) -> None:
    path = root / mutant.file
    path.unlink()  # all copies have this file in common
    path.write_text(mutant.applied())
    shutil.copymode(ROOT / mutant.file, path)


def timed(base: Path, name: str) -> tuple[int, str, float]:
    """Run a test without mutants. Return its exit code, its output and how many seconds it took."""
    begin = time.monotonic()
    return *run(base, [name]), time.monotonic() - begin


def end_of(mutant: Mutant | Generated, base: Path, limit: float = LIMIT) -> str:
    """Return what is wrong, or "" if the tests notice the mutant."""
    with tempfile.TemporaryDirectory(dir=base.parent.parent) as folder:
        root = Path(shutil.copytree(base, f"{folder}/code", symlinks=True, copy_function=os.link))
        apply(mutant, root)
        code, said = run(root, mutant.tests, limit)
    if code == 1 or (code in IMPORTS and isinstance(mutant, Generated)):  # the list has none that any test would notice
        return ""
    return f"{mutant} " + (f"exit code {code}: {said}" if code else f"survived: {mutant.harm}")


def report(mutants: Sequence[Mutant | Generated], base: Path) -> str:
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
    seconds = {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for name, (code, said, lasted) in zip(names, pool.map(lambda name: timed(base, name), names), strict=True):
            if code:
                return f"{said}\nmutants: these tests fail or are skipped though nothing is changed: mend that first"
            seconds[name] = lasted
        limits = [min(LIMIT, START + SLOWER * sum(seconds[name] for name in one.tests)) for one in mutants]
        ends = [*filter(None, pool.map(lambda one, limit: end_of(one, base, limit), mutants, limits))]
    print(f"{len(mutants) - len(ends)} of {len(mutants)} noticed")
    return "\n".join(ends)


def by_hand(args: argparse.Namespace) -> list[Mutant]:
    """Return the mutants of the list that the options select. Exit if an entry no longer fits the code."""
    mutants = [*read()]
    if problems := [*filter(None, map(Mutant.problem, mutants))]:
        sys.exit("\n".join(problems))
    mutants = since(args.since, mutants) if args.since else mutants
    return sample(mutants, args.most) if args.most else mutants


def by_tool(args: argparse.Namespace) -> list[Generated]:
    """Return the generated mutants that the options select, without those kept. Exit if one of these is unknown."""
    mutants = generated_mutants.read(tests_of_files())
    kept, problems = generated_mutants.kept(mutants)
    if problems:
        sys.exit("\n".join(problems))
    selected = generated_mutants.part(mutants, args.part)
    if args.most:
        selected = generated_mutants.sample(selected, args.most)
    if args.since:
        changed = new_since(args.since, mutants)
        selected = [*{*selected, *generated_mutants.sample(changed, args.most)}] if args.most else changed
    return [one for one in selected if one.name not in kept]


def main() -> str:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--generated", action="store_true", help="mutants that a tool makes, not those of the list")
    parser.add_argument("--since", metavar="COMMIT", help="only mutants of what has changed since a commit")
    most = "at most N of these, another choice for each commit; with --generated the same choice, and N that are new"
    parser.add_argument("--most", type=int, metavar="N", help=most)
    parser.add_argument("--part", default="1/1", metavar="I/N", help="with --generated: one of N parts of them")
    args = parser.parse_args()
    mutants = by_tool(args) if args.generated else by_hand(args)
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        return report(mutants, Path(folder, "code"))


if __name__ == "__main__":
    sys.exit(main() or None)
