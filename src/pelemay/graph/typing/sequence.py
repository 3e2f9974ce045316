"""Types of sequences and optionals.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import axis_of
from pelemay.graph.typing.dims import joined, tensor
from pelemay.graph.typing.site import Rule, Site, Types, int64
from pelemay.graph.values import Dim, OptionalType, SequenceType, TensorType, ValueType


def either(a: ValueType | None, b: ValueType | None) -> ValueType | None:
    """The type of a value that has one of two types; None if they have nothing in common."""
    if a == b:
        return a
    match a, b:
        case TensorType(), TensorType() if a.dtype is b.dtype:
            return TensorType(a.dtype, joined(a.shape, b.shape))
        case SequenceType(), SequenceType():
            element = either(a.element, b.element)
            return None if element is None else SequenceType(element)
        case OptionalType(), OptionalType():
            element = either(a.element, b.element)
            return None if element is None else OptionalType(element)
    return None


def sequence_of(element: ValueType | None) -> SequenceType | None:
    """A sequence's type; None if its elements' type is not known."""
    return None if element is None else SequenceType(element)


def element_of(kind: ValueType | None) -> ValueType | None:
    """The type of a sequence's or an optional's elements."""
    return kind.element if isinstance(kind, (SequenceType, OptionalType)) else None


def construct(site: Site) -> Types:
    """A sequence of what all inputs have in common."""
    kinds = list(site.types)
    found = kinds[0] if kinds else None
    for kind in kinds[1:]:
        found = either(found, kind)
    return (sequence_of(found),)


def empty(site: Site) -> Types:
    """A sequence of tensors of any shape."""
    return (SequenceType(TensorType(site.attribute("dtype") or DType.FLOAT32)),)


def insert(site: Site) -> Types:
    """The sequence with one more element."""
    return (sequence_of(either(element_of(site.type(0)), site.type(1))),)


def element_at(site: Site) -> Types:
    """An element."""
    return (element_of(site.type(0)),)


def split_to_sequence(site: Site) -> Types:
    """Parts along an axis: of one size if all have it."""
    shape = site.shape(0)
    if shape is None:
        return (sequence_of(tensor(site.dtype(0), None)),)
    axis = axis_of(site.attribute("axis"), len(shape))
    before, behind = shape[:axis], shape[axis + 1 :]
    if not site.has(1):
        size: tuple[Dim, ...] = (1,) if site.attribute("keepdims") else ()
        return (sequence_of(tensor(site.dtype(0), (*before, *size, *behind))),)
    part = _part(site, shape[axis])
    return (sequence_of(tensor(site.dtype(0), (*before, part, *behind))),)


def _part(site: Site, length: Dim) -> Dim:
    sizes = site.ints(1)
    if not sizes:
        return None
    if site.rank(1) == 0:
        whole = isinstance(length, int) and sizes[0] and length % sizes[0] == 0
        return sizes[0] if whole else None
    return sizes[0] if len(set(sizes)) == 1 else None


def concat_from_sequence(site: Site) -> Types:
    """The elements side by side along an axis, or along a new one."""
    kind = element_of(site.type(0))
    if not isinstance(kind, TensorType):
        return (None,)
    if kind.shape is None:
        return (kind,)
    new = bool(site.attribute("new_axis"))
    axis = axis_of(site.attribute("axis"), len(kind.shape) + new)
    behind = kind.shape[axis if new else axis + 1 :]
    return (tensor(kind.dtype, (*kind.shape[:axis], None, *behind)),)


def optional(site: Site) -> Types:
    """An optional of the input, or an empty one of the type that is given."""
    kind = site.type(0) if site.has(0) else site.attribute("type")
    return (None if kind is None else OptionalType(kind),)


def optional_get_element(site: Site) -> Types:
    """What the optional holds; a value that is none counts as held."""
    kind = site.type(0)
    return (kind.element if isinstance(kind, OptionalType) else kind,)


def optional_has_element(site: Site) -> Types:
    """A boolean."""
    return (tensor(DType.BOOL, ()),)


RULES: dict[str, Rule] = {
    "ConcatFromSequence": concat_from_sequence,
    "Optional": optional,
    "OptionalGetElement": optional_get_element,
    "OptionalHasElement": optional_has_element,
    "SequenceAt": element_at,
    "SequenceConstruct": construct,
    "SequenceEmpty": empty,
    "SequenceErase": lambda site: (site.type(0),),
    "SequenceInsert": insert,
    "SequenceLength": lambda site: (int64(()),),
    "SplitToSequence": split_to_sequence,
}
