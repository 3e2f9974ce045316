"""Operations along axes: they work in any order, with the axes' places said anew.

In: nodes that name axes, in an attribute or a constant. Out: the same nodes over what is held.
"""

from __future__ import annotations

from pelemay.graph import ArrayConstant, Attribute, Node
from pelemay.passes.layout.forms import Forms, Perm, natural
from pelemay.passes.matching import integers, operand


def _axis(node: Node, rank: int, default: int) -> int:
    axis = node.attributes.get("axis", default)
    assert isinstance(axis, int)
    return axis % rank


def _moved(node: Node, axis: int) -> dict[str, Attribute]:
    return {**node.attributes, "axis": axis}


DEFAULT_AXES = {"Split": 0, "ArgMax": 0, "ArgMin": 0}


def one_axis(forms: Forms, node: Node) -> bool:
    """Operations with one data input and an attribute ``axis`` that keep every axis."""
    x = node.inputs[0]
    perm = forms.perm(x)
    axis = perm.index(_axis(node, len(perm), DEFAULT_AXES.get(node.op, -1)))
    inputs = (forms.read(x, perm), *map(forms.plain, node.inputs[1:]))
    forms.add(node, inputs, [perm] * len(node.outputs), _moved(node, axis))
    return True


def concat(forms: Forms, node: Node) -> bool:
    """Concat: in the order in which most of its inputs are held."""
    rank = len(forms.shape(node.outputs[0]))
    axis = _axis(node, rank, 0)
    perms = [perm for name in node.inputs for perm in forms.perms(name)]
    perm = forms.cheapest(node.inputs, perms)
    inputs = [forms.read(name, perm) for name in node.inputs]
    forms.add(node, inputs, [perm], _moved(node, perm.index(axis)))
    return True


def _without(perm: Perm, axes: set[int]) -> Perm:
    """An order after some axes are gone."""
    left = sorted(axis for axis in perm if axis not in axes)
    return tuple(left.index(axis) for axis in perm if axis not in axes)


def reduction(forms: Forms, node: Node) -> bool:
    """Reductions over constant axes."""
    x, axes_name = node.inputs[0], operand(node, 1)
    perm = forms.perm(x)
    axes = integers(forms.graph, axes_name) if axes_name else ()
    if axes is None:
        return False
    if not axes and node.attributes.get("noop_with_empty_axes", 0):
        return False
    gone = {axis % len(perm) for axis in axes} or set(perm)
    places = sorted(perm.index(axis) for axis in gone)
    inputs = [forms.read(x, perm), forms.integers(f"{node.outputs[0]}::axes", places)]
    result = perm if node.attributes.get("keepdims", 1) else _without(perm, gone)
    attributes = {k: v for k, v in node.attributes.items() if k != "noop_with_empty_axes"}
    forms.add(node, inputs, [result], attributes)
    return True


def arg_reduction(forms: Forms, node: Node) -> bool:
    """ArgMax and ArgMin."""
    x = node.inputs[0]
    perm = forms.perm(x)
    axis = _axis(node, len(perm), 0)
    result = perm if node.attributes.get("keepdims", 1) else _without(perm, {axis})
    attributes = _moved(node, perm.index(axis))
    forms.add(node, [forms.read(x, perm)], [result], attributes)
    return True


def cumulative(forms: Forms, node: Node) -> bool:
    """CumSum and CumProd, whose axis is an input."""
    x = node.inputs[0]
    perm = forms.perm(x)
    axis = integers(forms.graph, node.inputs[1])
    if not axis:
        return False
    place = ArrayConstant.of(perm.index(axis[0] % len(perm)), dtype=int)
    name = forms.constant(f"{node.outputs[0]}::axis", place)
    forms.add(node, [forms.read(x, perm), name], [perm])
    return True


def sliced(forms: Forms, node: Node) -> bool:
    """Slice."""
    x, y = node.inputs[0], node.outputs[0]
    perm = forms.perm(x)
    axes = integers(forms.graph, operand(node, 3))
    if axes is None:
        if operand(node, 3):
            return False
        axes = natural(forms.shape(node.inputs[1])[0])
    places = forms.integers(f"{y}::axes", [perm.index(axis % len(perm)) for axis in axes])
    starts, ends = map(forms.plain, node.inputs[1:3])
    steps = forms.plain(operand(node, 4))
    inputs = (forms.read(x, perm), starts, ends, places, *((steps,) if steps else ()))
    forms.add(node, inputs, [perm])
    return True


def padded(forms: Forms, node: Node) -> bool:
    """Pad."""
    x, y = node.inputs[0], node.outputs[0]
    perm = forms.perm(x)
    axes = integers(forms.graph, operand(node, 3))
    if axes is None:
        if operand(node, 3):
            return False
        axes = natural(len(perm))
    places = forms.integers(f"{y}::axes", [perm.index(axis % len(perm)) for axis in axes])
    inputs = (forms.read(x, perm), *map(forms.plain, (node.inputs[1], operand(node, 2))), places)
    forms.add(node, inputs, [perm])
    return True


def gathered(forms: Forms, node: Node) -> bool:
    """Gather; one position, or neighbouring ones, are a Slice."""
    x, indices = node.inputs[:2]
    y = node.outputs[0]
    perm = forms.perm(x)
    axis = _axis(node, len(perm), 0)
    place = perm.index(axis)
    count = len(forms.shape(indices))
    shifted = [a + count - 1 if a > axis else a for a in perm]
    result = (*shifted[:place], *range(axis, axis + count), *shifted[place + 1 :])
    run = _run(forms, indices, forms.shape(x)[axis])
    if run is None or x in forms.graph.constants:
        inputs = (forms.read(x, perm), forms.plain(indices))
        forms.add(node, inputs, [result], _moved(node, place))
        return True
    sizes = [forms.shape(x)[a] for a in perm]
    sizes[place] = len(run)
    bounds = (run.start, run.stop, place)
    names = ("starts", "ends", "axes")
    limits = [forms.integers(f"{y}::{n}", [v]) for n, v in zip(names, bounds, strict=True)]
    source = forms.read(x, perm)
    part = forms.step("Slice", (source, *limits), y, forms.dtype(y), tuple(sizes))
    wanted = tuple(forms.shape(y)[a] for a in result)
    forms.hold(y, part if wanted == tuple(sizes) else forms.reshape(y, part, wanted), result)
    return True


def _run(forms: Forms, indices: str, size: int) -> range | None:
    """Constant indices that ascend by one, as a range; None if they do not."""
    found = integers(forms.graph, indices)
    if not found or len(found) > size or min(found) < -size or max(found) >= size:
        return None
    counted = [index % size for index in found]
    run = range(counted[0], counted[0] + len(counted))
    return run if counted == list(run) else None


def expanded(forms: Forms, node: Node) -> bool:
    """Expand."""
    x, y = node.inputs[0], node.outputs[0]
    rank = len(forms.shape(y))
    perm = forms.perm(x) if len(forms.shape(x)) == rank else natural(rank)
    target = forms.integers(f"{y}::shape", [forms.shape(y)[axis] for axis in perm])
    forms.add(node, [forms.broadcast(x, perm), target], [perm])
    return True


def tiled(forms: Forms, node: Node) -> bool:
    """Tile."""
    x, y = node.inputs[0], node.outputs[0]
    perm = forms.perm(x)
    repeats = integers(forms.graph, node.inputs[1])
    if repeats is None:
        return False
    counts = forms.integers(f"{y}::repeats", [repeats[axis] for axis in perm])
    forms.add(node, [forms.read(x, perm), counts], [perm])
    return True


def normalized(forms: Forms, node: Node) -> bool:
    """LayerNormalization and RMSNormalization: what they normalise has to be held last."""
    x = node.inputs[0]
    rank = len(forms.shape(x))
    if any(node.outputs[1:]):
        return False
    first = _axis(node, rank, -1)
    tail = tuple(range(first, rank))
    perms = [(*(a for a in perm if a < first), *tail) for perm in forms.perms(x)]
    perm = forms.cheapest([x], perms)
    inputs = (forms.read(x, perm), *map(forms.plain, node.inputs[1:]))
    forms.add(node, inputs, [perm, *(() for _ in node.outputs[1:])])
    return True


def mean_variance(forms: Forms, node: Node) -> bool:
    """MeanVarianceNormalization."""
    perm = forms.perm(node.inputs[0])
    axes = node.attributes.get("axes", (0, 2, 3))
    assert isinstance(axes, tuple)
    places = tuple(perm.index(a % len(perm)) for a in axes if isinstance(a, int))
    forms.add(node, [forms.read(node.inputs[0], perm)], [perm], {"axes": places})
    return True


REDUCTIONS = (
    *("ReduceSum", "ReduceProd", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare"),
    *("ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMin"),
)
RULES = {
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), one_axis),
    **dict.fromkeys(("Split", "TopK"), one_axis),
    "ArgMax": arg_reduction,
    "ArgMin": arg_reduction,
    "Concat": concat,
    "CumSum": cumulative,
    "CumProd": cumulative,
    "Expand": expanded,
    "Gather": gathered,
    "LayerNormalization": normalized,
    "MeanVarianceNormalization": mean_variance,
    "Pad": padded,
    "RMSNormalization": normalized,
    "Slice": sliced,
    "Tile": tiled,
}
