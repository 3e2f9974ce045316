"""Yardsticks of bands: how small the arena can be with nothing computed twice."""

from __future__ import annotations

import pytest

from pelemay.plan.bands import Curve
from pelemay.plan.check import check_plan
from pelemay.plan.report import mac_factor
from support.yardsticks import NETWORKS

MOST_ELEMENTS = {
    "MobileNetV2 w0.35 at 144": 31_000,
    "MobileNetV2 w1.0 at 224": 160_000,
    "ResNet-101 at 224": 600_000,
}
"""Of float32 values: bytes over four, whatever they would be stored as."""

MOST_SHARE = {
    "YOLOv8n-like at 640": 1 / 2,
    "U-Net-like at 1920x1088, transposed": 1 / 3,
    "U-Net-like at 1920x1088, resized": 1 / 3,
}
"""Of whole values."""


@pytest.mark.parametrize("name", MOST_ELEMENTS)
def test_elements(name: str) -> None:
    plan = Curve(NETWORKS[name]()).least.plan
    assert plan.arena_bytes / 4 <= MOST_ELEMENTS[name]
    assert mac_factor(plan) <= 1
    check_plan(plan)


@pytest.mark.parametrize("name", MOST_SHARE)
def test_share_of_whole_values(name: str) -> None:
    curve = Curve(NETWORKS[name]())
    assert curve.least.plan.arena_bytes <= MOST_SHARE[name] * curve.whole.plan.arena_bytes
    assert mac_factor(curve.least.plan) <= 1
