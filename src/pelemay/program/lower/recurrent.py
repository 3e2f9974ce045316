"""Recurrent layers.

In: RNN, GRU and LSTM nodes. Out: the instruction ``recurrent``, which sees steps first: another
layout is a view of other strides.

>>> FUNCTIONS["relu"]
('Relu', 0.0, 0.0)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pelemay.engine import native
from pelemay.graph import DType
from pelemay.graph.operations.recurrent import ACTIVATIONS
from pelemay.program.lower.reduction import need_types

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

KINDS = ("RNN", "GRU", "LSTM")
"""In the order of ``pm_recurrent_kind``."""

DEFAULTS = {
    "RNN": ("tanh",),
    "GRU": ("sigmoid", "tanh"),
    "LSTM": ("sigmoid", "tanh", "tanh"),
}

FUNCTIONS: dict[str, tuple[str | int, float, float]] = {
    "affine": (-1, 1.0, 0.0),
    "elu": ("Elu", 1.0, 0.0),
    "hardsigmoid": ("HardSigmoid", 0.2, 0.5),
    "leakyrelu": ("LeakyRelu", 0.01, 0.0),
    "relu": ("Relu", 0.0, 0.0),
    "scaledtanh": (-2, 1.0, 1.0),
    "sigmoid": ("Sigmoid", 0.0, 0.0),
    "softplus": ("Softplus", 0.0, 0.0),
    "softsign": ("Softsign", 0.0, 0.0),
    "tanh": ("Tanh", 0.0, 0.0),
    "thresholdedrelu": ("ThresholdedRelu", 1.0, 0.0),
}
"""Each function as the engine knows it, and the parameters that it has if none are given."""

SMALL = 1 << 15
"""Multiply-accumulates of a step below which meeting the other workers takes longer."""


def _recurrent(kind: str) -> Callable[[Lowering, Node], None]:
    def lower(l: Lowering, node: Node) -> None:
        x, w, r, bias, lengths, state, *more = (*node.inputs, *[""] * 8)[:8]
        cell, peepholes = more if kind == "LSTM" else ("", "")
        turned = bool(_int(node, "layout"))
        names = (x, w, r, bias, lengths, state, cell, peepholes)
        operands = [l.tensor(name) if name else None for name in names]
        outputs = [l.tensor(name) if name else None for name in (*node.outputs, *[""] * 3)[:3]]
        need_types(l, (DType.FLOAT32,), *operands[:4], *operands[5:], *outputs)
        need_types(l, (DType.INT32, DType.INT64), operands[4])
        if turned:
            for i in (0, 5, 6):
                operands[i] = _permuted(l, operands[i], (1, 0, 2))
            outputs = [
                _permuted(l, outputs[0], (1, 2, 0, 3)),
                *(_permuted(l, y, (1, 0, 2)) for y in outputs[1:]),
            ]
        params = _params(l, node, kind)
        steps, batch, features = _shape(operands[0])
        directions, rows, hidden = _shape(operands[2])
        step = directions * batch * rows * (hidden + features)
        l.emit("recurrent", operands, outputs, params, cost=steps * step, serial=step < SMALL)

    return lower


def _params(l: Lowering, node: Node, kind: str) -> list[int | float]:
    clip: Any = node.attributes.get("clip")
    flag = {"GRU": "linear_before_reset", "LSTM": "input_forget"}.get(kind, "")
    return [
        KINDS.index(kind),
        node.attributes.get("direction") == "reverse",
        math.inf if clip is None else float(clip),
        _int(node, flag),
        *_functions(l, node, DEFAULTS[kind]),
    ]


def _functions(l: Lowering, node: Node, defaults: tuple[str, ...]) -> list[int | float]:
    """Number, alpha and beta of three functions for each of two directions."""
    two = node.attributes.get("direction") == "bidirectional"
    given: Any = node.attributes.get("activations") or defaults * (2 if two else 1)
    names = [str(name).lower() for name in given[: len(defaults) * (2 if two else 1)]]
    if unknown := [name for name in names if name not in FUNCTIONS]:
        raise l.unsupported(f"activation {unknown[0]}")
    numbers = {key: list(_floats(node, f"activation_{key}")) for key in ("alpha", "beta")}
    made: list[tuple[int | float, ...]] = []
    for name in names:
        function, *values = FUNCTIONS[name]
        for i, key in enumerate(("alpha", "beta")):
            if key in ACTIVATIONS[name][1] and numbers[key]:
                values[i] = numbers[key].pop(0)
        code: int = native().ACTIVATIONS.index(function) if isinstance(function, str) else function
        made.append((code, *values))
    nothing: tuple[int | float, ...] = (0, 0.0, 0.0)
    size, missing = len(defaults), (nothing,) * (3 - len(defaults))
    groups = [(*made[i : i + size], *missing) for i in range(0, len(made), size)]
    groups += [(nothing,) * 3] * (2 - len(groups))
    return [number for group in groups for function in group for number in function]


def _permuted(l: Lowering, x: Operand | None, order: tuple[int, ...]) -> Operand | None:
    if x is None:
        return None
    shape, strides = ([values[i] for i in order] for values in (x.shape, x.strides))
    return l.view_of(x, shape=shape, strides=strides)


def _shape(x: Operand | None) -> tuple[int, ...]:
    assert x is not None
    return x.shape


def _int(node: Node, name: str) -> int:
    value: Any = node.attributes.get(name, 0)
    return int(value)


def _floats(node: Node, name: str) -> tuple[float, ...]:
    values: Any = node.attributes.get(name, ())
    return tuple(map(float, values))


LOWERINGS = {("", kind): _recurrent(kind) for kind in KINDS}
