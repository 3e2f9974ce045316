"""Programs whose weights are stored narrower: what is in them, and what they compute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pelemay.compilation import compile_graph
from pelemay.engine import Engine, native, open_program
from pelemay.errors import InputError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.program.image import image
from pelemay.program.narrow import FORMATS
from pelemay.program.program import Program, Space
from pelemay.target import Target
from support.layers import DEPTHWISE, FORMS, TRANSPOSED, conv_case, product_case
from support.nodes import Case, assert_close

NARROW = ("f16", "bf16", "int8")
ITEMSIZE = {"f32": 4, "f16": 2, "bf16": 2, "int8": 1}

each_format = pytest.mark.parametrize("weights", NARROW)


def quantized(w: Any, weights: str, axes: tuple[int, ...]) -> Any:
    """The constant's values as they are stored; ``axes`` are those of one output channel."""
    if weights != "int8":
        return w.astype(FORMATS[weights].numpy).astype(np.float32)
    largest = np.abs(w).max(axis=axes, keepdims=True)
    scales = np.where(largest == 0, np.float32(1), largest / np.float32(127))
    return np.rint(w / scales).astype(np.float32) * scales


def check(case: Case, weights: str, axes: tuple[int, ...]) -> None:
    """As the float32 program of the stored values to the bit, and near their meaning."""
    stored = quantized(case.inputs[1], weights, axes)
    same = replace(case, inputs=(case.inputs[0], stored, *case.inputs[2:]))
    narrow, inputs = case.program(weights=weights)
    wide, _ = same.program()
    (ideal,) = same.meaning(wide=True)
    for isa in native().ISAS:
        (expected,) = Engine(wide, threads=1, isa=isa).run(inputs)
        assert_close(expected, ideal, 1e-5, of_largest=True, what=isa)
        for workers in (1, 2):
            (found,) = Engine(narrow, threads=workers, isa=isa).run(inputs)
            np.testing.assert_array_equal(found, expected, f"{isa}, {workers} workers")


@each_format
@pytest.mark.parametrize("name", FORMS)
def test_convolutions(name: str, weights: str) -> None:
    x, w, attributes = FORMS[name]
    check(conv_case(x, w, **attributes), weights, tuple(range(1, len(w))))


@each_format
@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(name: str, weights: str) -> None:
    x, kernel, attributes = DEPTHWISE[name]
    w = (x[-1], 1, *kernel)
    check(conv_case(x, w, group=x[-1], **attributes), weights, tuple(range(1, len(w))))


@pytest.mark.parametrize("weights", ["f16", "bf16"])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed(name: str, weights: str) -> None:
    """Each phase has scales of its own, so that int8 is tested with the kernels."""
    x, w, attributes = TRANSPOSED[name]
    check(conv_case(x, w, transposed=True, **attributes), weights, ())


@each_format
@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("sizes", [(1, 700, 130), (1, 2500, 1000), (30, 64, 33), (40, 1300, 17)])
@pytest.mark.parametrize("position", ["before", "after"])
def test_products(sizes: Any, turned: int, position: str, weights: str) -> None:
    m, k, n = sizes
    b = (n, k) if turned else (k, n)
    more = {"trans_b": turned, "residual_position": position}
    case = product_case((m, k), b, constant=True, residual=True, bias=True, **more)
    check(case, weights, (1 if turned else 0,))


def f32(*shape: int) -> TensorType:
    return TensorType(DType.FLOAT32, shape)


def network() -> Graph:
    """A small classifier with layers of each kind, a normalization to fold, and a table."""
    random = np.random.default_rng(7)

    def normal(*shape: int) -> ArrayConstant:
        size = np.sqrt(np.prod(shape[1:]) or 1)
        return ArrayConstant.of((random.normal(0, 1, shape) / size).astype(np.float32))

    def positive(*shape: int) -> ArrayConstant:
        return ArrayConstant.of(random.uniform(0.5, 2, shape).astype(np.float32))

    constants = {
        "w1": normal(32, 3, 3, 3), "b1": normal(32), "w2": normal(32, 1, 3, 3),
        "scale": positive(32), "shift": normal(32), "mean": normal(32), "var": positive(32),
        "w3": normal(48, 32, 3, 3), "w4": normal(40, 48, 1, 1),
        "w5": normal(12, 40), "b5": normal(12), "table": normal(12, 12), "w6": normal(12, 10),
    }  # fmt: skip
    pads = {"pads": (1, 1, 1, 1)}
    nodes = (
        Node("Conv", ("x", "w1", "b1"), ("a",), {**pads, "strides": (2, 2)}),
        Node("Relu", ("a",), ("b",)),
        Node("Conv", ("b", "w2"), ("c",), {**pads, "group": 32}),
        Node("BatchNormalization", ("c", "scale", "shift", "mean", "var"), ("d",)),
        Node("Relu", ("d",), ("e",)),
        Node("Conv", ("e", "w3"), ("f",), pads),
        Node("Conv", ("f", "w4"), ("g",)),
        Node("GlobalAveragePool", ("g",), ("h",)),
        Node("Flatten", ("h",), ("i",)),
        Node("Gemm", ("i", "w5", "b5"), ("j",), {"transB": 1}),
        Node("Gather", ("table", "n"), ("k",)),
        Node("Add", ("j", "k"), ("l",)),
        Node("MatMul", ("l", "w6"), ("y",)),
    )
    inputs = {"x": f32(1, 3, 64, 64), "n": TensorType(DType.INT64, (1,))}
    return Graph("small", inputs, {"y": f32(1, 10)}, nodes, constants)


def panels(program: Program) -> dict[str, DType]:
    """The type of the weights of each kind of layer."""
    found = {}
    for step in program.instructions:
        if step.opcode in ("conv", "depthwise", "winograd", "matmul"):
            found[step.opcode] = program.tensors[step.inputs[1] or 0].dtype
    return found


@pytest.mark.parametrize("weights", FORMATS)
def test_a_network(weights: str) -> None:
    random = np.random.default_rng(1)
    x = random.normal(0, 1, (1, 3, 64, 64)).astype(np.float32)
    n = np.array([5])
    programs = {
        name: compile_graph(network(), target=Target(weights=name)) for name in ("f32", weights)
    }
    made = programs[weights]
    assert not made.metadata["host"]
    assert made.metadata.get("weights", "f32") == weights
    kinds = panels(made)
    assert set(kinds) == {"conv", "depthwise", "winograd", "matmul"}
    assert set(kinds.values()) == {FORMATS[weights]}
    answers = {}
    for name, program in programs.items():
        opened = open_program(image(program))
        for isa in native().ISAS:
            runs = [Engine(opened, threads=t, isa=isa).run([x, n])[0] for t in (1, 2, 3)]
            assert all((y == runs[0]).all() for y in runs)
            answers[name, isa] = runs[0]
    largest = np.abs(answers["f32", "scalar"]).max()
    bound = {"f32": 1e-6, "f16": 1e-3, "bf16": 8e-3, "int8": 2e-2}[weights]
    for isa in native().ISAS:
        error = np.abs(answers[weights, isa] - answers["f32", isa]).max() / largest
        assert error <= bound
        assert weights == "f32" or error > 0


@pytest.mark.parametrize("weights", FORMATS)
def test_only_weights_of_layers_are_narrow(weights: str) -> None:
    made = compile_graph(network(), target=Target(weights=weights))
    expected = 0
    for step in made.instructions:
        weights_of = [made.tensors[i] for i in step.inputs if i is not None]
        weights_of = [t for t in weights_of if t.space is Space.WEIGHTS]
        for tensor in weights_of:
            assert len(tensor.shape) == 3 or tensor.dtype in (DType.FLOAT32, DType.INT64)
        if weights_of and step.opcode in ("conv", "depthwise", "winograd", "matmul"):
            expected += weights_of[0].span_bytes
    sizes = sum(b.nbytes for b in made.blocks if ":panels" in b.name or ":matrix" in b.name)
    scales = sum(b.nbytes for b in made.blocks if b.name.endswith("-scales"))
    assert sizes - scales == expected
    assert bool(scales) == (weights == "int8")
    f32_bytes = expected // ITEMSIZE[weights] * 4
    assert f32_bytes == 4 * (32 * 27 + 32 * 9 + 48 * 288 + 48 * 48 + 16 * 40 + 16 * 12)


def test_slices_have_scales_of_their_own() -> None:
    whole = compile_graph(network(), target=Target(weights="int8"))
    cut = compile_graph(network(), target=Target(weights="int8", block_bytes=6000))
    assert len(cut.instructions) > len(whole.instructions)
    x = np.random.default_rng(2).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)
    answers = [Engine(open_program(image(p))).run([x, np.array([3])])[0] for p in (whole, cut)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert max(b.nbytes for b in cut.blocks if ":panels" in b.name) <= 6000


def with_weights(values: Any) -> Graph:
    constants = {"w": ArrayConstant.of(np.asarray(values, np.float32))}
    node = Node("MatMul", ("x", "w"), ("y",))
    return Graph("g", {"x": f32(1, 2)}, {"y": f32(1, 1)}, (node,), constants)


@pytest.mark.parametrize(
    ("weights", "value", "message"),
    [
        ("f16", 1e5, "constant 'w' has a weight of 100000. it is beyond float16"),
        ("int8", np.inf, "constant 'w' has weights that are not finite"),
        ("int8", np.nan, "constant 'w' has weights that are not finite"),
    ],
)
def test_what_a_type_cannot_hold_is_said(weights: str, value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        image(compile_graph(with_weights([[1], [value]]), target=Target(weights=weights)))


def test_what_a_type_can_hold_is_kept() -> None:
    program = compile_graph(with_weights([[np.inf], [65504]]), target=Target(weights="f16"))
    (y,) = Engine(open_program(image(program))).run([np.float32([[0.5, 1]])])
    assert y.tolist() == [[np.inf]]
    program = compile_graph(with_weights([[0], [0]]), target=Target(weights="int8"))
    (y,) = Engine(open_program(image(program))).run([np.float32([[0.5, 1]])])
    assert y.tolist() == [[0]]


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"stored as 'f8'\. allowed: f32, f16, bf16, int8"):
        compile_graph(with_weights([[1], [2]]), target=Target(weights="f8"))
