"""DenseNet-121 as PyTorch exports it (opset 12).

In: nothing but the sizes, which tests may make tiny. Out: a blueprint. Each layer reads the
concatenation of all before it through a BatchNormalization that cannot be folded into a
convolution, for a Relu stands between; the one behind its first convolution is folded.

Source: Huang et al. 2017, "Densely Connected Convolutional Networks", table 1.

>>> densenet121().parameter_bytes
32160160
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.models.standins.builder import Blueprint, Law, Normal, Uniform, he_normal
from pelemay.models.standins.exporters import CENTRED_VARIANCE, FOLDED_GAIN, TorchGraph, Window

LAYERS = (6, 12, 24, 16)
"""Layers in each of the four blocks."""

_BOTTLENECK = 4


class _DenseGraph(TorchGraph):
    def __init__(self) -> None:
        super().__init__(opset=12, ir_version=6, weight_name="{}", first=605)

    def norm(self, x: str, name: str, width: int) -> str:
        """A BatchNormalization that expects rectified and convolved unit normals, and a Relu."""
        laws: dict[str, Law] = {
            "weight": Uniform(0.9, 1.1),
            "bias": Normal(0.1),
            "running_mean": Normal(0.1),
            "running_var": Uniform(0.9, 1.1),
        }
        sources = [self.parameter(f"{name}.{k}", (width,), law) for k, law in laws.items()]
        y = self.op("BatchNormalization", [x, *sources], epsilon=1e-5, momentum=0.9)
        return self.op("Relu", [y])

    def plain(self, x: str, name: str, widths: tuple[int, int], window: Window) -> str:
        """A convolution without bias, whose output goes into the concatenation."""
        inputs, outputs = widths
        fan = inputs * window.kernel**2
        shape = (outputs, inputs, window.kernel, window.kernel)
        gain = CENTRED_VARIANCE**-0.5
        weight = self.parameter(f"{name}.weight", shape, he_normal(fan, gain=gain))
        return self.op("Conv", [x, weight], **window.attributes())


def densenet121(
    layers: Sequence[int] = LAYERS,
    *,
    growth: int = 32,
    classes: int = 1000,
    size: int = 224,
) -> Blueprint:
    """DenseNet-121: input ``input`` [1, 3, size, size]; output ``output`` [1, classes].

    Parameters
    ----------
    layers : sequence of int
        Layers in each block.
    growth : int
        Channels that each layer adds; the stem has twice as many.
    classes, size : int
        Outputs, and height and width of the input in pixels.
    """
    b = _DenseGraph()
    channels = 2 * growth
    x = b.input("input", (1, 3, size, size))
    x = b.conv(x, (3, channels), Window(7, 2, 3), law=he_normal(147, centre=False))
    x = b.op("MaxPool", [b.op("Relu", [x])], kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    for block, count in enumerate(layers, start=1):
        x = _block(b, x, f"features.denseblock{block}", channels, count, growth)
        channels += count * growth
        if block < len(layers):
            x = _transition(b, x, f"features.transition{block}", channels)
            channels //= 2
    x = b.op("GlobalAveragePool", [b.norm(x, "features.norm5", channels)])
    x = b.op("Flatten", [x], axis=1)
    law = he_normal(channels, gain=3.0)
    weight = b.parameter("classifier.weight", (classes, channels), law)
    bias = b.parameter("classifier.bias", (classes,), Normal(0.01))
    b.output(
        b.node("Gemm", [x, weight, bias], "output", alpha=1.0, beta=1.0, transB=1), (1, classes)
    )
    return b.blueprint()


def _block(b: _DenseGraph, x: str, scope: str, channels: int, count: int, growth: int) -> str:
    """Each layer reads everything before it, which is concatenated anew every time."""
    features = [x]
    for layer in range(1, count + 1):
        name, middle = f"{scope}.denselayer{layer}", _BOTTLENECK * growth
        y = features[0] if layer == 1 else b.op("Concat", features, axis=1)
        width = channels + (layer - 1) * growth
        y = b.norm(y, f"{name}.norm1", width)
        y = b.op("Relu", [b.conv(y, (width, middle), Window(), gain=FOLDED_GAIN)])
        features.append(b.plain(y, f"{name}.conv2", (middle, growth), Window(3, 1, 1)))
    return b.op("Concat", features, axis=1)


def _transition(b: _DenseGraph, x: str, scope: str, channels: int) -> str:
    y = b.norm(x, f"{scope}.norm", channels)
    y = b.plain(y, f"{scope}.conv", (channels, channels // 2), Window())
    return b.op("AveragePool", [y], kernel_shape=[2, 2], strides=[2, 2])
