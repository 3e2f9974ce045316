"""Control flow: graphs that arrive as callables and are run once, often or not at all.

In: values, and callables ``body(*inputs) -> tuple``. Out: a tuple of values.

>>> import array_api_compat.numpy as xp
>>> import numpy as np
>>> body = lambda i, go, x: (go, x + x, x)
>>> loop(xp, np.array(3), None, np.array(1), body=body)
(np.int64(8), array([1, 2, 4]))
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.operations.common import Array, axis_of, number
from pelemay.graph.operations.sequence import together
from pelemay.graph.operations.table import Operation
from pelemay.graph.values import TensorType

Body = Callable[..., tuple[Any, ...]]


def if_else(xp: Any, condition: Array, *, then_branch: Body, else_branch: Body) -> tuple[Any, ...]:
    return then_branch() if number(condition) else else_branch()


def loop(
    xp: Any,
    trip_count: Array | None = None,
    condition: Array | None = None,
    *initial: Any,
    body: Body,
) -> tuple[Any, ...]:
    """Run ``body(i, condition, *states) -> (condition, *states, *scanned)`` until told to stop.

    Returns the last states, then what each scanned output was in each round, stacked.
    """
    trips = count() if trip_count is None else range(int(number(trip_count)))
    states, scanned = initial, []
    going: Any = True if condition is None else bool(number(condition))
    for i in trips:
        if not going:
            break
        results = body(np.asarray(i, np.int64), np.asarray(going), *states)
        going = True if condition is None else bool(results[0])
        states = results[1 : 1 + len(initial)]
        scanned.append(results[1 + len(initial) :])
    return (*states, *_stacked(xp, scanned, body, 1 + len(initial)))


def _stacked(xp: Any, rounds: list[tuple[Any, ...]], body: Body, skip: int) -> tuple[Array, ...]:
    if rounds:
        return tuple(_stack(xp, list(column), 0) for column in zip(*rounds, strict=True))
    types = list(getattr(body, "outputs", {}).values())[skip:]
    return tuple(_stack_of_nothing(kind) for kind in types)


def _stack(xp: Any, items: list[Array], axis: int) -> Array:
    space, arrays = together(xp, items)
    return space.stack(arrays, axis=axis)


def _stack_of_nothing(kind: Any) -> Array:
    """What no round has made; a size that the graph does not tell is 0."""
    if not isinstance(kind, TensorType):
        raise ExecutionError("a loop without rounds has a scanned output of unknown type")
    sizes = (n if isinstance(n, int) else 0 for n in kind.shape or ())
    return np.zeros((0, *sizes), kind.dtype.numpy)


def scan(
    xp: Any,
    *inputs: Array,
    body: Body,
    num_scan_inputs: int,
    scan_input_axes: tuple[int, ...] = (),
    scan_input_directions: tuple[int, ...] = (),
    scan_output_axes: tuple[int, ...] = (),
    scan_output_directions: tuple[int, ...] = (),
) -> tuple[Array, ...]:
    """Run ``body(*states, *slices) -> (*states, *scanned)`` over slices of the scan inputs.

    Returns the last states, then what each scanned output was in each round, stacked.
    """
    kept = len(inputs) - num_scan_inputs
    states, scanned_inputs = inputs[:kept], inputs[kept:]
    axes = scan_input_axes or (0,) * num_scan_inputs
    places = [axis_of(axis, x.ndim) for x, axis in zip(scanned_inputs, axes, strict=True)]
    backwards = scan_input_directions or (0,) * num_scan_inputs
    length = scanned_inputs[0].shape[places[0]]
    rounds = []
    for i in range(length):
        slices = (
            x[(slice(None),) * axis + (length - 1 - i if back else i, ...)]
            for x, axis, back in zip(scanned_inputs, places, backwards, strict=True)
        )
        results = body(*states, *slices)
        states = results[:kept]
        rounds.append(results[kept:])
    if not rounds:
        return (*states, *_stacked(xp, rounds, body, kept))
    return (*states, *_scan_outputs(xp, rounds, scan_output_axes, scan_output_directions))


def _scan_outputs(
    xp: Any,
    rounds: list[tuple[Any, ...]],
    axes: tuple[int, ...],
    directions: tuple[int, ...],
) -> tuple[Array, ...]:
    columns = [list(column) for column in zip(*rounds, strict=True)]
    axes = axes or (0,) * len(columns)
    directions = directions or (0,) * len(columns)
    return tuple(
        _stack(xp, column[::-1] if back else column, axis)
        for column, axis, back in zip(columns, axes, directions, strict=True)
    )


def sequence_map(xp: Any, items: list[Any], *more: Any, body: Body) -> tuple[list[Any], ...]:
    """Run ``body`` on each item; other sequences go along, tensors stay the same."""
    rounds = [
        body(item, *(other[i] if isinstance(other, list) else other for other in more))
        for i, item in enumerate(items)
    ]
    if not rounds:
        return tuple([] for _ in getattr(body, "outputs", (None,)))
    return tuple(list(column) for column in zip(*rounds, strict=True))


ROWS = (
    Operation("If", if_else, "control", host=(0,)),
    Operation("Loop", loop, "control", host=(0, 1)),
    Operation("Scan", scan, "control"),
    Operation("SequenceMap", sequence_map, "control"),
)
