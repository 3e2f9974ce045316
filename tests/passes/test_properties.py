"""Every pass keeps the meaning of random graphs, and types tell what the reference computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from pelemay.backends.reference import numpy_table
from pelemay.graph import Graph, TensorType, check
from pelemay.graph.evaluate import evaluate
from pelemay.graph.typing import infer
from pelemay.passes import PASSES, run_passes
from pelemay.passes.canonical import canonical
from pelemay.passes.cse import merge_common
from pelemay.passes.dead import remove_dead
from pelemay.passes.fold import fold
from pelemay.passes.identities import remove_identities
from pelemay.passes.inline import inline_branches
from pelemay.passes.simplify import simplify
from support.graphs import graphs

STEPS = (fold, inline_branches, remove_identities, canonical, merge_common, remove_dead, simplify)

many = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def all_values(graph: Graph) -> dict[str, Any]:
    """Every value that the nodes make."""
    rng = np.random.default_rng(3)
    feeds = {}
    for name, kind in graph.inputs.items():
        assert isinstance(kind, TensorType)
        feeds[name] = rng.standard_normal(kind.shape).astype(kind.dtype.numpy)
    names = dict.fromkeys(name for node in graph.nodes for name in node.outputs if name)
    with np.errstate(all="ignore"):
        return evaluate(graph, feeds, numpy_table(), names)


@given(graphs())
@many
def test_types_are_those_of_the_computed_values(graph: Graph) -> None:
    check(graph)
    typed = infer(replace(graph, outputs=dict.fromkeys(graph.outputs), types={}))
    for name, value in all_values(graph).items():
        found = typed.type_of(name)
        assert isinstance(found, TensorType)
        assert found == TensorType(found.dtype, np.shape(value)), name
        assert found.dtype.numpy == value.dtype, name
    assert infer(typed) is typed


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@given(graph=graphs())
@many
def test_a_pass_keeps_the_meaning(
    step: Callable[[Graph], Graph], graph: Graph, kept: Callable[..., Graph]
) -> None:
    after = infer(kept(graph, step))
    assert step(after) is after, "a second time changes nothing"


@given(graph=graphs())
@many
def test_all_passes_keep_the_meaning(graph: Graph, kept: Callable[..., Graph]) -> None:
    after = kept(graph, lambda g: run_passes(g, check=True), rtol=1e-4)
    assert list(after.inputs) == list(graph.inputs)
    unknown = [n for node in after.nodes for n in node.outputs if n and after.type_of(n) is None]
    assert unknown == []
    assert run_passes(after, passes=PASSES[:1]).outputs == after.outputs
