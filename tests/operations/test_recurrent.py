"""Recurrent layers: the same over every namespace, and like onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from pelemay.errors import ExecutionError
from pelemay.graph.operations.recurrent import ROWS

RNG = np.random.default_rng(12)
STEPS, BATCH, FEATURES, HIDDEN = 3, 3, 2, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def layer(name: str, directions: int = 1, *, lengths: bool = False, start: bool = False) -> list:
    def floats(*shape: int) -> np.ndarray:
        return RNG.uniform(-1, 1, shape)

    rows = GATES[name] * HIDDEN
    inputs = [
        floats(STEPS, BATCH, FEATURES),
        floats(directions, rows, FEATURES),
        floats(directions, rows, HIDDEN),
        floats(directions, 2 * rows),
        np.int32([3, 1, 2]) if lengths else None,
        floats(directions, BATCH, HIDDEN) if start else None,
    ]
    if name == "LSTM":
        inputs += [floats(directions, BATCH, HIDDEN) if start else None, floats(directions, 15)]
    return inputs


def without_bias(name: str) -> list:
    return layer(name)[:3]


BOTH_WAYS = [(name, layer(name, 2, lengths=True), {"direction": "bidirectional"}) for name in GATES]
CASES = [
    *BOTH_WAYS,
    *((name, layer(name), {}) for name in GATES),
    *((name, without_bias(name), {"direction": "reverse"}) for name in GATES),
    *((name, layer(name, lengths=True, start=True), {"direction": "reverse"}) for name in GATES),
    *((name, layer(name, start=True), {"clip": 0.3}) for name in GATES),
    ("GRU", layer("GRU"), {"linear_before_reset": 1}),
    ("LSTM", layer("LSTM"), {"input_forget": 1}),
    ("RNN", layer("RNN"), {"activations": ["LeakyRelu"], "activation_alpha": [0.2]}),
    (
        "LSTM",
        layer("LSTM"),
        {
            "activations": ["HardSigmoid", "Softsign", "ScaledTanh"],
            "activation_alpha": [0.3, 0.7],
            "activation_beta": [0.4, 0.9],
        },
    ),
    ("GRU", layer("GRU"), {"activations": ["Sigmoid", "Elu"], "activation_alpha": [0.5]}),
]


def tuples(attributes: dict) -> dict:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in attributes.items()}


@pytest.mark.parametrize(("name", "inputs", "attributes"), [*BOTH_WAYS, *CASES[-5:]])
def test_every_namespace_gives_what_numpy_gives(agree, name, inputs, attributes):
    agree(name, *inputs, **tuples(attributes))


def test_every_operation_has_a_case():
    assert {row.name for row in ROWS} == {name for name, _, _ in BOTH_WAYS}


@pytest.mark.parametrize(("name", "inputs", "attributes"), CASES)
def test_like_onnxruntime(run, run_onnxruntime, name, inputs, attributes):
    narrow = [x.astype(np.float32) if x is not None and x.dtype.kind == "f" else x for x in inputs]
    outputs = 3 if name == "LSTM" else 2
    expected = run_onnxruntime(
        name, *narrow, outputs=outputs, opset=14, hidden_size=HIDDEN, **attributes
    )
    found = run(name, *narrow, **tuples(attributes))
    for y, z in zip(found, expected, strict=True):
        assert y.shape == z.shape
        np.testing.assert_allclose(y, z, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GATES)
def test_layout_swaps_steps_and_batch(run, name):
    inputs = layer(name, start=True)
    y, *last = run(name, *inputs)
    for index in (0, 5, 6):
        if index < len(inputs) and inputs[index] is not None:
            inputs[index] = inputs[index].swapaxes(0, 1)
    batch_y, *batch_last = run(name, *inputs, layout=1)
    np.testing.assert_array_equal(batch_y, np.transpose(y, (2, 0, 1, 3)))
    for one, other in zip(batch_last, last, strict=True):
        np.testing.assert_array_equal(one, other.swapaxes(0, 1))


@pytest.mark.parametrize("name", GATES)
def test_padding_does_not_matter(run, name):
    inputs = layer(name, 2, lengths=True)
    y, *last = run(name, *inputs, direction="bidirectional")
    inputs[0] = inputs[0].copy()
    inputs[0][1:, 1] = 99
    again, *last_again = run(name, *inputs, direction="bidirectional")
    np.testing.assert_array_equal(y, again)
    np.testing.assert_array_equal(last, last_again)
    assert not y[1:, :, 1].any()


def test_unknown_activations_are_refused(run):
    with pytest.raises(ExecutionError, match="activation softmax is not known"):
        run("RNN", *layer("RNN"), activations=("Softmax",))


@pytest.mark.parametrize("name", GATES)
def test_the_type_stays(run, name):
    inputs = [None if x is None else x.astype(np.float16) for x in layer(name)]
    assert {y.dtype for y in run(name, *inputs)} == {np.dtype(np.float16)}
