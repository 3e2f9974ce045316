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
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pelemay.errors import ModelError
from pelemay.graph.check import MAX_DEPTH
from pelemay.graph.dtypes import DType, Kind
from pelemay.graph.ir import Attribute, Graph, Node
from pelemay.graph.text_literals import (
    NAME,
    NUMBER,
    STRING,
    WORD,
    read_floats,
    read_ints,
    unquote,
)
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

MAX_NUMBER = 40
"""Characters of a number: more than any element needs, too few to keep ``int()`` busy."""

T = TypeVar("T")

_SPACE = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_TOKEN = re.compile(
    rf"(?P<number>{NUMBER})|(?P<name>%(?:{NAME}|{STRING}))|(?P<string>{STRING})"
    rf"|(?P<word>{WORD})|(?P<mark>->|::|[][(){{}}=,:@?])|(?P<end>\Z)"
)
_DTYPES = {dtype.value: dtype for dtype in DType}


def from_text(text: str, constants: Mapping[str, Constant] | None = None) -> Graph:
    """Parse the text form of a graph.

    Parameters
    ----------
    text : str
        What :func:`~pelemay.graph.text_print.to_text` prints, or a person writes.
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


class _Lexer:
    """One token at a time: its ``kind``, its ``token`` and where it starts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = self.end = 0
        self.kind = self.token = ""
        self.depth = 0
        self.advance()

    def advance(self) -> str:
        """Step to the next token, and return the one before."""
        before = self.token
        space = _SPACE.match(self.text, self.end)
        self.start = space.end() if space else self.end
        match = _TOKEN.match(self.text, self.start)
        if match is None:
            raise self.error(f"{self.text[self.start : self.start + 10]!r} begins no token")
        self.kind, self.token, self.end = match.lastgroup or "", match.group(), match.end()
        if self.kind == "number" and len(self.token) > MAX_NUMBER:
            raise self.error(f"a number has at most {MAX_NUMBER} characters")
        return before

    def error(self, what: str, start: int | None = None, hint: str = "") -> ModelError:
        start = self.start if start is None else start
        line = self.text.count("\n", 0, start) + 1
        column = start - self.text.rfind("\n", 0, start)
        return ModelError(what, where=f"line {line}, column {column}", hint=hint)

    def expected(self, what: str) -> ModelError:
        found = repr(self.token[:40]) if self.token else "the end"
        return self.error(f"expected {what}, but found {found}")

    def accept(self, token: str) -> bool:
        if self.token != token:
            return False
        self.advance()
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.expected(f"'{token}'")

    def take(self, kind: str, what: str) -> str:
        if self.kind != kind:
            raise self.expected(what)
        return self.advance()

    def items(self, close: str, read: Callable[[], T]) -> list[T]:
        """What ``read`` reads, with commas between, up to ``close``."""
        found: list[T] = []
        while not self.accept(close):
            if found:
                self.expect(",")
            found.append(read())
        return found

    def string(self, prefix: str = "") -> str:
        start = self.start
        token = self.take("string" if not prefix else "name", "a string in quotes")
        return self.unquoted(token, start)

    def unquoted(self, token: str, start: int) -> str:
        try:
            return unquote(token)
        except ValueError as error:
            raise self.error(f"a broken string: {error}", start) from error

    def name(self) -> str:
        start = self.start
        token = self.take("name", "a value's name, such as %x")[1:]
        return self.unquoted(token, start) if token.startswith('"') else token

    def word(self, what: str) -> str:
        return self.string() if self.kind == "string" else self.take("word", what)

    def integer(self, what: str) -> int:
        start = self.start
        token = self.take("number", what)
        if not token.lstrip("-").isdigit() or not -(1 << 63) <= int(token) < 1 << 64:
            raise self.error(f"expected {what}, but found {token!r}", start)
        return int(token)

    @contextmanager
    def deeper(self) -> Iterator[None]:
        if self.depth == MAX_DEPTH:
            raise self.error(f"graphs or types nest deeper than {MAX_DEPTH}")
        self.depth += 1
        yield
        self.depth -= 1
