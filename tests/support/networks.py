"""Small graphs of many kinds, by name: what is compiled, written, opened and run as a whole.

>>> from support.networks import MAKERS  # doctest: +SKIP
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType

F32, I64 = DType.FLOAT32, DType.INT64


def tensor(*shape: int | None, dtype: DType = F32) -> TensorType:
    return TensorType(dtype, shape)


def constant(*shape: int, dtype: type = np.float32) -> ArrayConstant:
    random = np.random.default_rng(7)
    return ArrayConstant.of(random.standard_normal(shape).astype(dtype))


def convolution() -> Graph:
    """A residual block in the form that models have it: batch normalisation apart, NCHW."""
    x = tensor(1, 16, 9, 9)
    channels = {n: constant(16) for n in ("scale", "bias", "mean")}
    nodes = (
        Node("Conv", ("x", "w"), ("a",), {"pads": (1, 1, 1, 1), "kernel_shape": (3, 3)}),
        Node("BatchNormalization", ("a", "scale", "bias", "mean", "var"), ("b",)),
        Node("Relu", ("b",), ("c",)),
        Node("Add", ("c", "x"), ("d",)),
        Node("GlobalAveragePool", ("d",), ("e",)),
        Node("Flatten", ("e",), ("f",)),
        Node("Gemm", ("f", "fc", "fb"), ("y",), {"transB": 1}),
    )
    constants = {
        "w": constant(16, 16, 3, 3),
        "var": ArrayConstant.of(np.full(16, 0.5, np.float32)),
        "fc": constant(10, 16),
        "fb": constant(10),
        **channels,
    }
    return Graph("block", {"x": x}, {"y": tensor(1, 10)}, nodes, constants)


def detector() -> Graph:
    """Half of it has no size before the run."""
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("NonZero", ("a",), ("found",)),
        Node("Cast", ("found",), ("wide",), {"to": F32}),
        Node("Mul", ("wide", "two"), ("z",)),
        Node("Exp", ("a",), ("y",)),
    )
    outputs = {"z": tensor(2, None), "y": tensor(3, 4)}
    constants = {"two": ArrayConstant.of(np.float32(2))}
    return Graph("detector", {"x": tensor(3, 4)}, outputs, nodes, constants)


def branches() -> Graph:
    """A condition that is known at the run only: no instruction for If."""
    then = Graph("t", {}, {"r": tensor(4)}, (Node("Mul", ("h", "w"), ("r",)),))
    other = Graph("e", {}, {"s": tensor(4)}, (Node("Neg", ("h",), ("s",)),))
    nodes = (
        Node("Relu", ("x",), ("h",)),
        Node("ReduceSum", ("h",), ("total",), {"keepdims": 0}),
        Node("Greater", ("total", "zero"), ("c",)),
        Node("If", ("c",), ("v",), {"then_branch": then, "else_branch": other}),
        Node("Exp", ("v",), ("y",)),
    )
    constants = {"w": constant(4), "zero": ArrayConstant.of(np.float32(0))}
    return Graph("branches", {"x": tensor(4)}, {"y": tensor(4)}, nodes, constants)


def many_operands() -> Graph:
    """A node of more operands than an instruction has, read back from a sequence of splits."""
    names = tuple(f"p{i}" for i in range(20))
    nodes = (
        Node("Split", ("x",), names, {"axis": 0, "num_outputs": 20}),
        Node("Sum", names, ("s",)),
        Node("Concat", (*names, "s"), ("y",), {"axis": 0}),
    )
    return Graph("many", {"x": tensor(40, 3)}, {"y": tensor(42, 3)}, nodes)


def ends() -> Graph:
    """Outputs that are a constant, an input, a view of an input, and another output."""
    nodes = (
        Node("Reshape", ("x", "shape"), ("r",)),
        Node("Identity", ("r",), ("again",)),
        Node("Transpose", ("x",), ("t",), {"perm": (1, 0)}),
    )
    constants = {"shape": ArrayConstant.of(np.int64([3, 2])), "k": constant(2, 2)}
    six = tensor(3, 2)
    outputs = {"x": tensor(2, 3), "r": six, "again": six, "t": six, "k": tensor(2, 2)}
    return Graph("ends", {"x": tensor(2, 3)}, outputs, nodes, constants)


def empty() -> Graph:
    """Values without elements."""
    nodes = (
        Node("Relu", ("x",), ("a",)),
        Node("Concat", ("a", "b"), ("y",), {"axis": 0}),
        Node("ReduceSum", ("a",), ("s",), {"keepdims": 0}),
    )
    inputs = {"x": tensor(0, 3), "b": tensor(2, 3)}
    return Graph("empty", inputs, {"y": tensor(2, 3), "s": tensor()}, nodes)


def odd_types() -> Graph:
    """Complex values, which the engine does not know, between values that it does."""
    nodes = (
        Node("Cast", ("x",), ("c",), {"to": DType.COMPLEX64}),
        Node("Mul", ("c", "c"), ("d",)),
        Node("Cast", ("d",), ("y",), {"to": F32}),
    )
    return Graph("odd", {"x": tensor(2, 3)}, {"y": tensor(2, 3)}, nodes)


def mobile() -> Graph:
    """Depthwise, grouped, dilated and strided convolutions, pools, ReLU6, hard swish."""
    nodes = (
        Node("Conv", ("x", "w1", "b1"), ("a",), {"pads": (1, 1, 1, 1), "group": 8}),
        Node("Clip", ("a", "low", "high"), ("b",)),
        Node("Conv", ("b", "w2"), ("c",), {"pads": (0, 0, 1, 1), "strides": (2, 2), "group": 2}),
        Node("HardSwish", ("c",), ("d",)),
        Node("Conv", ("d", "w3"), ("e",), {"dilations": (2, 2), "pads": (2, 2, 2, 2)}),
        Node("MaxPool", ("e",), ("f",), {"kernel_shape": (3, 3), "strides": (2, 2)}),
        Node("AveragePool", ("f",), ("g",), {"kernel_shape": (2, 2), "pads": (0, 0, 1, 1)}),
        Node("ConvTranspose", ("g", "w4"), ("h",), {"strides": (2, 2)}),
        Node("LRN", ("h",), ("y",), {"size": 3}),
    )
    constants = {
        "w1": constant(8, 1, 3, 3),
        "b1": constant(8),
        "w2": constant(16, 4, 3, 3),
        "w3": constant(6, 16, 3, 3),
        "w4": constant(6, 4, 2, 2),
        "low": ArrayConstant.of(np.float32(0)),
        "high": ArrayConstant.of(np.float32(6)),
    }
    return Graph("mobile", {"x": tensor(1, 8, 17, 15)}, {"y": None}, nodes, constants)


def transformer() -> Graph:
    """One layer: normalisation, attention in its expanded form, a perceptron with GELU."""
    scale = ArrayConstant.of(np.float32(0.25))
    heads = {"axis": -1}
    nodes = (
        Node("LayerNormalization", ("x", "g", "b"), ("n",)),
        *(Node("MatMul", ("n", f"w{i}"), (f"m{i}",)) for i in "qkv"),
        *(Node("Reshape", (f"m{i}", "split"), (f"r{i}",)) for i in "qkv"),
        *(Node("Transpose", (f"r{i}",), (f"t{i}",), {"perm": (0, 2, 1, 3)}) for i in "qv"),
        Node("Transpose", ("rk",), ("tk",), {"perm": (0, 2, 3, 1)}),
        Node("MatMul", ("tq", "tk"), ("s",)),
        Node("Mul", ("s", "scale"), ("scaled",)),
        Node("Softmax", ("scaled",), ("p",), heads),
        Node("MatMul", ("p", "tv"), ("o",)),
        Node("Transpose", ("o",), ("ot",), {"perm": (0, 2, 1, 3)}),
        Node("Reshape", ("ot", "join"), ("oj",)),
        Node("Add", ("oj", "x"), ("h",)),
        Node("MatMul", ("h", "up"), ("u",)),
        Node("Gelu", ("u",), ("act",)),
        Node("MatMul", ("act", "down"), ("d",)),
        Node("Add", ("d", "h"), ("y",)),
    )
    constants = {
        **{f"w{i}": constant(32, 32) for i in "qkv"},
        "g": constant(32),
        "b": constant(32),
        "up": constant(32, 48),
        "down": constant(48, 32),
        "scale": scale,
        "split": ArrayConstant.of(np.int64([1, 10, 2, 16])),
        "join": ArrayConstant.of(np.int64([1, 10, 32])),
    }
    return Graph("transformer", {"x": tensor(1, 10, 32)}, {"y": None}, nodes, constants)


def indexing() -> Graph:
    """Integers: casts, comparisons, gathers, scatters, sorting, one-hot, triangles."""
    nodes = (
        Node("TopK", ("x", "k"), ("top", "where"), {"axis": 1}),
        Node("Gather", ("table", "where"), ("rows",), {"axis": 0}),
        Node("ArgMax", ("rows",), ("best",), {"axis": 2, "keepdims": 0}),
        Node("OneHot", ("best", "depth", "onoff"), ("hot",)),
        Node("CumSum", ("hot", "axis"), ("sums",)),
        Node("Greater", ("sums", "half"), ("more",)),
        Node("Where", ("more", "sums", "minus"), ("chosen",)),
        Node("Trilu", ("chosen",), ("lower",), {"upper": 0}),
        Node("GatherElements", ("x", "where"), ("again",), {"axis": 1}),
        Node("ScatterND", ("x", "spots", "updates"), ("patched",)),
        Node("Cast", ("patched",), ("narrow",), {"to": DType.INT8}),
        Node("Pad", ("narrow", "pads"), ("y",)),
    )
    constants = {
        "k": ArrayConstant.of(np.int64([3])),
        "table": constant(6, 4),
        "depth": ArrayConstant.of(np.int64(4)),
        "onoff": ArrayConstant.of(np.float32([0, 1])),
        "axis": ArrayConstant.of(np.int64(1)),
        "half": ArrayConstant.of(np.float32(0.5)),
        "minus": ArrayConstant.of(np.float32(-1)),
        "spots": ArrayConstant.of(np.int64([[0, 1], [3, 2]])),
        "updates": ArrayConstant.of(np.float32([7, 8])),
        "pads": ArrayConstant.of(np.int64([1, 0, 0, 2])),
    }
    outputs = {"lower": None, "again": None, "top": None, "y": None}
    return Graph("indexing", {"x": tensor(4, 6)}, outputs, nodes, constants)


def pictures() -> Graph:
    """Rows of a picture: resized, normalised by groups, shuffled into space, reduced."""
    nodes = (
        Node("Resize", ("x", "", "scales"), ("a",), {"mode": "linear"}),
        Node("InstanceNormalization", ("a", "s", "b"), ("c",)),
        Node("DepthToSpace", ("c",), ("d",), {"blocksize": 2}),
        Node("ReduceMax", ("d", "axes"), ("e",)),
        Node("Resize", ("e", "", "scales"), ("f",), {"mode": "nearest"}),
        Node("Slice", ("f", "starts", "ends", "last"), ("g",)),
        Node("Tile", ("g", "repeats"), ("h",)),
        Node("ReduceL2", ("h", "last"), ("y",), {"keepdims": 0}),
    )
    constants = {
        "scales": ArrayConstant.of(np.float32([1, 1, 2, 1.5])),
        "s": constant(8),
        "b": constant(8),
        "axes": ArrayConstant.of(np.int64([1])),
        "starts": ArrayConstant.of(np.int64([1])),
        "ends": ArrayConstant.of(np.int64([9])),
        "last": ArrayConstant.of(np.int64([3])),
        "repeats": ArrayConstant.of(np.int64([1, 2, 1, 1])),
    }
    return Graph("pictures", {"x": tensor(1, 8, 5, 6)}, {"y": None}, nodes, constants)


def recurrent() -> Graph:
    """An LSTM in both directions, then a GRU."""
    nodes = (
        Node(
            "LSTM", ("x", "w", "r", "b"), ("h",), {"hidden_size": 5, "direction": "bidirectional"}
        ),
        Node("Transpose", ("h",), ("t",), {"perm": (0, 2, 1, 3)}),
        Node("Reshape", ("t", "flat"), ("u",)),
        Node("GRU", ("u", "w2", "r2"), ("", "y"), {"hidden_size": 3}),
    )
    constants = {
        "w": constant(2, 20, 4),
        "r": constant(2, 20, 5),
        "b": constant(2, 40),
        "flat": ArrayConstant.of(np.int64([6, 2, 10])),
        "w2": constant(1, 9, 10),
        "r2": constant(1, 9, 3),
    }
    return Graph("recurrent", {"x": tensor(6, 2, 4)}, {"y": None}, nodes, constants)


NATIVE = (
    convolution,
    mobile,
    transformer,
    indexing,
    pictures,
    recurrent,
    many_operands,
    ends,
    empty,
)
"""Those of which every node should have an instruction."""

PARTLY = (detector, branches, odd_types)
"""Those that leave something to the reference backend."""

MAKERS = (*NATIVE, *PARTLY)


def feeds_of(graph: Graph) -> dict[str, Any]:
    """Inputs for a graph, the same each time."""
    random = np.random.default_rng(1)
    types = {n: k for n, k in graph.inputs.items() if isinstance(k, TensorType)}
    return {n: np.asarray(random.standard_normal(k.shape), k.dtype.numpy) for n, k in types.items()}
