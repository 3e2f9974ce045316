"""The Array API namespace that meanings are traced with.

In: a :class:`~pelemay.passes.tracing.recorder.Recorder`. Out: what a meaning takes as ``xp``: where
only NumPy arrays and numbers are involved it is NumPy itself, so that what is known is computed at
once; what has a traced array among its operands becomes nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import array_api_compat.numpy as numpy_xp

from pelemay.errors import UnsupportedError
from pelemay.graph import Attribute, Node
from pelemay.passes.tracing.array import Traced
from pelemay.passes.tracing.functions import FUNCTIONS

if TYPE_CHECKING:
    from pelemay.passes.tracing.recorder import Recorder


@dataclass(frozen=True)
class Namespace:
    """Functions of the Array API standard, by name, over traced arrays too.

    Parameters
    ----------
    recorder : Recorder
        Takes the nodes.
    """

    recorder: Recorder
    __name__ = "numpy, traced"

    def node(
        self, op: str, *inputs: Any, outputs: int = 1, domain: str = "", **attributes: Attribute
    ) -> Any:
        """The result of an operation that stays one node; None for an input left out.

        A tuple of as many results as ``outputs`` says, if that is not 1.
        """
        results = tuple(f"y{i}" for i in range(outputs))
        given = {name: value for name, value in attributes.items() if value is not None}
        found = self.recorder.apply(Node(op, ("",) * len(inputs), results, given, domain), inputs)
        return found[0] if outputs == 1 else found

    def __getattr__(self, name: str) -> Any:
        host = getattr(numpy_xp, name)
        if not callable(host) or isinstance(host, type):
            return host
        return _on_host_or_traced(name, host)


def _on_host_or_traced(name: str, host: Callable[..., Any]) -> Callable[..., Any]:
    traced = FUNCTIONS.get(name)

    def call(*args: Any, **options: Any) -> Any:
        if not _has_traced((*args, *options.values())):
            return host(*args, **options)
        if traced is None:
            raise UnsupportedError(f"{name} of a traced array has no steps")
        return traced(*args, **options)

    return call


def _has_traced(values: Iterable[Any]) -> bool:
    return any(
        isinstance(value, Traced) or (isinstance(value, (list, tuple)) and _has_traced(value))
        for value in values
    )
