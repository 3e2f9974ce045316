"""Types of reading by index, and of arrays made from sizes.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

import math

import numpy as np

from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import axis_of
from pelemay.graph.typing.dims import computed, same, tensor
from pelemay.graph.typing.shape import counted
from pelemay.graph.typing.site import Rule, Site, Types, int64
from pelemay.graph.values import Constant, Dim, Shape


def gather(site: Site) -> Types:
    """The indices' shape in the place of the axis."""
    shape, indices = site.shape(0), site.shape(1)
    if shape is None or indices is None:
        return (tensor(site.dtype(0), None),)
    axis = axis_of(site.attribute("axis"), len(shape))
    return (tensor(site.dtype(0), (*shape[:axis], *indices, *shape[axis + 1 :])),)


def gather_elements(site: Site) -> Types:
    """The indices' shape."""
    return (tensor(site.dtype(0), site.shape(1)),)


def gather_nd(site: Site) -> Types:
    """The indices' shape, and what a tuple of indices leaves of the data's."""
    shape, indices, batch = site.shape(0), site.shape(1), site.attribute("batch_dims")
    if shape is None or not indices or not isinstance(indices[-1], int):
        return (tensor(site.dtype(0), None),)
    return (tensor(site.dtype(0), (*indices[:-1], *shape[batch + indices[-1] :])),)


def tensor_scatter(site: Site) -> Types:
    """The cache; what is written into it has its sizes but for one."""
    cache, update = site.shape(0), site.shape(1)
    if cache is None or update is None:
        return (site.type(0),)
    axis = axis_of(site.attribute("axis"), len(cache))
    for number, sizes in enumerate(zip(cache, update, strict=True)):
        if number != axis:
            same(*sizes)
    if site.has(2) and (starts := site.shape(2)):
        same(cache[0], starts[0])
    return (site.type(0),)


def one_hot(site: Site) -> Types:
    """The indices' shape with a new axis for the classes."""
    shape = site.shape(0)
    if shape is None:
        return (tensor(site.dtype(2), None),)
    axis = axis_of(site.attribute("axis"), len(shape) + 1)
    depth = site.value(1)
    count: Dim = None if depth is None else int(depth.reshape(-1)[0])
    return (tensor(site.dtype(2), (*shape[:axis], count, *shape[axis:])),)


def non_zero(site: Site) -> Types:
    """A column of indices for each element that is not zero."""
    rank = site.rank(0)
    return (int64((None if rank is None else max(rank, 1), None)),)


def compress(site: Site) -> Types:
    """As many elements or slices as the condition has true ones."""
    shape, axis = site.shape(0), site.attribute("axis")
    condition = site.value(1)
    count = None if condition is None else int(np.count_nonzero(condition))
    if axis is None:
        return (tensor(site.dtype(0), (count,)),)
    if shape is None:
        return (tensor(site.dtype(0), None),)
    axis = axis_of(axis, len(shape))
    return (tensor(site.dtype(0), (*shape[:axis], count, *shape[axis + 1 :])),)


def unique(site: Site) -> Types:
    """The different elements or slices, and three vectors of indices and counts."""
    shape, axis = site.shape(0), site.attribute("axis")
    dims: tuple[Dim, ...] | None = (None,)
    if axis is not None:
        dims = None if shape is None else _replaced(shape, axis_of(axis, len(shape)))
    vector = int64((None,))
    return tensor(site.dtype(0), dims), vector, vector, vector


def _replaced(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], None, *shape[axis + 1 :])


def constant_of_shape(site: Site) -> Types:
    """The sizes that are given, in the value's type."""
    value = site.attribute("value")
    dtype = value.dtype if isinstance(value, Constant) else DType.FLOAT32
    return (tensor(dtype, counted(site, 0)),)


def arange(site: Site) -> Types:
    """As many numbers as there are from the start to the limit."""
    numbers = [site.value(i) for i in range(3)]
    count: Dim = None
    if all(n is not None for n in numbers):
        first, last, step = (n.reshape(-1)[0].item() for n in numbers if n is not None)
        count = max(math.ceil((last - first) / step), 0)
    dtype = site.dtype(0) or site.dtype(1) or site.dtype(2)
    return (tensor(dtype, (count,)),)


def eye_like(site: Site) -> Types:
    """The data's shape."""
    return (tensor(site.attribute("dtype") or site.dtype(0), site.shape(0)),)


def window(site: Site) -> Types:
    """A vector of the given size."""
    dtype = site.attribute("output_datatype") or DType.FLOAT32
    return (tensor(dtype, (site.number(0),)),)


def random(site: Site) -> Types:
    """The shape that is given."""
    return (tensor(site.attribute("dtype") or DType.FLOAT32, site.attribute("shape")),)


def multinomial(site: Site) -> Types:
    """Some classes for each row."""
    shape = site.shape(0)
    dtype = site.attribute("dtype") or DType.INT32
    return (tensor(dtype, (shape[0] if shape else None, site.attribute("sample_size"))),)


def mel_weights(site: Site) -> Types:
    """A row for each frequency, a column for each band."""
    dtype = site.attribute("output_datatype") or DType.FLOAT32
    rows = computed(lambda n: n // 2 + 1, site.number(1))
    return (tensor(dtype, (rows, site.number(0))),)


RULES: dict[str, Rule] = {
    "Bernoulli": eye_like,
    "BlackmanWindow": window,
    "Compress": compress,
    "ConstantOfShape": constant_of_shape,
    "EyeLike": eye_like,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "HammingWindow": window,
    "HannWindow": window,
    "MelWeightMatrix": mel_weights,
    "Multinomial": multinomial,
    "NonZero": non_zero,
    "OneHot": one_hot,
    "RandomNormal": random,
    "RandomNormalLike": eye_like,
    "RandomUniform": random,
    "RandomUniformLike": eye_like,
    "Range": arange,
    "TensorScatter": tensor_scatter,
    "Unique": unique,
}
