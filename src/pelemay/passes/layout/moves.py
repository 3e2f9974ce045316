"""Operations that only say another order or shape: most of them cost nothing here.

In: Transpose, Reshape, Squeeze, Unsqueeze, Flatten. Out: no node at all, or a Reshape of what is
held; a Transpose only where axes are merged that are not held side by side.
"""

from __future__ import annotations

from math import prod

from pelemay.graph import Node
from pelemay.graph.operations.fused import DOMAIN
from pelemay.passes.layout.forms import Forms, Perm, Shape, natural, without_ones
from pelemay.passes.matching import operand, permutation

Group = tuple[tuple[int, ...], tuple[int, ...]]


def transpose(forms: Forms, node: Node) -> bool:
    """What is held is the result, with another name for each axis."""
    x, y = node.inputs[0], node.outputs[0]
    order = permutation(node, len(forms.shape(x)))
    for perm in forms.perms(x):
        forms.hold(y, forms.read(x, perm), tuple(order.index(axis) for axis in perm))
    return True


def groups_of(before: Shape, after: Shape) -> list[Group] | None:
    """Axes of a shape that together become axes of another, without those of size 1.

    >>> groups_of((2, 3, 4, 1, 5), (6, 2, 2, 5))
    [((0, 1), (0,)), ((2,), (1, 2)), ((4,), (3,))]
    """
    if 0 in before or prod(before) != prod(after):
        return None
    left = [axis for axis, size in enumerate(before) if size != 1]
    right = [axis for axis, size in enumerate(after) if size != 1]
    groups: list[Group] = []
    while left:
        a, b = [left.pop(0)], [right.pop(0)]
        while (have := prod(before[i] for i in a)) != (need := prod(after[i] for i in b)):
            if have < need:
                a.append(left.pop(0))
            else:
                b.append(right.pop(0))
        groups.append((tuple(a), tuple(b)))
    return groups


def view(forms: Forms, node: Node) -> bool:
    """Reshape and its kin: groups of axes become other groups of axes."""
    x, y = node.inputs[0], node.outputs[0]
    groups = groups_of(forms.shape(x), forms.shape(y))
    if groups is None:
        return False
    scrambled = _scrambled_product(forms, node, groups)
    perm = scrambled or _grouped(forms, (x, y), groups)
    held = without_ones(perm, forms.shape(x))
    order = sorted(groups, key=lambda group: min(map(held.index, group[0])))
    result = _with_ones([axis for _, after in order for axis in after], forms.shape(y))
    source = forms.read(x, perm)
    sizes = tuple(forms.shape(y)[axis] for axis in result)
    if sizes != tuple(forms.shape(x)[axis] for axis in perm):
        source = forms.reshape(y, source, sizes)
    forms.hold(y, source, result)
    return True


def _grouped(forms: Forms, names: tuple[str, str], groups: list[Group]) -> Perm:
    """The order nearest to one that is held in which the axes of each group lie side by side.

    Where elements have to be moved for that, they are moved to where readers want them.
    """
    x, y = names
    shape = forms.shape(x)
    found = [_regrouped(without_ones(perm, shape), groups) for perm in forms.perms(x)]
    perm = forms.cheapest([x], [_with_ones(list(axes), shape) for axes in found])
    wanted = None if forms.is_free(x, perm) else _wish(forms, y)
    if wanted is None:
        return perm
    place = wanted.index
    order = sorted(groups, key=lambda group: min(map(place, group[1])))
    return _with_ones([axis for before, _ in order for axis in before], shape)


def _wish(forms: Forms, name: str) -> Perm | None:
    """The order in which a value is wanted, if it is known."""
    rank = len(forms.shape(name))
    if name in forms.wanted_last and rank > 2:
        return (0, *range(2, rank), 1)
    return None if forms.rewriter.users.get(name) else natural(rank)


def _regrouped(held: Perm, groups: list[Group]) -> Perm:
    """Groups by the place of their first axis, the axes of each in ascending order."""
    order = sorted(groups, key=lambda group: min(map(held.index, group[0])))
    return tuple(axis for before, _ in order for axis in before)


def _with_ones(axes: list[int], shape: Shape) -> Perm:
    """Axes in order, and those of size 1 each behind the one that it follows by nature."""
    if axes == sorted(axes):
        return natural(len(shape))
    found = list(axes)
    for axis, size in enumerate(shape):
        if size == 1:
            found.insert(found.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(found)


def _scrambled_product(forms: Forms, node: Node, groups: list[Group]) -> Perm | None:
    """The order in which a value is held, if only a product by constant weights reads the view.

    Then the weights' rows are put into that order instead of the data.
    """
    x, y = node.inputs[0], node.outputs[0]
    user = forms.rewriter.only_user(y)
    if user is None:
        return None
    product = forms.graph.nodes[user]
    weights = forms.graph.constants.get(operand(product, 1))
    is_product = product.op == "MatMul" and product.domain == DOMAIN and product.inputs[0] == y
    if not is_product or weights is None or len(weights.shape) != 2:
        return None
    last = len(forms.shape(y)) - 1
    before, after = groups[-1] if groups else ((), ())
    held = without_ones(forms.perm(x), forms.shape(x))
    inner = tuple(axis for axis in held if axis in before)
    side_by_side = held[len(held) - len(before) :] == inner
    if after != (last,) or not side_by_side or inner == before or product.attributes.get("trans_a"):
        return None
    outer = held[: len(held) - len(before)]
    if outer != tuple(axis for axes, _ in groups[:-1] for axis in axes):
        return None
    sizes = tuple(forms.shape(x)[axis] for axis in before)
    forms.scrambled[user] = (sizes, tuple(before.index(axis) for axis in inner))
    return _with_ones(list(held), forms.shape(x))


RULES = {
    "Transpose": transpose,
    "Reshape": view,
    "Squeeze": view,
    "Unsqueeze": view,
    "Flatten": view,
}
