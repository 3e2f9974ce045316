"""A graph that is compiled when its inputs are known: one program for each set of shapes.

In: a graph and a function that compiles. Out: something that runs, and keeps the programs that it
used last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pelemay.backends.programs import ProgramRunnable
from pelemay.graph.values import TensorType, ValueType

Shapes = Mapping[str, tuple[int, ...]]
Values = Mapping[str, Any]
Compile = Callable[[Shapes, Values], ProgramRunnable]

Key = tuple[Any, ...]


class SpecializedRunnable:
    """Compiles for the shapes of the feeds, and for the values of those that shape the run.

    Parameters
    ----------
    compile_for : callable
        ``compile_for(shapes, values)`` gives what runs; it has no input named in ``values``.
    by_value : sequence of str
        Inputs that are bound by value.
    types : mapping
        Input name to type, as far as known: what is no tensor has no shape to be bound.
    kept : int
        Programs to keep; the one that was used least recently goes.
    first : ProgramRunnable, optional
        A program that is there already, for the shapes of its inputs and for no values.

    One run at a time: the programs may share the memory of one engine.
    """

    def __init__(
        self,
        compile_for: Compile,
        by_value: Sequence[str] = (),
        types: Mapping[str, ValueType | None] = MappingProxyType({}),
        kept: int = 4,
        first: ProgramRunnable | None = None,
    ) -> None:
        self._compile = compile_for
        self._by_value = frozenset(by_value)
        self._shapeless = {n for n, kind in types.items() if not isinstance(kind, TensorType)}
        self._kept = kept
        self._programs: OrderedDict[Key, ProgramRunnable] = OrderedDict()
        self._lock = threading.Lock()
        if first is not None:
            shapes = {n: end[2] for n, end in zip(first.inputs, first.program.inputs, strict=True)}
            self._programs[_key(shapes, {})] = first

    def run(
        self,
        feeds: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        *,
        into: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run once, with the program for these shapes."""
        with self._lock:
            return self.program_for(feeds).run(feeds, outputs, into=into)

    @property
    def nbytes(self) -> int:
        """Bytes of arenas and scratch of all programs that are kept."""
        engines = {id(ready.engine): ready.engine for ready in self._programs.values()}
        return sum(engine.nbytes for engine in engines.values())

    def program_for(self, feeds: Mapping[str, Any]) -> ProgramRunnable:
        """The program for the shapes of these feeds, compiled if there is none yet."""
        arrays = {n: np.asarray(v) for n, v in feeds.items() if n not in self._shapeless}
        values = {n: array for n, array in arrays.items() if n in self._by_value}
        shapes = {n: array.shape for n, array in arrays.items() if n not in values}
        key = _key(shapes, values)
        if key not in self._programs:
            # First what goes, so that it is room for what comes.
            while len(self._programs) >= self._kept:
                self._programs.popitem(last=False)
            self._programs[key] = self._compile(shapes, values)
        self._programs.move_to_end(key)
        return self._programs[key]


def _key(shapes: Shapes, values: Values) -> Key:
    parts = [(name, array.dtype.str, array.tobytes()) for name, array in values.items()]
    return (*sorted(shapes.items()), *sorted(parts))
