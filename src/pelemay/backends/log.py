"""A log of the operations that a backend runs.

In: a backend that runs operation by operation. Out: the same backend, which tells a sink about
each operation: what ran, on what, how long, and how many bytes it made.

>>> from pelemay.backends import get
>>> entries: list[OperationEntry] = []
>>> logged(get("reference"), sink=entries.append).name
'reference'
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pelemay.backends.decorator import Record, Where, decorate
from pelemay.backends.protocol import Backend, OperationByOperation

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OperationEntry:
    """One operation that has run.

    Attributes
    ----------
    operation : str
        Its name, with the domain if it has one.
    name : str
        What the model calls the node, or its first output.
    inputs, outputs : tuple of str
        Such as ``"float32[1, 64, 56, 56]"``; ``"-"`` where one is left out.
    time_ns : int
        How long it took, its sub-graphs included.
    output_bytes : int
        Bytes of its outputs.
    """

    operation: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    time_ns: int
    output_bytes: int

    def __str__(self) -> str:
        arrow = f"({', '.join(self.inputs)}) -> ({', '.join(self.outputs)})"
        took = f"{self.time_ns / 1e6:.3f} ms, {self.output_bytes} bytes"
        return f"{self.operation} '{self.name}' {arrow}: {took}"


def logged(
    backend: Backend, sink: Callable[[OperationEntry], object] | None = None, *, where: Where = "*"
) -> OperationByOperation:
    """Tell ``sink`` about each operation that ``backend`` runs.

    Parameters
    ----------
    backend : Backend
        One that runs operation by operation, or a decorated one.
    sink : callable, optional
        Gets an :class:`OperationEntry` each time; a list's ``append`` collects them for a
        table. Without it they go to the logger ``pelemay.backends.log`` at level INFO.
    where : str or callable
        Which operations, as in :func:`~pelemay.backends.decorate`.

    Returns
    -------
    OperationByOperation
        The backend with a log.

    Raises
    ------
    UnsupportedError, InputError
        As :func:`~pelemay.backends.decorate` does.
    """
    tell = sink or (lambda entry: _log.info("%s", entry))
    return decorate(backend, after=lambda record: tell(_entry(record)), where=where)


def _entry(record: Record) -> OperationEntry:
    node = record.node
    outputs = tuple(
        value for name, value in zip(node.outputs, record.outputs or (), strict=False) if name
    )
    return OperationEntry(
        node.qualified,
        node.name or next(filter(None, node.outputs), ""),
        tuple(map(_described, record.inputs)),
        tuple(map(_described, outputs)),
        record.time_ns or 0,
        sum(map(_nbytes, outputs)),
    )


def _described(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"sequence of {len(value)}"
    if not hasattr(value, "dtype"):
        return type(value).__name__
    dtype = str(value.dtype).rsplit(".", 1)[-1]
    return f"{dtype}[{', '.join(map(str, value.shape))}]"


def _nbytes(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_nbytes, value))
    return int(getattr(value, "nbytes", 0))
