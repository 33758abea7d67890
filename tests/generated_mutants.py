"""Mutants that Cosmic Ray makes of the files whose decisions matter most: `make mutants ARGS=--generated` runs them.

tests/generated_mutants.txt has headings `== FILE: TESTS`; TESTS run beside those that tests/mutants.txt names for FILE.
Below such a heading are the mutants that were judged and may survive: `FUNCTION: OLD => NEW # REASON`. OLD and NEW are
the line before and after, without its comment. FUNCTION is a function or class at the module's level, or `module`; a
number behind it counts changes that are the same otherwise.
"""

import ast
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator
from parso.tree import NodeOrLeaf

ROOT, LIST = Path(__file__).resolve().parent.parent, "tests/generated_mutants.txt"
HEADING, ENTRY = re.compile(r"== (\S+):((?: \S+)+)"), re.compile(r"(\w+(?: \d+)?: .+ => .*) # ([^#]+)")
DEPLOY = ("agent/*.py", "agent/steps/*.py", "rollout/*.py", "server/gate.py", "backup/*.py")
FILES = [*(f"slipway/deploy/{name}" for name in DEPLOY), "slipway/schema/*.py"]

# One other operator for each: where the tests miss `-` in place of `+`, they miss `*` as well.
BINARY = "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Add BitAnd_BitOr BitOr_BitAnd LShift_RShift".split()
COMPARISONS = "Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is Lt_LtE LtE_Lt Gt_GtE GtE_Gt".split()
OPERATORS = [
    "AddNot",
    "ExceptionReplacer",
    "NumberReplacer",
    "ReplaceAndWithOr",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ReplaceFalseWithTrue",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceUnaryOperator_Delete_Not",
    "ZeroIterationForLoop",
    *(f"ReplaceBinaryOperator_{pair}" for pair in BINARY),
    *(f"ReplaceComparisonOperator_{pair}" for pair in COMPARISONS),
]
NEVER_RAISED = "CosmicRayTestingException", "GeneratorExit"  # a name that each file knows


class Generated(NamedTuple):
    """A change of `file`, whose code becomes `code`."""

    tests: tuple[str, ...]
    file: str
    key: str  # FUNCTION: OLD => NEW
    code: str
    harm: str = f"write the test that notices it, or keep it in {LIST} with a reason"

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return f"{self.file}: {self.key}"

    @property
    def rank(self) -> int:
        """A number that depends on nothing else than the name."""
        return int(hashlib.sha256(self.name.encode()).hexdigest(), 16)

    def applied(self) -> str:
        return self.code


@cache
def operators() -> dict[str, Operator]:
    return {name: get_operator(f"core/{name}")() for name in OPERATORS}


def read(tests: Mapping[str, Sequence[str]]) -> list[Generated]:
    """Return the mutants of all files. `tests`: those of each file."""
    files = [str(path.relative_to(ROOT)) for name in FILES for path in sorted(ROOT.glob(name))]
    codes = [(ROOT / file).read_text() for file in files]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        mutants = pool.map(mutants_of, files, codes, [tests.get(file, ()) for file in files])
        return [*chain.from_iterable(mutants)]


def mutants_of(file: str, code: str, tests: Sequence[str] = ()) -> list[Generated]:
    """Return the mutants of a file's code."""
    times: Counter[str] = Counter()
    mutants = []
    begin = 0
    for statement in parso.parse(code).children:
        part = statement.get_code()
        for changed in changes(part):
            change = difference(part, changed)
            if change and is_python(changed):
                name = name_of(statement)
                times[f"{name}: {change}"] += 1
                count = times[f"{name}: {change}"]
                key = f"{name} {count}: {change}" if count > 1 else f"{name}: {change}"
                mutants.append(Generated((*tests,), file, key, code[:begin] + changed + code[begin + len(part) :]))
        begin += len(part)
    return mutants


def changes(code: str) -> Iterator[str]:
    """Yield a statement's code with each change of each operator, except those that would say nothing."""
    nodes = [*ast_nodes(get_ast(code))]
    for name, operator in operators().items():
        places = [node for node in nodes for _ in operator.mutation_positions(node)]
        for occurrence, node in enumerate(places):
            if not says_nothing(name, node):
                yield (mutate_code(code, operator, occurrence) or code).replace(*NEVER_RAISED)


def says_nothing(operator: str, node: NodeOrLeaf) -> str:
    """Return why no test can, or need, notice what the operator makes of the node; or ""."""
    if is_of_definition(node):
        return "a type or a decorator: mypy and the import notice it"
    if is_size(node) or (node.type == "number" and re.fullmatch(r"[1-9]\d[\d_]*|.*[.e].*", node.value)):
        return "one more or less than a limit, a size or a time that somebody has estimated"
    if operator == "AddNot" and condition(node).get_first_leaf() == "not":
        return "the same as without the `not`"
    if operator == "AddNot" and sign_of(condition(node)) in ("==", "!=", "is", "is not"):
        return "the same as the opposite sign"
    if operator == "ExceptionReplacer" and "." in node.get_code(include_prefix=False):
        return "Cosmic Ray cannot replace a name with a dot"
    return ""


def is_size(node: NodeOrLeaf) -> bool:
    """Return True for a part of `1 << 30` or `2**30`, or its sign."""
    parts = {part.type for part in node.parent.children[::2]}
    return node.parent.type in ("shift_expr", "power") and parts == {"number"}


def is_of_definition(node: NodeOrLeaf) -> bool:
    """Return True for a part of a type or of a decorator, and for the signs of a list of parameters."""
    if node.type == "operator" and node.parent.type in ("parameters", "lambdef"):
        return True
    while above := node.parent:
        before = node.get_previous_sibling()
        sign = {"tfpdef": ":", "annassign": ":", "funcdef": "->"}.get(above.type)  # before a type
        if above.type == "decorator" or (sign and before == sign):
            return True
        node = above
    return False


def sign_of(node: NodeOrLeaf) -> str:
    """Return the sign of a comparison; "" for another condition."""
    return " ".join(node.children[1].get_code().split()) if node.type == "comparison" else ""


def condition(node: NodeOrLeaf) -> NodeOrLeaf:
    """Return the condition of `if`, `while`, `assert`, or of `a if condition else b`."""
    return node.children[2 if node.type == "test" else 1]


def name_of(statement: NodeOrLeaf) -> str:
    """Return the name of a function or class, or "module" for other statements."""
    while statement.type in ("decorated", "async_stmt", "async_funcdef"):
        statement = statement.children[-1]
    return statement.name.value if statement.type in ("funcdef", "classdef") else "module"


def difference(before: str, after: str) -> str:
    """Return the lines that differ, as `OLD => NEW`; or "" if none does."""
    old, new = before.splitlines(), after.splitlines()
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    before, after = (" ".join(" ".join(map(without_comment, lines)).split()) for lines in (old, new))
    return "" if before == after else f"{before} => {after}"


def without_comment(line: str) -> str:
    comment = parso.parse(line.strip()).get_last_leaf().prefix.strip()
    return line.strip().removesuffix(comment).strip()


def is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def tests_of_files(lines: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the tests that the list, or these lines of it, names for each file."""
    headings = filter(None, map(HEADING.fullmatch, lines or (ROOT / LIST).read_text().splitlines()))
    return {heading[1]: heading[2].split() for heading in headings}


def kept(mutants: Sequence[Generated], lines: Sequence[str] = ()) -> tuple[set[str], list[str]]:
    """Return the names of the mutants that may survive, and what is wrong in the list or in these lines of it."""
    names = {one.name for one in mutants}
    judged: set[str] = set()
    problems = [f"{LIST}: {file}: name its tests" for file in sorted({one.file for one in mutants if not one.tests})]
    file = ""
    for number, line in enumerate(lines or (ROOT / LIST).read_text().splitlines(), 1):
        if heading := HEADING.fullmatch(line):
            file = heading[1]
        elif not (entry := ENTRY.fullmatch(line)):
            problems.append(f"{LIST}:{number}: neither `== FILE: TESTS` nor `FUNCTION: OLD => NEW # REASON`: {line}")
        elif (name := f"{file}: {entry[1]}") not in names:
            problems.append(f"{LIST}:{number}: {name}: no mutant of today's code: remove it, or judge what it is now")
        else:
            judged.add(name)
    return judged, problems


def part(mutants: Sequence[Generated], share: str) -> list[Generated]:
    """Return one of N parts, `I/N`, of about the same size."""
    number, of = map(int, share.split("/"))
    return [one for one in mutants if one.rank % of == number - 1]


def sample(mutants: Sequence[Generated], most: int) -> list[Generated]:
    """Return at most so many of the mutants, the same ones at each commit: only a change of their lines puts others in
    their place. So no survivor that nobody has judged yet fails the tests of a commit that did not touch it."""
    return sorted(mutants, key=lambda one: one.rank)[:most]
