"""SqueezeNet 1.1 as the ONNX model zoo has it (opset 7).

In: nothing but the sizes, which tests may make tiny. Out: a blueprint. There is no
normalisation: the weights alone keep the scale.

Source: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters",
and the change to 1.1 (pooling earlier, a 3x3 stem of 64 channels) of the authors' repository.

>>> squeezenet1_1().parameter_bytes
4941984
"""

from __future__ import annotations

from pelemay.models.standins.builder import Blueprint, he_normal
from pelemay.models.standins.exporters import FOLDED_GAIN, MxnetGraph, Window

# Squeezed channels, and channels of each of the two expansions; None is a pooling.
FIRES: tuple[tuple[int, int] | None, ...] = (
    (16, 64),
    (16, 64),
    None,
    (32, 128),
    (32, 128),
    None,
    (48, 192),
    (48, 192),
    (64, 256),
    (64, 256),
)
_STEM = 64


def squeezenet1_1(
    fires: tuple[tuple[int, int] | None, ...] = FIRES, *, classes: int = 1000, size: int = 224
) -> Blueprint:
    """SqueezeNet 1.1: input ``data`` [1, 3, size, size]; output [1, classes].

    Parameters
    ----------
    fires : tuple of (int, int) or None
        Squeezed and expanded channels of each fire module; None is a pooling.
    classes, size : int
        Outputs, and height and width of the input in pixels.

    Returns
    -------
    Blueprint
        Output ``squeezenet0_flatten0_reshape0``.
    """
    b = MxnetGraph("squeezenet0", opset=7)
    x = b.input("data", (1, 3, size, size))
    stem = he_normal(27, centre=False, gain=0.5**0.5)
    x = b.relu("", b.conv("", x, (3, _STEM), Window(3, 2), bias=True, law=stem))
    x = b.max_pool("", x, padding=0)
    channels, extent = _STEM, _halved(_halved(size))
    for fire in fires:
        if fire is None:
            x, extent = b.max_pool("", x, padding=0), _halved(extent)
        else:
            x, channels = _fire(b, x, channels, *fire), 2 * fire[1]
    x = b.node("Dropout", [x], f"{b.label('', 'dropout')}_fwd", ratio=0.5)
    # Averaging over all places shrinks what differs between classes; the gain makes up for it.
    x = _rectified(b, x, (channels, classes), Window(), gain=8 * FOLDED_GAIN)
    kernel = [extent, extent]
    pool = f"{b.label('', 'pool')}_fwd"
    x = b.node("AveragePool", [x], pool, kernel_shape=kernel, pads=[0] * 4, strides=kernel)
    b.flatten("", x, (1, classes))
    return b.blueprint()


def _fire(b: MxnetGraph, x: str, inputs: int, squeezed: int, expanded: int) -> str:
    x = _rectified(b, x, (inputs, squeezed), Window())
    left = _rectified(b, x, (squeezed, expanded), Window())
    right = _rectified(b, x, (squeezed, expanded), Window(3, 1, 1))
    return b.node("Concat", [left, right], b.label("", "concat"), axis=1)


def _rectified(
    b: MxnetGraph, x: str, widths: tuple[int, int], window: Window, *, gain: float = FOLDED_GAIN
) -> str:
    law = he_normal(widths[0] * window.kernel**2, gain=gain)
    return b.relu("", b.conv("", x, widths, window, bias=True, law=law))


def _halved(extent: int) -> int:
    """Extent after a window of 3 with stride 2 and no padding."""
    return (extent - 3) // 2 + 1
