"""Convolutions and products of many forms, as cases: for tests of the kernels that compute them."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.nodes import Case

Form = tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]
"""Shapes of data and of weights, and attributes."""


def floats(shape: tuple[int, ...], seed: int, dtype: Any = np.float32) -> Any:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(0, 1, shape).astype(dtype)


def conv_case(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    bias: bool = True,
    residual: bool = False,
    constant: bool = True,
    transposed: bool = False,
    **attributes: Any,
) -> Case:
    """Data of shape ``x`` with channels last, weights as ONNX has them."""
    outputs = w[1] * attributes.get("group", 1) if transposed else w[0]
    op = "pelemay::ConvTranspose" if transposed else "pelemay::Conv"
    weights = floats(w, 2) / np.float32(np.sqrt(np.prod(w[1:])))
    inputs = [floats(x, 1), weights, floats((outputs,), 3) if bias else None]
    if residual:
        y = Case(op, tuple(inputs), attributes).meaning(wide=False)[0]
        inputs.append(floats(y.shape, 4))
    return Case(op, tuple(inputs), attributes, (1, 2) if constant else ())


def product_case(
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    bias: bool = False,
    residual: bool = False,
    constant: bool = False,
    **attributes: Any,
) -> Case:
    """``pelemay::MatMul`` of matrices of those shapes."""
    op = "pelemay::MatMul"
    inputs = [floats(a, 1), floats(b, 2), None]
    y = Case(op, tuple(inputs), attributes).meaning(wide=False)[0]
    if bias:
        inputs[2] = floats(y.shape[-1:], 3)
    if residual:
        inputs.append(floats(y.shape, 4))
    return Case(op, tuple(inputs), attributes, (1, 2) if constant and bias else (1,) * constant)


FORMS: dict[str, Form] = {
    "pointwise": ((1, 9, 7, 40), (24, 40, 1, 1), {}),
    "pointwise, crowded rows": ((1, 5, 7, 512), (33, 512, 1, 1), {}),
    "pointwise, padded behind": ((1, 3, 5, 8), (24, 8, 1, 1), {"pads": (0, 0, 4, 0)}),
    "pointwise, cropped behind": ((2, 9, 5, 8), (24, 8, 1, 1), {"pads": (0, 0, -4, 0)}),
    "volume, pointwise, padded behind": (
        (2, 3, 4, 5, 8), (24, 8, 1, 1, 1), {"pads": (0, 0, 0, 2, 1, 0)},
    ),
    "volume, pointwise, cropped behind": (
        (2, 4, 4, 5, 8), (24, 8, 1, 1, 1), {"pads": (0, 0, 0, -2, 0, 0)},
    ),
    "pointwise, stride 2": ((2, 9, 8, 20), (17, 20, 1, 1), {"strides": (2, 2)}),
    "3x3": ((1, 9, 11, 16), (32, 16, 3, 3), {"pads": (1, 1, 1, 1)}),
    "3x3, long sums": ((1, 4, 5, 130), (20, 130, 3, 3), {"pads": (1, 1, 1, 1)}),
    "first layer": ((1, 31, 29, 3), (32, 3, 7, 7), {"pads": (3, 3, 3, 3), "strides": (2, 2)}),
    "one channel": ((1, 12, 12, 1), (5, 1, 5, 5), {"pads": (2, 2, 2, 2)}),
    "line by line": ((2, 9, 71, 5), (20, 5, 3, 5), {"pads": (1, 2, 1, 2)}),
    "line by line, stride 2": (
        (1, 34, 65, 3), (16, 3, 3, 3), {"pads": (0, 0, 1, 1), "strides": (2, 2)},
    ),
    "line by line, dilated": ((1, 12, 80, 4), (7, 4, 3, 3), {"dilations": (2, 3)}),
    "volume, line by line": ((1, 4, 5, 60, 3), (8, 3, 2, 3, 3), {"pads": (1, 1, 1, 0, 1, 1)}),
    "uneven": ((2, 10, 13, 5), (7, 5, 2, 4), {"pads": (0, 3, 1, 0), "strides": (3, 1)}),
    "dilated": ((1, 12, 14, 6), (10, 6, 3, 3), {"pads": (2, 4, 2, 4), "dilations": (2, 4)}),
    "pads beyond": ((1, 3, 3, 4), (4, 4, 2, 2), {"pads": (3, 3, 3, 3)}),
    "pads below zero": ((1, 9, 9, 4), (4, 4, 3, 3), {"pads": (-1, -2, 0, -1)}),
    "window beyond": ((1, 2, 2, 8), (8, 8, 5, 5), {"pads": (2, 2, 2, 2)}),
    "filtered": ((2, 13, 18, 40), (33, 40, 3, 3), {"pads": (1, 1, 1, 1)}),
    "filtered, pads": ((1, 11, 9, 64), (16, 64, 3, 3), {"pads": (0, 2, 1, -1)}),
    "filtered, kept": ((1, 40, 40, 32), (48, 32, 3, 3), {"pads": (1, 1, 1, 1)}),
    "filtered, deep": ((1, 7, 7, 512), (64, 512, 3, 3), {"pads": (1, 1, 1, 1)}),
    "filtered, deepest": ((1, 8, 8, 1024), (32, 1024, 3, 3), {"pads": (1, 1, 1, 1)}),
    "two groups": ((1, 8, 8, 12), (10, 6, 3, 3), {"pads": (1, 1, 1, 1), "group": 2}),
    "groups of 4": ((1, 8, 8, 64), (64, 4, 3, 3), {"pads": (1, 1, 1, 1), "group": 16}),
    "groups of 2": ((1, 9, 8, 22), (22, 2, 3, 3), {"pads": (1, 1, 1, 1), "group": 11}),
    "groups of 4, 5x5": ((1, 9, 8, 36), (36, 4, 5, 5), {"group": 9, "strides": (1, 2)}),
    "groups of 8, line": ((2, 31, 40), (40, 8, 4), {"group": 5, "dilations": (2,)}),
    "groups of 8": ((1, 8, 9, 32), (32, 8, 3, 3), {"group": 4, "strides": (2, 2)}),
    "groups of 32": ((1, 7, 7, 96), (96, 32, 3, 3), {"group": 3, "pads": (1, 1, 1, 1)}),
    "multiplied": ((1, 8, 8, 6), (18, 1, 3, 3), {"pads": (1, 1, 1, 1), "group": 6}),
    "line": ((2, 50, 8), (12, 8, 5), {"pads": (2, 2), "strides": (2,)}),
    "volume": ((1, 5, 6, 7, 4), (9, 4, 3, 2, 3), {"pads": (1, 0, 1, 1, 1, 1)}),
    "volume, strides": ((2, 6, 7, 5, 3), (4, 3, 2, 3, 3), {"strides": (2, 1, 2)}),
    "deep": ((1, 8, 8, 300), (300, 300, 1, 1), {}),
    "many": ((3, 20, 20, 32), (64, 32, 1, 1), {}),
}  # fmt: skip

DEPTHWISE: dict[str, Form] = {
    "3x3": ((1, 15, 17, 40), (3, 3), {"pads": (1, 1, 1, 1)}),
    "3x3, stride 2": ((2, 15, 16, 24), (3, 3), {"pads": (1, 1, 1, 1), "strides": (2, 2)}),
    "3x3, strides": ((1, 15, 16, 24), (3, 3), {"pads": (0, 1, 1, 0), "strides": (3, 2)}),
    "5x5": ((1, 12, 9, 33), (5, 5), {"pads": (2, 2, 2, 2)}),
    "5x5, stride 2": ((1, 12, 14, 16), (5, 5), {"pads": (1, 2, 2, 1), "strides": (2, 2)}),
    "7x7": ((1, 9, 9, 20), (7, 7), {"pads": (3, 3, 3, 3)}),
    "small": ((1, 2, 2, 100), (3, 3), {"pads": (1, 1, 1, 1)}),
    "dilated": ((1, 12, 12, 18), (3, 3), {"pads": (2, 3, 2, 3), "dilations": (2, 3)}),
    "line": ((1, 40, 18), (4,), {"pads": (3, 0)}),
    "volume": ((1, 4, 5, 6, 7), (3, 3, 3), {"pads": (1, 1, 1, 1, 1, 1)}),
    "channels": ((1, 7, 7, 960), (3, 3), {"pads": (1, 1, 1, 1)}),
}  # fmt: skip

TRANSPOSED: dict[str, Form] = {
    "stride 2": ((1, 7, 9, 16), (16, 8, 2, 2), {"strides": (2, 2)}),
    "stride 2, overlapping": (
        (2, 7, 5, 12), (12, 20, 4, 4), {"strides": (2, 2), "pads": (1, 1, 1, 1)},
    ),
    "stride 1": ((1, 6, 6, 5), (5, 7, 3, 3), {"pads": (1, 1, 1, 1)}),
    "odd": ((1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 3), "pads": (1, 0, 0, 1)}),
    "output padding": (
        (1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 2), "output_padding": (1, 1)},
    ),
    "dilated": ((1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 2), "dilations": (3, 2)}),
    "dilated alike": ((1, 5, 6, 4), (4, 6, 3, 3), {"strides": (2, 2), "dilations": (2, 2)}),
    "groups": ((1, 5, 6, 8), (8, 3, 3, 3), {"strides": (2, 2), "group": 4}),
    "depthwise": ((1, 5, 6, 8), (8, 1, 3, 3), {"strides": (2, 2), "group": 8}),
    "line": ((1, 9, 6), (6, 5, 4), {"strides": (3,), "pads": (1, 2)}),
    "volume": ((1, 3, 4, 3, 4), (4, 5, 3, 2, 2), {"strides": (2, 1, 2)}),
}  # fmt: skip

SHAPES = [
    ((5, 7), (7, 9)),
    ((1, 300), (300, 70)),
    ((1, 1), (1, 1)),
    ((15, 33), (33, 16)),
    ((29, 512), (512, 31)),
    ((33, 1100), (1100, 65)),
    ((3, 40, 50), (50, 60)),
    ((3, 40, 50), (3, 50, 20)),
    ((2, 3, 20, 8), (2, 3, 8, 20)),
    ((2, 3, 20, 8), (3, 8, 5)),
    ((2, 1, 20, 8), (1, 3, 8, 5)),
    ((1, 4, 1, 8), (2, 1, 8, 5)),
    ((20, 8), (2, 3, 8, 5)),
    ((2, 5, 1, 64), (64, 48)),
    ((12, 50, 32), (12, 32, 50)),
]
