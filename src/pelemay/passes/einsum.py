"""Einstein sums of two operands that are products of matrices.

In: Einsum with two operands of float32. Out: Transpose, Reshape and MatMul, which attention is
recognised from and which layout makes flags of; an equation that sums over an axis of one
operand alone, or takes a diagonal, stays.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> def t(*shape): return TensorType(DType.FLOAT32, shape)
>>> node = Node("Einsum", ("q", "k"), ("s",), {"equation": "bqd,bkd->bqk"})
>>> g = Graph("g", {"q": t(2, 3, 4), "k": t(2, 5, 4)}, {"s": t(2, 3, 5)}, (node,))
>>> [node.op for node in lower_einsums(g).nodes]
['Transpose', 'MatMul']
"""

from __future__ import annotations

from math import prod

from pelemay.errors import ExecutionError
from pelemay.graph import Graph, Node
from pelemay.graph.operations.linear import terms_of
from pelemay.passes.emitting import Emitter
from pelemay.passes.matching import is_float32, is_standard, shape_of
from pelemay.passes.rewrite import Rewriter

Term = tuple[str, ...]
Shape = tuple[int, ...]


def lower_einsums(graph: Graph) -> Graph:
    """Write Einsum as MatMul where it is one.

    Requires static types. Guarantees nothing of those that are no product of two operands.
    """
    rewriter = Rewriter(graph)
    for index, node in enumerate(graph.nodes):
        if not is_standard(node, "Einsum") or len(node.inputs) != 2:
            continue
        names = (*node.inputs, *node.outputs)
        if is_float32(graph, *names) and all(shape_of(graph, name) is not None for name in names):
            nodes = _product(Emitter(rewriter, node.outputs[0]), node)
            if nodes:
                rewriter.replace(index, *nodes)
    return rewriter.graph_after()


def _product(emitter: Emitter, node: Node) -> list[Node]:
    """The nodes, or none where the equation is no product of matrices."""
    shapes = [emitter.shape(name) for name in node.inputs]
    try:
        (a, b), y = terms_of(str(node.attributes["equation"]), [len(shape) for shape in shapes])
    except ExecutionError:
        return []
    if not _is_product(a, b, y):
        return []
    sizes = dict(zip((*a, *b), (*shapes[0], *shapes[1]), strict=True))
    if any(sizes[label] != size for label, size in zip(a, shapes[0], strict=True)):
        return []
    batch = [label for label in y if label in a and label in b]
    inner = [label for label in a if label in b and label not in y]
    rows, columns = [i for i in y if i in a and i not in b], [i for i in y if i in b and i not in a]
    left = _arranged(emitter, node.inputs[0], a, (batch, rows, inner), sizes)
    right = _arranged(emitter, node.inputs[1], b, (batch, inner, columns), sizes)
    outer = tuple(sizes[label] for label in batch)
    flat = (*outer, _count(rows, sizes), _count(columns, sizes))
    found = emitter.node("MatMul", (left, right), flat, name=node.name)
    made = (*batch, *rows, *columns)
    found = emitter.reshape(found, tuple(sizes[label] for label in made))
    emitter.finish(emitter.transpose(found, [made.index(label) for label in y]))
    return emitter.nodes


def _is_product(a: Term, b: Term, y: Term) -> bool:
    """Whether every label is a batch's, a row's, a column's, or summed over in both operands."""
    alone = all(len(set(term)) == len(term) for term in (a, b, y))
    known = set(y) <= set(a) | set(b)
    return alone and known and (set(a) | set(b)) - set(y) <= set(a) & set(b)


def _count(labels: list[str], sizes: dict[str, int]) -> int:
    return prod(sizes[label] for label in labels)


def _arranged(
    emitter: Emitter,
    name: str,
    term: Term,
    wanted: tuple[list[str], list[str], list[str]],
    sizes: dict[str, int],
) -> str:
    """An operand as a stack of matrices."""
    batch, first, second = wanted
    moved = emitter.transpose(name, [term.index(label) for label in (*batch, *first, *second)])
    outer = tuple(sizes[label] for label in batch)
    return emitter.reshape(moved, (*outer, _count(first, sizes), _count(second, sizes)))
