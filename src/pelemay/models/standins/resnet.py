"""ResNets: the five of the ONNX model zoo (v1, opset 8) and the two of fastai.

In: depth and widths, which tests may make tiny. Out: a blueprint with the names, shapes and
order of the original file.

* The zoo's files come from MXNet: BatchNormalization is not folded, weights are float_data,
  and the 1x1 convolutions of a bottleneck carry a bias.
* fastai's come from PyTorch: BatchNormalization is folded into the trunk's convolutions,
  weights are raw_data, the batch is fixed at 10.

Source: He et al. 2016, "Deep Residual Learning for Image Recognition", table 1.

>>> resnet_zoo("resnetv18", BLOCKS[101], bottleneck=True).parameter_bytes
178780576
"""

from __future__ import annotations

from collections.abc import Sequence

from pelemay.models.standins.builder import Blueprint, Law, Normal, Uniform, he_normal
from pelemay.models.standins.exporters import FOLDED_GAIN, MxnetGraph, TorchGraph, Window

# Residual blocks in each of the four stages, by depth.
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

# A residual branch adds this fraction of the skip path's scale, so that 152 layers stay tame.
_BRANCH = 0.3

_STEM = Window(7, stride=2, padding=3)


def resnet_zoo(
    prefix: str,
    blocks: Sequence[int],
    *,
    bottleneck: bool,
    width: int = 64,
    classes: int = 1000,
    size: int = 224,
) -> Blueprint:
    """A ResNet v1 as the ONNX model zoo has it.

    Parameters
    ----------
    prefix : str
        What the original's names begin with: "resnetv15" for ResNet-18 to "resnetv19" for -152.
    blocks : sequence of int
        Residual blocks per stage; see :data:`BLOCKS`.
    bottleneck : bool
        1x1, 3x3, 1x1 (from ResNet-50 on) instead of two 3x3.
    width : int
        Channels of the stem.
    classes, size : int
        Outputs, and height and width of the input in pixels.

    Returns
    -------
    Blueprint
        Input ``data`` [N, 3, size, size], output ``<prefix>_dense0_fwd`` [N, classes].
    """
    b = MxnetGraph(prefix, opset=8)
    x = _zoo_stem(b, b.input("data", ("N", 3, size, size)), width)
    channels = width
    for stage, count in enumerate(blocks, start=1):
        outputs = width * 2 ** (stage - 1) * (4 if bottleneck else 1)
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            x = _zoo_block(b, f"stage{stage}_", x, (channels, outputs), stride, bottleneck)
            channels = outputs
    _zoo_head(b, x, channels, classes)
    return b.blueprint()


def _zoo_stem(b: MxnetGraph, x: str, width: int) -> str:
    # Not centred: the brightness of the image may pass.
    x = b.conv("", x, (3, width), _STEM, law=he_normal(147, centre=False))
    x = b.relu("", b.norm("", x, width, variance=2.0))
    return b.max_pool("", x, padding=1)


def _zoo_block(
    b: MxnetGraph, scope: str, x: str, widths: tuple[int, int], stride: int, bottleneck: bool
) -> str:
    branch = _bottleneck if bottleneck else _basic
    y = branch(b, scope, x, widths, stride)
    if stride > 1 or widths[0] != widths[1]:
        x = b.norm(scope, b.conv(scope, x, widths, Window(1, stride)), widths[1])
    total = b.node("Add", [y, x], b.label(scope, "_plus"))
    return b.node("Relu", [total], b.label(scope, "activation"))


def _basic(b: MxnetGraph, scope: str, x: str, widths: tuple[int, int], stride: int) -> str:
    outputs = widths[1]
    y = b.conv(scope, x, widths, Window(3, stride, 1))
    y = b.relu(scope, b.norm(scope, y, outputs))
    y = b.conv(scope, y, (outputs, outputs), Window(3, 1, 1))
    return b.norm(scope, y, outputs, scale=_BRANCH)


def _bottleneck(b: MxnetGraph, scope: str, x: str, widths: tuple[int, int], stride: int) -> str:
    inputs, outputs = widths
    middle = outputs // 4
    y = b.conv(scope, x, (inputs, middle), Window(1, stride), bias=True)
    y = b.relu(scope, b.norm(scope, y, middle))
    y = b.conv(scope, y, (middle, middle), Window(3, 1, 1))
    y = b.relu(scope, b.norm(scope, y, middle))
    y = b.conv(scope, y, (middle, outputs), Window(1), bias=True)
    return b.norm(scope, y, outputs, scale=_BRANCH)


def _zoo_head(b: MxnetGraph, x: str, channels: int, classes: int) -> None:
    x = b.node("GlobalAveragePool", [x], f"{b.label('', 'pool')}_fwd")
    dense = b.label("", "dense")
    weight = b.parameter(f"{dense}_weight", (classes, channels), he_normal(channels, gain=2.0))
    bias = b.parameter(f"{dense}_bias", (classes,), Normal(0.01))
    x = b.node("Flatten", [x], f"flatten_{b.step}")
    attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
    b.output(b.node("Gemm", [x, weight, bias], f"{dense}_fwd", **attributes), ("N", classes))


def resnet18_fastai(
    classes: int, *, batch: int = 10, width: int = 64, hidden: int = 512, size: int = 224
) -> Blueprint:
    """ResNet-18 with fastai's head, as PyTorch 1.12 exported it (opset 13).

    Parameters
    ----------
    classes : int
        2 for ``cats_v_dogs``, 37 for ``cat_dog_breeds``.
    batch : int
        The originals were exported with a fixed batch of 10.
    width, hidden : int
        Channels of the stem, and of the head's hidden layer.
    size : int
        Height and width of the input in pixels, a multiple of 32.

    Returns
    -------
    Blueprint
        Input ``actual_input_1`` [batch, 3, size, size], output ``output1`` [batch, classes].
    """
    b = TorchGraph(opset=13, ir_version=7, weight_name="onnx::Conv_{}", first=218)
    features = 16 * width
    norms = _norm_parameters(b, "1.2", features), _norm_parameters(b, "1.6", hidden)
    x = b.input("actual_input_1", (batch, 3, size, size))
    x = b.op(
        "Relu", [b.conv(x, (3, width), _STEM, law=he_normal(147, centre=False, gain=0.5**0.5))]
    )
    x = b.op("MaxPool", [x], ceil_mode=0, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    channels = width
    for stage in range(4):
        for index in range(2):
            stride = 2 if stage and index == 0 else 1
            x = _torch_block(b, x, (channels, width * 2**stage), stride)
            channels = width * 2**stage
    _fastai_head(b, x, norms, (features, hidden, classes), size // 32)
    b.output("output1", (batch, classes))
    return b.blueprint()


def _torch_block(b: TorchGraph, x: str, widths: tuple[int, int], stride: int) -> str:
    outputs = widths[1]
    y = b.op("Relu", [b.conv(x, widths, Window(3, stride, 1))])
    y = b.conv(y, (outputs, outputs), Window(3, 1, 1), gain=_BRANCH * FOLDED_GAIN)
    if stride > 1:
        x = b.conv(x, widths, Window(1, stride))
    return b.op("Relu", [b.op("Add", [y, x])])


def _norm_parameters(b: TorchGraph, name: str, width: int) -> list[str]:
    laws: dict[str, Law] = {
        "weight": Uniform(0.9, 1.1),
        "bias": Normal(0.1),
        # Both of the head's normalisations read rectified values, whose mean is positive.
        "running_mean": Uniform(0.4, 0.8),
        "running_var": Uniform(0.9, 1.1),
    }
    return [b.parameter(f"{name}.{part}", (width,), law) for part, law in laws.items()]


def _fastai_head(
    b: TorchGraph,
    x: str,
    norms: tuple[list[str], list[str]],
    widths: tuple[int, int, int],
    extent: int,
) -> None:
    """Adaptive max and average pooling, then two layers, each behind a BatchNormalization."""
    features, hidden, classes = widths
    window = [extent, extent]
    peak = b.op("MaxPool", [x], kernel_shape=window, pads=[0] * 4, strides=window)
    x = b.op("Concat", [peak, b.op("GlobalAveragePool", [x])], axis=1)
    x = b.op("Reshape", [x, b.integers("onnx::Reshape_279", (-1, features))])
    x = b.op("BatchNormalization", [x, *norms[0]], epsilon=1e-5, momentum=0.9)
    # MatMul's weights lie input by input: a row is no filter, so it is not centred.
    law = he_normal(features, centre=False)
    x = b.op("MatMul", [x, b.parameter("onnx::MatMul_280", (features, hidden), law)])
    x = b.op("BatchNormalization", [b.op("Relu", [x]), *norms[1]], epsilon=1e-5, momentum=0.9)
    law = he_normal(hidden, centre=False)
    b.node("MatMul", [x, b.parameter("onnx::MatMul_281", (hidden, classes), law)], "output1")
