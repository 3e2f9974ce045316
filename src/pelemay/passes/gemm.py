"""Matrix products in the dialect's one form.

In: Gemm and MatMul of float32, MatMulInteger. Out: ``pelemay::MatMul`` with its factor,
transpositions as flags and a constant bias; what else Gemm adds becomes a residual, or an Add. Of
integers it is ``pelemay::QMatMul``.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (3, 3))
>>> node = Node("Gemm", ("a", "a"), ("y",), {"transB": 1})
>>> made = lower_products(Graph("g", {"a": x}, {"y": x}, (node,))).nodes[0]
>>> made.qualified, dict(made.attributes)
('pelemay::MatMul', {'trans_b': 1})
"""

from __future__ import annotations

from pelemay.graph import Attribute, Constant, DType, Graph, Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.derived import broadcast, derived, reshaped
from pelemay.passes.emitting import Emitter
from pelemay.passes.matching import is_float32, is_standard, operand, shape_of
from pelemay.passes.rewrite import Rewriter

Shape = tuple[int, ...]


def lower_products(graph: Graph) -> Graph:
    """Write every float32 Gemm and MatMul as ``pelemay::MatMul``, MatMulInteger as ``QMatMul``.

    Requires static types. Guarantees that both operands have at least two dimensions.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        real = is_standard(node, "Gemm", "MatMul") and is_float32(graph, *node.inputs)
        if not real and not is_standard(node, "MatMulInteger"):
            continue
        if all(shape_of(graph, name) is not None for name in (*node.inputs, *node.outputs) if name):
            emitter = Emitter(rewriter, node.outputs[0])
            if node.op == "Gemm":
                _gemm(emitter, node)
            else:
                _matmul(emitter, node)
            rewriter.replace(index, *emitter.nodes)
    return rewriter.graph_after()


def _matmul(emitter: Emitter, node: Node) -> None:
    """A vector is a matrix of one row, or of one column."""
    a, b, *zeros = node.inputs
    shape = emitter.shape(emitter.output)
    full = shape
    if len(emitter.shape(a)) == 1:
        a = emitter.reshape(a, (1, *emitter.shape(a)))
        full = (*full[:-1], 1, *full[-1:]) if len(emitter.shape(b)) > 1 else (1,)
    if len(emitter.shape(b)) == 1:
        b = emitter.reshape(b, (*emitter.shape(b), 1))
        full = (*full, 1)
    if node.op == "MatMulInteger":
        inputs, to = (a, b, "", "", *zeros), DType.INT32
        y = emitter.node(
            "QMatMul", inputs, full, {"to": to}, dtype=to, domain=DOMAIN, name=node.name
        )
    else:
        y = emitter.node("MatMul", (a, b), full, domain=DOMAIN, name=node.name)
    emitter.finish(emitter.reshape(y, shape))


def _gemm(emitter: Emitter, node: Node) -> None:
    shape = emitter.shape(emitter.output)
    attributes: dict[str, Attribute] = {}
    for flag in ("a", "b"):
        if node.attributes.get(f"trans{flag.upper()}", 0):
            attributes[f"trans_{flag}"] = 1
    if node.attributes.get("alpha", 1.0) != 1.0:
        attributes["alpha"] = node.attributes["alpha"]
    beta = node.attributes.get("beta", 1.0)
    c = operand(node, 2) if beta else ""
    inputs: tuple[str, ...] = node.inputs[:2]
    if c and beta != 1.0:
        assert isinstance(beta, float)
        c = _scaled(emitter, c, beta)
    constant = emitter.constant(c) if c else None
    bias = None if constant is None else _bias(constant, shape)
    if bias is not None:
        inputs = (*inputs, emitter.add_constant("bias", bias))
    elif c and emitter.shape(c) == shape:
        inputs = (*inputs, "", c)
    y = emitter.node("MatMul", inputs, shape, attributes, domain=DOMAIN, name=node.name)
    if c and len(inputs) == 2:
        y = emitter.node("Add", (y, c), shape)
    emitter.finish(y)


def _scaled(emitter: Emitter, name: str, beta: float) -> str:
    """``beta`` times a value."""
    constant = emitter.constant(name)
    shape = emitter.shape(name)
    if constant is not None:
        scaled = derived("Mul", lambda x: x * x.dtype.type(beta), constant, shape=shape)
        return emitter.add_constant("scaled", scaled)
    factor = emitter.rewriter.constant(f"{emitter.output}::beta", beta, "float32")
    return emitter.node("Mul", (name, factor), shape, label="scaled")


def _bias(constant: Constant, shape: Shape) -> Constant | None:
    """A constant that is the same for every row, as a vector."""
    aligned = (1,) * (2 - len(constant.shape)) + constant.shape
    if len(aligned) > 2 or aligned[0] != 1:
        return None
    return broadcast(reshaped(constant, aligned[1:]), shape[-1:])
