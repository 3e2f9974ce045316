"""Matrix products and attention: transposed matrices are flags, moved heads are packed ones.

In: ``pelemay::MatMul`` and Attention. Out: the same over what is held, where it suits them.
"""

from __future__ import annotations

from pelemay.graph import Attribute, Constant, Node
from pelemay.passes.derived import derived
from pelemay.passes.layout.forms import Forms, Perm, Shape, natural, without_ones
from pelemay.passes.matching import operand

HEADS_INSIDE = (0, 2, 1, 3)
"""Heads held as (batch, tokens, heads, size)."""


def product(forms: Forms, node: Node) -> bool:
    """MatMul of the dialect."""
    a, b = node.inputs[:2]
    rank = len(forms.shape(node.outputs[0]))
    outer = _best(forms, (a, b), rank)
    attributes: dict[str, Attribute] = dict(node.attributes)
    inputs = []
    for name, flag in ((a, "trans_a"), (b, "trans_b")):
        perm, swapped = _matrix_order(forms, name, outer)
        inputs.append(forms.read(name, perm))
        if swapped:
            attributes[flag] = 1 - _flag(node, flag)
    if forms.index in forms.scrambled:
        inputs[1] = _reordered(forms, node, inputs[1])
    perm = (*outer, rank - 2, rank - 1)
    inputs += [forms.plain(operand(node, 2)), forms.broadcast(operand(node, 3), perm)]
    while not inputs[-1]:
        inputs.pop()
    forms.add(node, inputs, [perm], {k: v for k, v in attributes.items() if v != 0})
    return True


def _flag(node: Node, name: str) -> int:
    value = node.attributes.get(name, 0)
    assert isinstance(value, int)
    return value


def _outer_orders(forms: Forms, name: str, rank: int) -> list[Perm]:
    """The orders of the batch axes in which an operand is held."""
    if len(forms.shape(name)) != rank or name in forms.graph.constants:
        return []
    return [tuple(axis for axis in perm if axis < rank - 2) for perm in forms.perms(name)]


def _best(forms: Forms, names: tuple[str, str], rank: int) -> Perm:
    """The order of batch axes that moves the fewest operands."""
    if any(2 < len(forms.shape(name)) < rank for name in names):
        return natural(rank - 2)
    orders = [order for name in names for order in _outer_orders(forms, name, rank)]

    def cost(outer: Perm) -> int:
        perms = [(name, _matrix_order(forms, name, outer)[0]) for name in names]
        return sum(not forms.is_free(name, perm) for name, perm in perms)

    return min(dict.fromkeys((*orders, natural(rank - 2))), key=cost)


def _matrix_order(forms: Forms, name: str, outer: Perm) -> tuple[Perm, bool]:
    """An operand's order with its matrices last, and whether they are held transposed."""
    rank = len(forms.shape(name))
    extra = len(outer) + 2 - rank
    own = tuple(axis - extra for axis in outer if axis >= extra)
    plain, swapped = (*own, rank - 2, rank - 1), (*own, rank - 1, rank - 2)
    held = name in forms.graph.constants or not forms.is_free(name, plain)
    is_swapped = held and any(
        without_ones(perm, forms.shape(name)) == without_ones(swapped, forms.shape(name))
        for perm in forms.perms(name)
    )
    if is_swapped and not _is_same(forms, name, plain):
        return swapped, True
    return plain, False


def _is_same(forms: Forms, name: str, perm: Perm) -> bool:
    shape = forms.shape(name)
    return any(without_ones(p, shape) == without_ones(perm, shape) for p in forms.perms(name))


def _reordered(forms: Forms, node: Node, name: str) -> str:
    """Weights whose rows follow the order in which the data was merged."""
    sizes, order = forms.scrambled[forms.index]
    weights = forms.graph.constants[node.inputs[1]]
    rows_last = bool(_flag(node, "trans_b"))
    moved = _rows_moved(weights, sizes, order, rows_last=rows_last)
    assert name == node.inputs[1]
    return forms.constant(f"{node.outputs[0]}::weights", moved)


def _rows_moved(weights: Constant, sizes: Shape, order: Perm, *, rows_last: bool) -> Constant:
    if rows_last:
        perm = (0, *(axis + 1 for axis in order))
        # Of any number of rows: each moves in itself.
        return derived(
            "Move in rows",
            lambda w: w.reshape(-1, *sizes).transpose(perm).reshape(-1, *w.shape[1:]),
            weights,
            shape=weights.shape,
        )
    wide, perm = (*sizes, weights.shape[1]), (*order, len(sizes))
    return derived(
        "Transpose",
        lambda w: w.reshape(wide).transpose(perm).reshape(w.shape),
        weights,
        shape=weights.shape,
    )


def attention(forms: Forms, node: Node) -> bool:
    """Attention over heads that are held beside each other takes them packed."""
    q, k, v = node.inputs[:3]
    if any(len(forms.shape(name)) != 4 for name in (q, k, v)) or any(node.outputs[1:]):
        return False
    if any(node.inputs[4:]):
        return False
    inside = [forms.is_free(name, HEADS_INSIDE) for name in (q, k, v)]
    outside = [forms.is_free(name, natural(4)) for name in (q, k, v)]
    if sum(inside) <= sum(outside):
        return False
    inputs = []
    for name in (q, k, v):
        batch, heads, tokens, size = forms.shape(name)
        moved = forms.read(name, HEADS_INSIDE)
        inputs.append(forms.reshape(name, moved, (batch, tokens, heads * size)))
    if operand(node, 3):
        inputs.append(forms.plain(node.inputs[3]))
    y = node.outputs[0]
    batch, heads, tokens, size = forms.shape(y)
    attributes = {
        **node.attributes,
        "q_num_heads": forms.shape(q)[1],
        "kv_num_heads": forms.shape(k)[1],
    }
    shape = (batch, tokens, heads * size)
    packed = forms.step("Attention", tuple(inputs), y, forms.dtype(y), shape, attributes)
    moved = forms.reshape(y, packed, (batch, tokens, heads, size))
    forms.hold(y, moved, HEADS_INSIDE)
    return True


RULES = {"Attention": attention}
DIALECT_RULES = {"MatMul": product}
