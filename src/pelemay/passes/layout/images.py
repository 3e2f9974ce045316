"""Images made larger, and channels turned into pixels.

In: Resize, DepthToSpace, SpaceToDepth. Out: Resize with a factor or size for each axis of what is
held; the others as a Reshape, one Transpose and a Reshape.
"""

from __future__ import annotations

import numpy as np

from pelemay.graph import ArrayConstant, Attribute, Node
from pelemay.passes.layout.forms import Forms, Perm, Shape
from pelemay.passes.layout.moves import transpose, view
from pelemay.passes.matching import operand


def resized(forms: Forms, node: Node) -> bool:
    """Resize."""
    x, y = node.inputs[0], node.outputs[0]
    perm = forms.perm(x)
    given = node.attributes.get("axes")
    axes = given if isinstance(given, tuple) else tuple(range(len(perm)))
    chosen = [axis % len(perm) for axis in axes if isinstance(axis, int)]
    stretch = node.attributes.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    crops = node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    scales, sizes = (_filled(forms, operand(node, index)) for index in (2, 3))
    attributes: dict[str, Attribute] = dict(node.attributes)
    by_axis = _by_axis(forms, perm, chosen, (scales, sizes), forms.shape(x))
    if crops or not stretch or by_axis is None:
        attributes["axes"] = tuple(perm.index(axis) for axis in chosen)
        rest = map(forms.plain, node.inputs[1:])
        forms.add(node, (forms.read(x, perm), *rest), [perm], attributes)
        return True
    attributes.pop("axes", None)
    numbers = forms.constant(f"{y}::{'scales' if scales else 'sizes'}", by_axis)
    inputs = ("", numbers) if scales else ("", "", numbers)
    forms.add(node, (forms.read(x, perm), *inputs), [perm], attributes)
    return True


def _filled(forms: Forms, name: str) -> str:
    """A name; none where it stands for a constant without elements, which old files give."""
    constant = forms.graph.constants.get(name)
    return "" if constant is not None and constant.shape == (0,) else name


def _by_axis(
    forms: Forms, perm: Perm, chosen: list[int], names: tuple[str, str], shape: Shape
) -> ArrayConstant | None:
    """Constant scales or sizes, one for each axis of a form."""
    scales, sizes = (forms.graph.constants.get(name) for name in names)
    if scales is not None:
        factors = dict(zip(chosen, scales.array().tolist(), strict=True))
        return ArrayConstant.of([factors.get(axis, 1.0) for axis in perm], np.float32)
    if sizes is None:
        return None
    lengths = dict(zip(chosen, sizes.array().tolist(), strict=True))
    return ArrayConstant.of([lengths.get(axis, shape[axis]) for axis in perm], np.int64)


def depth_to_space(forms: Forms, node: Node) -> bool:
    """Channels become blocks of pixels."""
    batch, channels, height, width = forms.shape(node.inputs[0])
    b = _block(node)
    depth = channels // (b * b)
    if node.attributes.get("mode", "DCR") == "CRD":
        wide, order = (batch, depth, b, b, height, width), (0, 1, 4, 2, 5, 3)
    else:
        wide, order = (batch, b, b, depth, height, width), (0, 3, 4, 1, 5, 2)
    return _rearranged(forms, node, wide, order)


def space_to_depth(forms: Forms, node: Node) -> bool:
    """Blocks of pixels become channels."""
    batch, channels, height, width = forms.shape(node.inputs[0])
    b = _block(node)
    wide = (batch, channels, height // b, b, width // b, b)
    order = (0, 1, 3, 5, 2, 4) if node.attributes.get("mode") == "CRD" else (0, 3, 5, 1, 2, 4)
    return _rearranged(forms, node, wide, order)


def _block(node: Node) -> int:
    size = node.attributes["blocksize"]
    assert isinstance(size, int)
    return size


def _rearranged(forms: Forms, node: Node, wide: Shape, order: Perm) -> bool:
    """Reshape, Transpose, Reshape, each by its own rule."""
    x, y = node.inputs[0], node.outputs[0]
    if 0 in wide:
        return False
    parts, turned = (
        forms.declare(y, "parts", wide),
        forms.declare(y, "turned", tuple(wide[axis] for axis in order)),
    )
    view(forms, Node("Reshape", (x,), (parts,)))
    transpose(forms, Node("Transpose", (parts,), (turned,), {"perm": order}))
    return view(forms, Node("Reshape", (turned,), (y,)))


RULES = {"Resize": resized, "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth}
