"""Nodes to instructions: operands, blocks, what falls back and how it is written down."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pelemay.errors import GraphError, UnsupportedError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.text import from_text
from pelemay.plan.types import Plan
from pelemay.program import Space
from pelemay.program.build import build
from pelemay.program.lower import LOWERINGS
from pelemay.program.lowering import Lowering, param_bits
from pelemay.program.operand import Operand
from pelemay.program.program import PAGE
from pelemay.program.tables import Weights

Planner = Callable[[Graph], Plan]


def tensor(*shape: int, dtype: DType = DType.FLOAT32) -> TensorType:
    return TensorType(dtype, shape)


@pytest.fixture
def lowering(chain: Graph, plan_of: Planner) -> Lowering:
    return Lowering(plan_of(chain), Weights())


def use(monkeypatch: pytest.MonkeyPatch, **lowerings: object) -> None:
    """Exactly these lowerings, of the standard operations of these names."""
    monkeypatch.setattr(
        "pelemay.program.build.LOWERINGS", {("", op): f for op, f in lowerings.items()}
    )


def test_values_lie_where_the_plan_says(lowering: Lowering) -> None:
    x, a, y, w = (lowering.tensor(name).tensor for name in ("x", "a", "y", "w"))
    assert (x.space, a.space, y.space, w.space) == (
        Space.INPUT, Space.ARENA, Space.OUTPUT, Space.WEIGHTS
    )  # fmt: skip
    assert (a.shape, a.strides, a.dtype) == ((2, 3), (3, 1), DType.FLOAT32)
    assert lowering.tensor("b").tensor.offset == 64


def test_a_view_keeps_the_memory(lowering: Lowering) -> None:
    column = lowering.view("b", offset=4, shape=(2,), strides=(3,))
    assert (column.tensor.offset, column.shape, column.strides) == (68, (2,), (3,))
    assert lowering.view("b", shape=(6,)).strides == (1,)
    assert lowering.view("b", dtype=DType.INT32).strides == (3, 1)


def test_views_are_compared_by_what_they_show(lowering: Lowering) -> None:
    whole = lowering.tensor("a")
    assert whole.is_same_view(lowering.view("a", shape=(2, 1, 3), strides=(3, 99, 1)))
    assert not whole.is_same_view(lowering.view("a", shape=(3, 2)))
    assert not whole.is_same_view(lowering.tensor("b"))
    lowering.copy(whole, lowering.view("a"))
    assert lowering.take() == []


@pytest.mark.parametrize(
    ("value", "bits"),
    [(7, 7), (-1, -1), (True, 1), (0.5, struct.unpack("<q", struct.pack("<d", 0.5))[0])],
)
def test_parameters_are_64_bits(value: float, bits: int) -> None:
    assert param_bits(value) == bits
    assert param_bits(np.asarray(value)[()]) == bits


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="does not fit 64 bits"):
        param_bits(1 << 63)


def test_a_layout_is_stored_once_and_unused_ones_not_at_all(
    chain: Graph, monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    def packed(low: Lowering, key: str, size: int = 6) -> Operand:
        pieces = (np.zeros(size, np.float32),)
        return low.packed("w", key, (size,), "float32", lambda: iter(pieces))

    def add(low: Lowering, node: Node) -> None:
        packed(low, "never used")
        large = packed(low, "large", 1 << 15)
        for _ in range(2):
            low.emit("copy", [packed(low, "panels")], [low.view("b", shape=(6,))])
        low.emit("copy", [low.view_of(large, shape=(6,))], [low.view("b", shape=(6,))])
        low.emit("copy", [low.tensor("w")], [low.tensor("b")])

    use(monkeypatch, Add=add)
    program = build(plan_of(chain))
    assert [block.name for block in program.blocks] == ["w:panels", "w:large", "w:raw"]
    assert [block.offset % PAGE for block in program.blocks[:2]] == [0, 0]
    sources = [i.inputs[0] for i in program.instructions if i.opcode == "copy"]
    assert sources[0] == sources[1]
    assert len(set(sources)) == 3


def test_one_key_for_two_layouts_is_an_error(lowering: Lowering) -> None:
    lowering.packed("w", "panels", (6,), "float32", lambda: iter(()))
    with pytest.raises(GraphError, match="has 24 bytes, and 32 at its second use"):
        lowering.packed("w", "panels", (8,), "float32", lambda: iter(()))


def test_literals_are_stored_once(
    chain: Graph, monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    def relu(low: Lowering, node: Node) -> None:
        for value in (1.5, 1.5, 2.5):
            low.emit("copy", [low.scalar(value)], [low.view("a", shape=())])

    use(monkeypatch, Relu=relu)
    program = build(plan_of(chain))
    assert [b.nbytes for b in program.blocks if b.name.startswith("=")] == [4, 4]


def test_what_has_no_lowering_falls_back_with_its_reason(
    chain: Graph, monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    def gelu(low: Lowering, node: Node) -> None:
        low.emit("copy", [low.tensor("b")], [low.tensor("y")])
        raise low.unsupported("only the erf form has a kernel")

    use(
        monkeypatch,
        Gelu=gelu,
        Relu=lambda low, node: low.emit("copy", [low.tensor("x")], [low.tensor("a")]),
    )
    program = build(plan_of(chain))
    assert [i.opcode for i in program.instructions] == ["copy", "host", "host"]
    assert [i.node for i in program.instructions] == [0, 1, 2]
    assert [(h["node"], h["reason"]) for h in program.metadata["host"]] == [
        ("Add 'second'", "there is no instruction for Add"),
        ("Gelu 'third'", "only the erf form has a kernel"),
    ]
    assert program.instructions[2].params == (1, 0, 1)


def test_a_fallback_node_is_a_graph_that_can_be_run(
    chain: Graph, monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    use(monkeypatch)
    program = build(plan_of(chain))
    add = from_text(program.metadata["host"][1]["graph"])
    assert (list(add.inputs), list(add.outputs)) == (["a"], ["b"])
    assert add.nodes == (Node("Add", ("a", "w"), ("b",), name="second"),)
    np.testing.assert_array_equal(add.constants["w"].array(), chain.constants["w"].array())
    instruction = program.instructions[1]
    assert [program.tensors[i].name for i in (*instruction.inputs, *instruction.outputs)] == [
        "a",
        "b",
    ]


def test_large_constants_of_fallback_nodes_are_weights(
    monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    w = ArrayConstant.of(np.arange(40, dtype=np.int8))
    x = tensor(40, dtype=DType.INT8)
    nodes = tuple(Node("Add", (a, "w"), (b,)) for a, b in (("x", "a"), ("a", "y")))
    use(monkeypatch)
    program = build(plan_of(Graph("g", {"x": x}, {"y": x}, nodes, {"w": w}, {"a": x})))
    assert [host["constants"] for host in program.metadata["host"]] == [{"w": 0}, {"w": 0}]
    (entry,) = program.metadata["constants"]
    assert (entry["name"], entry["dtype"], entry["shape"]) == ("w", "int8", [40])
    assert program.tensors[entry["tensor"]].space is Space.WEIGHTS
    assert [block.nbytes for block in program.blocks] == [40]


def test_a_type_that_the_engine_lacks_is_bytes(
    monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    x, y = tensor(2, 3), tensor(2, 3, dtype=DType.COMPLEX64)
    use(monkeypatch)
    program = build(plan_of(Graph("g", {"x": x}, {"y": y}, (Node("Cast", ("x",), ("y",)),))))
    shown = program.tensors[program.instructions[0].outputs[0] or 0]
    assert (shown.dtype, shown.shape, shown.strides) == (DType.UINT8, (2, 3, 8), (24, 8, 1))
    assert program.tensors[program.outputs[0]] == shown


def test_a_node_of_many_operands_takes_several_instructions(
    monkeypatch: pytest.MonkeyPatch, plan_of: Planner
) -> None:
    inputs = {f"x{i}": tensor(2) for i in range(20)}
    use(monkeypatch)
    graph = Graph("g", inputs, {"y": tensor(2)}, (Node("Sum", tuple(inputs), ("y",)),))
    program = build(plan_of(graph))
    assert [i.params for i in program.instructions] == [(0, 0, 2), (0, 1, 2)]
    assert [len(i.inputs) for i in program.instructions] == [16, 4]
    assert [len(i.outputs) for i in program.instructions] == [1, 0]


def test_nodes_that_make_no_element_are_left_out(plan_of: Planner) -> None:
    empty = tensor(0, 3)
    graph = Graph("g", {"x": empty}, {"y": empty}, (Node("Relu", ("x",), ("y",)),))
    program = build(plan_of(graph))
    assert program.instructions == ()
    assert len(program.outputs) == 1


def test_an_older_form_falls_back(monkeypatch: pytest.MonkeyPatch, plan_of: Planner) -> None:
    use(monkeypatch, Relu=lambda low, node: pytest.fail("this is not the form it lowers"))
    x = tensor(2)
    graph = Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",), version=1),))
    program = build(plan_of(graph))
    assert "operator set 1" in program.metadata["host"][0]["reason"]


def test_a_value_without_a_static_type_is_unsupported(chain: Graph, plan_of: Planner) -> None:
    graph = replace(chain, types={**chain.types, "a": TensorType(DType.FLOAT32, ("n",))})
    lowering = Lowering(replace(plan_of(chain), graph=graph), Weights())
    with pytest.raises(UnsupportedError, match=r"the type of 'a' is float32\[n\]"):
        lowering.type("a")
    with pytest.raises(UnsupportedError, match="the type of 'nowhere' is not known"):
        lowering.tensor("nowhere")


def test_every_family_is_collected_once() -> None:
    assert all(isinstance(op, str) and callable(f) for (_, op), f in LOWERINGS.items())
