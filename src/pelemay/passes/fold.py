"""Constant folding: what follows from constants and static shapes is computed now.

In: a graph. Out: the graph with constants in the place of nodes that read nothing but constants,
and of those that ask for a shape which is known. What is small is computed at once; what is large
is a recipe that is followed whenever the constant is read, so that no weights are held.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, n = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.INT64, (2,))
>>> g = Graph("g", {"x": x}, {"n": n}, (Node("Shape", ("x",), ("n",)),))
>>> fold(g).constants["n"].array()
array([2, 3])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import PelemayError
from pelemay.graph import ArrayConstant, Constant, DType, Graph, Kind, Node, TensorType
from pelemay.graph.evaluate import Table, evaluate
from pelemay.graph.operations import find
from pelemay.graph.typing import infer
from pelemay.passes.derived import Dequantized, Derived, permuted, reshaped, widened
from pelemay.passes.matching import operand, permutation, shape_of, tensor

SMALL_BYTES = 64 << 10
"""A constant up to this size may come from anything; a larger one has to come from as much."""

EAGER_BYTES = 16 << 10
"""A constant up to this size is computed at once and held."""

MOST_FILLED_BYTES = 1 << 30
"""Weights of one value, whatever stores them, are not written out beyond this."""

_WEIGHTS = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (1,),
    "BatchNormalization": (1, 2, 3, 4),
}
"""Operations and those of their inputs which are weights."""

_MOVES = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operations whose result is weights if nothing else reads it, and so is their first input."""

_STEPS = frozenset({"control", "sequence"})
"""Groups of operations that are not folded: there is no bound to what they do."""


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """A constant all of whose elements are the same; it holds one.

    Parameters
    ----------
    dtype : DType
        Element type.
    shape : tuple of int
        Sizes of the dimensions.
    element : array
        The element, an array of no dimensions.
    """

    dtype: DType
    shape: tuple[int, ...]
    element: npt.NDArray[Any]

    @property
    def nbytes(self) -> int:
        """Bytes if all elements were stored."""
        return self.dtype.bytes_of(math.prod(self.shape))

    def array(self) -> npt.NDArray[Any]:
        """The elements: a read-only view of one."""
        return np.broadcast_to(self.element, self.shape)


def fold(graph: Graph) -> Graph:
    """Put constants in the place of what can be known before the run.

    Requires nothing; the types that it needs are inferred. Guarantees that no node is left which
    reads only constants and makes a small one. A constant of more than 64 KiB has no more elements
    than what it is computed from, but for weights that a ConstantOfShape fills.

    Parameters
    ----------
    graph : Graph
        A checked graph.

    Returns
    -------
    Graph
        The graph itself, with its types inferred, if there is nothing to fold. Constants that
        nothing reads any more stay until dead code is removed.
    """
    graph = infer(graph)
    constants = dict(graph.constants)
    nodes: list[Node] = []
    weights = _read_as_weights(graph)
    for node in graph.nodes:
        found = _folded(graph, node, constants, weights)
        if found is None:
            nodes.append(node)
        else:
            constants.update(found)
    if len(nodes) == len(graph.nodes):
        return graph
    types = {name: kind for name, kind in graph.types.items() if name not in constants}
    return replace(graph, nodes=tuple(nodes), constants=constants, types=types)


def _read_as_weights(graph: Graph) -> frozenset[str]:
    """Values which nothing but the weight inputs of operations read, perhaps moved first."""
    weights: set[str] = set()
    others: set[str] = set(graph.outputs)
    for node in reversed(graph.nodes):
        places = () if node.domain else _WEIGHTS.get(node.op, ())
        if node.op in _MOVES and weights.difference(others).issuperset(node.outputs):
            places = (0,)
        for index, name in enumerate(node.inputs):
            (weights if index in places else others).add(name)
        for inner in node.graphs:
            others |= inner.free_names
    return frozenset(weights - others)


def _folded(
    graph: Graph, node: Node, constants: Mapping[str, Constant], weights: frozenset[str]
) -> dict[str, Constant] | None:
    if node.op in ("Shape", "Size") and not node.domain:
        return _shape(graph, node)
    if not _is_foldable(node) or any(name not in constants for name in node.inputs if name):
        return None
    kinds = {name: kind for name in node.outputs if name and (kind := tensor(graph, name))}
    if len(kinds) < sum(map(bool, node.outputs)):
        return None
    sources = {name: constants[name] for name in node.inputs if name}
    if node.op == "ConstantOfShape" and weights.issuperset(kinds):
        return _filled(node, kinds)
    if not all(_is_bounded(kind, sources.values()) for kind in kinds.values()):
        return None
    return _computed(node, kinds, sources)


def _is_foldable(node: Node) -> bool:
    """An Identity is not: it is there to copy, or is removed elsewhere."""
    row = find(node.op, node.domain) if node.version == 0 else None
    if row is None or row.random or row.group in _STEPS or row.name == "Identity":
        return False
    return not any(node.graphs)


def _shape(graph: Graph, node: Node) -> dict[str, Constant] | None:
    shape = shape_of(graph, node.inputs[0])
    if shape is None or node.version:
        return None
    like = np.broadcast_to(np.zeros((), bool), shape)
    source = {node.inputs[0]: ArrayConstant.of(like)}
    return _evaluated(node, source)


def _filled(node: Node, kinds: Mapping[str, TensorType]) -> dict[str, Constant] | None:
    value = node.attributes.get("value")
    name, kind = next(iter(kinds.items()))
    if (kind.nbytes or 0) > MOST_FILLED_BYTES:
        return None
    element = value.array() if isinstance(value, Constant) else np.zeros((), np.float32)
    return {name: Filled(kind.dtype, _sizes(kind), element.reshape(()))}


def _is_bounded(kind: TensorType, sources: Iterable[Constant]) -> bool:
    """Whether a constant of that type is small, or no larger than what it comes from."""
    if _size(kind) <= SMALL_BYTES:
        return True
    given = sum(math.prod(source.shape) for source in sources)
    return math.prod(_sizes(kind)) <= given


def _sizes(kind: TensorType) -> tuple[int, ...]:
    return tuple(size for size in kind.shape or () if isinstance(size, int))


def _size(kind: TensorType) -> int:
    """Bytes of a tensor; a string counts as 64."""
    if kind.dtype is DType.STRING:
        return 64 * math.prod(_sizes(kind))
    return kind.nbytes or 0


def _computed(
    node: Node, kinds: Mapping[str, TensorType], sources: Mapping[str, Constant]
) -> dict[str, Constant] | None:
    quantized = _dequantized(node, kinds, sources)
    if quantized is not None:
        return {node.outputs[0]: quantized}
    if max(map(_size, kinds.values())) <= EAGER_BYTES:
        return _evaluated(node, sources)
    given = tuple(sources.values())
    first = given[0]
    found: dict[str, Constant] = {}
    for name, kind in kinds.items():
        if node.op == "Cast" and _is_wider(kind.dtype, first.dtype):
            return {name: widened(first, kind.dtype)}
        compute = _recipe(node, name, tuple(sources))
        found[name] = Derived(kind.dtype, _sizes(kind), given, f"fold {node.op}", compute)
    return found


_VIEWS = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})


def _dequantized(
    node: Node, kinds: Mapping[str, TensorType], sources: Mapping[str, Constant]
) -> Constant | None:
    """Integers that are made real numbers, and those moved; they stay what they are stored as."""
    first = sources.get(node.inputs[0]) if node.inputs else None
    if node.domain or first is None:
        return None
    kind = kinds[node.outputs[0]]
    if node.op == "DequantizeLinear":
        axis, block = (node.attributes.get(*pair) for pair in (("axis", 1), ("block_size", 0)))
        assert isinstance(axis, int)
        assert isinstance(block, int)
        zero = sources.get(operand(node, 2))
        at = axis % max(1, len(first.shape))
        return Dequantized(first, sources[node.inputs[1]], zero, at, block, kind.dtype)
    if not isinstance(first, Dequantized):
        return None
    if node.op == "Transpose":
        return permuted(first, permutation(node, len(first.shape)))
    return reshaped(first, _sizes(kind)) if node.op in _VIEWS else None


def _is_wider(dtype: DType, narrow: DType) -> bool:
    """Whether a floating-point type has every value of another."""
    real = dtype.kind is narrow.kind is Kind.FLOAT
    return real and dtype in (DType.FLOAT32, DType.FLOAT64) and dtype.bits > narrow.bits


def _recipe(node: Node, output: str, names: tuple[str, ...]) -> Callable[..., npt.NDArray[Any]]:
    """A function from the arrays of the inputs to that of one output."""

    def compute(*arrays: npt.NDArray[Any]) -> npt.NDArray[Any]:
        given = map(ArrayConstant.of, arrays)
        return _run(node, dict(zip(names, given, strict=True)), (output,))[output]

    return compute


def _evaluated(node: Node, sources: Mapping[str, Constant]) -> dict[str, Constant] | None:
    """The outputs' values; None if the node fails, which it then does when it runs."""
    wanted = tuple(name for name in node.outputs if name)
    try:
        found = _run(node, sources, wanted)
    except PelemayError:
        return None
    return {name: ArrayConstant.of(np.array(value)) for name, value in found.items()}


def _run(
    node: Node, sources: Mapping[str, Constant], wanted: tuple[str, ...]
) -> dict[str, npt.NDArray[Any]]:
    import array_api_compat.numpy as xp

    graph = Graph("fold", {}, dict.fromkeys(wanted), (node,), sources)
    with np.errstate(all="ignore"):
        found = evaluate(graph, {}, Table(xp))
    return {name: np.asarray(value) for name, value in found.items()}
