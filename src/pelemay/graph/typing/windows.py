"""Types of convolutions and pools, with channels first, and with channels last in the dialect.

In: a :class:`Site`. Out: the types of its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pelemay.errors import GraphError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.convolution import check_weights, transposed_sizes
from pelemay.graph.operations.windows import extent_of, window_of
from pelemay.graph.typing.dims import computed, known, product, tensor
from pelemay.graph.typing.site import Rule, Site, Types, int64
from pelemay.graph.values import Dim, Shape, TensorType

DIALECT = "pelemay"


def _first(shape: Shape | None, site: Site) -> Shape | None:
    """A shape with its channels at axis 1, wherever the node's layout has them."""
    if shape is None or site.node.domain != DIALECT:
        return shape
    return (shape[0], shape[-1], *shape[1:-1])


def _placed(site: Site, shape: Shape) -> Shape:
    """The shape (N, C, *spatial) in the node's layout."""
    if site.node.domain != DIALECT:
        return shape
    return (shape[0], *shape[2:], shape[1])


def _option(site: Site, name: str, default: Any) -> Any:
    """An attribute that the dialect's rows leave out."""
    return site.node.attributes.get(name, default)


def _at_least_image(shape: Shape | None) -> Shape | None:
    if shape is not None and len(shape) < 2:
        raise GraphError(f"data of shape {shape} has no channels")
    return shape


def _axis(values: Sequence[int], axis: int, rank: int, name: str) -> tuple[int, ...]:
    """One axis' part of an attribute with one number an axis; none if it is left out."""
    if values and len(values) != rank:
        raise GraphError(f"{name} {tuple(values)} needs {rank} numbers")
    return (values[axis],) if values else ()


def _windows(site: Site, sizes: Sequence[Dim], kernel: Sequence[Dim]) -> tuple[Dim, ...]:
    """How many windows there are along each spatial axis."""
    rank = len(kernel)
    if len(sizes) != rank:
        raise GraphError(f"a kernel of {rank} axes does not fit {len(sizes)} spatial axes")
    pads = site.attribute("pads")
    if pads and len(pads) != 2 * rank:
        raise GraphError(f"pads {tuple(pads)} needs {2 * rank} numbers")

    def along(axis: int) -> Callable[[int, int], int]:
        def count(size: int, extent: int) -> int:
            window = window_of(
                (size,),
                (extent,),
                strides=_axis(site.attribute("strides"), axis, rank, "strides"),
                dilations=_axis(site.attribute("dilations"), axis, rank, "dilations"),
                pads=(pads[axis], pads[axis + rank]) if pads else (),
                auto_pad=str(_option(site, "auto_pad", "NOTSET")),
                ceil_mode=bool(_option(site, "ceil_mode", 0)),
            )
            return window.outputs[0]

        return count

    return tuple(computed(along(i), sizes[i], kernel[i]) for i in range(rank))


def _kernel(site: Site, weights: Shape | None) -> tuple[Dim, ...] | None:
    if weights is not None:
        return weights[2:]
    return tuple(_option(site, "kernel_shape", ())) or None


def _convolved(site: Site, data: int, weights: int, dtype: DType | None) -> Types:
    x = _at_least_image(_first(site.shape(data), site))
    w = _at_least_image(site.shape(weights))
    sizes, channels = known(w), None if x is None else x[1]
    if sizes is not None and isinstance(channels, int):
        given = tuple(_option(site, "kernel_shape", ()))
        check_weights(channels, sizes, site.attribute("group"), given)
    kernel = _kernel(site, w)
    if x is None or kernel is None:
        rank = x if x is not None else w
        return (tensor(dtype, None if rank is None else (None,) * len(rank)),)
    shape = (x[0], None if w is None else w[0], *_windows(site, x[2:], kernel))
    return (tensor(dtype, _placed(site, shape)),)


def conv(site: Site) -> Types:
    """A convolution of data at 0 with weights at 1."""
    return _convolved(site, 0, 1, site.dtype(0))


def conv_integer(site: Site) -> Types:
    """The same in int32."""
    return _convolved(site, 0, 1, DType.INT32)


def qlinear_conv(site: Site) -> Types:
    """A quantized convolution; its type is that of the last zero point."""
    return _convolved(site, 0, 3, site.dtype(7))


def dialect_qconv(site: Site) -> Types:
    """The dialect's convolution of integers; its type is asked for."""
    return _convolved(site, 0, 1, site.attribute("to"))


def dialect_qpool(site: Site) -> Types:
    """Windows of 8-bit data, in the type of the last zero point."""
    found = pool(site)[0]
    return (tensor(site.dtype(3), found.shape if isinstance(found, TensorType) else None),)


def causal_conv(site: Site) -> Types:
    """The data's shape, and the part of it that the next call needs."""
    x, w = site.shape(0), site.shape(1)
    kept = computed(lambda k: k - 1, w[-1]) if w else None
    state = (None, None, None) if x is None else (x[0], x[1], kept)
    return tensor(site.dtype(0), x), tensor(site.dtype(0), state)


def conv_transpose(site: Site) -> Types:
    """A transposed convolution of data at 0 with weights (C, M / group, *kernel) at 1."""
    x, w = _at_least_image(_first(site.shape(0), site)), _at_least_image(site.shape(1))
    kernel = _kernel(site, w)
    if x is None or kernel is None:
        return (tensor(site.dtype(0), None if x is None else (None,) * len(x)),)
    channels = None if w is None else computed(lambda m: m * site.attribute("group"), w[1])
    sizes = known(x[2:])
    spatial: tuple[Dim, ...] = (None,) * len(kernel)
    if sizes is not None and known(kernel) is not None:
        spatial = _transposed(site, sizes, known(kernel) or ())
    return (tensor(site.dtype(0), _placed(site, (x[0], channels, *spatial))),)


def _transposed(site: Site, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    ones = (1,) * len(kernel)
    strides = site.attribute("strides") or ones
    dilations = site.attribute("dilations") or ones
    extra = site.attribute("output_padding") or (0,) * len(kernel)
    axes = zip(sizes, strides, extra, kernel, dilations, strict=True)
    full = [s * (n - 1) + o + extent_of(k, d) for n, s, o, k, d in axes]
    wanted = _option(site, "output_shape", ())
    padding, pads = str(_option(site, "auto_pad", "NOTSET")), site.attribute("pads")
    return transposed_sizes(sizes, full, padding, wanted, pads, strides)[1]


def pool(site: Site) -> Types:
    """Windows of the data; for MaxPool also where in the data their largest elements are."""
    x = _at_least_image(_first(site.shape(0), site))
    if x is None:
        rank = len(site.attribute("kernel_shape")) + 2
        return (tensor(site.dtype(0), (None,) * rank), int64((None,) * rank))
    shape = (*x[:2], *_windows(site, x[2:], site.attribute("kernel_shape")))
    return tensor(site.dtype(0), _placed(site, shape)), int64(shape)


def global_pool(site: Site) -> Types:
    """One element for each channel."""
    x = _at_least_image(site.shape(0))
    return (tensor(site.dtype(0), None if x is None else (*x[:2], *(1,) * (len(x) - 2))),)


def max_unpool(site: Site) -> Types:
    """The shape that is given, or that which the window's attributes give."""
    x, kernel = site.shape(0), site.attribute("kernel_shape")
    if site.has(2):
        return (tensor(site.dtype(0), site.dims(2) or (None,) * (len(kernel) + 2)),)
    if x is None:
        return (tensor(site.dtype(0), None),)
    rank = len(kernel)
    strides = site.attribute("strides") or (1,) * rank
    pads = site.attribute("pads") or (0,) * (2 * rank)
    cut = [pads[i] + pads[i + rank] for i in range(rank)]
    axes = zip(x[2:], strides, kernel, cut, strict=True)
    sizes = [computed(lambda n, s, k, c: (n - 1) * s + k - c, *axis) for axis in axes]
    return (tensor(site.dtype(0), (*x[:2], *sizes)),)


def col2im(site: Site) -> Types:
    """An image of the given sizes."""
    x, image, block = site.shape(0), site.dims(1), site.dims(2)
    if x is None or image is None:
        return (tensor(site.dtype(0), None),)
    taps = None if block is None else product(block)
    return (tensor(site.dtype(0), (x[0], computed(lambda c, t: c // t, x[1], taps), *image)),)


RULES: dict[str, Rule] = {
    "AveragePool": pool,
    "CausalConvWithState": causal_conv,
    "Col2Im": col2im,
    "Conv": conv,
    "ConvInteger": conv_integer,
    "ConvTranspose": conv_transpose,
    "DeformConv": conv,
    "GlobalAveragePool": global_pool,
    "GlobalLpPool": global_pool,
    "GlobalMaxPool": global_pool,
    "LpPool": pool,
    "MaxPool": pool,
    "MaxUnpool": max_unpool,
    "QLinearConv": qlinear_conv,
    "pelemay::AveragePool": pool,
    "pelemay::Conv": conv,
    "pelemay::ConvTranspose": conv_transpose,
    "pelemay::LpPool": pool,
    "pelemay::MaxPool": pool,
    "pelemay::QAveragePool": dialect_qpool,
    "pelemay::QConv": dialect_qconv,
}
