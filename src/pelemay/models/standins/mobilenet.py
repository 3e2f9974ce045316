"""MobileNetV2: as the zoo has it from MXNet (opset 7) and from PyTorch (opset 12).

In: nothing but the sizes, which tests may make tiny. Out: a blueprint.

* ``mobilenetv2-7``: BatchNormalization is not folded, the activation is Relu (not ReLU6), the
  first bottleneck has an expansion of 1, the classifier is a 1x1 convolution.
* ``mobilenetv2-12``: BatchNormalization is folded, ReLU6 is a Clip with its bounds as inputs,
  and the flattening before the classifier computes its shape from the batch.

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2.

>>> mobilenet_mxnet().parameter_bytes
14156544
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnx import TensorProto

from pelemay.models.standins.builder import Blueprint, Exact, Normal, he_normal
from pelemay.models.standins.exporters import FOLDED_GAIN, MxnetGraph, TorchGraph, Window

# Expansion, channels, blocks, stride of the first block.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280

# The nine weights of a depthwise filter sum to 1: at 0 it would pass nothing but edges, and
# at random sums each channel would carry a constant of its own, which drowns the input.
_DEPTHWISE = Normal((2 / 9) ** 0.5, centre=9, mean=1 / 9)

# The last normalisation of a block with a skip adds this fraction of the skip's scale.
_BRANCH = 0.5

Stages = Sequence[tuple[int, int, int, int]]


def mobilenet_mxnet(stages: Stages = STAGES, *, classes: int = 1000, size: int = 224) -> Blueprint:
    """``mobilenetv2-7``: input ``data`` [1, 3, size, size]; output [1, classes].

    Parameters
    ----------
    stages : sequence of (int, int, int, int)
        Expansion, channels, number of blocks, and stride of the first one.
    classes, size : int
        Outputs, and height and width of the input in pixels.
    """
    b = MxnetGraph("mobilenetv20", opset=7)
    scope = "features_"
    x = b.input("data", (1, 3, size, size))
    x = b.conv(scope, x, (3, _STEM), Window(3, 2, 1), law=he_normal(27, centre=False))
    x = b.relu(scope, b.norm(scope, x, _STEM, variance=2.0))
    for number, block in enumerate(_blocks(stages)):
        x = _mxnet_block(b, f"features_linearbottleneck{number}_", x, *block)
    x = b.conv(scope, x, (stages[-1][1], _LAST), Window(1), law=he_normal(stages[-1][1]))
    x = b.relu(scope, b.norm(scope, x, _LAST, variance=2.0))
    x = b.node("GlobalAveragePool", [x], f"{b.label(scope, 'pool')}_fwd")
    weight = b.parameter(
        "mobilenetv20_output_pred_weight", (classes, _LAST, 1, 1), he_normal(_LAST, gain=3.0)
    )
    x = b.node("Conv", [x, weight], "mobilenetv20_output_pred_fwd", **Window(1).attributes())
    b.flatten("output_", x, (1, classes))
    return b.blueprint()


def _blocks(stages: Stages) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Input, expanded and output channels, and stride, of every block."""
    channels = _STEM
    for expansion, outputs, count, first_stride in stages:
        for index in range(count):
            yield (channels, expansion * channels, outputs), first_stride if index == 0 else 1
            channels = outputs


def _mxnet_block(
    b: MxnetGraph, scope: str, x: str, widths: tuple[int, int, int], stride: int
) -> str:
    inputs, middle, outputs = widths
    skip = stride == 1 and inputs == outputs
    # What enters is the sum of linear projections, not rectified: He's law doubles it.
    y = b.conv(scope, x, (inputs, middle), Window(1))
    y = b.relu(scope, b.norm(scope, y, middle, variance=2.0))
    y = b.conv(scope, y, (middle, middle), Window(3, stride, 1, groups=middle), law=_DEPTHWISE)
    y = b.relu(scope, b.norm(scope, y, middle, variance=1.0))
    y = b.conv(scope, y, (middle, outputs), Window(1))
    y = b.norm(scope, y, outputs, scale=_BRANCH if skip else 1.0)
    return b.node("Add", [y, x], b.label(scope, "elemwise_add")) if skip else y


def mobilenet_torch(stages: Stages = STAGES, *, classes: int = 1000, size: int = 224) -> Blueprint:
    """``mobilenetv2-12``: input ``input`` [batch_size, 3, size, size]; output ``output``.

    Parameters
    ----------
    stages : sequence of (int, int, int, int)
        Expansion, channels, number of blocks, and stride of the first one.
    classes, size : int
        Outputs, and height and width of the input in pixels.
    """
    b = TorchGraph(opset=12, ir_version=6, weight_name="{}", first=475)
    bounds = [b.scalar("relu6.min", 0.0), b.scalar("relu6.max", 6.0)]
    x = b.input("input", ("batch_size", 3, size, size))
    stem = he_normal(27, centre=False, gain=0.5**0.5)
    x = b.conv(x, (3, _STEM), Window(3, 2, 1), law=stem)
    x = b.op("Clip", [x, *bounds])
    for widths, stride in _blocks(stages):
        x = _torch_block(b, x, widths, stride, bounds)
    x = b.conv(x, (stages[-1][1], _LAST), Window(1), gain=0.5**0.5)
    x = b.op("GlobalAveragePool", [b.op("Clip", [x, *bounds])])
    _torch_head(b, x, classes)
    return b.blueprint()


def _torch_block(
    b: TorchGraph, x: str, widths: tuple[int, int, int], stride: int, bounds: list[str]
) -> str:
    inputs, middle, outputs = widths
    skip = stride == 1 and inputs == outputs
    y = x
    if middle != inputs:
        y = b.op("Clip", [b.conv(y, (inputs, middle), Window(1), gain=0.5**0.5), *bounds])
    window = Window(3, stride, 1, groups=middle)
    y = b.op("Clip", [b.conv(y, (middle, middle), window, law=_DEPTHWISE), *bounds])
    gain = FOLDED_GAIN * (_BRANCH if skip else 1.0)
    y = b.conv(y, (middle, outputs), Window(1), gain=gain)
    return b.op("Add", [x, y]) if skip else y


def _torch_head(b: TorchGraph, x: str, classes: int) -> None:
    """``x.reshape(x.shape[0], -1)`` and a linear layer, as the tracer spells them."""
    index = b.parameter("reshape.index", (), Exact((0,)), TensorProto.INT64)
    batch = b.op("Gather", [b.op("Shape", [x]), index], axis=0)
    parts = [b.op("Unsqueeze", [batch], axes=[0]), b.integers("reshape.rest", (-1,))]
    x = b.op("Reshape", [x, b.op("Concat", parts, axis=0)])
    weight = b.parameter("classifier.1.weight", (classes, _LAST), he_normal(_LAST, gain=3.0))
    bias = b.parameter("classifier.1.bias", (classes,), Normal(0.01))
    x = b.node("Gemm", [x, weight, bias], "output", alpha=1.0, beta=1.0, transB=1)
    b.output(x, ("batch_size", classes))
