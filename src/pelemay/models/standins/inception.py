"""Inception-v1 (GoogLeNet) as Caffe2 exports it (opset 9), at inference: without its side exits.

In: nothing but the sizes, which tests may make tiny. Out: a blueprint. Names, attributes and order
are those of ``inception_v1`` among the light models of the ``onnx`` package, whose weights are
constants; here they are random.

Source: Szegedy et al. 2015, "Going Deeper with Convolutions", table 1.

>>> inception_v1().parameter_bytes
27994208
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pelemay.models.standins.builder import Blueprint, GraphBuilder, Normal, he_normal
from pelemay.models.standins.exporters import FOLDED_GAIN, Window


@dataclass(frozen=True)
class Module:
    """Output channels of the four branches; a pair is a 1x1 convolution and the one behind it."""

    name: str
    single: int
    triple: tuple[int, int]
    quintuple: tuple[int, int]
    pooled: int

    @property
    def outputs(self) -> int:
        """Channels of all branches together."""
        return self.single + self.triple[1] + self.quintuple[1] + self.pooled


MODULES: tuple[Module | None, ...] = (
    Module("3a", 64, (96, 128), (16, 32), 32),
    Module("3b", 128, (128, 192), (32, 96), 64),
    None,
    Module("4a", 192, (96, 208), (16, 48), 64),
    Module("4b", 160, (112, 224), (24, 64), 64),
    Module("4c", 128, (128, 256), (24, 64), 64),
    Module("4d", 112, (144, 288), (32, 64), 64),
    Module("4e", 256, (160, 320), (32, 128), 128),
    None,
    Module("5a", 256, (160, 320), (32, 128), 128),
    Module("5b", 384, (192, 384), (48, 128), 128),
)
"""None is a pooling with stride 2."""

_STEM = (64, 192)


def inception_v1(
    modules: Sequence[Module | None] = MODULES, *, classes: int = 1000, size: int = 224
) -> Blueprint:
    """Inception-v1: input ``data_0`` [1, 3, size, size]; output ``prob_1`` [1, classes].

    Parameters
    ----------
    modules : sequence of Module or None
        What stands behind the stem.
    classes, size : int
        Outputs, and height and width of the input in pixels.
    """
    b = GraphBuilder("inception_v1", opset=9, ir_version=3)
    x = _stem(b, b.input("data_0", (1, 3, size, size)))
    channels, pools, extent = _STEM[1], 3, _pooled(_pooled(-(-size // 2)))
    for module in modules:
        if module is None:
            x = _pool(b, x, f"pool{pools}/3x3_s2", stride=2)
            pools, extent = pools + 1, _pooled(extent)
        else:
            x, channels = _module(b, x, channels, module), module.outputs
    _head(b, x, channels, classes, extent)
    return b.blueprint()


def _pooled(extent: int) -> int:
    """Extent after a window of 3 with stride 2 that is padded behind where it does not fit."""
    return -(-(extent - 3) // 2) + 1


def _conv(b: GraphBuilder, x: str, name: str, widths: tuple[int, int], window: Window) -> str:
    """A convolution with bias, and its Relu."""
    inputs, outputs = widths
    shape = (outputs, inputs, window.kernel, window.kernel)
    fan = inputs * window.kernel**2
    law = he_normal(fan, gain=FOLDED_GAIN) if inputs > 3 else he_normal(fan, centre=False)
    weight = b.parameter(f"{name}_w_0", shape, law)
    bias = b.parameter(f"{name}_b_0", (outputs,), Normal(0.05))
    attributes = window.attributes()
    kept = {key: attributes[key] for key in ("strides", "pads", "kernel_shape")}
    return b.node("Relu", [b.node("Conv", [x, weight, bias], f"{name}_1", **kept)], f"{name}_2")


def _pool(b: GraphBuilder, x: str, name: str, *, stride: int) -> str:
    """A maximum over 3x3; with stride 2 it is padded behind, with stride 1 all around."""
    pads = [1] * 4 if stride == 1 else [0, 0, 1, 1]
    return b.node(
        "MaxPool", [x], f"{name}_1", kernel_shape=[3, 3], pads=pads, strides=[stride, stride]
    )


def _norm(b: GraphBuilder, x: str, name: str) -> str:
    """A large ``alpha``, so that what it does shows in random networks."""
    return b.node("LRN", [x], f"{name}_1", size=5, alpha=1e-4, beta=0.75, bias=1.0)


def _stem(b: GraphBuilder, x: str) -> str:
    x = _conv(b, x, "conv1/7x7_s2", (3, _STEM[0]), Window(7, 2, 3))
    x = _norm(b, _pool(b, x, "pool1/3x3_s2", stride=2), "pool1/norm1")
    x = _conv(b, x, "conv2/3x3_reduce", (_STEM[0], _STEM[0]), Window())
    x = _conv(b, x, "conv2/3x3", _STEM, Window(3, 1, 1))
    return _pool(b, _norm(b, x, "conv2/norm2"), "pool2/3x3_s2", stride=2)


def _module(b: GraphBuilder, x: str, inputs: int, module: Module) -> str:
    scope = f"inception_{module.name}"
    branches = [_conv(b, x, f"{scope}/1x1", (inputs, module.single), Window())]
    for side, widths in ((3, module.triple), (5, module.quintuple)):
        y = _conv(b, x, f"{scope}/{side}x{side}_reduce", (inputs, widths[0]), Window())
        window = Window(side, 1, side // 2)
        branches.append(_conv(b, y, f"{scope}/{side}x{side}", widths, window))
    y = _pool(b, x, f"{scope}/pool", stride=1)
    branches.append(_conv(b, y, f"{scope}/pool_proj", (inputs, module.pooled), Window()))
    return b.node("Concat", branches, f"{scope}/output_1", axis=1)


def _head(b: GraphBuilder, x: str, channels: int, classes: int, extent: int) -> None:
    pool = f"pool5/{extent}x{extent}_s1_1"
    window = [extent, extent]
    x = b.node("AveragePool", [x], pool, kernel_shape=window, pads=[0] * 4, strides=[1, 1])
    x = b.node("Dropout", [x], "pool5/drop_1", ratio=0.4)
    x = b.node("Reshape", [x, b.integers("OC2_DUMMY_1", (1, channels))], "pool5/flat_1")
    name = "loss3/classifier"
    weight = b.parameter(f"{name}_w_0", (classes, channels), he_normal(channels, gain=8.0))
    bias = b.parameter(f"{name}_b_0", (classes,), Normal(0.01))
    x = b.node("Gemm", [x, weight, bias], f"{name}_1", transB=1)
    b.output(b.node("Softmax", [x], "prob_1", axis=1), (1, classes))
