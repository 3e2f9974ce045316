"""What an import costs, and that the documents name only what exists."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pelemay.cli import build_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]

RUNTIMES = {"jax", "jaxlib", "torch", "onnxruntime", "openvino"}
HEAVY = {"numpy", "ml_dtypes", "onnx", "rich", "pooch", "memray", "PIL", "safetensors", *RUNTIMES}


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import pelemay", HEAVY),
        ("import pelemay.errors", HEAVY),
        ("import pelemay.cache; pelemay.cache.compiler()", HEAVY),
        ("import pelemay.pages", HEAVY),
        ("import pelemay.graph", HEAVY),
        ("import pelemay.graph.text", HEAVY),
        ("import pelemay.graph.operations; pelemay.graph.operations.table()", HEAVY - {"numpy"}),
        ("import pelemay.decoding", HEAVY - {"numpy", "ml_dtypes"}),
        ("import pelemay.importers", HEAVY - {"numpy", "ml_dtypes", "onnx"}),
        ("import pelemay.session", HEAVY - {"numpy", "ml_dtypes", "onnx"}),
        ("import pelemay.cli; pelemay.cli.build_parser().format_help()", HEAVY),
    ],
)
def test_an_import_loads_no_more_than_its_room_needs(statement: str, unwanted: set[str]) -> None:
    assert loaded_by(statement) & unwanted == set()


def test_a_loaded_module_is_seen() -> None:
    assert {"pelemay", "numpy"} <= loaded_by("import pelemay, numpy.linalg")


ALL_MODULES = """
import importlib, pkgutil, types
import pelemay, {room}
found = list(pkgutil.walk_packages({room}.__path__, "{room}."))
for module in found:
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
names = [name for name in {room}.__all__ if isinstance(getattr({room}, name), types.ModuleType)]
assert not names, names
"""


@pytest.mark.parametrize("room", ["pelemay", "pelemay.backends", "pelemay.bench", "pelemay.graph"])
def test_no_public_name_is_hidden_by_a_module_of_that_name(room: str) -> None:
    loaded_by(ALL_MODULES.format(room=room))


def code_of(text: str) -> Iterator[str]:
    """The code of a document: spans in backticks, and the lines of fenced blocks."""
    fence = re.compile(r"^( *)(```+)[^\n`]*\n(.*?)^\1\2", re.MULTILINE | re.DOTALL)
    for match in fence.finditer(text):
        yield from match[3].splitlines()
    yield from re.findall(r"`([^`\n]+)`", fence.sub("", text))


def dotted_names(code: str) -> Iterator[str]:
    """Names below ``pelemay`` in a piece of code, those of a from-import with their module."""
    if match := re.match(r"\s*from (pelemay[\w.]*) import ([\w, ]+)", code):
        yield from (f"{match[1]}.{name.split()[0]}" for name in match[2].split(",") if name.strip())
    else:
        yield from re.findall(r"(?<![\w./@-])pelemay(?:\.[A-Za-z_]\w*)+(?![\w/-])", code)


def exists(dotted: str) -> bool:
    """Whether a module, or an attribute of one, has that name."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("pelemay"):
                return True  # An optional package is not installed; the module is there.
            continue
        return _has(found, parts[count:])
    return False


def _has(found: object, names: list[str]) -> bool:
    for name in names:
        fields = getattr(found, "__dataclass_fields__", {})
        if not hasattr(found, name) and name not in fields:
            return False
        found = getattr(found, name, None)
    return True


def commands() -> set[str]:
    """The sub-commands of the command line."""
    actions = build_parser()._actions
    return {
        name
        for action in actions
        if isinstance(action, argparse._SubParsersAction)
        for name in action.choices
    }


def commands_in(code: str) -> list[str]:
    return re.findall(r"^(?:\$ )?(?:\S*/)?pelemay ([a-z][\w-]*)", code.strip())


def sources_in(text: str) -> list[str]:
    return [path.rstrip(".") for path in re.findall(r"(?<![\w/])src/pelemay[\w./-]*", text)]


each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)


@each_document
def test_documents_name_what_exists(path: Path) -> None:
    names = {name for code in code_of(path.read_text()) for name in dotted_names(code)}
    assert sorted(name for name in names if not exists(name)) == []


@each_document
def test_documents_name_files_that_exist(path: Path) -> None:
    assert [name for name in sources_in(path.read_text()) if not (ROOT / name).exists()] == []


@each_document
def test_documents_name_commands_that_exist(path: Path) -> None:
    named = {name for code in code_of(path.read_text()) for name in commands_in(code)}
    assert named - commands() == set()


SAMPLE = """
Call `pelemay.graph.check(graph)`, or `pelemay.graph.no_such.name`; `pelemay bench` runs, and
`pelemay dance --now` does not. See src/pelemay/graph/ir.py and src/pelemay/nowhere.py.

```python
from pelemay.graph import Graph, Grape
import pelemay.nothing
```

```console
$ pelemay sing
.venv/bin/pelemay doctor
pelemay: error
```
"""


def test_the_documents_are_really_read() -> None:
    code = list(code_of(SAMPLE))
    names = [name for piece in code for name in dotted_names(piece)]
    assert [name for name in names if not exists(name)] == [
        "pelemay.graph.Grape",
        "pelemay.nothing",
        "pelemay.graph.no_such.name",
    ]
    assert {"pelemay.graph.check", "pelemay.graph.Graph"} <= set(names)
    assert {name for piece in code for name in commands_in(piece)} == {
        "bench", "dance", "sing", "doctor"
    }  # fmt: skip
    assert sources_in(SAMPLE) == ["src/pelemay/graph/ir.py", "src/pelemay/nowhere.py"]
    assert "README.md" in NAMES
