"""From text to a graph; :mod:`pelemay.graph.text` has the grammar.

In: text, which may be hostile, and the constants that it refers to. Out: a :class:`Graph`, not
yet checked, or a :class:`ModelError` with line and column.

>>> g = from_text('graph "g" (%x: float32[2]) -> (%y) { %y = Relu(%x) }')
>>> g.nodes[0].op, str(g.type_of("x"))
('Relu', 'float32[2]')
>>> from_text('graph "g" (%x: float33) -> () {}')
Traceback (most recent call last):
pelemay.errors.ModelError: line 1, column 16: expected a type, but found 'float33'
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pelemay.graph.checker import MAX_DEPTH
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.ir import Attribute, Graph, Node
from pelemay.graph.text.lexer import Lexer
from pelemay.graph.text.literals import read_elements, read_floats
from pelemay.graph.values import (
    ArrayConstant,
    Constant,
    Dim,
    MapType,
    OptionalType,
    SequenceType,
    SparseTensorType,
    TensorType,
    ValueType,
)

T = TypeVar("T")

_DTYPES = {dtype.value: dtype for dtype in DType}


def from_text(text: str, constants: Mapping[str, Constant] | None = None) -> Graph:
    """Parse the text form of a graph.

    Parameters
    ----------
    text : str
        What :func:`~pelemay.graph.text.printer.to_text` prints, or a person writes.
    constants : mapping, optional
        The constants that the text calls ``external``, by key.

    Returns
    -------
    Graph
        Not yet checked.

    Raises
    ------
    ModelError
        With line and column: what was expected there; which constant is missing or has another
        type; graphs or types that nest deeper than 64.
    """
    parser = _Parser(text, constants or {})
    graph = parser.graph()
    if parser.kind != "end":
        raise parser.expected("the end")
    return graph


class _Parser(Lexer):
    """A method for each rule of the grammar."""

    def __init__(self, text: str, constants: Mapping[str, Constant]) -> None:
        self.constants = constants
        super().__init__(text)

    def graph(self, depth: int = 0) -> Graph:
        if depth > MAX_DEPTH:
            raise self.error(f"graphs nest deeper than {MAX_DEPTH}")
        self.expect("graph")
        title = self.string()
        inputs = self.values()
        self.expect("->")
        outputs = self.values()
        constants: dict[str, Constant] = {}
        types: dict[str, ValueType] = {}
        nodes: list[Node] = []
        self.expect("{")
        while not self.accept("}"):
            if self.accept("const"):
                key = self.new_name(constants)
                self.expect(":")
                constants[key] = self.tensor(key)
            elif self.accept("type"):
                key = self.new_name(types)
                self.expect(":")
                types[key] = self.type()
            else:
                nodes.append(self.node(types, depth))
        return Graph(title, inputs, outputs, tuple(nodes), constants, types)

    def new_name(self, table: Mapping[str, Any]) -> str:
        """A name that ``table`` does not have yet."""
        start = self.start
        key = self.name()
        if key in table:
            raise self.error(f"'{key}' stands here for the second time", start)
        return key

    def values(self) -> dict[str, ValueType | None]:
        """A graph's inputs or outputs."""
        found: dict[str, ValueType | None] = {}

        def value() -> None:
            key = self.new_name(found)
            found[key] = self.type() if self.accept(":") else None

        self.expect("(")
        self.items(")", value)
        return found

    def node(self, types: dict[str, ValueType], depth: int) -> Node:
        outputs = self.results(types)
        self.expect("=")
        domain, op = "", self.word("an operation")
        if self.accept("::"):
            domain, op = op, self.word("an operation")
        self.expect("(")
        inputs = self.items(")", self.operand)
        attributes = self.attributes(depth) if self.accept("{") else {}
        version = self.integer("a version") if self.accept("@") else 0
        title = self.string() if self.kind == "string" else ""
        return Node(op, tuple(inputs), tuple(outputs), attributes, domain, version, title)

    def operand(self) -> str:
        return "" if self.accept("_") else self.name()

    def results(self, types: dict[str, ValueType]) -> list[str]:
        if self.accept("("):
            self.expect(")")
            return []
        found = [self.result(types)]
        while self.accept(","):
            found.append(self.result(types))
        return found

    def result(self, types: dict[str, ValueType]) -> str:
        if self.kind not in ("name", "word") or (self.kind == "word" and self.lexeme != "_"):
            raise self.expected("'const', 'type', a value's name, '_', '()' or '}'")
        start = self.start
        key = self.operand()
        if key and self.accept(":"):
            if key in types:
                raise self.error(f"the type of '{key}' stands here for the second time", start)
            types[key] = self.type()
        return key

    def attributes(self, depth: int) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}

        def pair() -> None:
            start = self.start
            key = self.word("an attribute's name")
            if key in found:
                raise self.error(f"attribute '{key}' stands here for the second time", start)
            self.expect("=")
            found[key] = self.attribute(depth)

        self.items("}", pair)
        return found

    def attribute(self, depth: int) -> Attribute:
        if self.accept("["):
            many: Any = tuple(self.items("]", lambda: self.item(depth)))
            return many  # type: ignore[no-any-return]
        return self.item(depth)

    def item(self, depth: int) -> int | float | str | DType | Constant | ValueType | Graph:
        if self.kind == "string":
            return self.string()
        if self.kind == "number":
            return self.number()
        if self.lexeme == "graph":
            return self.graph(depth + 1)
        if self.accept("type"):
            return self.type()
        if self.accept("tensor"):
            return self.tensor("")
        return self.dtype("an attribute")

    def number(self) -> int | float:
        if self.lexeme.lstrip("-").isdigit():
            return self.integer("an integer")
        start, token = self.start, self.advance()
        if not token.startswith("bits"):
            return float(token)
        double = DType.FLOAT64.numpy
        return float(self.guarded(start, lambda: read_floats([token], double)[0]))

    def guarded(self, start: int, read: Callable[[], T]) -> T:
        """What ``read`` gives; NumPy's complaints about numbers and sizes become our error."""
        try:
            return read()
        except (ValueError, OverflowError) as error:
            raise self.error(str(error), start) from error

    def type(self, depth: int = 0) -> ValueType:
        if depth > MAX_DEPTH:
            raise self.error(f"types nest deeper than {MAX_DEPTH}")
        if self.lexeme not in ("sparse", "sequence", "optional", "map"):
            dtype = self.dtype("a type")
            return TensorType(dtype, self.dims() if self.accept("[") else None)
        outer = self.advance()
        self.expect("(")
        found = self.inner_type(outer, depth)
        self.expect(")")
        return found

    def inner_type(self, outer: str, depth: int) -> ValueType:
        if outer == "sparse":
            dtype = self.dtype("an element type")
            return SparseTensorType(dtype, self.dims() if self.accept("[") else None)
        if outer == "map":
            key = self.dtype("a key's type")
            self.expect(",")
            return MapType(key, self.type(depth + 1))
        element = self.type(depth + 1)
        return SequenceType(element) if outer == "sequence" else OptionalType(element)

    def dtype(self, what: str) -> DType:
        found = _DTYPES.get(self.lexeme)
        if found is None:
            raise self.expected(what)
        self.advance()
        return found

    def dims(self) -> tuple[Dim, ...]:
        return tuple(self.items("]", self.dim))

    def dim(self) -> Dim:
        if self.accept("?"):
            return None
        return self.integer("a size") if self.kind == "number" else self.word("a dimension")

    def tensor(self, own_key: str) -> Constant:
        """A constant's type and elements; ``own_key`` is its key where none is written."""
        start = self.start
        dtype = self.dtype("an element type")
        self.expect("[")
        shape = tuple(self.items("]", lambda: self.integer("a size")))
        if any(size < 0 for size in shape):
            raise self.error("a size of a constant is negative", start)
        self.expect("=")
        if self.accept("external"):
            key = self.string() if self.kind == "string" else own_key
            return self.external(key, TensorType(dtype, shape), start)
        self.expect("[")
        return self.elements(dtype, shape, start)

    def external(self, key: str, kind: TensorType, start: int) -> Constant:
        found = self.constants.get(key)
        if found is None:
            hint = "give it to from_text(text, constants)"
            raise self.error(f"constant '{key}' is not in the text", start, hint)
        if (actual := TensorType(found.dtype, found.shape)) != kind:
            raise self.error(f"constant '{key}' is {kind}, but the one given is {actual}", start)
        return found

    def elements(self, dtype: DType, shape: tuple[int, ...], start: int) -> Constant:
        tokens = self.items("]", lambda: self.element(dtype.kind))
        if len(tokens) != math.prod(shape):
            raise self.error(f"{TensorType(dtype, shape)} has not {len(tokens)} elements", start)
        array = self.guarded(start, lambda: read_elements(tokens, dtype).reshape(shape))
        array.flags.writeable = False
        return ArrayConstant(dtype, array)

    def element(self, kind: Kind) -> str | tuple[str, str]:
        if kind is Kind.STRING:
            return self.string()
        if kind is Kind.BOOL:
            if self.lexeme not in ("true", "false"):
                raise self.expected("'true' or 'false'")
            return self.advance()
        if kind is not Kind.COMPLEX:
            return self.take("number", "a number")
        self.expect("(")
        real = self.take("number", "a real part")
        self.expect(",")
        imaginary = self.take("number", "an imaginary part")
        self.expect(")")
        return real, imaginary
