"""The one place where errors of other packages become a ``ModelError``.

In: a block that reads a model. Out: the same, with every way in which a broken or hostile model
can make Python, NumPy or protobuf fail turned into one kind of error.

>>> with model_errors("model.onnx"):
...     int("x")
Traceback (most recent call last):
pelemay.errors.ModelError: model.onnx: cannot be read: invalid literal for int() with base 10: 'x'
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pelemay.errors import ModelError, PelemayError

_WORDS = {
    "DecodeError": "is not an ONNX model: its protobuf message is broken",
    "RecursionError": "nests too deeply",
    "MemoryError": "needs more memory than there is",
    "UnicodeDecodeError": "has a name that is not UTF-8",
}


@contextmanager
def model_errors(where: str) -> Iterator[None]:
    """Raise whatever goes wrong in the block as a ``ModelError`` that names ``where``."""
    from google.protobuf.message import Error

    try:
        yield
    except PelemayError as error:
        if error.where.startswith(where):
            raise
        raise error.at(where) from error
    except (Error, ValueError, OverflowError, MemoryError, RecursionError, OSError) as error:
        what = _WORDS.get(type(error).__name__, f"cannot be read: {error}")
        raise ModelError(what, where=where, hint=_hint(error)) from error


@contextmanager
def node_errors() -> Iterator[None]:
    """Raise what goes wrong while nodes are rewritten as a ``ModelError``.

    A rule that rewrites a node takes its inputs and attributes for granted, and fails like
    this where a broken model has others.
    """
    try:
        yield
    except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
        what = f"a node contradicts its operation ({type(error).__name__}: {error})"
        raise ModelError(what) from error


def _hint(error: BaseException) -> str:
    return "download or export it again" if "Decode" in type(error).__name__ else ""
