r"""The literals of the text form, written and read side by side: strings, words and numbers.

In: a value. Out: its text, and back to the same bits.

>>> quote('a "b"'), word("Conv"), word("3x3"), name("onnx::Conv_1"), name("a b")
('"a \\"b\\""', 'Conv', '"3x3"', '%onnx::Conv_1', '%"a b"')
>>> import numpy as np
>>> write_elements(np.asarray([0.1, -0.0, np.inf], np.float16), DType.FLOAT16)
['0.1', '-0.0', 'inf']
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pelemay.graph.dtypes import DType, Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]

STRING = r'"(?:[^"\\\n]++|\\[^\n])*+"'
WORD = r"[A-Za-z_][A-Za-z0-9_.]*+"
NAME = r"[A-Za-z0-9_./$-]++(?:::[A-Za-z0-9_./$-]++)*+"
NUMBER = (
    r"-?[0-9]++(?:\.[0-9]*+)?(?:[eE][+-]?[0-9]++)?|bits\(0x[0-9a-f]++\)"
    r"|-?(?:inf|nan)(?![A-Za-z0-9_.])"
)

_PLAIN_WORD = re.compile(f"(?!(?:inf|nan)$){WORD}")
_PLAIN_NAME = re.compile(NAME)
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|(.))")
_SHORT = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
_SHORT_OF = {character: short for short, character in _SHORT.items()}


def quote(text: str) -> str:
    """A string in quotes; what cannot be seen in print is escaped."""
    plain = text.isprintable() and '"' not in text and "\\" not in text
    return f'"{text if plain else "".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if short := _SHORT_OF.get(character):
        return f"\\{short}"
    return character if character.isprintable() else f"\\u{{{ord(character):x}}}"


def unquote(token: str) -> str:
    """The string that a ``STRING`` token means; ``ValueError`` for an escape that is not known."""
    return _ESCAPE.sub(_unescaped, token[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    code, short = match.groups()
    if code:
        return chr(int(code, 16))
    if short not in _SHORT:
        raise ValueError(f"\\{short} is not an escape")
    return _SHORT[short]


def word(text: str) -> str:
    """A word as it is, where the lexer reads it back as a word; else in quotes."""
    return text if _PLAIN_WORD.fullmatch(text) else quote(text)


def name(text: str) -> str:
    """The name of a value, with its ``%``."""
    return f"%{text if _PLAIN_NAME.fullmatch(text) else quote(text)}"


def write_elements(array: Array, dtype: DType) -> list[str]:
    """The elements of an array in row-major order, each as text that reads back to its bits."""
    import numpy as np

    flat = np.asarray(array).reshape(-1)
    if dtype is DType.STRING:
        return [quote(_string(x)) for x in flat]
    if dtype is DType.BOOL:
        return ["true" if x else "false" for x in flat]
    flat = flat.astype(dtype.numpy, copy=False)
    if dtype.kind is Kind.COMPLEX:
        parts = [write_float(x) for x in np.ascontiguousarray(flat).view(f"f{flat.itemsize // 2}")]
        return [f"({x}, {y})" for x, y in zip(parts[::2], parts[1::2], strict=True)]
    if dtype.kind is Kind.FLOAT:
        return [write_float(x) for x in flat]
    return [str(int(x)) for x in flat]


def _string(element: Any) -> str:
    if isinstance(element, bytes):
        return element.decode("utf-8", "surrogateescape")
    return str(element)


def write_float(value: Any) -> str:
    """A NumPy or ml_dtypes float: the shortest text that reads back to the same bits."""
    wanted = value.tobytes()
    for text in (str(value), repr(float(value))):
        if read_floats([text], value.dtype).tobytes() == wanted:
            return text
    return f"bits(0x{int.from_bytes(wanted, sys.byteorder):x})"


def read_floats(texts: Sequence[str], dtype: np.dtype[Any]) -> Array:
    """The floats that ``NUMBER`` tokens mean, rounded to ``dtype``.

    Raises
    ------
    ValueError, OverflowError
        If a text is no number, or ``bits`` has more than ``dtype``.
    """
    import numpy as np

    raw = {i: int(text[5:-1], 16) for i, text in enumerate(texts) if text.startswith("bits")}
    values = [0.0 if i in raw else float(text) for i, text in enumerate(texts)]
    with np.errstate(all="ignore"):
        array = np.array(values, np.float64).astype(dtype)
    view = array.view(f"u{array.itemsize}")
    for i, bits in raw.items():
        view[i] = bits
    return array


def read_ints(texts: Sequence[str], dtype: DType) -> Array:
    """The integers that ``NUMBER`` tokens mean; ``ValueError`` if one does not fit ``dtype``."""
    import numpy as np

    for text in texts:
        if not text.lstrip("-").isdigit():
            raise ValueError(f"'{text}' is no integer, as {dtype.value} needs")
    values = [int(text) for text in texts]
    signed = dtype.kind is Kind.INT
    low, high = (-(1 << dtype.bits - 1), 1 << dtype.bits - 1) if signed else (0, 1 << dtype.bits)
    for value in values:
        if not low <= value < high:
            raise ValueError(f"{value} does not fit {dtype.value}")
    return np.array(values, np.int64 if signed else np.uint64).astype(dtype.numpy)


def read_elements(tokens: Sequence[Any], dtype: DType) -> Array:
    """The flat array that the text of its elements means.

    Parameters
    ----------
    tokens : sequence
        What stands in the text for each element: a string itself, without quotes; a pair of
        numbers for a complex one.
    dtype : DType
        The element type.

    Raises
    ------
    ValueError, OverflowError
        If an element is none of ``dtype``.
    """
    import numpy as np

    if dtype is DType.STRING:
        strings = np.empty(len(tokens), object)
        strings[:] = tokens
        return strings
    if dtype is DType.BOOL:
        return np.array([text == "true" for text in tokens], bool)
    if dtype.kind is Kind.COMPLEX:
        parts = [part for pair in tokens for part in pair]
        return read_floats(parts, np.dtype(f"f{dtype.bits // 16}")).view(dtype.numpy)
    if dtype.kind is Kind.FLOAT:
        return read_floats(tokens, dtype.numpy)
    return read_ints(tokens, dtype)
