"""Operations without an instruction of their own, as the steps of their meaning.

In: a graph with static types. Out: the graph in which quantized products, loops of a known length
and the like are operations that have instructions. The steps come from the operation table itself:
each meaning is run once over traced arrays.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, y = TensorType(DType.INT16, (2,)), TensorType(DType.FLOAT32, (2,))
>>> node = Node("DequantizeLinear", ("x", "s"), ("y",))
>>> graph = Graph("g", {"x": x, "s": TensorType(DType.FLOAT32, ())}, {"y": y}, (node,))
>>> [made.op for made in decompose(graph).nodes]
['Cast', 'Cast', 'Mul', 'Identity']
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from pelemay.errors import ExecutionError, PelemayError, UnsupportedError
from pelemay.graph import DType, Graph, Kind, Node
from pelemay.graph.operations import microsoft_quantized, quantized, table
from pelemay.graph.operations.casting import cast_to
from pelemay.graph.operations.classes import ML
from pelemay.graph.operations.common import in_float32
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.microsoft import DOMAIN as MICROSOFT
from pelemay.graph.operations.quantized import BYTES
from pelemay.passes.matching import dtype_of, operand, shape_of
from pelemay.passes.nbits import sizes_of
from pelemay.passes.rewrite import Rewriter
from pelemay.passes.tracing import trace

log = logging.getLogger(__name__)


Meanings = Mapping[tuple[str, str], Callable[..., Any] | None]


def decompose(graph: Graph) -> Graph:
    """Put the steps of a meaning in the place of each operation of :data:`MEANINGS`.

    Requires types, and host inputs that are constants. Guarantees nothing: an operation stays
    where its steps depend on elements, or are not known, and the log says why.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself if there is no such operation.
    """
    for meanings in (MEANINGS, CASTS):
        graph = _decomposed(graph, meanings, _is_wanted)
    return graph


def decompose_quantized(graph: Graph) -> Graph:
    """Put the steps of a meaning in the place of operations of :data:`QUANTIZED` without a kernel.

    Requires types. Guarantees nothing, as :func:`decompose`.
    """
    return _decomposed(graph, QUANTIZED, lambda graph, node: not _has_kernel(graph, node))


def _has_kernel(graph: Graph, node: Node) -> bool:
    """Whether the kernels take what only the run knows of it."""
    if node.op in ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"):
        return not _is_wanted(graph, node)
    free = AT_RUN[node.op]
    if node.op == "QMatMul" and node.inputs[1] not in graph.constants:
        zeros = (shape_of(graph, operand(node, index)) or () for index in (4, 5))
        return all(math.prod(zero) == 1 for zero in zeros)
    rest = (name for index, name in enumerate(node.inputs) if index not in free)
    return all(not name or name in graph.constants for name in rest)


def _decomposed(
    graph: Graph, meanings: Meanings, is_wanted: Callable[[Graph, Node], bool]
) -> Graph:
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if node.version or (node.domain, node.op) not in meanings or not is_wanted(graph, node):
            continue
        try:
            nodes = trace(rewriter, node, meanings)
        except PelemayError as error:
            log.debug("%s stays: %s", node.label, error)
        else:
            rewriter.replace(index, *nodes)
    return rewriter.graph_after()


def _is_wanted(graph: Graph, node: Node) -> bool:
    if node.domain == MICROSOFT:
        return node.op != "MatMulNBits" or sizes_of(graph, node) is None
    if node.op == "BatchNormalization":
        return bool(node.attributes.get("training_mode", 0))
    if node.op == "FlexAttention":
        return any(True for _ in node.graphs) or dtype_of(graph, node.inputs[0]) is DType.FLOAT64
    if node.op in ("QuantizeLinear", "DequantizeLinear"):
        return not _is_plain(graph, node)
    if node.op == "DynamicQuantizeLinear":
        return dtype_of(graph, node.inputs[0]) is not DType.FLOAT32
    if node.op == "MatMulInteger":
        rows, columns = (shape_of(graph, operand(node, index)) or () for index in (2, 3))
        return math.prod(rows) != 1 or len(columns) > 1
    if node.op == "Cast":
        return _is_tiny(dtype_of(graph, node.inputs[0])) or _is_tiny(node.attributes["to"])
    return True


def _is_plain(graph: Graph, node: Node) -> bool:
    """Whether it stands between 8-bit integers and float32, with a scale or one for each place."""
    kinds = {dtype_of(graph, name) for name in (node.inputs[0], node.outputs[0])}
    plain = DType.FLOAT32 in kinds and not kinds.isdisjoint(BYTES)
    scale = dtype_of(graph, node.inputs[1]) is DType.FLOAT32
    return plain and scale and not any(map(node.attributes.get, ("block_size", "precision")))


def _is_tiny(dtype: Any) -> bool:
    """Whether it is a floating-point type of one byte."""
    return isinstance(dtype, DType) and dtype.kind is Kind.FLOAT and dtype.bits == 8


@in_float32
def _causal_conv(
    xp: Any, x: Any, w: Any, b: Any = None, past: Any = None, *, activation: str = "none"
) -> tuple[Any, Any]:
    """As the table has it, with the convolution as one node."""
    channels, kept = x.shape[1], w.shape[-1] - 1
    if past is None:
        past = xp.zeros((x.shape[0], channels, kept), dtype=x.dtype)
    line = xp.concat([past, x], axis=2)
    y = xp.node("Conv", line, w, b, group=channels)
    if activation in ("silu", "swish"):
        y = xp.node("Swish", y)
    return y, line[:, :, line.shape[2] - kept :]


def _compress(xp: Any, x: Any, condition: Any, *, axis: int | None = None) -> Any:
    """The places are known where the condition is, and so is the size of the result."""
    if not isinstance(condition, np.ndarray):
        raise UnsupportedError("the condition is not known before the run")
    flat = xp.reshape(x, (-1,)) if axis is None else x
    at = 0 if axis is None else axis % x.ndim
    kept = np.flatnonzero(condition)
    if kept.size and kept[-1] >= flat.shape[at]:
        raise ExecutionError(f"a condition for {flat.shape[at]} places holds at {kept[-1]}")
    return xp.take(flat, kept, axis=at)


def _cast_tiny(xp: Any, x: Any, *, to: DType, **options: Any) -> Any:
    """To or from a float of one byte: what each of its 256 codes means, or becomes, is a table."""
    if _is_tiny(DType.of_numpy(x.dtype)):
        codes = np.arange(256, dtype=np.uint8).view(x.dtype)
        return _looked_up(xp, x.view(np.uint8), codes, to, options)
    if DType.of_numpy(x.dtype) is DType.FLOAT64:
        raise UnsupportedError("float64 would be rounded twice")
    # The upper half of a float32, odd where the lower half is not zero, lies on the same side of
    # every number that has at most seven bits less than the upper half, and of every tie.
    bits = xp.astype(x, xp.float32).view(np.uint32)
    upper = xp.bitwise_right_shift(bits, np.uint32(16))
    lower = xp.astype((bits & np.uint32(0xFFFF)) != np.uint32(0), xp.uint32)
    codes = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    return _looked_up(xp, upper | lower, codes, to, options)


def _looked_up(xp: Any, places: Any, numbers: Any, to: DType, options: Mapping[str, Any]) -> Any:
    with np.errstate(all="ignore"):
        table = cast_to(xp, numbers, to=to, **options)
    small = table.view(np.uint8) if _is_tiny(to) else table
    found = xp.take(small, xp.astype(places, xp.int32), axis=0)
    return found.view(to.numpy) if _is_tiny(to) else found


MEANINGS: Meanings = {
    ("", "BatchNormalization"): None,
    ("", "CausalConvWithState"): _causal_conv,
    ("", "Compress"): _compress,
    ("", "DeformConv"): None,
    ("", "DequantizeLinear"): None,
    ("", "Loop"): None,
    ("", "MatMulInteger"): None,
    ("", "QLinearConv"): microsoft_quantized.qlinear_conv,
    ("", "QLinearMatMul"): microsoft_quantized.qlinear_matmul,
    ("", "QuantizeLinear"): None,
    ("", "Scan"): None,
    ("", "SimplifiedLayerNormalization"): None,
    ("ai.onnx.preview", "FlexAttention"): None,
    **{key: None for key in table() if key[0] in (MICROSOFT, ML)},
}
"""What is decomposed, and for some another meaning than the table's."""

QUANTIZED: Meanings = {
    ("", "DequantizeLinear"): None,
    ("", "DynamicQuantizeLinear"): None,
    ("", "QuantizeLinear"): None,
    **dict.fromkeys((DOMAIN, row.name) for row in quantized.ROWS),
}
"""Operations on 8-bit integers, some forms of which have no instruction."""

AT_RUN: Mapping[str, Collection[int]] = {
    "QAveragePool": (0,),
    "QBinary": (0, 3),
    "QConv": (0, 2, 4),
    "QMatMul": (0, 2, 4),
    "QSoftmax": (0,),
    "QTable": (0, 1),
}
"""Inputs of each that may be known to the run alone."""

CASTS: Meanings = {("", "Cast"): _cast_tiny}
"""What is decomposed after that, because the steps of others have it too."""
