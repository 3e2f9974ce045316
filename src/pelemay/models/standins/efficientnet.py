"""EfficientNet-Lite0 as PyTorch exports it (opset 13).

In: nothing but the sizes, which tests may make tiny. Out: a blueprint: EfficientNet-B0 without
squeeze and excitation, with ReLU6, and with a stem and a head that do not grow;
BatchNormalization is folded.

Source: Tan and Le 2019, "EfficientNet", table 1; the Lite variants of TensorFlow's repository.

>>> efficientnet_lite0().parameter_bytes
18524008
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pelemay.models.standins.builder import Blueprint, Normal, he_normal
from pelemay.models.standins.exporters import FOLDED_GAIN, TorchGraph, Window

# Kernel, expansion, channels, blocks, stride of the first block.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280

# The last convolution of a block with a skip adds this fraction of the skip's scale.
_BRANCH = 0.5

Stages = Sequence[tuple[int, int, int, int, int]]


def efficientnet_lite0(
    stages: Stages = STAGES, *, classes: int = 1000, size: int = 224
) -> Blueprint:
    """EfficientNet-Lite0: input ``input`` [1, 3, size, size]; output ``output`` [1, classes].

    Parameters
    ----------
    stages : sequence of (int, int, int, int, int)
        Kernel, expansion, channels, number of blocks, and stride of the first one.
    classes, size : int
        Outputs, and height and width of the input in pixels.
    """
    b = TorchGraph(opset=13, ir_version=7, weight_name="onnx::Conv_{}", first=475)
    bounds = [b.scalar("relu6.min", 0.0), b.scalar("relu6.max", 6.0)]
    x = b.input("input", (1, 3, size, size))
    stem = he_normal(27, centre=False, gain=0.5**0.5)
    x = b.op("Clip", [b.conv(x, (3, _STEM), Window(3, 2, 1), law=stem), *bounds])
    for kernel, widths, stride in _blocks(stages):
        x = _block(b, x, kernel, widths, stride, bounds)
    x = b.conv(x, (stages[-1][2], _LAST), Window(), gain=0.5**0.5)
    x = b.op("GlobalAveragePool", [b.op("Clip", [x, *bounds])])
    x = b.op("Flatten", [x], axis=1)
    weight = b.parameter("classifier.weight", (classes, _LAST), he_normal(_LAST, gain=3.0))
    bias = b.parameter("classifier.bias", (classes,), Normal(0.01))
    x = b.node("Gemm", [x, weight, bias], "output", alpha=1.0, beta=1.0, transB=1)
    b.output(x, (1, classes))
    return b.blueprint()


def _blocks(stages: Stages) -> Iterator[tuple[int, tuple[int, int, int], int]]:
    """Kernel, the input, expanded and output channels, and stride, of every block."""
    channels = _STEM
    for kernel, expansion, outputs, count, first_stride in stages:
        for index in range(count):
            stride = first_stride if index == 0 else 1
            yield kernel, (channels, expansion * channels, outputs), stride
            channels = outputs


def _block(
    b: TorchGraph, x: str, kernel: int, widths: tuple[int, int, int], stride: int, bounds: list[str]
) -> str:
    inputs, middle, outputs = widths
    skip = stride == 1 and inputs == outputs
    y = x
    if middle != inputs:
        y = b.op("Clip", [b.conv(y, (inputs, middle), Window(), gain=0.5**0.5), *bounds])
    # A depthwise filter's weights sum to 1: at 0 it would pass nothing but edges.
    law = Normal((2 / kernel**2) ** 0.5, centre=kernel**2, mean=1 / kernel**2)
    window = Window(kernel, stride, kernel // 2, groups=middle)
    y = b.op("Clip", [b.conv(y, (middle, middle), window, law=law), *bounds])
    gain = FOLDED_GAIN * (_BRANCH if skip else 1.0)
    y = b.conv(y, (middle, outputs), Window(), gain=gain)
    return b.op("Add", [x, y]) if skip else y
