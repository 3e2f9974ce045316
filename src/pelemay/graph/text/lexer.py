"""The tokens of the text form, and the small rules that many rules need.

In: text. Out: one token after the other, or a :class:`ModelError` with line and column.

>>> tokens = Lexer('%x, %"a b" # the rest is a comment')
>>> tokens.name(), tokens.accept(","), tokens.name(), tokens.kind
('x', True, 'a b', 'end')
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from pelemay.errors import ModelError
from pelemay.graph.text.literals import NAME, NUMBER, STRING, WORD, unquote

MAX_NUMBER = 40
"""Characters of a number: more than any element needs, too few to keep ``int()`` busy."""

T = TypeVar("T")

_TOKEN = re.compile(
    r"(?:[ \t\r\n]++|#[^\n]*+)*+"
    rf"(?:(?P<number>{NUMBER})|(?P<name>%(?:{NAME}|{STRING}))|(?P<string>{STRING})"
    r"|(?P<word>" + WORD + r")|(?P<mark>->|::|[][(){}=,:@?])|(?P<end>\Z)|(?P<broken>[\s\S]))"
)


class Lexer:
    """One token at a time: its ``kind``, its ``lexeme`` and where it starts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.matches = _TOKEN.finditer(text)
        self.lexeme = ""
        self.advance()

    @property
    def start(self) -> int:
        """Where the token begins, in characters."""
        return self.match.start(self.kind)

    def advance(self) -> str:
        """Step to the next token, and return the one before."""
        before = self.lexeme
        self.match = next(self.matches)
        self.kind = self.match.lastgroup or ""
        self.lexeme = self.match[self.kind]
        if self.kind == "broken":
            raise self.error(f"{self.text[self.start : self.start + 10]!r} begins no token")
        if self.kind == "number" and len(self.lexeme) > MAX_NUMBER:
            raise self.error(f"a number has at most {MAX_NUMBER} characters")
        return before

    def error(self, what: str, start: int | None = None, hint: str = "") -> ModelError:
        """An error at the token, or at ``start``."""
        start = self.start if start is None else start
        line = self.text.count("\n", 0, start) + 1
        column = start - self.text.rfind("\n", 0, start)
        return ModelError(what, where=f"line {line}, column {column}", hint=hint)

    def expected(self, what: str) -> ModelError:
        """The error that something else was expected than the token."""
        found = repr(self.lexeme[:40]) if self.lexeme else "the end"
        return self.error(f"expected {what}, but found {found}")

    def accept(self, token: str) -> bool:
        """Step over ``token`` if it is here."""
        if self.lexeme != token:
            return False
        self.advance()
        return True

    def expect(self, token: str) -> None:
        """Step over ``token``, which must be here."""
        if not self.accept(token):
            raise self.expected(f"'{token}'")

    def take(self, kind: str, what: str) -> str:
        """Step over a token of that kind and return it; ``what`` is for the error."""
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

    def string(self) -> str:
        """Read a string."""
        start = self.start
        return self.unquoted(self.take("string", "a string in quotes"), start)

    def name(self) -> str:
        """Read the name of a value."""
        start = self.start
        token = self.take("name", "a value's name, such as %x")[1:]
        return self.unquoted(token, start) if token.startswith('"') else token

    def unquoted(self, token: str, start: int) -> str:
        """What a string token means."""
        try:
            return unquote(token)
        except ValueError as error:
            raise self.error(f"a broken string: {error}", start) from error

    def word(self, what: str) -> str:
        """Read a word, plain or in quotes."""
        return self.string() if self.kind == "string" else self.take("word", what)

    def integer(self, what: str) -> int:
        """Read an integer of 64 bits, with or without a sign."""
        start = self.start
        token = self.take("number", what)
        if not token.lstrip("-").isdigit() or not -(1 << 63) <= int(token) < 1 << 64:
            raise self.error(f"expected {what} of 64 bits, but found '{token}'", start)
        return int(token)
