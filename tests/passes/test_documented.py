"""The table in the documentation says what the passes do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pelemay.graph import Graph, TensorType
from pelemay.importers import from_proto
from pelemay.models import standins
from pelemay.models.standins import writer
from pelemay.passes import bind, run_passes

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "the-passes.md"
ARCHITECTURES = {
    "ResNet-18": "resnet18_v1",
    "ResNet-101": "resnet101_v1",
    "MobileNetV2": "mobilenetv2_12",
    "SqueezeNet": "squeezenet1_1",
    "EfficientNet-Lite0": "efficientnet_lite0",
    "DenseNet-121": "densenet121",
    "Inception-v1": "inception_v1",
    "ViT-Tiny": "vit_tiny",
    "BERT-mini": "bert_mini",
    "like YOLOv8n": "yolov8n",
}


def documented() -> dict[str, tuple[int, int, int]]:
    """Network to nodes before, nodes after, transpositions."""
    rows = re.findall(r"^\| ([^|,]+)[^|]*\| (\d+) \| (\d+) \| (\d|none)", PAGE.read_text(), re.M)
    return {
        name.strip(): (int(before), int(after), 0 if moved == "none" else int(moved))
        for name, before, after, moved in rows
    }


def static(graph: Graph) -> Graph:
    """The graph for a batch of one."""
    shapes = {
        name: tuple(size if isinstance(size, int) else 1 for size in kind.shape or ())
        for name, kind in graph.inputs.items()
        if isinstance(kind, TensorType)
    }
    return bind(graph, shapes)


def test_every_network_is_in_the_table() -> None:
    assert set(documented()) == set(ARCHITECTURES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_table_is_right(name: str) -> None:
    blueprint = standins.blueprint(ARCHITECTURES[name], stand_in_for=name)
    graph = static(from_proto(b"".join(writer.pieces(blueprint, seed=1))).graph)
    after = run_passes(graph)
    moved = sum(node.op == "Transpose" for node in after.nodes)
    assert (len(graph.nodes), len(after.nodes), moved) == documented()[name]
