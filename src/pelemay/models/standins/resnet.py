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

from pelemay.models.standins.builder import (
    Blueprint,
    GraphBuilder,
    Normal,
    Uniform,
    he_normal,
)

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

# Variance of a centred He convolution over rectified unit normals: 2 * (1/2 - 1/(2 pi)).
_CENTRED_VARIANCE = 0.6817


class _ZooGraph(GraphBuilder):
    """MXNet's way of naming: prefix, kind, running number, ``_fwd``."""

    def __init__(self, prefix: str) -> None:
        super().__init__(prefix, opset=8, encoding="float_data", ir_version=3)
        self.prefix = prefix
        self.counts: dict[str, int] = {}

    def label(self, scope: str, kind: str) -> str:
        stem = f"{self.prefix}_{scope}{kind}"
        number = self.counts.get(stem, 0)
        self.counts[stem] = number + 1
        return f"{stem}{number}"

    def conv(
        self,
        scope: str,
        x: str,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        bias: bool = False,
        centre: bool = True,
    ) -> str:
        outputs, inputs, kernel = shape
        name = self.label(scope, "conv")
        law = he_normal(inputs * kernel * kernel, centre=centre)
        sources = [x, self.parameter(f"{name}_weight", (outputs, inputs, kernel, kernel), law)]
        if bias:
            sources.append(self.parameter(f"{name}_bias", (outputs,), Normal(0.01)))
        return self.node(
            "Conv",
            sources,
            f"{name}_fwd",
            dilations=[1, 1],
            group=1,
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            strides=[stride, stride],
        )

    def norm(
        self, scope: str, x: str, width: int, *, scale: float = 1.0, variance: float
    ) -> str:
        name = self.label(scope, "batchnorm")
        sources = [
            x,
            self.parameter(f"{name}_gamma", (width,), Uniform(0.9 * scale, 1.1 * scale)),
            self.parameter(f"{name}_beta", (width,), Normal(0.1 * scale)),
            self.parameter(f"{name}_running_mean", (width,), Normal(0.1)),
            self.parameter(f"{name}_running_var", (width,), Uniform(0.9 * variance, 1.1 * variance)),
        ]
        # Every BatchNormalization of the originals carries ``spatial``, as opset 8 allows.
        return self.node(
            "BatchNormalization", sources, f"{name}_fwd", epsilon=1e-5, momentum=0.9, spatial=1
        )

    def relu(self, scope: str, x: str) -> str:
        return self.node("Relu", [x], f"{self.label(scope, 'relu')}_fwd")


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
    b = _ZooGraph(prefix)
    x = _zoo_stem(b, b.input("data", ("N", 3, size, size)), width)
    channels = width
    for stage, count in enumerate(blocks, start=1):
        outputs = width * 2 ** (stage - 1) * (4 if bottleneck else 1)
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            x = _residual(b, f"stage{stage}_", x, (channels, outputs), stride, bottleneck)
            channels = outputs
    _zoo_head(b, x, channels, classes)
    return b.blueprint()


def _zoo_stem(b: _ZooGraph, x: str, width: int) -> str:
    # Not centred: the brightness of the image may pass.
    x = b.conv("", x, (width, 3, 7), stride=2, centre=False)
    x = b.relu("", b.norm("", x, width, variance=2.0))
    pool = f"{b.label('', 'pool')}_fwd"
    return b.node("MaxPool", [x], pool, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])


def _residual(
    b: _ZooGraph, scope: str, x: str, widths: tuple[int, int], stride: int, bottleneck: bool
) -> str:
    inputs, outputs = widths
    branch = _bottleneck if bottleneck else _basic
    y = branch(b, scope, x, widths, stride)
    if stride > 1 or inputs != outputs:
        x = b.conv(scope, x, (outputs, inputs, 1), stride=stride)
        x = b.norm(scope, x, outputs, variance=_CENTRED_VARIANCE)
    total = b.node("Add", [y, x], b.label(scope, "_plus"))
    return b.node("Relu", [total], b.label(scope, "activation"))


def _basic(b: _ZooGraph, scope: str, x: str, widths: tuple[int, int], stride: int) -> str:
    inputs, outputs = widths
    y = b.conv(scope, x, (outputs, inputs, 3), stride=stride)
    y = b.relu(scope, b.norm(scope, y, outputs, variance=_CENTRED_VARIANCE))
    y = b.conv(scope, y, (outputs, outputs, 3))
    return b.norm(scope, y, outputs, scale=_BRANCH, variance=_CENTRED_VARIANCE)


def _bottleneck(b: _ZooGraph, scope: str, x: str, widths: tuple[int, int], stride: int) -> str:
    inputs, outputs = widths
    middle = outputs // 4
    y = b.conv(scope, x, (middle, inputs, 1), stride=stride, bias=True)
    y = b.relu(scope, b.norm(scope, y, middle, variance=_CENTRED_VARIANCE))
    y = b.conv(scope, y, (middle, middle, 3))
    y = b.relu(scope, b.norm(scope, y, middle, variance=_CENTRED_VARIANCE))
    y = b.conv(scope, y, (outputs, middle, 1), bias=True)
    return b.norm(scope, y, outputs, scale=_BRANCH, variance=_CENTRED_VARIANCE)


def _zoo_head(b: _ZooGraph, x: str, channels: int, classes: int) -> None:
    x = b.node("GlobalAveragePool", [x], f"{b.label('', 'pool')}_fwd")
    dense = b.label("", "dense")
    weight = b.parameter(f"{dense}_weight", (classes, channels), he_normal(channels, gain=2.0))
    bias = b.parameter(f"{dense}_bias", (classes,), Normal(0.01))
    # MXNet's exporter numbers the Flatten after everything before the dense layer.
    x = b.node("Flatten", [x], f"flatten_{len(b.nodes) + len(b.parameters) + 1}")
    b.output(
        b.node("Gemm", [x, weight, bias], f"{dense}_fwd", alpha=1.0, beta=1.0, transA=0, transB=1),
        ("N", classes),
    )


def resnet18_fastai(
    classes: int,
    *,
    batch: int = 10,
    width: int = 64,
    hidden: int = 512,
    size: int = 224,
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
    b = _TorchGraph("torch_jit", opset=13, ir_version=7)
    features = 16 * width
    norms = [b.norm_parameters("1.2", features), b.norm_parameters("1.6", hidden)]
    x = b.input("actual_input_1", (batch, 3, size, size))
    x = b.relu(b.conv(x, (width, 3, 7), stride=2, gain=0.7, centre=False))
    x = b.op("MaxPool", [x], ceil_mode=0, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    channels = width
    for stage in range(4):
        outputs = width * 2**stage
        for index in range(2):
            stride = 2 if stage and index == 0 else 1
            x = b.basic_block(x, channels, outputs, stride)
            channels = outputs
    _fastai_head(b, x, norms, (features, hidden, classes), size // 32)
    b.output(b.nodes[-1].output[0], (batch, classes))
    return b.blueprint()


class _TorchGraph(GraphBuilder):
    """PyTorch 1.12's way of naming: numbers, handed out as the trace goes."""

    def __init__(self, name: str, *, opset: int, ir_version: int) -> None:
        super().__init__(name, opset=opset, ir_version=ir_version)
        # The first folded convolution of the original is called onnx::Conv_218.
        self.number = 218

    def op(self, op_type: str, inputs: list[str], **attributes: object) -> str:
        return self.node(op_type, inputs, f"{op_type}_{len(self.nodes)}", **attributes)

    def conv(
        self,
        x: str,
        shape: tuple[int, int, int],
        *,
        stride: int = 1,
        gain: float = 1.2,
        centre: bool = True,
    ) -> str:
        outputs, inputs, kernel = shape
        law = he_normal(inputs * kernel * kernel, centre=centre, gain=gain)
        weight = f"onnx::Conv_{self.number}"
        bias = f"onnx::Conv_{self.number + 1}"
        self.number += 3
        return self.op(
            "Conv",
            [
                x,
                self.parameter(weight, (outputs, inputs, kernel, kernel), law),
                self.parameter(bias, (outputs,), Normal(0.1)),
            ],
            dilations=[1, 1],
            group=1,
            kernel_shape=[kernel, kernel],
            pads=[kernel // 2] * 4,
            strides=[stride, stride],
        )

    def relu(self, x: str) -> str:
        return self.op("Relu", [x])

    def basic_block(self, x: str, inputs: int, outputs: int, stride: int) -> str:
        y = self.relu(self.conv(x, (outputs, inputs, 3), stride=stride))
        y = self.conv(y, (outputs, outputs, 3), gain=1.2 * _BRANCH)
        if stride > 1:
            x = self.conv(x, (outputs, inputs, 1), stride=stride)
        return self.relu(self.op("Add", [y, x]))

    def norm_parameters(self, name: str, width: int) -> list[str]:
        return [
            self.parameter(f"{name}.weight", (width,), Uniform(0.9, 1.1)),
            self.parameter(f"{name}.bias", (width,), Normal(0.1)),
            # Both of the head's normalisations read rectified values, whose mean is positive.
            self.parameter(f"{name}.running_mean", (width,), Uniform(0.4, 0.8)),
            self.parameter(f"{name}.running_var", (width,), Uniform(0.9, 1.1)),
        ]


def _fastai_head(
    b: _TorchGraph,
    x: str,
    norms: list[list[str]],
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
    x = b.op("MatMul", [x, b.parameter("onnx::MatMul_280", (features, hidden), _dense(features))])
    x = b.op("BatchNormalization", [b.relu(x), *norms[1]], epsilon=1e-5, momentum=0.9)
    weight = b.parameter("onnx::MatMul_281", (hidden, classes), _dense(hidden))
    b.node("MatMul", [x, weight], "output1")


def _dense(fan_in: int) -> Normal:
    # MatMul's weights lie input by input, so that a group is a row of outputs, not a filter.
    return he_normal(fan_in, centre=False)
