"""The measures of the style guide that no linter takes: sizes, docstrings, doctests, leftovers."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted(SOURCE.rglob("*.py"))
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in FILES
]

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 50

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


each_file = pytest.mark.parametrize("path", FILES, ids=MODULES)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(function: Function) -> int:
    """Lines of a function and its decorators, without its docstring."""
    first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    count = (function.end_lineno or first) - first + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        count -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return count


def undocumented(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Public functions, classes and methods that say nothing of themselves."""
    for node in body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            if ast.get_docstring(node) is None and not (_is_meaning(node) or _is_variant(node)):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body, f"{prefix}{node.name}.")


def _is_meaning(node: Documented) -> bool:
    """The meaning of an operation, over a namespace ``xp``: ONNX's text documents it."""
    if isinstance(node, ast.ClassDef):
        return False
    arguments = [*node.args.posonlyargs, *node.args.args]
    return bool(arguments) and arguments[0].arg in ("xp", "_xp")


def _is_variant(node: Documented) -> bool:
    """A setter, an overload or an override: its meaning is said elsewhere."""
    decorators = {ast.unparse(d).rpartition(".")[2] for d in node.decorator_list}
    return bool(decorators & {"overload", "setter", "override"})


def prints(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


@each_file
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@each_file
def test_functions_are_short(path: Path) -> None:
    sizes = {f.name: lines_of(f) for f in functions(ast.parse(path.read_text()))}
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}


@each_file
def test_what_is_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    assert list(undocumented(tree.body)) == []


@each_file
def test_only_the_rim_prints(path: Path) -> None:
    room = path.relative_to(SOURCE / "pelemay").parts
    if room[0] != "cli" and room[:2] != ("bench", "reports"):
        assert prints(ast.parse(path.read_text())) == []


@each_file
def test_nothing_is_left_to_do(path: Path) -> None:
    found = re.findall(r".*\b(?:TODO|FIXME|XXX|HACK)\b.*", path.read_text())
    assert found == []


@pytest.mark.parametrize("module", [m for m in MODULES if not m.endswith("__main__")])
def test_examples_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every doctest; a module whose optional package is not installed is skipped."""
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "pelemay":
            raise
        pytest.skip(f"{error.name} is not installed")
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(loaded)
    assert result.failed == 0


SAMPLE = '''
def long(x):
    """One.

    Two.
    """
    print(x)
    return (
        x
    )

def _private(): ...

def relu(xp, x): ...

class Thing:
    def method(self): ...

    @property
    def size(self):
        """Said."""
'''


def test_the_measures_measure() -> None:
    tree = ast.parse(SAMPLE)
    assert [(f.name, lines_of(f)) for f in functions(tree)] == [
        ("long", 5), ("_private", 1), ("relu", 1), ("method", 1), ("size", 2)
    ]  # fmt: skip
    assert list(undocumented(tree.body)) == ["Thing", "Thing.method"]
    assert prints(tree) == [7]
    assert "pelemay.graph.text" in MODULES
