"""Types of what moves elements: reshaping, joining, cutting, padding.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from pelemay.errors import GraphError
from pelemay.graph.operations.common import axes_of, axis_of
from pelemay.graph.operations.shape import slice_range
from pelemay.graph.typing.dims import broadcast, computed, known, product, same, tensor, total
from pelemay.graph.typing.site import Rule, Site, Types, int64
from pelemay.graph.values import Dim, Shape

FAR = (1 << 31) - 1
"""An end of a slice from which on it means the whole axis."""


def counted(site: Site, index: int) -> tuple[Dim, ...] | None:
    """As many unknown sizes as a host input has numbers, if only that is known."""
    dims = site.dims(index)
    if dims is not None:
        return dims
    shape = site.shape(index)
    if shape is None:
        return None
    count = product(shape)
    return (None,) * count if isinstance(count, int) and count <= 64 else None


def _chosen(site: Site, index: int, rank: int) -> tuple[int, ...] | None:
    """The axes that a host input names; all axes if it is left out; None if it is not known."""
    if not site.has(index):
        return tuple(range(rank))
    axes = site.ints(index)
    return None if axes is None else axes_of(axes, rank)


def shape_of(site: Site) -> Types:
    """A vector with a place for each axis."""
    rank = site.rank(0)
    if rank is None:
        return (int64((None,)),)
    kept = range(rank)[site.attribute("start") : site.attribute("end")]
    return (int64((len(kept),)),)


def reshape(site: Site) -> Types:
    """The sizes that are given; -1 is what is left."""
    wanted, shape = counted(site, 1), site.shape(0)
    if wanted is None:
        return (tensor(site.dtype(0), None),)
    dims = wanted if site.attribute("allowzero") else _with_kept(wanted, shape)
    if -1 in dims:
        place = dims.index(-1)
        rest = (*dims[:place], *dims[place + 1 :])
        if -1 in rest:
            raise GraphError(f"shape {wanted} leaves two sizes open")
        dims = (*dims[:place], _left(shape, rest), *dims[place + 1 :])
    elif shape is not None:
        computed(_same_count, product(shape), product(dims))
    return (tensor(site.dtype(0), dims),)


def _with_kept(wanted: tuple[Dim, ...], shape: Shape | None) -> tuple[Dim, ...]:
    """A size of 0 means the input's at the same place."""
    if 0 not in wanted:
        return wanted
    if shape is None:
        return tuple(None if d == 0 else d for d in wanted)
    if any(d == 0 and i >= len(shape) for i, d in enumerate(wanted)):
        raise GraphError(f"shape {wanted} keeps an axis that the input of {shape} does not have")
    return tuple(shape[i] if d == 0 else d for i, d in enumerate(wanted))


def _same_count(before: int, after: int) -> int:
    if before != after:
        raise GraphError(f"{before} elements do not fit a shape of {after}")
    return after


def _left(shape: Shape | None, rest: tuple[Dim, ...]) -> Dim:
    """What is left of the elements of ``shape`` for one more size beside ``rest``."""
    if shape is None:
        return None
    above, below = list(shape), list(rest)
    for dim in rest:
        if isinstance(dim, str) and dim in above:
            above.remove(dim)
            below.remove(dim)
    count, others = product(above), product(below)
    if others == 1:
        return count
    return computed(_divided, count, others)


def _divided(count: int, others: int) -> int:
    if others == 0:
        return 0
    if count % others:
        raise GraphError(f"{count} elements do not divide by {others}")
    return count // others


def transpose(site: Site) -> Types:
    """The sizes in the order of the permutation."""
    shape, perm = site.shape(0), site.attribute("perm")
    if shape is None:
        return (tensor(site.dtype(0), None if perm is None else (None,) * len(perm)),)
    order = tuple(reversed(range(len(shape)))) if perm is None else axes_of(perm, len(shape))
    if len(order) != len(shape):
        raise GraphError(f"permutation {perm} does not fit rank {len(shape)}")
    return (tensor(site.dtype(0), (shape[i] for i in order)),)


def squeeze(site: Site) -> Types:
    """Without the axes of size 1 that are named, or all of them."""
    shape = site.shape(0)
    if shape is None or (not site.has(1) and known(shape) is None):
        return (tensor(site.dtype(0), None),)
    if not site.has(1):
        return (tensor(site.dtype(0), (d for d in shape if d != 1)),)
    axes = site.ints(1)
    if axes is None:
        count = counted(site, 1)
        rest = None if count is None else (None,) * (len(shape) - len(count))
        return (tensor(site.dtype(0), rest),)
    dropped = axes_of(axes, len(shape))
    for axis in dropped:
        same(shape[axis], 1)
    return (tensor(site.dtype(0), (d for i, d in enumerate(shape) if i not in dropped)),)


def unsqueeze(site: Site) -> Types:
    """With new axes of size 1."""
    shape, axes = site.shape(0), counted(site, 1)
    if shape is None or axes is None:
        return (tensor(site.dtype(0), None),)
    rank = len(shape) + len(axes)
    places = known(axes)
    if places is None:
        return (tensor(site.dtype(0), (None,) * rank),)
    added = axes_of(places, rank)
    sizes = iter(shape)
    return (tensor(site.dtype(0), (1 if i in added else next(sizes) for i in range(rank))),)


def flatten(site: Site) -> Types:
    """The axes before and from one on, each as one."""
    shape, axis = site.shape(0), site.attribute("axis")
    if shape is None:
        return (tensor(site.dtype(0), (None, None)),)
    cut = axis + len(shape) if axis < 0 else axis
    return (tensor(site.dtype(0), (product(shape[:cut]), product(shape[cut:]))),)


def expand(site: Site) -> Types:
    """Broadcast to a shape."""
    return (tensor(site.dtype(0), broadcast([site.shape(0), counted(site, 1)])),)


def tile(site: Site) -> Types:
    """Each size times its number of repeats."""
    shape, repeats = site.shape(0), counted(site, 1)
    if shape is None or repeats is None:
        return (tensor(site.dtype(0), None if shape is None else (None,) * len(shape)),)
    if len(repeats) != len(shape):
        raise GraphError(f"{len(repeats)} repeats do not fit rank {len(shape)}")
    return (tensor(site.dtype(0), map(product, zip(shape, repeats, strict=True))),)


def concat(site: Site) -> Types:
    """The sum of the sizes along one axis, the same sizes along the others."""
    count = len(site.node.inputs)
    dtype = next(filter(None, map(site.dtype, range(count))), None)
    shapes = [shape for i in range(count) if (shape := site.shape(i)) is not None]
    if not shapes:
        return (tensor(dtype, None),)
    axis = axis_of(site.attribute("axis"), len(shapes[0]))
    if any(len(shape) != len(shapes[0]) for shape in shapes):
        raise GraphError(f"ranks differ: {', '.join(map(str, shapes))}")
    dims: list[Dim] = list(shapes[0])
    for shape in shapes[1:]:
        dims = [d if i == axis else same(d, shape[i]) for i, d in enumerate(dims)]
    dims[axis] = total(shape[axis] for shape in shapes) if len(shapes) == count else None
    return (tensor(dtype, dims),)


def split(site: Site) -> Types:
    """Parts along one axis."""
    shape, count = site.shape(0), len(site.node.outputs)
    if shape is None:
        return (tensor(site.dtype(0), None),) * count
    axis = axis_of(site.attribute("axis"), len(shape))
    parts: tuple[Dim, ...] = (None,) * count
    if site.has(1):
        parts = site.dims(1) or parts
        computed(_same_count, shape[axis], total(parts))
    elif isinstance(length := shape[axis], int):
        wanted = site.attribute("num_outputs") or count
        each = -(-length // wanted)
        parts = tuple(max(min(each, length - i * each), 0) for i in range(wanted))
    return tuple(tensor(site.dtype(0), (*shape[:axis], n, *shape[axis + 1 :])) for n in parts)


def slice_of(site: Site) -> Types:
    """What lies between starts and ends."""
    shape = site.shape(0)
    if shape is None:
        return (tensor(site.dtype(0), None),)
    if site.has(3):
        named = site.ints(3)
        axes = None if named is None else axes_of(named, len(shape))
    else:
        starts = counted(site, 1) or counted(site, 2)
        axes = None if starts is None else tuple(range(len(starts)))
    if axes is None:
        return (tensor(site.dtype(0), (None,) * len(shape)),)
    unknown = (None,) * len(axes)
    starts, ends = site.dims(1) or unknown, site.dims(2) or unknown
    steps = site.dims(4) or unknown if site.has(4) else (1,) * len(axes)
    dims: list[Dim] = list(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        dims[axis] = _cut(shape[axis], start, end, step)
    return (tensor(site.dtype(0), dims),)


def _cut(length: Dim, start: Dim, end: Dim, step: Dim) -> Dim:
    whole = start == 0 and step == 1 and (end == length or (isinstance(end, int) and end >= FAR))
    if whole:
        return length
    return computed(lambda *cut: len(slice_range(*cut)), length, start, end, step)


def pad(site: Site) -> Types:
    """Longer by the pads."""
    shape = site.shape(0)
    if shape is None:
        return (tensor(site.dtype(0), None),)
    axes, pads = _chosen(site, 3, len(shape)), site.dims(1)
    if axes is None or pads is None:
        return (tensor(site.dtype(0), (None,) * len(shape)),)
    if len(pads) != 2 * len(axes):
        raise GraphError(f"{len(pads)} pads do not fit {len(axes)} axes")
    dims: list[Dim] = list(shape)
    for i, axis in enumerate(axes):
        dims[axis] = total((shape[axis], pads[i], pads[i + len(axes)]))
    return (tensor(site.dtype(0), (max(d, 0) if isinstance(d, int) else d for d in dims)),)


def center_crop_pad(site: Site) -> Types:
    """The sizes that are given."""
    shape, sizes = site.shape(0), counted(site, 1)
    if shape is None or sizes is None:
        return (tensor(site.dtype(0), None if shape is None else (None,) * len(shape)),)
    named = site.attribute("axes")
    axes = range(len(shape)) if named is None else axes_of(named, len(shape))
    dims: list[Dim] = list(shape)
    for axis, size in zip(axes, sizes, strict=True):
        dims[axis] = size
    return (tensor(site.dtype(0), dims),)


def _spread(site: Site, *, deeper: bool) -> Types:
    """Blocks of an image as channels, or channels as blocks."""
    shape, block = site.shape(0), site.attribute("blocksize")
    if shape is None:
        return (tensor(site.dtype(0), (None,) * 4),)
    batch, channels, *spatial = shape
    square = block ** len(spatial)
    if deeper:
        dims = (computed(lambda c: c * square, channels), *(_by(n, block) for n in spatial))
    else:
        dims = (_by(channels, square), *(computed(lambda n: n * block, n) for n in spatial))
    return (tensor(site.dtype(0), (batch, *dims)),)


def _by(size: Dim, divisor: int) -> Dim:
    return computed(_divided, size, divisor)


def depth_to_space(site: Site) -> Types:
    """Blocks of channels become blocks of pixels."""
    return _spread(site, deeper=False)


def space_to_depth(site: Site) -> Types:
    """Blocks of pixels become channels."""
    return _spread(site, deeper=True)


RULES: dict[str, Rule] = {
    "CenterCropPad": center_crop_pad,
    "Concat": concat,
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Pad": pad,
    "Reshape": reshape,
    "Shape": shape_of,
    "Size": lambda site: (int64(()),),
    "Slice": slice_of,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
