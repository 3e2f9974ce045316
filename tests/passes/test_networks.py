"""Whole networks after all passes: they give what onnxruntime gives, and little is left of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pelemay.backends.reference import numpy_table
from pelemay.graph import Graph, TensorType, check
from pelemay.graph.evaluate import evaluate
from pelemay.importers import from_proto
from pelemay.models.standins import writer
from pelemay.models.standins.builder import Blueprint
from pelemay.models.standins.densenet import densenet121
from pelemay.models.standins.efficientnet import efficientnet_lite0
from pelemay.models.standins.inception import Module, inception_v1
from pelemay.models.standins.mobilenet import mobilenet_mxnet, mobilenet_torch
from pelemay.models.standins.resnet import resnet18_fastai, resnet_zoo
from pelemay.models.standins.squeezenet import squeezenet1_1
from pelemay.models.standins.transformers import bert, vit
from pelemay.models.standins.yolo import yolov8n
from pelemay.passes import bind, run_passes
from pelemay.passes.derived import Derived

STAGES = ((1, 8, 1, 1), (2, 12, 2, 2))
LITE = ((3, 1, 8, 1, 1), (5, 2, 12, 2, 2))
FIRES = ((2, 8), None, (4, 8))
MODULES = (Module("3a", 8, (4, 8), (2, 4), 4), None, Module("4a", 8, (4, 8), (2, 4), 4))
CONV, PRODUCT, POOL = "pelemay::Conv", "pelemay::MatMul", "pelemay::MaxPool"
HEAD = {"ReduceMean": 1, "Reshape": 1, PRODUCT: 1}
IMAGE = {"Transpose": 1, **HEAD}

NETWORKS: dict[str, tuple[Callable[[], Blueprint], dict[str, int]]] = {
    "basic": (
        lambda: resnet_zoo("r", (2, 1), bottleneck=False, width=8, classes=10, size=64),
        {CONV: 8, POOL: 1, **IMAGE},
    ),
    "bottleneck": (
        lambda: resnet_zoo("r", (1, 2), bottleneck=True, width=8, classes=10, size=64),
        {CONV: 12, POOL: 1, **IMAGE},
    ),
    "fastai": (
        lambda: resnet18_fastai(3, batch=2, width=4, hidden=8, size=64),
        {CONV: 20, POOL: 1, "ReduceMax": 1, "Concat": 1, **IMAGE, PRODUCT: 2},
    ),
    "mobilenet_mxnet": (
        lambda: mobilenet_mxnet(STAGES, classes=10, size=32),
        {CONV: 12, "Transpose": 1, "ReduceMean": 1, "Reshape": 1},
    ),
    "mobilenet_torch": (
        lambda: mobilenet_torch(STAGES, classes=10, size=32),
        {CONV: 10, **IMAGE},
    ),
    "efficientnet": (lambda: efficientnet_lite0(LITE, classes=10, size=32), {CONV: 10, **IMAGE}),
    "squeezenet": (
        lambda: squeezenet1_1(FIRES, classes=10, size=64),
        {CONV: 8, POOL: 2, "Concat": 2, "Transpose": 1, "ReduceMean": 1, "Reshape": 1},
    ),
    "densenet": (
        # 1 stem, 2 for each layer, 1 transition; 7 factors and sums between them.
        lambda: densenet121((2, 3), growth=4, classes=10, size=32),
        {CONV: 12 + 7, POOL: 1, "pelemay::AveragePool": 1, "Concat": 5, **IMAGE},
    ),
    "inception": (
        lambda: inception_v1(MODULES, classes=10, size=64),
        {
            **{CONV: 15, POOL: 5, "pelemay::LRN": 2, "Concat": 2, "Softmax": 1},
            **IMAGE,
        },
    ),
    "yolo": (
        lambda: yolov8n(width=4, classes=5, size=64),
        {
            **{CONV: 64, "Concat": 19, "Split": 9, POOL: 3, "Transpose": 2, "Resize": 2},
            **{"Reshape": 6, "Slice": 2, "Sub": 2, "Add": 2, "Softmax": 1, "Div": 1, "Mul": 1},
            "Sigmoid": 1,
        },
    ),
    "vit": (
        # The last layer's slices: of its queries, and of what is added to them.
        lambda: vit(24, 3, layers=2, patch=8, classes=10, size=32),
        {
            **{PRODUCT: 4 * 2 + 1, "Attention": 2, "LayerNormalization": 2 * 2 + 1},
            **{"Slice": 3 * 2 + 2, "Reshape": 2, "Transpose": 1, CONV: 1, "Concat": 1, "Add": 1},
        },
    ),
    "bert": (
        lambda: bert(2, 24, 3, tokens=12, vocabulary=50, positions=16),
        {
            **{PRODUCT: 6 * 2 + 1, "Attention": 2, "LayerNormalization": 2 * 2 + 1},
            **{"Gather": 1, "Add": 2, "Reshape": 2, "Slice": 1, "Cast": 1, "Sub": 1, "Mul": 1},
        },
    ),
}


def static(graph: Graph) -> Graph:
    """The graph for a batch of one."""
    shapes = {
        name: tuple(size if isinstance(size, int) else 1 for size in kind.shape or ())
        for name, kind in graph.inputs.items()
        if isinstance(kind, TensorType)
    }
    return bind(graph, shapes)


def feeds_of(graph: Graph) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    feeds = {}
    for name, kind in graph.inputs.items():
        assert isinstance(kind, TensorType)
        if kind.dtype.kind.value == "float":
            feeds[name] = rng.standard_normal(kind.shape).astype(np.float32)
        else:
            feeds[name] = rng.integers(0, 2, kind.shape)
    return feeds


@pytest.mark.parametrize("name", NETWORKS)
def test_it_gives_what_onnxruntime_gives(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    build, left = NETWORKS[name]
    data = b"".join(writer.pieces(build(), seed=7))
    graph = static(from_proto(data).graph)
    after = run_passes(graph, check=True)
    check(after)
    assert Counter(node.qualified for node in after.nodes) == left
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    feeds = feeds_of(graph)
    expected = session.run(None, feeds)
    with np.errstate(all="ignore"):
        found = evaluate(after, feeds, numpy_table())
    for wanted, got in zip(expected, found.values(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_every_convolution_has_what_follows_it(kept: Any) -> None:
    """In a detector: SiLU in all but the last ones, and every shortcut."""
    build, _ = NETWORKS["yolo"]
    after = run_passes(static(from_proto(b"".join(writer.pieces(build(), seed=7))).graph))
    convolutions = [node for node in after.nodes if node.op == "Conv"]
    assert sum(node.attributes.get("activation") == "Swish" for node in convolutions) == 57
    assert sum(len(node.inputs) == 4 for node in convolutions) == 6


def test_one_token_of_the_last_layer_is_computed() -> None:
    build, _ = NETWORKS["vit"]
    after = run_passes(static(from_proto(b"".join(writer.pieces(build(), seed=7))).graph))
    rows = [after.type_of(node.outputs[0]) for node in after.nodes if node.op == "MatMul"]
    tokens = [kind.shape[-2] for kind in rows if isinstance(kind, TensorType) and kind.shape]
    assert tokens == [17, 17, 17, 17, 17, 1, 1, 1, 1]


def test_weights_stay_in_the_file() -> None:
    """What passes hold is small, however large the weights are."""
    build = resnet_zoo("r", (1, 1), bottleneck=False, width=64, classes=1000, size=32)
    model = from_proto(b"".join(writer.pieces(build, seed=7)))
    after = run_passes(static(model.graph))
    stored = set(map(id, model.graph.constants.values()))
    held = 0
    waiting = list(after.constants.values())
    for constant in waiting:
        if isinstance(constant, Derived):
            waiting.extend(constant.sources)
        elif id(constant) not in stored:
            held += constant.nbytes
    assert held < model.nbytes / 100
