"""Layers measured instead of estimated: every form of a layer computes the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, open_program
from pelemay.graph import ArrayConstant, Graph, Node, TensorType
from pelemay.graph.dtypes import DType
from pelemay.program import Program
from pelemay.program.image import image
from pelemay.program.tuning import form_of, forms, tune, with_form
from support import integers
from support.plans import feeds_of

FLOAT = DType.FLOAT32


def network() -> Graph:
    """A 3x3 convolution with a residual, a strided one, and a product."""
    random = np.random.default_rng(0)

    def constant(*shape: int) -> ArrayConstant:
        size = float(np.prod(shape[1:])) ** 0.5
        return ArrayConstant.of((random.normal(0, 1, shape) / size).astype(np.float32))

    nodes = (
        Node("Conv", ("x", "w1"), ("a",), {"pads": (1, 1, 1, 1)}),
        Node("Add", ("a", "x"), ("b",)),
        Node("Conv", ("b", "w2"), ("c",), {"strides": (2, 2)}),
        Node("Flatten", ("c",), ("d",)),
        Node("MatMul", ("d", "w3"), ("y",)),
    )
    constants = {"w1": constant(24, 24, 3, 3), "w2": constant(40, 24, 3, 3)}
    constants["w3"] = constant(40 * 8 * 8, 70)
    x = {"x": TensorType(FLOAT, (1, 24, 17, 17))}
    return Graph("g", x, {"y": TensorType(FLOAT, (1, 70))}, nodes, constants)


@pytest.fixture(scope="module")
def program() -> Program:
    return compile_graph(network())


X = np.random.default_rng(1).normal(0, 1, (1, 24, 17, 17)).astype(np.float32)


def output_of(program: Program) -> np.ndarray:
    return Engine(open_program(image(program)), threads=2).run([X])[0]


def test_all_forms_agree(program: Program) -> None:
    expected = output_of(program)
    tried = set()
    for number, step in enumerate(program.instructions):
        if step.opcode not in ("conv", "winograd", "matmul"):
            continue
        options = forms(program, step)
        assert options[0] == form_of(step)
        for form in options:
            tried.add(form[0])
            changed = list(program.instructions)
            changed[number] = with_form(step, form)
            y = output_of(replace(program, instructions=tuple(changed)))
            np.testing.assert_allclose(y, expected, 0, 1e-5 * np.abs(expected).max())
    assert tried == {"conv", "winograd", "matmul"}


def test_all_forms_of_integers_give_the_same_bits() -> None:
    graph = integers.network()
    program, feeds = compile_graph(graph), list(feeds_of(graph).values())

    def outputs(changed: Program) -> list[np.ndarray]:
        return list(Engine(open_program(image(changed)), threads=2).run(feeds))

    expected, tried = outputs(program), set()
    for number, step in enumerate(program.instructions):
        if step.opcode not in ("qconv", "qmatmul"):
            continue
        for form in forms(program, step):
            tried.add((form[0], form[1][-2]))
            changed = list(program.instructions)
            changed[number] = with_form(step, form)
            for y, ideal in zip(
                outputs(replace(program, instructions=tuple(changed))), expected, strict=True
            ):
                np.testing.assert_array_equal(y, ideal)
    assert tried >= {(op, columns) for op in ("qconv", "qmatmul") for columns in (32, 64, 256)}
    tuned, _ = tune(program, threads=2, rounds=1)
    for y, ideal in zip(outputs(tuned), expected, strict=True):
        np.testing.assert_array_equal(y, ideal)


def test_tuned_is_the_same_network(program: Program) -> None:
    done = []
    tuned, changes = tune(program, threads=1, rounds=2, progress=lambda n, of: done.append((n, of)))
    assert len(tuned.instructions) == len(program.instructions)
    assert done
    assert done[-1][0] == done[-1][1]
    assert all(c.after_ms < c.before_ms and c.before != c.after for c in changes)
    expected = output_of(program)
    np.testing.assert_allclose(output_of(tuned), expected, 0, 1e-5 * np.abs(expected).max())


def test_alike_layers_change_together() -> None:
    graph = network()
    twice = (*graph.nodes[:1], Node("Conv", ("a", "w1"), ("a2",), {"pads": (1, 1, 1, 1)}))
    outputs = {"a2": TensorType(FLOAT, (1, 24, 17, 17))}
    program = compile_graph(Graph("g", graph.inputs, outputs, twice, {"w1": graph.constants["w1"]}))
    tuned, _ = tune(program, threads=1, rounds=1)
    kinds = [form_of(s) for s in tuned.instructions if s.opcode in ("conv", "winograd")]
    assert len(kinds) == 2, kinds
