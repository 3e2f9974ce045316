"""Networks as yardsticks of planning: their shapes are right, their weights take no memory.

In: a blueprint, or a name. Out: a graph as the compiler plans it, after all passes.

>>> from support.yardsticks import mobilenet  # doctest: +SKIP
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

from pelemay.graph import ArrayConstant, Graph
from pelemay.importers import load
from pelemay.models import standins
from pelemay.models.standins.builder import Blueprint, Exact, GraphBuilder, Normal
from pelemay.models.standins.exporters import TorchGraph, Window
from pelemay.models.standins.mobilenet import STAGES
from pelemay.passes import bind, run_passes
from pelemay.program.tail import split


def planned_graph(blueprint: Blueprint) -> Graph:
    """What is planned of a network; each weight is one number, shown everywhere."""
    graph = _graph_of(blueprint)
    shapes = {
        name: tuple(d if isinstance(d, int) else 1 for d in kind.shape)  # type: ignore[union-attr]
        for name, kind in graph.inputs.items()
    }
    trunk, _ = split(run_passes(bind(graph, shapes, {})))
    return trunk


def _graph_of(blueprint: Blueprint) -> Graph:
    """The graph of a blueprint that is never written with its weights."""
    model = type(blueprint.model)()
    model.CopyFrom(blueprint.model)
    listed = {value.name for value in model.graph.input}
    drawn = {}
    for parameter in blueprint.parameters:
        kind = helper.tensor_dtype_to_np_dtype(parameter.data_type)
        if isinstance(parameter.law, Exact):
            value = np.array(parameter.law.values, kind).reshape(parameter.shape)
            model.graph.initializer.append(numpy_helper.from_array(value, parameter.name))
            continue
        drawn[parameter.name] = np.broadcast_to(np.asarray(0.01, kind), parameter.shape)
        if parameter.name not in listed:
            model.graph.input.append(
                helper.make_tensor_value_info(
                    parameter.name, parameter.data_type, list(parameter.shape)
                )
            )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "shapes.onnx")
        file.write_bytes(model.SerializeToString())
        graph = load(file).graph
        constants = {
            name: ArrayConstant.of(c.array().copy()) for name, c in graph.constants.items()
        }
    constants.update({name: ArrayConstant.of(value) for name, value in drawn.items()})
    inputs = {name: kind for name, kind in graph.inputs.items() if name not in drawn}
    return replace(graph, inputs=inputs, constants=constants)


def divisible(width: float, by: int = 8) -> int:
    """Channels of a thinner network, as in the code of the paper on MobileNetV2.

    >>> divisible(32 * 0.35), divisible(96 * 0.35)
    (16, 32)
    """
    rounded = max(by, int(width + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * width else rounded


def mobilenet(width: float, size: int, classes: int = 1000) -> Graph:
    """MobileNetV2 of any width, as PyTorch writes it: normalisation folded, ReLU6 a Clip."""
    b = TorchGraph(opset=12, ir_version=6, weight_name="{}", first=0)
    bounds = [b.scalar("relu6.min", 0.0), b.scalar("relu6.max", 6.0)]

    def conv(x: str, widths: tuple[int, int], window: Window) -> str:
        return b.op("Clip", [b.conv(x, widths, window), *bounds])

    channels, last = divisible(32 * width), max(1280, divisible(1280 * width))
    x = conv(b.input("input", (1, 3, size, size)), (3, channels), Window(3, 2, 1))
    for expansion, outputs, count, first_stride in STAGES:
        outputs = divisible(outputs * width)
        for index in range(count):
            stride, middle = first_stride if index == 0 else 1, expansion * channels
            y = x if expansion == 1 else conv(x, (channels, middle), Window(1))
            y = conv(y, (middle, middle), Window(3, stride, 1, groups=middle))
            y = b.conv(y, (middle, outputs), Window(1))
            x = b.op("Add", [x, y]) if stride == 1 and channels == outputs else y
            channels = outputs
    x = b.op("GlobalAveragePool", [conv(x, (channels, last), Window(1))])
    x = b.op("Flatten", [x], axis=1)
    weight = b.parameter("weight", (classes, last), Normal(0.1))
    b.output(b.op("Gemm", [x, weight], transB=1), (1, classes))
    return planned_graph(b.blueprint())


def u_net(height: int, width: int, base: int = 16, levels: int = 4, *, transposed: bool) -> Graph:
    """Two 3x3 convolutions a level, concatenated skips, 2x2 pooling down.

    Up by transposed convolutions of 2x2, or by linear resizing and a convolution.
    """
    b = GraphBuilder("u_net", opset=18)
    counts = iter(range(10_000))

    def op(kind: str, *inputs: str, **attributes: object) -> str:
        return b.node(kind, inputs, f"{kind}_{next(counts)}", **attributes)

    def conv(x: str, inputs: int, outputs: int, kernel: int = 3) -> str:
        number = next(counts)
        w = b.parameter(f"w{number}", (outputs, inputs, kernel, kernel), Normal(0.1))
        y = op(
            "Conv", x, w, b.parameter(f"b{number}", (outputs,), Normal(0.1)), pads=[kernel // 2] * 4
        )
        return op("Relu", y) if kernel > 1 else y

    def up(x: str, inputs: int, outputs: int) -> str:
        if transposed:
            w = b.parameter(f"w{next(counts)}", (inputs, outputs, 2, 2), Normal(0.1))
            return op("ConvTranspose", x, w, strides=[2, 2])
        scales = b.parameter(f"s{next(counts)}", (4,), Exact((1, 1, 2, 2)))
        return conv(op("Resize", x, "", scales, mode="linear"), inputs, outputs)

    x, channels, skips = b.input("image", (1, 3, height, width)), 3, []
    for level in range(levels):
        outputs = base << level
        x = conv(conv(x, channels, outputs), outputs, outputs)
        skips.append((x, outputs))
        x, channels = op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), outputs
    bottom = base << levels
    x, channels = conv(conv(x, channels, bottom), bottom, bottom), bottom
    for skip, outputs in reversed(skips):
        x = op("Concat", skip, up(x, channels, outputs), axis=1)
        x, channels = conv(conv(x, 2 * outputs, outputs), outputs, outputs), outputs
    b.output(conv(x, channels, 2, kernel=1), (1, 2, height, width))
    return planned_graph(b.blueprint())


def stand_in(architecture: str) -> Graph:
    """A network of the catalogue."""
    return planned_graph(standins.blueprint(architecture, stand_in_for=architecture))


NETWORKS: dict[str, Callable[[], Graph]] = {
    "MobileNetV2 w0.35 at 144": lambda: mobilenet(0.35, 144),
    "MobileNetV2 w1.0 at 224": lambda: mobilenet(1.0, 224),
    "ResNet-101 at 224": lambda: stand_in("resnet101_v1"),
    "YOLOv8n-like at 640": lambda: stand_in("yolov8n"),
    "U-Net-like at 1920x1088, transposed": lambda: u_net(1088, 1920, transposed=True),
    "U-Net-like at 1920x1088, resized": lambda: u_net(1088, 1920, transposed=False),
}
"""Those of the table of yardsticks. 1080 rows are no multiple of 16: they are padded to 1088."""
