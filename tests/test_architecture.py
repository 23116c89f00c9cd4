"""The floor plan, checked: imports point down and never in a circle, pure rooms touch nothing, files stay readable."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "penstock"
STOREYS = (  # ground floor first; rooms of one storey do not know each other
    {"errors"},
    {"core"},
    {"discovery", "drawing"},
    {"config"},
    {"protocols", "launch", "store", "sample", "wire", "simulate"},
    {"runtime"},
    {"web"},
    {"cli"},
)
FLOOR = {room: level for level, rooms in enumerate(STOREYS) for room in rooms}
INNER = {  # the same within the two largest; a file in none of these ties the others together, or is what they share
    "core": ({"fitting", "calls", "accounting"}, {"scheduling"}),
    "runtime": ({"access", "records", "captures"}, {"machine"}, {"engines"}, {"calls"}, {"live"}),
}
PURE = {
    "errors": set[str](),
    "core": set[str](),
    "protocols": {"msgspec"},
    "drawing": {"html"},
}  # room -> third parties it may import
TOUCHES_NOTHING = {
    *("__future__", "abc", "collections", "contextlib", "copy", "dataclasses", "enum", "typing", "types"),
    *("base64", "json", "keyword", "re", "string", "struct", "unicodedata", "urllib.parse", "ipaddress"),
    *("array", "bisect", "functools", "graphlib", "heapq", "itertools", "operator"),
    *("datetime", "decimal", "fractions", "math", "numbers", "statistics"),
}
SPEAKS_SQL = {"sqlalchemy", "alembic"}
MAY_SPEAK_SQL = ("store/", "runtime/records/bookkeeper.py", "cli/")
MAX_LINES, MAX_FUNCTION_LINES, MEDIAN_FUNCTION_LINES = 400, 60, 8
SCHEDULER = (
    *("core/scheduling/scheduler.py", "core/scheduling/lines.py", "core/scheduling/budget.py"),
    "core/fitting/residency.py",
)
MAX_SCHEDULER_LINES = 450

FILES = sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[:2] != ("web", "ui"))
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
by_file = pytest.mark.parametrize("name", NAMES)


def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text())


def module(name: str) -> str:
    """The dotted name of a file."""
    return ".".join(("penstock", *Path(name).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module(name): name for name in NAMES}


def room(name: str) -> str:
    return Path(name).parts[0].removesuffix(".py")


def imports(name: str) -> Iterator[str]:
    """The dotted names that a file imports, also inside functions and for typing only."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)


def within(name: str) -> list[str]:
    """The files of the project that a file imports."""
    return [MODULES[imported] for imported in imports(name) if imported in MODULES and MODULES[imported] != name]


def functions(name: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def code_lines(name: str) -> int:
    """Lines that hold code: neither blank nor comment nor docstring."""
    text = (ROOT / name).read_text().splitlines()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            text[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in text)


@by_file
def test_imports_point_down(name: str) -> None:
    own = room(name)
    if own not in FLOOR:  # the package's own __init__ and __main__
        return
    for other in map(room, within(name)):
        assert other in ("__init__", own) or FLOOR[other] < FLOOR[own], f"{own} must not import {other}"


@by_file
def test_imports_point_down_within_a_room_of_rooms(name: str) -> None:
    storeys = INNER.get(room(name), ())
    floor = {f"{room(name)}/{inner}": level for level, rooms in enumerate(storeys) for inner in rooms}
    own = str(Path(name).parent)
    if own not in floor:
        return
    for other in (str(Path(imported).parent) for imported in within(name)):
        assert other == own or floor.get(other, -1) < floor[own], f"{own} must not import {other}"


def test_no_file_imports_itself_by_a_detour() -> None:
    order = TopologicalSorter({name: within(name) for name in NAMES}).static_order()  # raises CycleError
    assert set(order) >= set(NAMES)


@by_file
def test_a_pure_room_touches_nothing(name: str) -> None:
    if (own := room(name)) not in PURE:
        return
    for imported in imports(name):
        allowed = TOUCHES_NOTHING | PURE[own] | {"penstock"}
        assert {imported, imported.split(".")[0]} & allowed, f"{own} is pure, but imports {imported}"


@by_file
def test_only_the_bookkeepers_side_speaks_sql(name: str) -> None:
    if not name.startswith(MAY_SPEAK_SQL):
        assert not SPEAKS_SQL & {imported.split(".")[0] for imported in imports(name)}


def test_the_gateway_reaches_no_sql_by_any_detour() -> None:
    """Imports at the top of a file run with it: follow those, from what the gateway's process is made of."""
    starts = [name for name in NAMES if name in ("runtime/gateway.py", "web/app.py", "wire/ingress.py")]
    reached, todo = set[str](), list(starts)
    while todo:
        if (name := todo.pop()) not in reached:
            reached.add(name)
            todo += [MODULES[found] for found in eager(name) if found in MODULES]
    guilty = {name: SPEAKS_SQL & {found.split(".")[0] for found in eager(name)} for name in sorted(reached)}
    assert not {name: found for name, found in guilty.items() if found}


def eager(name: str) -> Iterator[str]:
    """What a file imports as soon as it is imported itself."""
    for node in tree(name).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@by_file
def test_a_file_stays_readable(name: str) -> None:
    lines = (ROOT / name).read_text().count("\n")
    assert lines <= MAX_LINES, f"{lines} lines: split it by responsibility"
    for function in functions(name):
        assert length(function) < MAX_FUNCTION_LINES, f"{function.name} has {length(function)} lines"


@by_file
def test_a_file_says_its_responsibility_in_its_first_line(name: str) -> None:
    source = tree(name)
    assert not source.body or ast.get_docstring(source), "a module begins with its one responsibility"


def test_most_functions_are_seen_at_a_glance() -> None:
    assert (
        statistics.median(length(function) for name in NAMES for function in functions(name)) <= MEDIAN_FUNCTION_LINES
    )


def test_the_scheduler_stays_small_enough_to_be_read_at_one_sitting() -> None:
    sizes = {name: code_lines(name) for name in SCHEDULER}
    assert sum(sizes.values()) <= MAX_SCHEDULER_LINES, sizes
