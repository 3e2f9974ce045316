"""Numbers that are known before the run: shapes, and what is computed from shapes and constants.

In: a node whose inputs' types, and perhaps numbers, are known. Out: the numbers of its outputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pelemay.errors import PelemayError
from pelemay.graph.ir import Graph, Node
from pelemay.graph.operations import Operation, find
from pelemay.graph.typing.dims import known, product
from pelemay.graph.typing.site import Numbers, Site, Types, as_numbers
from pelemay.graph.values import Constant, TensorType

MOST = 1024
"""Elements of an array whose numbers are followed; shapes, axes and pads have far fewer."""

# These move elements and look at none, so that they also run on arrays with unknown sizes in them.
_MOVES = frozenset({"Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"})

_DATA_DEPENDENT = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})

_NEVER = frozenset({"control", "sequence"})


def numbers_of(constant: Constant) -> Numbers | None:
    """A constant's elements, if they are few."""
    return constant.array() if math.prod(constant.shape) <= MOST else None


def evaluated(site: Site, found: Types) -> tuple[Numbers | None, ...]:
    """The numbers of a node's outputs, whose types have been found; none if they are not known."""
    node = site.node
    row = find(node.op, node.domain)
    if row is None or row.random or row.group in _NEVER or not node.inputs:
        return ()
    if node.op in ("Shape", "Size") and not node.domain:
        return _shape(site)
    given = [i for i in range(len(node.inputs)) if site.has(i)]
    if not (_few(found) or node.op in _DATA_DEPENDENT):
        return ()
    if any(site.numbers(i) is None for i in given):
        return ()
    if any(site.value(i) is None for i in given):
        return _moved(site, row)
    return _run(node, row, [site.value(i) for i in range(len(node.inputs))])


def _few(types: Types) -> bool:
    """Whether the outputs are known to be small."""
    for kind in types:
        if not isinstance(kind, TensorType):
            return False
        count = None if kind.shape is None else product(kind.shape)
        if not isinstance(count, int) or count > MOST:
            return False
    return bool(types)


def _shape(site: Site) -> tuple[Numbers | None, ...]:
    shape = site.shape(0)
    if shape is None:
        return ()
    if site.node.op == "Size":
        sizes = known(shape)
        return () if sizes is None else (np.asarray(math.prod(sizes), np.int64),)
    return (as_numbers(shape[site.attribute("start") : site.attribute("end")]),)


def _moved(site: Site, row: Operation) -> tuple[Numbers | None, ...]:
    """Move elements of which some are unknown sizes."""
    node = site.node
    if node.op not in _MOVES or node.domain:
        return ()
    movable = range(len(node.inputs)) if node.op == "Concat" else (0,)
    inputs = [
        site.numbers(i) if i in movable and site.has(i) else site.value(i)
        for i in range(len(node.inputs))
    ]
    if any(x is None for i, x in enumerate(inputs) if site.has(i)):
        return ()
    found = _run(node, row, inputs)
    return tuple(None if x is None else _tidy(x) for x in found)


def _tidy(x: Numbers) -> Numbers:
    """An array of objects as one of numbers, if no unknown sizes are left in it."""
    dims = tuple(x.reshape(-1).tolist())
    return x if known(dims) is None else as_numbers(dims).reshape(x.shape)


def _run(node: Node, row: Operation, inputs: list[Any]) -> tuple[Numbers | None, ...]:
    import array_api_compat.numpy as xp

    attributes = {
        name: value.array() if isinstance(value, Constant) else value
        for name, value in node.attributes.items()
    }
    if any(isinstance(value, Graph) for value in attributes.values()):
        return ()
    try:
        with np.errstate(all="ignore"):
            result = row.meaning(xp, *inputs, **attributes)
    except (PelemayError, ArithmeticError, LookupError, TypeError, ValueError):
        return ()
    outputs = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(y) for y in outputs)
