"""Yardsticks: networks as the compiler plans them take what they must, and no more."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from pelemay import models
from pelemay.importers import load
from pelemay.passes import bind, run_passes
from pelemay.plan import Plan, plan_graph
from pelemay.plan.check import check_plan
from pelemay.program.tail import split

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

MEGABYTES = {
    "light_bvlc_alexnet": 2.24,
    "light_densenet121": 7.23,
    "light_inception_v1": 4.65,
    "light_inception_v2": 4.02,
    "light_resnet50": 5.22,
    "light_shufflenet": 2.89,
    "light_squeezenet": 3.93,
    "light_vgg19": 25.70,
    "light_zfnet512": 9.13,
    "resnet101-v1-7": 5.22,
    "mobilenetv2-12": 6.03,
    "efficientnet_lite0": 6.03,
    "densenet121": 7.23,
    "inception_v1": 4.82,
    "yolov8n": 11.47,
    "vit_tiny": 0.91,
    "vit_base": 3.64,
    "bert_mini": 0.53,
}
"""What the arena of each may take."""


def plan_of(path: Path) -> Plan:
    graph = load(path).graph
    shapes = {
        name: tuple(d if isinstance(d, int) else 1 for d in kind.shape)  # type: ignore[union-attr]
        for name, kind in graph.inputs.items()
    }
    trunk, _ = split(run_passes(bind(graph, shapes, {})))
    return plan_graph(trunk)


def assert_tight(name: str, path: Path) -> None:
    plan = plan_of(path)
    check_plan(plan)
    assert plan.arena_bytes <= 1.01 * plan.lower_bound_bytes
    assert plan.arena_bytes <= MEGABYTES[name] * 1e6


@pytest.mark.parametrize("name", [n for n in MEGABYTES if n.startswith("light_")])
def test_light_networks(name: str) -> None:
    assert_tight(name, LIGHT / f"{name}.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in MEGABYTES if not n.startswith("light_")])
def test_networks_of_the_catalogue(name: str) -> None:
    assert_tight(name, models.get(name, stand_in="always").path)
