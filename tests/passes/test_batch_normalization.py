"""Batch normalisation becomes a product and a sum, whose constants are computed when read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pelemay.graph import Graph
from pelemay.passes.batch_normalization import expand_batch_normalization
from pelemay.passes.derived import Derived

RNG = np.random.default_rng(3)


def parameters(channels: int) -> dict[str, np.ndarray]:
    made = {name: RNG.standard_normal(channels).astype(np.float32) for name in ("s", "b", "m")}
    return {**made, "v": RNG.uniform(0.5, 2, channels).astype(np.float32)}


def text(shape: str, channels: int, outputs: str = "y", attributes: str = "") -> str:
    vectors = ", ".join(f"float[{channels}] {name}" for name in "sbmv")
    return (
        f"g (float[{shape}] x, {vectors}) => (float[{shape}] y) "
        f"{{ {outputs} = BatchNormalization {attributes} (x, s, b, m, v) }}"
    )


@pytest.mark.parametrize("shape", ["2,3", "2,3,4", "2,3,4,5", "1,3,2,2,2"])
def test_it_becomes_two_operations(
    shape: str, graph_of: Callable[..., Graph], kept: Any, ops: Any
) -> None:
    graph = graph_of(text(shape, 3, attributes="<epsilon = 0.01>"), **parameters(3))
    after = kept(graph, expand_batch_normalization)
    assert ops(after) == {"Mul": 1, "Add": 1}


def test_wide_constants_are_not_held(graph_of: Callable[..., Graph], kept: Any) -> None:
    after = kept(graph_of(text("1,512,2", 512), **parameters(512)), expand_batch_normalization)
    made = [name for node in after.nodes for name in node.inputs if name in after.constants]
    assert all(isinstance(after.constants[name], Derived) for name in made)
    assert len(made) == 2


@pytest.mark.parametrize("attributes", ["<training_mode = 1>"])
def test_training_is_left_alone(attributes: str, graph_of: Callable[..., Graph]) -> None:
    graph = graph_of(text("2,3,4", 3, "y, n, u", attributes), **parameters(3))
    assert expand_batch_normalization(graph) is graph


def test_parameters_that_a_run_makes_are_left_alone(graph_of: Callable[..., Graph]) -> None:
    graph = graph_of(text("2,3,4", 3))
    assert expand_batch_normalization(graph) is graph
