"""Type inference: names of sizes, contradictions, numbers that are followed, sub-graphs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.errors import GraphError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType
from pelemay.graph.operations import table
from pelemay.graph.typing import infer, rules
from pelemay.graph.typing.dims import broadcast, joined, product, refined, total

F32 = DType.FLOAT32
INPUTS = {
    "x": TensorType(F32, (2, 3, 8, 8)),
    "s": TensorType(F32, ("n", 3, "h", "w")),
    "v": TensorType(F32, (3,)),
    "t": TensorType(F32, ("n", 4)),
    "u": TensorType(F32),
    "i": TensorType(DType.INT64, (5,)),
}


def ints(*values: int) -> ArrayConstant:
    return ArrayConstant.of(np.asarray(values, np.int64))


def types_of(
    *nodes: Node, constants: Mapping[str, ArrayConstant] | None = None, **inputs: TensorType
) -> dict[str, str]:
    """The types that are found, as text, by the name of the value."""
    outputs = {o: None for node in nodes for o in node.outputs if o}
    graph = Graph("g", {**INPUTS, **inputs}, outputs, nodes, constants or {})
    return {name: str(kind) for name, kind in infer(graph).outputs.items()}


def type_of(op: str, *inputs: str, constants: Any = None, **attributes: Any) -> str:
    """The type of the one output of a node."""
    return types_of(Node(op, inputs, ("y",), attributes), constants=constants)["y"]


def test_each_operation_has_a_rule() -> None:
    rows = {f"{domain}::{name}" if domain else name for domain, name in table()}
    assert set(rules()) == rows


@pytest.mark.parametrize(
    ("found", "node"),
    [
        ("float32[n, 3, h, w]", ("Relu", "s")),
        ("float32[2, 3, h, w]", ("Expand", "s", "two")),
        ("float32[n, 4]", ("Identity", "t")),
        ("float32[4, n]", ("Transpose", "t")),
        ("float32[n, 1, 4]", ("Unsqueeze", "t", "one")),
        ("float32[n, 3, 1, 1]", ("GlobalAveragePool", "s")),
        ("float32", ("Relu", "u")),
        ("int64[4]", ("Shape", "s")),
        ("int64[?, ?]", ("NonZero", "u")),
        ("int64[4, ?]", ("NonZero", "x")),
    ],
)
def test_names_of_sizes_are_carried(found: str, node: tuple[str, ...]) -> None:
    constants = {"two": ints(2, 1, 1, 1), "one": ints(1)}
    assert type_of(*node, constants=constants) == found


def test_a_size_that_is_reshaped_keeps_its_name() -> None:
    nodes = (
        Node("Shape", ("s",), ("shape",)),
        Node("Gather", ("shape", "zero"), ("n1",)),
        Node("Concat", ("n1", "rest"), ("target",), {"axis": 0}),
        Node("Reshape", ("t", "target"), ("y",)),
        Node("Reshape", ("y", "back"), ("z",)),
    )
    constants = {"zero": ints(0), "rest": ints(2, -1), "back": ints(0, -1)}
    found = types_of(*nodes, constants=constants)
    assert (found["y"], found["z"]) == ("float32[n, 2, 2]", "float32[n, 4]")


def test_numbers_are_followed_through_shape_arithmetic() -> None:
    nodes = (
        Node("Shape", ("x",), ("shape",)),
        Node("Slice", ("shape", "two", "four"), ("image",)),
        Node("Cast", ("image",), ("real",), {"to": F32}),
        Node("Mul", ("real", "factor"), ("scaled",)),
        Node("Cast", ("scaled",), ("wanted",), {"to": DType.INT64}),
        Node("Concat", ("ones", "wanted"), ("sizes",), {"axis": 0}),
        Node("Resize", ("x", "", "", "sizes"), ("y",)),
    )
    constants = {
        "two": ints(2),
        "four": ints(4),
        "factor": ArrayConstant.of(np.float32([1.5, 2.5])),
        "ones": ints(2, 3),
    }
    assert types_of(*nodes, constants=constants)["y"] == "float32[2, 3, 12, 20]"


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "what"),
    [
        ("Add", ("x", "i"), {}, "sizes 5 and 8 do not broadcast"),
        ("MatMul", ("x", "x2"), {}, "have no product"),
        ("Conv", ("x", "w"), {}, "do not fit 3 channels"),
        ("Reshape", ("x", "seven"), {}, "384 elements do not fit a shape of 7"),
        ("Reshape", ("x", "open"), {}, "leaves two sizes open"),
        ("Concat", ("x", "x2"), {"axis": 1}, "sizes 8 and 9 should be the same"),
        ("Concat", ("x", "x"), {"axis": 9}, "axis 9 is outside"),
        ("Transpose", ("x",), {"perm": (0, 1)}, "does not fit rank 4"),
        ("Squeeze", ("x", "seven"), {}, "axis 7 is outside"),
        ("MaxPool", ("x",), {"kernel_shape": (9, 9)}, "a window of 9 does not fit 8"),
        ("MaxPool", ("x",), {"kernel_shape": (2, 2, 2)}, "does not fit 2 spatial axes"),
        ("MaxPool", ("x",), {}, "attribute 'kernel_shape' is missing"),
        ("Split", ("x", "seven"), {}, "2 elements do not fit a shape of 7"),
        ("Cast", ("x",), {}, "attribute 'to' is missing"),
        ("Transpose", ("x",), {"perm": "no"}, "do not fit each other"),
    ],
)
def test_contradictions_name_the_node(
    op: str, inputs: tuple[str, ...], attributes: dict[str, Any], what: str
) -> None:
    node = Node(op, inputs, ("y",), attributes, name="n1")
    constants = {"seven": ints(7), "open": ints(-1, -1)}
    x2, w = TensorType(F32, (2, 3, 9, 9)), TensorType(F32, (4, 2, 3, 3))
    with pytest.raises(GraphError, match=what) as error:
        types_of(node, constants=constants, x2=x2, w=w)
    assert f"{op} 'n1'" in str(error.value)


def test_a_form_that_is_not_the_tables_keeps_its_declared_type() -> None:
    declared = TensorType(F32, (7,))
    node = Node("Softmax", ("x",), ("y",), version=1)
    graph = Graph("g", INPUTS, {"z": None}, (node, Node("Relu", ("y",), ("z",))))
    graph = Graph("g", graph.inputs, graph.outputs, graph.nodes, types={"y": declared})
    assert infer(graph).outputs["z"] == declared


def test_what_is_found_wins_over_what_is_declared() -> None:
    stale = TensorType(F32, (1, 3, 8, 8))
    graph = Graph("g", INPUTS, {"y": stale}, (Node("Relu", ("x",), ("y",)),))
    assert infer(graph).outputs["y"] == INPUTS["x"]
    filled = Graph("g", INPUTS, {"y": TensorType(F32, (7, 2))}, (Node("Relu", ("u",), ("y",)),))
    assert str(infer(filled).outputs["y"]) == "float32[7, 2]"


def branch(name: str, op: str, *inputs: str) -> Graph:
    return Graph(name, {}, {"r": None}, (Node(op, inputs, ("r",), {}),))


def test_an_if_has_what_its_branches_share() -> None:
    then, other = branch("then", "Identity", "x"), branch("else", "Expand", "x", "five")
    node = Node("If", ("c",), ("y",), {"then_branch": then, "else_branch": other})
    condition = TensorType(DType.BOOL, ())
    constants = {"five": ints(5, 1, 1, 1, 1)}
    assert types_of(node, constants=constants, c=condition)["y"] == "float32"
    known = {**constants, "k": ArrayConstant.of(np.asarray(False))}
    node = Node("If", ("k",), ("y",), {"then_branch": then, "else_branch": other})
    assert types_of(node, constants=known)["y"] == "float32[5, 2, 3, 8, 8]"


def test_a_branch_that_cannot_run_is_no_contradiction() -> None:
    then, other = branch("then", "Identity", "x"), branch("else", "Add", "x", "i")
    node = Node("If", ("c",), ("y",), {"then_branch": then, "else_branch": other})
    assert types_of(node, c=TensorType(DType.BOOL, ()))["y"] == "None"


def loop_body(*extra: Node, outputs: tuple[str, ...]) -> Graph:
    inputs: dict[str, Any] = {"step": None, "go": None, "state": None}
    nodes = (Node("Identity", ("go",), ("again",)), *extra)
    return Graph("body", inputs, dict.fromkeys(("again", *outputs)), nodes)


def test_a_loop_forgets_sizes_that_grow_and_stacks_the_rest() -> None:
    grow = Node("Concat", ("state", "v"), ("next",), {"axis": 0})
    note = Node("Identity", ("v",), ("noted",))
    body = loop_body(grow, note, outputs=("next", "noted"))
    node = Node("Loop", ("four", "", "v"), ("y", "all"), {"body": body})
    found = types_of(node, constants={"four": ints(4)})
    assert found == {"y": "float32[?]", "all": "float32[4, 3]"}


def test_a_loop_that_may_end_early_has_no_known_length() -> None:
    body = loop_body(
        Node("Identity", ("state",), ("next",)),
        Node("Less", ("step", "step"), ("stop",)),
        outputs=("next", "next"),
    )
    outputs = {"stop": None, "next": None, "step": None}
    body = Graph("body", body.inputs, outputs, body.nodes)
    node = Node("Loop", ("four", "yes", "v"), ("y", "all"), {"body": body})
    constants = {"four": ints(4), "yes": ArrayConstant.of(np.asarray(True))}
    assert types_of(node, constants=constants) == {"y": "float32[3]", "all": "int64[?]"}


def test_types_inside_of_sub_graphs_are_filled() -> None:
    body = loop_body(Node("Relu", ("state",), ("next",)), outputs=("next",))
    node = Node("Loop", ("four", "", "x"), ("y",), {"body": body})
    graph = Graph("g", INPUTS, {"y": None}, (node,), {"four": ints(4)})
    inner = infer(graph).nodes[0].attributes["body"]
    assert isinstance(inner, Graph)
    assert str(inner.inputs["state"]) == "float32[2, 3, 8, 8]"
    assert str(inner.outputs["next"]) == "float32[2, 3, 8, 8]"


def test_a_scan_takes_slices() -> None:
    inputs: dict[str, Any] = {"state": None, "slice": None}
    add = Node("Add", ("state", "slice"), ("next",))
    body = Graph("body", inputs, {"next": None, "slice2": None}, (
        add, Node("Exp", ("slice",), ("slice2",))
    ))  # fmt: skip
    attributes = {"body": body, "num_scan_inputs": 1, "scan_input_axes": (1,)}
    start = TensorType(F32, (2, 8, 8))
    node = Node("Scan", ("start", "x"), ("y", "all"), attributes)
    found = types_of(node, start=start)
    assert found == {"y": "float32[2, 8, 8]", "all": "float32[3, 2, 8, 8]"}


def test_the_dialect_has_its_channels_last() -> None:
    x, w = TensorType(F32, (1, 9, 7, 4)), TensorType(F32, (8, 2, 3, 3))
    attributes = {"strides": (2, 1), "pads": (1, 0, 1, 0), "group": 2}
    conv = Node("Conv", ("image", "w"), ("c",), attributes, domain="pelemay")
    pool = Node("MaxPool", ("c",), ("p",), {"kernel_shape": (2, 2)}, domain="pelemay")
    found = types_of(conv, pool, image=x, w=w)
    assert found == {"c": "float32[1, 5, 5, 8]", "p": "float32[1, 4, 4, 8]"}
    up = Node("ConvTranspose", ("image", "k"), ("u",), {"strides": (2, 2)}, domain="pelemay")
    assert types_of(up, image=x, k=TensorType(F32, (4, 6, 2, 2)))["u"] == "float32[1, 18, 14, 6]"
    dense = Node("MatMul", ("x", "x"), ("m",), {"trans_b": 1}, domain="pelemay")
    assert types_of(dense)["m"] == "float32[2, 3, 8, 8]"


SIZES = st.one_of(st.integers(1, 3), st.sampled_from(["n", "m"]), st.none())
SHAPES = st.lists(SIZES, max_size=4).map(tuple)


def numbers(shape: tuple[Any, ...], n: int, m: int, unknown: int) -> tuple[int, ...]:
    names = {"n": n, "m": m, None: unknown}
    return tuple(d if isinstance(d, int) else names[d] for d in shape)


@given(SHAPES, SHAPES, st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))
def test_arithmetic_of_sizes_holds_for_all_numbers(
    a: tuple[Any, ...], b: tuple[Any, ...], n: int, m: int, unknown: int
) -> None:
    x, y = numbers(a, n, m, unknown), numbers(b, n, m, unknown)

    def holds(dim: Any, size: int) -> bool:
        return dim is None or numbers((dim,), n, m, unknown) == (size,)

    assert holds(product(a), int(np.prod(x)))
    assert holds(total(a), sum(x))
    try:
        expected = np.broadcast_shapes(x, y)
    except ValueError:
        return
    assert all(map(holds, broadcast([a, b]) or (), expected))


def test_shapes_are_joined_and_refined() -> None:
    assert joined((2, "n", 4), (2, "n", 5)) == (2, "n", None)
    assert refined((2, None, "n"), (7, 3, 5)) == (2, 3, 5)
    assert refined(None, (1,)) == (1,)
    assert refined((1, 2), (1,)) == (1, 2)
