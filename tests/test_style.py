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


def each_file(function: object) -> pytest.MarkDecorator:
    name = "path"
    return pytest.mark.parametrize(name, FILES, ids=MODULES)(function)  # type: ignore[no-any-return, operator]


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
            if ast.get_docstring(node) is None and not _is_variant(node):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body, f"{prefix}{node.name}.")


def _is_variant(node: Documented) -> bool:
    """A setter, an overload or an override: its meaning is said elsewhere."""
    decorators = {ast.unparse(d).rpartition(".")[2] for d in node.decorator_list}
    return bool(decorators & {"overload", "setter", "override"})


def prints(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
