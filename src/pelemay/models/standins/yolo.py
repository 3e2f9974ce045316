"""A detector like YOLOv8n, as its authors' tool exports it (opset 17).

In: widths and sizes, which tests may make tiny. Out: a blueprint with BatchNormalization folded,
SiLU as Sigmoid and Mul, C2f blocks, spatial pyramid pooling, a head at three scales, and the boxes
computed from distributions over distances.

Source: Jocher, Chaurasia and Qiu 2023, "Ultralytics YOLOv8"; Li et al. 2020, "Generalized Focal
Loss" for the distributions.

>>> yolov8n().parameter_bytes // 4
3177113
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pelemay.models.standins.builder import Blueprint, Exact, GraphBuilder, Normal
from pelemay.models.standins.exporters import Window

BINS = 16
"""Distances of which each side of a box has a distribution."""

STRIDES = (8, 16, 32)

# The mean square of SiLU over unit normals.
_SILU_POWER = 0.3557

# At 1 a difference in the last digit of the input grows with every layer, until two correct
# engines differ visibly; below 0.9 all inputs end up alike.
_TRUNK_GAIN = 0.93
_HEAD_GAIN = 12.0


class _YoloGraph(GraphBuilder):
    """Layers under the names of their modules."""

    def __init__(self) -> None:
        super().__init__("main_graph", opset=17, ir_version=8)
        self._counts: dict[str, int] = {}

    def op(self, scope: str, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        stem = f"{scope}/{op_type}"
        number = self._counts.get(stem, 0)
        self._counts[stem] = number + 1
        return self.node(op_type, inputs, f"{stem}_{number}" if number else stem, **attributes)

    def plain(
        self,
        scope: str,
        x: str,
        widths: tuple[int, int],
        window: Window,
        *,
        gain: float = _TRUNK_GAIN,
    ) -> str:
        """A convolution with bias."""
        inputs, outputs = widths
        module = scope.removeprefix("/").replace("/", ".")
        fan = inputs * window.kernel**2
        law = Normal(gain * (fan * _SILU_POWER) ** -0.5, 0 if inputs == 3 else fan)
        shape = (outputs, inputs, window.kernel, window.kernel)
        sources = [
            x,
            self.parameter(f"{module}.weight", shape, law),
            self.parameter(f"{module}.bias", (outputs,), Normal(0.1)),
        ]
        return self.op(scope, "Conv", sources, **window.attributes())

    def conv(
        self, scope: str, x: str, widths: tuple[int, int], kernel: int = 1, stride: int = 1
    ) -> str:
        """A convolution and SiLU."""
        y = self.plain(f"{scope}/conv", x, widths, Window(kernel, stride, kernel // 2))
        return self.op(f"{scope}/act", "Mul", [y, self.op(f"{scope}/act", "Sigmoid", [y])])

    def c2f(
        self, scope: str, x: str, widths: tuple[int, int], count: int, *, shortcut: bool
    ) -> str:
        """Half of the channels go through bottlenecks; all stages are concatenated."""
        half = widths[1] // 2
        y = self.conv(f"{scope}/cv1", x, (widths[0], 2 * half))
        parts = [f"{scope}/Split_output_{i}" for i in range(2)]
        self.split(scope, y, parts, (half, half))
        for index in range(count):
            inner = f"{scope}/m.{index}"
            y = self.conv(f"{inner}/cv1", parts[-1], (half, half), 3)
            y = self.conv(f"{inner}/cv2", y, (half, half), 3)
            parts.append(self.op(inner, "Add", [parts[-1], y]) if shortcut else y)
        y = self.op(scope, "Concat", parts, axis=1)
        return self.conv(f"{scope}/cv2", y, (len(parts) * half, widths[1]))

    def split(self, scope: str, x: str, outputs: Sequence[str], sizes: Sequence[int]) -> None:
        """Cut the channels; the sizes are an input since operator set 13."""
        from onnx import helper

        name = self.integers(f"{scope}/split_sizes", sizes)
        node = helper.make_node("Split", [x, name], list(outputs), name=f"{scope}/Split", axis=1)
        self.nodes.append(node)


def yolov8n(*, width: int = 16, classes: int = 80, size: int = 640) -> Blueprint:
    """Input ``images`` [1, 3, size, size]; output ``output0`` [1, 4 + classes, boxes].

    Parameters
    ----------
    width : int
        Channels of the stem; a multiple of 4.
    classes, size : int
        Kinds of objects, and height and width of the input in pixels, a multiple of 32.
    """
    b = _YoloGraph()
    x = b.input("images", (1, 3, size, size))
    levels = _neck(b, _backbone(b, x, width), width)
    _detect(b, levels, [4 * width, 8 * width, 16 * width], classes, size)
    return b.blueprint()


def _backbone(b: _YoloGraph, x: str, width: int) -> list[str]:
    """Features at strides 8, 16 and 32."""
    x = b.conv("/model.0", x, (3, width), 3, 2)
    features = []
    for stage, count in enumerate((1, 2, 2, 1)):
        channels, number = width << stage, 2 * stage + 1
        x = b.conv(f"/model.{number}", x, (channels, 2 * channels), 3, 2)
        widths = (2 * channels, 2 * channels)
        x = b.c2f(f"/model.{number + 1}", x, widths, count, shortcut=True)
        features.append(x)
    return [*features[1:3], _pyramid(b, "/model.9", features[3], 16 * width)]


def _pyramid(b: _YoloGraph, scope: str, x: str, width: int) -> str:
    """Maxima over 5, 9 and 13 pixels, one after the other."""
    parts = [b.conv(f"{scope}/cv1", x, (width, width // 2))]
    for _ in range(3):
        window = {"kernel_shape": [5, 5], "pads": [2] * 4, "strides": [1, 1]}
        parts.append(b.op(f"{scope}/m", "MaxPool", [parts[-1]], **window))
    y = b.op(scope, "Concat", parts, axis=1)
    return b.conv(f"{scope}/cv2", y, (2 * width, width))


def _neck(b: _YoloGraph, features: list[str], width: int) -> list[str]:
    """From coarse to fine and back."""
    low, middle, high = features
    four, eight, sixteen = 4 * width, 8 * width, 16 * width
    y = b.op("/model.11", "Concat", [_upsample(b, "/model.10", high), middle], axis=1)
    mixed = b.c2f("/model.12", y, (eight + sixteen, eight), 1, shortcut=False)
    y = b.op("/model.14", "Concat", [_upsample(b, "/model.13", mixed), low], axis=1)
    fine = b.c2f("/model.15", y, (four + eight, four), 1, shortcut=False)
    y = b.conv("/model.16", fine, (four, four), 3, 2)
    y = b.op("/model.17", "Concat", [y, mixed], axis=1)
    medium = b.c2f("/model.18", y, (four + eight, eight), 1, shortcut=False)
    y = b.conv("/model.19", medium, (eight, eight), 3, 2)
    y = b.op("/model.20", "Concat", [y, high], axis=1)
    coarse = b.c2f("/model.21", y, (eight + sixteen, sixteen), 1, shortcut=False)
    return [fine, medium, coarse]


def _upsample(b: _YoloGraph, scope: str, x: str) -> str:
    scales = b.parameter(f"{scope}/scales", (4,), Exact((1.0, 1.0, 2.0, 2.0)))
    attributes = {
        "coordinate_transformation_mode": "asymmetric",
        "mode": "nearest",
        "nearest_mode": "floor",
    }
    return b.op(scope, "Resize", [x, "", scales], **attributes)


def _detect(b: _YoloGraph, levels: list[str], widths: list[int], classes: int, size: int) -> None:
    """Boxes as distances from the centres of cells, and a score for each class."""
    scope, outputs = "/model.22", 4 * BINS + classes
    boxes, kinds = max(16, widths[0] // 4, 4 * BINS), max(widths[0], min(classes, 100))
    flat = b.integers(f"{scope}/flat", (1, outputs, -1))
    parts = []
    for level, (x, width) in enumerate(zip(levels, widths, strict=True)):
        sides = []
        for branch, (middle, last) in enumerate(((boxes, 4 * BINS), (kinds, classes)), start=2):
            name = f"{scope}/cv{branch}.{level}"
            y = b.conv(f"{name}/0", x, (width, middle), 3)
            y = b.conv(f"{name}/1", y, (middle, middle), 3)
            y = b.plain(f"{name}/2", y, (middle, last), Window(), gain=_HEAD_GAIN)
            sides.append(y)
        y = b.op(scope, "Concat", sides, axis=1)
        parts.append(b.op(scope, "Reshape", [y, flat]))
    y = b.op(scope, "Concat", parts, axis=2)
    cells = sum((size // stride) ** 2 for stride in STRIDES)
    halves = [f"{scope}/Split_output_{i}" for i in range(2)]
    b.split(scope, y, halves, (4 * BINS, classes))
    corners = _corners(b, scope, _distances(b, scope, halves[0], cells), size)
    scores = b.op(scope, "Sigmoid", [halves[1]])
    b.output(b.node("Concat", [corners, scores], "output0", axis=1), (1, 4 + classes, cells))


def _distances(b: _YoloGraph, scope: str, x: str, cells: int) -> str:
    """The mean of each distribution: a softmax over the bins, and a convolution by 0, 1, 2, ..."""
    scope = f"{scope}/dfl"
    x = b.op(scope, "Reshape", [x, b.integers(f"{scope}/bins", (1, 4, BINS, cells))])
    x = b.op(scope, "Transpose", [x], perm=[0, 2, 1, 3])
    x = b.op(scope, "Softmax", [x], axis=1)
    law = Exact(tuple(float(i) for i in range(BINS)))
    weight = b.parameter("model.22.dfl.conv.weight", (1, BINS, 1, 1), law)
    x = b.op(f"{scope}/conv", "Conv", [x, weight], **Window().attributes())
    return b.op(scope, "Reshape", [x, b.integers(f"{scope}/sides", (1, 4, cells))])


def _corners(b: _YoloGraph, scope: str, x: str, size: int) -> str:
    """Centre, width and height in pixels, from the distances to the four sides."""
    anchors, strides = _anchors(size)
    cells = len(strides)
    centres = b.parameter(f"{scope}/anchors", (1, 2, cells), Exact(anchors))
    scales = b.parameter(f"{scope}/strides", (1, cells), Exact(strides))
    limits = [b.integers(f"{scope}/limit_{i}", (i,)) for i in (0, 2, 4, 1)]
    first = b.op(scope, "Slice", [x, limits[0], limits[1], limits[3]])
    second = b.op(scope, "Slice", [x, limits[1], limits[2], limits[3]])
    low = b.op(scope, "Sub", [centres, first])
    high = b.op(scope, "Add", [second, centres])
    middle = b.op(scope, "Add", [low, high])
    middle = b.op(scope, "Div", [middle, b.scalar(f"{scope}/two", 2.0)])
    extent = b.op(scope, "Sub", [high, low])
    boxes = b.op(scope, "Concat", [middle, extent], axis=1)
    return b.op(scope, "Mul", [boxes, scales])


def _anchors(size: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Centres of the cells, all x and then all y, in units of the stride; and the strides."""
    xs: list[float] = []
    ys: list[float] = []
    strides: list[float] = []
    for stride in STRIDES:
        side = size // stride
        xs += [column + 0.5 for _ in range(side) for column in range(side)]
        ys += [row + 0.5 for row in range(side) for _ in range(side)]
        strides += [float(stride)] * (side * side)
    return (*xs, *ys), tuple(strides)
