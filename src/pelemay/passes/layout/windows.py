"""Convolutions and pools: their data has channels last.

In: nodes of the standard set over (N, C, *spatial). Out: the dialect's nodes over (N, *spatial, C),
with explicit padding. The spatial axes may be held in any order: the kernel is turned likewise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pelemay.graph import Attribute, DType, Node
from pelemay.graph.operations.convolution import transposed_sizes
from pelemay.graph.operations.fused import DOMAIN
from pelemay.graph.operations.windows import Window, extent_of, window_of
from pelemay.passes.layout.forms import Forms, Perm, Shape, natural, without_ones
from pelemay.passes.matching import operand

POOLED = (DType.FLOAT32, DType.UINT8, DType.INT8)
"""Element types of which the engine takes the largest in a window; means are of the first."""


def channels_last(forms: Forms, name: str) -> Perm:
    """The order with channels last in which a value is had at the least cost.

    Spatial axes stay in the order in which they are held, if that has channels last.
    """
    shape = forms.shape(name)
    rank = len(shape)
    for perm in forms.perms(name):
        spatial = tuple(axis for axis in perm if axis >= 2)
        moved = without_ones(spatial, shape)
        if without_ones(perm, shape) == without_ones((0, *moved, 1), shape):
            return (0, *(range(2, rank) if moved == tuple(sorted(moved)) else spatial), 1)
    return (0, *range(2, rank), 1)


def _by_axis(values: Sequence[int], perm: Perm) -> tuple[int, ...]:
    """Numbers for each spatial axis in the order of a form."""
    return tuple(values[axis - 2] for axis in perm[1:-1])


def _pads(begins: Sequence[int], ends: Sequence[int], perm: Perm) -> tuple[int, ...]:
    return (*_by_axis(begins, perm), *_by_axis(ends, perm))


def _cropped(forms: Forms, x: str, pads: Sequence[int], kind: tuple[DType, Shape]) -> str:
    """The data without what negative padding takes away."""
    count = len(pads) // 2
    crops = [min(pad, 0) for pad in pads]
    if not any(crops):
        return x
    dtype, shape = kind
    sizes = tuple(size + crops[i] + crops[count + i] for i, size in enumerate(shape[1:-1]))
    axes = forms.integers(f"{x}::axes", range(1, count + 1))
    amounts = forms.integers(f"{x}::crops", crops)
    return forms.step("Pad", (x, amounts, "", axes), x, dtype, (shape[0], *sizes, shape[-1]))


def _window(forms: Forms, node: Node, kernel: Sequence[int]) -> Window:
    a: Any = node.attributes
    return window_of(
        forms.shape(node.inputs[0])[2:],
        kernel,
        strides=a.get("strides", ()),
        dilations=a.get("dilations", ()),
        pads=a.get("pads", ()),
        auto_pad=a.get("auto_pad", "NOTSET"),
        ceil_mode=a.get("ceil_mode", 0),
    )


def _read_data(forms: Forms, name: str, perm: Perm, pads: Sequence[int]) -> str:
    shape = forms.shape(name)
    kind = (forms.dtype(name), tuple(shape[axis] for axis in perm))
    return _cropped(forms, forms.read(name, perm), pads, kind)


def convolution(forms: Forms, node: Node) -> bool:
    """Conv."""
    if forms.dtype(node.inputs[0]) is not DType.FLOAT32 or len(forms.shape(node.inputs[0])) < 3:
        return False
    inputs, perm, attributes = _convolved(forms, node)
    if operand(node, 2):
        inputs.append(forms.plain(node.inputs[2]))
    forms.add(node, inputs, [perm], attributes, domain=DOMAIN)
    return True


def _convolved(forms: Forms, node: Node) -> tuple[list[str], Perm, dict[str, Attribute]]:
    """Data and weights with channels last, that order, and the geometry."""
    x, w = node.inputs[:2]
    perm = channels_last(forms, x)
    window = _window(forms, node, forms.shape(w)[2:])
    pads = _pads(window.begins, window.ends, perm)
    inputs = [_read_data(forms, x, perm, pads), forms.read(w, (0, 1, *perm[1:-1]))]
    attributes: dict[str, Attribute] = {
        "strides": _by_axis(window.strides, perm),
        "dilations": _by_axis(window.dilations, perm),
        "pads": tuple(max(pad, 0) for pad in pads),
        "group": node.attributes.get("group", 1),
    }
    return inputs, perm, attributes


def integer_convolution(forms: Forms, node: Node) -> bool:
    """ConvInteger; its padding counts as the zero point, so that its sum is the dialect's."""
    if len(forms.shape(node.inputs[0])) < 3:
        return False
    inputs, perm, attributes = _convolved(forms, node)
    zeros = [forms.plain(operand(node, index)) for index in (2, 3)]
    attributes["to"] = DType.INT32
    forms.add(node, [*inputs, "", "", *zeros], [perm], attributes, op="QConv", domain=DOMAIN)
    return True


def transposed_convolution(forms: Forms, node: Node) -> bool:
    """ConvTranspose; its output's sizes follow from explicit padding alone."""
    x, w = node.inputs[:2]
    if forms.dtype(x) is not DType.FLOAT32 or len(forms.shape(x)) < 3:
        return False
    a: Any = node.attributes
    perm = channels_last(forms, x)
    rank = len(perm) - 2
    ones, zeros = (1,) * rank, (0,) * rank
    strides, dilations = a.get("strides", ones), a.get("dilations", ones)
    extra = a.get("output_padding", zeros)
    sizes = forms.shape(x)[2:]
    axes = zip(sizes, strides, extra, forms.shape(w)[2:], dilations, strict=True)
    full = [s * (n - 1) + o + extent_of(k, d) for n, s, o, k, d in axes]
    begins, outputs = transposed_sizes(
        sizes,
        full,
        a.get("auto_pad", "NOTSET"),
        a.get("output_shape", ()),
        a.get("pads", ()),
        strides,
    )
    ends = [f - b - o for f, b, o in zip(full, begins, outputs, strict=True)]
    if min(begins) < 0:
        return False
    wider = tuple(e - min(end, 0) for e, end in zip(extra, ends, strict=True))
    inputs = [forms.read(x, perm), forms.read(w, (0, 1, *perm[1:-1]))]
    if operand(node, 2):
        inputs.append(forms.plain(node.inputs[2]))
    attributes: dict[str, Attribute] = {
        "strides": _by_axis(strides, perm),
        "dilations": _by_axis(dilations, perm),
        "pads": _pads(begins, [max(end, 0) for end in ends], perm),
        "output_padding": _by_axis(wider, perm),
        "group": a.get("group", 1),
    }
    forms.add(node, inputs, [perm], attributes, domain=DOMAIN)
    return True


def pool(forms: Forms, node: Node) -> bool:
    """MaxPool without indices, AveragePool, LpPool."""
    x = node.inputs[0]
    kinds = POOLED if node.op == "MaxPool" else POOLED[:1]
    if forms.dtype(x) not in kinds or any(node.outputs[1:]):
        return False
    if len(forms.shape(x)) < 3:
        return False
    a: Any = node.attributes
    perm = channels_last(forms, x)
    window = _window(forms, node, a["kernel_shape"])
    counts = bool(a.get("count_include_pad", 0))
    ends, ceil = _ends(forms.shape(x)[2:], window, counts_padding=counts)
    pads = _pads(window.begins, ends, perm)
    if window.kernel == forms.shape(x)[2:] and not any((*pads, *window.begins)):
        return _whole(forms, node)
    if min(pads) < 0:
        return False
    attributes: dict[str, Attribute] = {
        "kernel_shape": _by_axis(window.kernel, perm),
        "strides": _by_axis(window.strides, perm),
        "dilations": _by_axis(window.dilations, perm),
        "pads": pads,
    }
    attributes |= {"ceil_mode": 1} if ceil else {}
    attributes |= {name: a[name] for name in ("p", "count_include_pad") if name in a}
    forms.add(node, [forms.read(x, perm)], [perm], attributes, domain=DOMAIN)
    return True


def _ends(sizes: Shape, window: Window, *, counts_padding: bool) -> tuple[tuple[int, ...], bool]:
    """Padding behind with which rounding down gives as many windows; else rounding up stays."""
    w = window
    axes = zip(w.outputs, w.strides, w.kernel, w.dilations, sizes, w.begins, strict=True)
    exact = tuple((o - 1) * s + extent_of(k, d) - n - b for o, s, k, d, n, b in axes)
    enough = tuple(
        end if _count(window, axis, sizes[axis], end) == window.outputs[axis] else max(need, 0)
        for axis, (end, need) in enumerate(zip(window.ends, exact, strict=True))
    )
    if enough == window.ends or not counts_padding:
        return enough, False
    return window.ends, True


def _count(window: Window, axis: int, size: int, end: int) -> int:
    room = size + window.begins[axis] + end
    extent = extent_of(window.kernel[axis], window.dilations[axis])
    return (room - extent) // window.strides[axis] + 1


REDUCTIONS = {
    "AveragePool": "ReduceMean",
    "GlobalAveragePool": "ReduceMean",
    "GlobalMaxPool": "ReduceMax",
    "MaxPool": "ReduceMax",
}


def _whole(forms: Forms, node: Node) -> bool:
    """Pools over whole images are reductions."""
    x = node.inputs[0]
    perm = forms.perm(x)
    op = REDUCTIONS.get(node.op)
    if op is None:
        power = node.attributes.get("p", 2)
        op = "ReduceL1" if power == 1 else "ReduceL2" if power == 2 else None
    if op is None or len(perm) < 3:
        return False
    axes = sorted(perm.index(axis) for axis in range(2, len(perm)))
    inputs = (forms.read(x, perm), forms.integers(f"{node.outputs[0]}::axes", axes))
    forms.add(node, inputs, [perm], {"keepdims": 1}, op=op)
    return True


def channel_normalization(forms: Forms, node: Node) -> bool:
    """Instance, group and local response normalisation, with channels last where they are so."""
    x = node.inputs[0]
    perm = channels_last(forms, x)
    if not forms.is_free(x, perm) or forms.is_free(x, natural(len(perm))):
        return False
    if forms.dtype(x) is not DType.FLOAT32:
        return False
    attributes = {k: v for k, v in node.attributes.items() if k != "stash_type"}
    inputs = [forms.read(x, perm), *map(forms.plain, node.inputs[1:])]
    forms.add(node, inputs, [perm], attributes, domain=DOMAIN)
    return True


RULES = {
    "Conv": convolution,
    "ConvInteger": integer_convolution,
    "ConvTranspose": transposed_convolution,
    "MaxPool": pool,
    "AveragePool": pool,
    "LpPool": pool,
    "GlobalAveragePool": _whole,
    "GlobalMaxPool": _whole,
    "GlobalLpPool": _whole,
    "InstanceNormalization": channel_normalization,
    "GroupNormalization": channel_normalization,
    "LRN": channel_normalization,
}
