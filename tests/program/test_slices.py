"""Layers cut into slices of output channels: the same bits, and no block above the limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.backends.programs import ProgramRunnable
from pelemay.compilation import compile_graph
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.program.image import image
from pelemay.program.program import Program
from pelemay.program.slices import slices_of
from pelemay.target import Target
from support.networks import MAKERS, feeds_of

DOMAIN = "pelemay"


def kind(*shape: int) -> TensorType:
    return TensorType(DType.FLOAT32, shape)


def floats(*shape: int, seed: int = 3) -> ArrayConstant:
    random = np.random.default_rng(seed)
    return ArrayConstant.of(random.standard_normal(shape, np.float32))


def layer(
    data: tuple[int, ...],
    weights: tuple[int, ...],
    *,
    op: str = "Conv",
    residual: bool = False,
    **attributes: Any,
) -> Graph:
    """A convolution with bias, in the dialect's form, and a residual if wanted."""
    transposed = op == "ConvTranspose"
    outputs = weights[1] * attributes.get("group", 1) if transposed else weights[0]
    inputs = ("x", "w", "b")
    kinds = {"x": kind(*data)}
    node = Node(op, inputs, ("a",), attributes)
    nodes: tuple[Node, ...] = (node, Node("Relu", ("a",), ("y",)))
    if residual:
        kinds["r"] = kind(data[0], outputs, *data[2:])
        nodes = (node, Node("Add", ("a", "r"), ("s",)), Node("Relu", ("s",), ("y",)))
    constants = {"w": floats(*weights), "b": floats(outputs, seed=4)}
    return Graph("layer", kinds, {"y": None}, nodes, constants)


def product(rows: tuple[int, ...], weights: tuple[int, int], **attributes: Any) -> Graph:
    if not attributes:
        nodes = (Node("MatMul", ("x", "w"), ("m",)), Node("Add", ("m", "b"), ("y",)))
    else:
        nodes = (Node("Gemm", ("x", "w", "b"), ("y",), attributes),)
    columns = weights[0] if attributes.get("transB") else weights[1]
    constants = {"w": floats(*weights), "b": floats(columns, seed=4)}
    return Graph("product", {"x": kind(*rows)}, {"y": None}, nodes, constants)


PADS = {"pads": (1, 1, 1, 1)}

LAYERS = {
    "1x1": lambda: layer((1, 40, 9, 9), (200, 40, 1, 1)),
    "1x1 with residual": lambda: layer((1, 40, 9, 9), (200, 40, 1, 1), residual=True),
    "7x7": lambda: layer((1, 3, 30, 30), (70, 3, 7, 7), strides=(2, 2), pads=(3, 3, 3, 3)),
    "winograd": lambda: layer((1, 64, 14, 14), (150, 64, 3, 3), **PADS),
    "winograd with residual": lambda: layer(
        (1, 128, 14, 14), (128, 128, 3, 3), residual=True, **PADS
    ),
    "grouped": lambda: layer((1, 120, 7, 7), (160, 60, 3, 3), group=2, **PADS),
    "many groups": lambda: layer((1, 60, 7, 7), (100, 3, 3, 3), group=20, **PADS),
    "depthwise": lambda: layer((1, 200, 7, 7), (200, 1, 3, 3), group=200, **PADS),
    "groups of 32": lambda: layer((1, 192, 7, 7), (192, 32, 3, 3), group=6, residual=True, **PADS),
    "1d": lambda: layer((1, 40, 50), (200, 40, 3)),
    "transposed": lambda: layer((1, 40, 9, 9), (40, 90, 4, 4), op="ConvTranspose", strides=(2, 2)),
    "transposed, grouped": lambda: layer(
        (1, 40, 9, 9), (40, 45, 4, 4), op="ConvTranspose", strides=(2, 2), group=2
    ),
    "product": lambda: product((5, 70), (70, 333)),
    "product of a row": lambda: product((1, 700), (700, 333)),
    "gemm": lambda: product((5, 70), (333, 70), transB=1, alpha=0.5),
    "gemm, not transposed": lambda: product((5, 70), (70, 333), alpha=0.5),
}  # fmt: skip


def outputs_of(program: Program, graph: Graph, isa: str | None = None) -> list[Any]:
    runnable = ProgramRunnable(image(program), threads=2, isa=isa)
    return list(runnable.run(feeds_of(graph), list(graph.outputs)).values())


@pytest.mark.parametrize("name", LAYERS)
def test_slices_give_the_same_bits(name: str) -> None:
    graph = LAYERS[name]()
    whole = compile_graph(graph)
    expected = outputs_of(whole, graph)
    largest = max(block.nbytes for block in whole.blocks)
    counts = []
    for limit in (1, largest // 3, largest - 1, largest):
        sliced = compile_graph(graph, target=Target(block_bytes=limit))
        for found, wanted in zip(outputs_of(sliced, graph), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
        counts.append(len(sliced.instructions))
        assert sum(step.cost for step in sliced.instructions) == sum(
            step.cost for step in whole.instructions
        )
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == len(whole.instructions)


@pytest.mark.parametrize("name", LAYERS)
def test_no_block_is_above_the_limit(name: str) -> None:
    graph = LAYERS[name]()
    whole = compile_graph(graph)
    largest = max(block.nbytes for block in whole.blocks)
    for limit in (largest // 2, largest // 3):
        sliced = compile_graph(graph, target=Target(block_bytes=limit))
        assert max(block.nbytes for block in sliced.blocks) <= limit


@pytest.mark.filterwarnings("ignore:Casting complex values")
@pytest.mark.parametrize("make", MAKERS)
def test_whole_networks(make: Any) -> None:
    graph = make()
    expected = outputs_of(compile_graph(graph), graph)
    found = outputs_of(compile_graph(graph, target=Target(block_bytes=1)), graph)
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("make", MAKERS)
def test_a_constant_says_which_block_it_lies_in(make: Any) -> None:
    program = compile_graph(make(), target=Target(block_bytes=1000))
    for tensor in program.tensors:
        if tensor.space.name == "WEIGHTS":
            block = program.blocks[tensor.index]
            assert block.offset <= tensor.offset
            assert tensor.offset + tensor.span_bytes <= block.offset + block.nbytes


@given(
    st.integers(0, 3000),
    st.integers(1, 1 << 16),
    st.integers(1, 1 << 18),
    st.sampled_from((16, 32, 48)),
)
def test_slices_cover_all_channels_once(channels: int, nbytes: int, limit: int, step: int) -> None:
    found = slices_of(channels, step_bytes=nbytes, limit=limit, step=step)
    assert [s.first for s in found] == [0, *(s.last for s in found[:-1])]
    assert found[-1].last == channels
    assert all(s.first % step == 0 for s in found)
    steps = [-(-s.size // step) for s in found]
    assert all(n * nbytes <= limit or n == 1 for n in steps if channels)
