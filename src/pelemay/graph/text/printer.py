"""From a graph to its text; :mod:`pelemay.graph.text` has the grammar.

In: a :class:`Graph`. Out: text, one statement a line; and the constants that it only refers to.

>>> from pelemay.graph import ArrayConstant, Graph
>>> g = Graph("g", {}, {"a": None}, (), {"a": ArrayConstant.of([1.5, 2.0], "float32")})
>>> print(to_text(g), end="")
graph "g" () -> (%a) {
  const %a: float32[2] = [1.5, 2.0]
}
>>> list(external_constants(g)), list(external_constants(g, "none"))
([], ['a'])
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pelemay.errors import GraphError, InputError
from pelemay.graph.checker import MAX_DEPTH
from pelemay.graph.dtypes import DType
from pelemay.graph.ir import Attribute, Graph, Node
from pelemay.graph.text.literals import name, quote, word, write_elements, write_float
from pelemay.graph.values import (
    Constant,
    Dim,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
    ValueType,
)

Inline = Literal["small", "all", "none"]

MAX_INLINE = 16
MAX_WIDTH = 100
_STEP = "  "
# A protocol's isinstance() looks at each member, so what is plainly none is asked first.
_SCALARS = (int, float, str)


def to_text(graph: Graph, *, constants: Inline = "small") -> str:
    """Print ``graph``.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    constants : {"small", "all", "none"}
        Whose elements are written: those of constants of up to 16 elements, all, none.

    Returns
    -------
    str
        What :func:`~pelemay.graph.text.parser.from_text` parses to an equal graph, given
        ``graph.constants``, or :func:`external_constants` where sub-graphs and attributes hold
        large constants too.

    Raises
    ------
    GraphError
        If an attribute is of no type that the graph knows, or graphs or types nest too deeply.
    InputError
        If ``constants`` is none of the three.
    """
    keys = {id(c): key for key, c in external_constants(graph, constants).items()}
    return f"{_Printer(keys).graph(graph, '', depth=0)}\n"


def external_constants(graph: Graph, constants: Inline = "small") -> dict[str, Constant]:
    """The constants that the text only refers to, by the key that it uses.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    constants : {"small", "all", "none"}
        As for :func:`to_text`.

    Returns
    -------
    dict
        A constant of the outermost graph has its name as key; one of a sub-graph or an attribute
        has a path, such as ``"y.then_branch/w"``. A constant that is used twice is there once.
    """
    limits = {"small": MAX_INLINE, "all": math.inf, "none": -1}
    if constants not in limits:
        raise InputError(f"constants={constants!r}; it can be one of {list(limits)}")
    found: dict[str, Constant] = {}
    seen: set[int] = set()
    for path, constant in _paths(graph, "", depth=0):
        if math.prod(constant.shape) <= limits[constants] or id(constant) in seen:
            continue
        while path in found:
            path += "'"
        seen.add(id(constant))
        found[path] = constant
    return found


def _paths(graph: Graph, prefix: str, depth: int) -> Iterator[tuple[str, Constant]]:
    _check_depth(depth)
    for key, constant in graph.constants.items():
        yield f"{prefix}{key}", constant
    for node in graph.nodes:
        maker = next(filter(None, node.outputs), node.name)
        for attribute, value in node.attributes.items():
            path = f"{prefix}{maker}.{attribute}"
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Graph):
                    yield from _paths(item, f"{path}/", depth + 1)
                elif not isinstance(item, _SCALARS) and isinstance(item, Constant):
                    yield path, item


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise GraphError(f"graphs or types nest deeper than {MAX_DEPTH}")


class _Printer:
    """Prints with the keys of the constants that stay outside, by identity."""

    def __init__(self, keys: Mapping[int, str]) -> None:
        self.keys = keys

    def graph(self, graph: Graph, indent: str, depth: int) -> str:
        """The graph; all lines but the first begin with ``indent``."""
        types = dict(graph.types)
        nodes = [self.node(node, types, indent + _STEP, depth) for node in graph.nodes]
        constants = [
            f"const {name(key)}: {self.constant(constant, own_key=key)}"
            for key, constant in graph.constants.items()
        ]
        rest = [f"type {name(key)}: {write_type(kind)}" for key, kind in types.items()]
        lines = [self.header(graph, indent)]
        lines += (f"{indent}{_STEP}{line}" for line in (*constants, *rest, *nodes))
        return "\n".join([*lines, f"{indent}}}"])

    def header(self, graph: Graph, indent: str) -> str:
        inputs = [_value(key, kind) for key, kind in graph.inputs.items()]
        outputs = [_value(key, kind) for key, kind in graph.outputs.items()]
        head = f"graph {quote(graph.name)} "
        line = f"{head}({', '.join(inputs)}) -> ({', '.join(outputs)}) {{"
        if len(indent) + len(line) <= MAX_WIDTH:
            return line
        return f"{head}{_column('()', inputs, indent)} -> {_column('()', outputs, indent)} {{"

    def node(self, node: Node, types: dict[str, ValueType], indent: str, depth: int) -> str:
        """The node; takes the types that it writes out of ``types``."""
        results = [_value(key, types.pop(key, None)) if key else "_" for key in node.outputs]
        operands = ", ".join(name(key) if key else "_" for key in node.inputs)
        domain = f"{word(node.domain)}::" if node.domain else ""
        text = f"{', '.join(results) or '()'} = {domain}{word(node.op)}({operands})"
        if node.attributes:
            text += f" {self.attributes(node, indent, depth)}"
        if node.version:
            text += f" @{node.version}"
        return f"{text} {quote(node.name)}" if node.name else text

    def attributes(self, node: Node, indent: str, depth: int) -> str:
        many_lines = any(True for _ in node.graphs)
        inner = indent + _STEP if many_lines else indent
        pairs = [
            f"{word(key)} = {self.attribute(value, inner, depth)}"
            for key, value in node.attributes.items()
        ]
        return _column("{}", pairs, indent) if many_lines else f"{{{', '.join(pairs)}}}"

    def attribute(self, value: Attribute, indent: str, depth: int) -> str:
        if isinstance(value, tuple):
            return f"[{', '.join(self.item(item, indent, depth) for item in value)}]"
        return self.item(value, indent, depth)

    def item(self, value: object, indent: str, depth: int) -> str:
        match value:
            case str():
                return quote(value)
            case int() if value.bit_length() <= 64:
                return str(int(value))
            case float():
                return _float(value)
            case DType():
                return value.value
            case Graph():
                _check_depth(depth + 1)
                return self.graph(value, indent, depth + 1)
            case TensorType() | SparseTensorType() | SequenceType() | OptionalType() | MapType():
                return f"type {write_type(value)}"
            case Constant():
                return f"tensor {self.constant(value)}"
        raise GraphError(f"{type(value).__name__} is not the type of an attribute, or too large")

    def constant(self, constant: Constant, own_key: str = "") -> str:
        kind = write_type(TensorType(constant.dtype, constant.shape))
        key = self.keys.get(id(constant))
        if key is None:
            elements = write_elements(constant.array(), constant.dtype)
            return f"{kind} = [{', '.join(elements)}]"
        return f"{kind} = external" if key == own_key else f"{kind} = external {quote(key)}"


def _value(key: str, kind: ValueType | None) -> str:
    return f"{name(key)}: {write_type(kind)}" if kind else name(key)


def _column(brackets: str, items: Iterable[str], indent: str) -> str:
    """The items in brackets, each on its own line."""
    separator = f",\n{indent}{_STEP}"
    return f"{brackets[0]}\n{indent}{_STEP}{separator.join(items)}\n{indent}{brackets[1]}"


def _float(value: float) -> str:
    if not math.isnan(value):
        return repr(float(value))
    import numpy as np

    return write_float(np.float64(value))


def write_type(kind: ValueType, depth: int = 0) -> str:
    """A type as :mod:`pelemay.graph.text` writes it; unlike ``str()`` it can be read back."""
    _check_depth(depth)
    match kind:
        case TensorType(dtype, shape):
            return dtype.value + ("" if shape is None else f"[{', '.join(map(_dim, shape))}]")
        case SparseTensorType(dtype, shape):
            return f"sparse({write_type(TensorType(dtype, shape))})"
        case SequenceType(element):
            return f"sequence({write_type(element, depth + 1)})"
        case OptionalType(element):
            return f"optional({write_type(element, depth + 1)})"
        case MapType(key, value):
            return f"map({key.value}, {write_type(value, depth + 1)})"


def _dim(dim: Dim) -> str:
    if dim is None:
        return "?"
    return word(dim) if isinstance(dim, str) else str(dim)
