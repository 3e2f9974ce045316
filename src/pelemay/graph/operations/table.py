"""The operation table: a row for each operation, and the look-up.

In: an operation's name. Out: its :class:`Operation`: meaning, attributes, what it reads on
the host. The meaning is one function over an Array API namespace ``xp``; every backend that
runs operation by operation or traces them runs this same function.

>>> import array_api_compat.numpy as xp
>>> from pelemay.graph.operations import find
>>> find("LeakyRelu").meaning(xp, xp.asarray([-2.0, 3.0]), alpha=0.5)
array([-1.,  3.])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

Meaning = Callable[..., Any]


@dataclass(frozen=True)
class Operation:
    """A row of the operation table.

    Parameters
    ----------
    name : str
        The operation's name in the ONNX operator set, whose newest version it means.
    meaning : callable
        ``meaning(xp, *inputs, **attributes)``: an array, or a tuple for several outputs. An
        input that is left out is None; keyword-only parameters are the attributes with
        their defaults. Graph attributes arrive as callables.
    group : str
        A family name for people and for selecting operations, such as ``"convolution"``.
    host : tuple of int
        Inputs that are read as numbers on the host, such as a shape or axes: they
        must be known before tracing, and arrive as NumPy arrays.
    domain : str
        ``""`` for the standard operator set.
    on_host : bool
        The whole operation works on host values whatever the namespace (Shape, sequences).
    random : bool
        Two calls may give different results.
    """

    name: str
    meaning: Meaning
    group: str
    host: tuple[int, ...] = ()
    domain: str = ""
    on_host: bool = False
    random: bool = False

    @cached_property
    def attributes(self) -> Mapping[str, Any]:
        """Attribute name to default; ``inspect.Parameter.empty`` marks a required one."""
        parameters = inspect.signature(self.meaning).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Names of the first inputs, as far as each must be given.

        Those that may be left out have a default, or are ``Array | None``.
        """
        parameters = [*inspect.signature(self.meaning).parameters.values()][1:]
        given = takewhile(
            lambda p: (
                p.kind is p.POSITIONAL_OR_KEYWORD
                and p.default is p.empty
                and "None" not in str(p.annotation)
            ),
            parameters,
        )
        return tuple(p.name for p in given)
