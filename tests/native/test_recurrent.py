"""RNN, GRU and LSTM, against their meaning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.graph.operations.recurrent import ACTIVATIONS
from support.nodes import Case

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OPS = pytest.mark.parametrize("op", GATES)


def floats(*shape: int, seed: int, scale: float = 0.5) -> Any:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def layer(
    op: str,
    steps: int = 6,
    batch: int = 3,
    features: int = 5,
    hidden: int = 7,
    *,
    optional: str = "blhcp",
    **attributes: Any,
) -> Case:
    """A node with the optional inputs named by their letters."""
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    rows = GATES[op] * hidden
    turned = bool(attributes.get("layout"))
    x = floats(steps, batch, features, seed=0, scale=1)
    state = floats(directions, batch, hidden, seed=4)
    cell = floats(directions, batch, hidden, seed=5)
    if turned:
        x, state, cell = (np.ascontiguousarray(v.transpose(1, 0, 2)) for v in (x, state, cell))
    lengths = np.random.default_rng(6).integers(0, steps + 1, batch).astype(np.int32)
    inputs = [
        x,
        floats(directions, rows, features, seed=1, scale=features**-0.5),
        floats(directions, rows, hidden, seed=2, scale=hidden**-0.5),
        floats(directions, 2 * rows, seed=3) if "b" in optional else None,
        lengths if "l" in optional else None,
        state if "h" in optional else None,
    ]
    if op == "LSTM":
        inputs += [
            cell if "c" in optional else None,
            floats(directions, 3 * hidden, seed=7) if "p" in optional else None,
        ]
    return Case(op, tuple(inputs), {"hidden_size": hidden, **attributes}, constants=(1, 2, 3))


@OPS
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("optional", ["", "b", "l", "bh", "blhcp"])
def test_forms(op: str, direction: str, layout: int, optional: str) -> None:
    layer(op, optional=optional, direction=direction, layout=layout).check(of_largest=True)


@OPS
@pytest.mark.parametrize("batch", [1, 2, 4, 9])
@pytest.mark.parametrize("hidden", [1, 15, 16, 33, 130])
def test_sizes(op: str, batch: int, hidden: int) -> None:
    for features in (1, 20, 67):
        case = layer(op, 4, batch, features, hidden, direction="bidirectional")
        case.check(of_largest=True, workers=(1, 2))


@OPS
def test_many_steps(op: str) -> None:
    layer(op, 200, 2, 9, 24, direction="bidirectional").check(of_largest=True)
    layer(op, 40, 3, 130, 600, optional="b").check(of_largest=True, sets=None, workers=(1, 3))


@pytest.mark.parametrize("optional", ["", "blh"])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_reset_behind_the_product(optional: str, direction: str) -> None:
    case = layer("GRU", optional=optional, direction=direction, linear_before_reset=1)
    case.check(of_largest=True)
    layer("GRU", 5, 2, 8, 40, linear_before_reset=1).check(of_largest=True)


def test_coupled_gates() -> None:
    layer("LSTM", input_forget=1).check(of_largest=True)


@OPS
@pytest.mark.parametrize("clip", [0.1, 1.0])
def test_clip(op: str, clip: float) -> None:
    layer(op, clip=clip, direction="bidirectional").check(of_largest=True)


@OPS
@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_functions(op: str, name: str) -> None:
    count = {"RNN": 1, "GRU": 2, "LSTM": 3}[op]
    names = tuple(n.title() for n in (name, "tanh", "affine", "sigmoid", "elu", name)[: 2 * count])
    options: dict[str, Any] = {"direction": "bidirectional", "activations": names}
    layer(op, 3, **options).check(of_largest=True, workers=(1, 2))
    numbers = {"activation_alpha": (0.3, 0.4, 0.5, 0.6), "activation_beta": (0.1, 0.2)}
    layer(op, 3, **options, **numbers).check(of_largest=True, workers=(1, 2))


@OPS
def test_some_outputs(op: str) -> None:
    whole = layer(op)
    for wanted in ((0,), (1,), (0, 1)):
        Case(op, whole.inputs, whole.attributes, (1, 2, 3), wanted).check(of_largest=True)


@given(
    op=st.sampled_from(sorted(GATES)),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 40), st.integers(1, 40)),
    direction=st.sampled_from(["forward", "reverse", "bidirectional"]),
    layout=st.integers(0, 1),
    optional=st.sets(st.sampled_from("blhcp")),
)
@settings(max_examples=40)
def test_random(
    op: str, sizes: tuple[int, int, int, int], direction: str, layout: int, optional: set[str]
) -> None:
    options = {"direction": direction, "layout": layout}
    case = layer(op, *sizes, optional="".join(sorted(optional)), **options)
    case.check(of_largest=True, workers=(1, 2))
