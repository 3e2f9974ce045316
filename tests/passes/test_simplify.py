"""The passes that make graphs smaller: what each takes away, and what it must leave."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pelemay.graph import ArrayConstant, Constant, DType, Graph, Node, TensorType, check
from pelemay.graph.typing import infer
from pelemay.passes.canonical import canonical
from pelemay.passes.cse import merge_common
from pelemay.passes.dead import remove_dead
from pelemay.passes.fold import EAGER_BYTES, SMALL_BYTES, Filled, fold
from pelemay.passes.identities import remove_identities
from pelemay.passes.inline import inline_branches
from pelemay.passes.outputs import separate_outputs
from pelemay.passes.simplify import simplify

MakeGraph = Callable[..., Graph]
Kept = Callable[..., Graph]
Ops = Callable[[Graph], Counter[str]]
F32 = DType.FLOAT32


class Watched:
    """A constant of ones that counts how often it is read."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.dtype, self.reads = shape, F32, 0

    @property
    def nbytes(self) -> int:
        return 4 * math.prod(self.shape)

    def array(self) -> np.ndarray[Any, Any]:
        self.reads += 1
        return np.broadcast_to(np.float32(1), self.shape)


def unary(op: str, constant: Constant, **attributes: Any) -> Graph:
    """A graph that applies an operation to a constant and adds an input."""
    nodes = (Node(op, ("k",), ("f",), attributes), Node("Add", ("x", "f"), ("y",)))
    x = TensorType(F32, ())
    return Graph("g", {"x": x}, {"y": None}, nodes, {"k": constant})


def test_a_small_constant_is_computed_at_once() -> None:
    source = Watched(8, 8)
    after = fold(unary("Exp", source))
    assert [node.op for node in after.nodes] == ["Add"]
    reads = source.reads
    np.testing.assert_allclose(after.constants["f"].array(), np.e, rtol=1e-6)
    assert source.reads == reads


def test_a_large_constant_is_a_recipe() -> None:
    source = Watched(1024, 1024)
    after = remove_dead(fold(unary("Transpose", source)))
    made = after.constants["f"]
    assert source.reads == 0
    assert (made.shape, made.dtype, made.nbytes) == ((1024, 1024), F32, 4 << 20)
    assert made.array().shape == (1024, 1024)
    assert made.array() is not made.array()
    assert source.reads >= 2


@pytest.mark.parametrize("op", ["Expand", "Tile", "ConstantOfShape"])
def test_a_small_graph_is_not_unfolded_into_a_large_constant(op: str) -> None:
    count = SMALL_BYTES // 4
    constants = {"one": ArrayConstant.of(np.ones(1, np.float32))}
    constants["few"] = ArrayConstant.of(np.asarray([count]))
    constants["many"] = ArrayConstant.of(np.asarray([count + 1]))
    sources = () if op == "ConstantOfShape" else ("one",)
    nodes = tuple(Node(op, (*sources, size), (f"{size}1",)) for size in ("few", "many"))
    after = fold(Graph("g", {}, {"few1": None, "many1": None}, nodes, constants))
    assert [node.outputs for node in after.nodes] == [("many1",)]
    assert after.constants["few1"].shape == (count,)


def test_an_outer_product_of_constants_stays() -> None:
    constants = {name: ArrayConstant.of(np.ones(shape, np.float32)) for name, shape in
                 (("a", (1000, 1)), ("b", (1, 1000)))}  # fmt: skip
    graph = Graph("g", {}, {"y": None}, (Node("Mul", ("a", "b"), ("y",)),), constants)
    assert fold(graph).nodes == graph.nodes


def filled(reader: str) -> Graph:
    shape = ArrayConstant.of(np.asarray([512, 512]))
    value = ArrayConstant.of(np.full(1, 0.5, np.float32))
    nodes = (
        Node("ConstantOfShape", ("shape",), ("w",), {"value": value}),
        Node("Transpose", ("w",), ("t",)),
        Node(reader, ("x", "t"), ("y",)),
    )
    x = TensorType(F32, (2, 512))
    return Graph("g", {"x": x}, {"y": None}, nodes, {"shape": shape})


def test_weights_of_one_value_are_constants_that_hold_one_element() -> None:
    after = fold(filled("MatMul"))
    assert [node.op for node in after.nodes] == ["MatMul"]
    assert isinstance(after.constants["w"], Filled)
    assert after.constants["w"].nbytes == 1 << 20
    assert after.constants["w"].array().strides == (0, 0)
    assert after.constants["t"].array()[3, 4] == 0.5
    after = fold(filled("Gemm"))
    assert [node.op for node in after.nodes] == ["Gemm"]


def test_other_arrays_of_one_value_are_made_when_they_are_needed() -> None:
    x, shape = TensorType(F32, (512, 512)), ArrayConstant.of(np.asarray([512, 512]))
    nodes = (Node("ConstantOfShape", ("shape",), ("w",)), Node("Add", ("x", "w"), ("y",)))
    graph = Graph("g", {"x": x}, {"y": None}, nodes, {"shape": shape})
    assert [node.op for node in fold(graph).nodes] == ["ConstantOfShape", "Add"]


@pytest.mark.parametrize(
    "node",
    [
        Node("RandomNormal", (), ("y",), {"shape": (2,)}),
        Node("Bernoulli", ("k",), ("y",)),
        Node("Exp", ("k",), ("y",), version=1),
        Node("Exp", ("k",), ("y",), domain="elsewhere", version=1),
        Node("SequenceConstruct", ("k",), ("y",)),
        Node("Gather", ("k", "far"), ("y",)),
    ],
)
def test_some_nodes_are_not_folded(node: Node) -> None:
    constants = {"k": ArrayConstant.of(np.ones(2, np.float32))}
    constants["far"] = ArrayConstant.of(np.asarray([99]))
    graph = Graph("g", {}, {"y": None}, (node,), constants)
    assert fold(graph).nodes == (node,)


def test_a_wider_type_of_large_weights_says_so(graph_of: MakeGraph) -> None:
    half = np.ones((EAGER_BYTES, 2), np.float16)
    text = "g (float[1] x, float16[16384,2] h) => (y) { w = Cast<to = 1>(h) y = Add(x, w) }"
    after = fold(graph_of(text, h=half))
    made = after.constants["w"]
    assert made.operation == "Cast"  # type: ignore[attr-defined]
    assert made.array().dtype == np.float32


def test_shape_arithmetic_becomes_constants(graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of("""g (float[2,3,4,5] x) => (y) {
        shape = Shape(x)  zero = Constant<value_ints = [0]>()
        two = Constant<value_ints = [2]>()  four = Constant<value_ints = [4]>()
        image = Slice(shape, two, four)
        batch = Gather(shape, zero)
        real = Cast<to = 1>(image)  factor = Constant<value_float = 2.0>()
        larger = Mul(real, factor)  sizes = Cast<to = 7>(larger)
        channels = Constant<value_ints = [3]>()
        all = Concat<axis = 0>(batch, channels, sizes)
        y = Resize<mode = "nearest">(x, , , all)
    }""")
    after = kept(graph, simplify)
    assert ops(after) == {"Resize": 1}
    assert after.constants[after.nodes[0].inputs[3]].array().tolist() == [2, 3, 8, 10]


@pytest.mark.parametrize(
    "text",
    [
        "i = Identity(x)",
        "i = Dropout(x)",
        "i = Cast<to = 1>(x)",
        "i = CastLike(x, x)",
        "i = Transpose<perm = [0, 1, 2]>(x)",
        "t = Transpose<perm = [1, 2, 0]>(x) i = Transpose<perm = [2, 0, 1]>(t)",
        "k = Constant<value_ints = [2, -1, 4]>() i = Reshape(x, k)",
        "k = Constant<value_ints = [24]>() f = Reshape(x, k) s = Shape(x) i = Reshape(f, s)",
        "k = Constant<value_ints = [1]>() u = Unsqueeze(x, k) i = Squeeze(u, k)",
        "k = Constant<value_ints = [3, 1]>() i = Expand(x, k)",
        "k = Constant<value_ints = [1, 1, 1]>() i = Tile(x, k)",
        "k = Constant<value_ints = [0, 0, 0, 0, 0, 0]>() i = Pad(x, k)",
        "k = Constant<value_ints = [0]>() n = Constant<value_ints = [99]>() i = Slice(x, k, n)",
        "i = Concat<axis = 1>(x)",
        "i = Split<num_outputs = 1>(x)",
        "i = Sum(x)",
        "i = Max(x)",
        "k = Constant<value_float = 1.0>() i = Mul(x, k)",
        "k = Constant<value_float = 0.0>() i = Sub(x, k)",
        "k = Constant<value_floats = [1.0, 1.0, 1.0]>() i = Resize(x, , k)",
    ],
)
def test_what_changes_nothing_goes(text: str, graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of(f"g (float[2,3,4] x) => (y) {{ {text} y = Relu(i) }}")
    assert ops(kept(graph, simplify)) == {"Relu": 1}


@pytest.mark.parametrize(
    "text",
    [
        "y = Transpose<perm = [0, 2, 1]>(x)",
        "k = Constant<value_ints = [2, 4, 3]>() y = Reshape(x, k)",
        "k = Constant<value_ints = [2, 2, 3, 4]>() y = Expand(x, k)",
        "y = Cast<to = 11>(x)",
        "k = Constant<value_floats = [1.0, 1.0, 1.0, 1.0]>() "
        "a = Constant<value_ints = [0]>() u = Unsqueeze(x, a) y = Mul(u, k)",
        "k = Constant<value_float = 0.0>() y = Sub(k, x)",
        "a = Constant<value_ints = [-1]>() b = Constant<value_ints = [-9]>() "
        "c = Constant<value_ints = [0]>() y = Slice(x, a, b, c, a)",
        "y = Identity(x)",
    ],
)
def test_what_changes_something_stays(text: str, graph_of: MakeGraph, kept: Kept) -> None:
    graph = graph_of(f"g (float[2,3,4] x) => (y) {{ {text} }}")
    after = kept(graph, simplify)
    assert [node.op for node in after.nodes] == [node.op for node in graph.nodes]


def test_an_output_keeps_its_name(graph_of: MakeGraph, kept: Kept) -> None:
    graph = graph_of("""g (float[2] x) => (a, b, c) {
        a = Relu(x)  b = Identity(a)  t = Exp(a)  c = Identity(t)
    }""")
    after = kept(graph, simplify)
    assert [(node.op, node.outputs) for node in after.nodes] == [
        ("Relu", ("a",)), ("Identity", ("b",)), ("Exp", ("c",))
    ]  # fmt: skip


def test_a_dropout_that_trains_or_whose_mask_is_read_stays(graph_of: MakeGraph, ops: Ops) -> None:
    text = """g (float[2] x) => (y, m) {
        r = Constant<value_float = 0.5>()  y, m = Dropout(x, r)
    }"""
    assert ops(simplify(graph_of(text))) == {"Dropout": 1}
    training = graph_of(
        """g (float[2] x, float r, bool t) => (y) { d = Dropout(x, r, t)  y = Relu(d) }""",
        r=np.float32(0.5),
        t=np.asarray(True),
    )
    assert ops(simplify(training)) == {"Dropout": 1, "Relu": 1}


def test_pairs_of_transpositions_become_one(graph_of: MakeGraph, kept: Kept) -> None:
    graph = graph_of("""g (float[2,3,4] x) => (y, z) {
        a = Transpose<perm = [1, 2, 0]>(x)  y = Transpose<perm = [1, 2, 0]>(a)  z = Relu(a)
    }""")
    after = kept(graph, remove_identities)
    assert [n.attributes.get("perm") for n in after.nodes] == [(1, 2, 0), (2, 0, 1), None]
    assert after.nodes[1].inputs == ("x",)


def test_operands_are_taken_two_at_a_time(graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of("""g (float[2,3] a, float[3] b, float[2,1] c) => (s, m, n, f) {
        s = Sum(a, b, c)  m = Max(a, b, c)  n = Mean(b, a, c)  f = CastLike(a, b)
    }""")
    after = kept(graph, canonical, rtol=0)
    assert ops(after) == {"Add": 4, "Max": 2, "Div": 1, "Cast": 1}


def test_dead_code_goes_and_inputs_stay(graph_of: MakeGraph, kept: Kept) -> None:
    graph = graph_of("""g (float[1,1,4,4] x, float[2] unread) => (y) {
        y, where = MaxPool<kernel_shape = [2, 2]>(x)
        e = Exp(unread)  k = Constant<value_float = 1.0>()  f = Add(e, k)
    }""")
    after = kept(graph, remove_dead)
    assert len(after.nodes) == 1
    assert after.nodes[0].outputs == ("y",)
    assert after.nodes[0].attributes["num_outputs"] == 1
    assert (list(after.inputs), dict(after.constants)) == (["x", "unread"], {})
    assert remove_dead(after) is after


def test_the_number_of_a_splits_outputs_stays(graph_of: MakeGraph, kept: Kept) -> None:
    graph = graph_of("g (float[6] x) => (a) { a, b, c = Split<num_outputs = 3>(x) }")
    assert kept(graph, remove_dead).nodes == graph.nodes


def test_the_same_is_computed_once(graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of("""g (float[2,3] x) => (y, z) {
        k1 = Constant<value_float = 2.0>()  k2 = Constant<value_float = 2.0>()
        a = Mul(x, k1)  b = Mul(x, k2)  y = Relu(a)  z = Relu(b)
        c = LeakyRelu<alpha = 0.1>(x)  d = LeakyRelu<alpha = 0.2>(x)  e = Add(c, d)
    }""")
    after = kept(graph, merge_common)
    assert ops(after) == {"Mul": 1, "Relu": 1, "Identity": 1, "LeakyRelu": 2, "Add": 1}
    assert list(after.constants) == ["k1"]


def test_random_numbers_are_not_the_same() -> None:
    nodes = tuple(Node("RandomNormal", (), (name,), {"shape": (2,)}) for name in "ab")
    graph = Graph("g", {}, dict.fromkeys("ab", TensorType(F32, (2,))), nodes)
    assert merge_common(graph) is graph


def test_a_known_branch_stands_in_the_graph(graph_of: MakeGraph, kept: Kept, ops: Ops) -> None:
    graph = graph_of("""g (float[2,3] x) => (y, z, w) {
        yes = Constant<value = bool {1}>()
        t = Relu(x)
        y, z, w = If (yes) <
            then_branch = a () => (r, s, t2) {
                k = Constant<value_float = 3.0>()  r = Mul(x, k)  s = Identity(t)  t2 = Neg(r)
            },
            else_branch = b () => (r, s, t2) { r = Exp(x)  s = Exp(x)  t2 = Exp(x) }
        >
    }""")
    after = kept(graph, inline_branches, remove_identities, remove_dead)
    assert ops(after) == {"Relu": 1, "Mul": 1, "Neg": 1}
    assert inline_branches(after) is after


def test_names_of_branches_do_not_collide(graph_of: MakeGraph, kept: Kept) -> None:
    text = ""
    for name, op in (("p", "Relu"), ("q", "Tanh")):
        text += f"""{name} = If (yes) <
            then_branch = a () => (r) {{ i = {op}(x)  r = Neg(i) }},
            else_branch = b () => (r) {{ r = Exp(x) }}
        > """
    yes = "yes = Constant<value = bool {1}>()"
    graph = graph_of(f"g (float[2] x) => (y) {{ {yes} {text} y = Add(p, q) }}")
    after = kept(graph, simplify)
    assert len(after.nodes) == 5
    check(after)


def test_constant_outputs_are_copied() -> None:
    kind = TensorType(F32, (2,))
    constants = {"y": ArrayConstant.of([1.0, 2.0], np.float32)}
    nodes = (Node("Relu", ("y",), ("z",)),)
    graph = Graph("g", {"x": kind}, dict.fromkeys("xyz", kind), nodes, constants)
    after = separate_outputs(graph)
    check(after)
    assert [(n.op, n.inputs, n.outputs) for n in after.nodes] == [
        ("Relu", ("y::constant",), ("z",)),
        ("Identity", ("y::constant",), ("y",)),
    ]
    assert list(after.outputs) == ["x", "y", "z"]
    assert separate_outputs(after) is after
    assert simplify(after).nodes[-1].op == "Identity"


def test_five_thousand_nodes_take_seconds() -> None:
    x = TensorType(F32, (4,))
    nodes = []
    for i in range(0, 5000, 2):
        nodes.append(Node("Identity", (f"v{i}",), (f"v{i + 1}",)))
        nodes.append(Node("Relu", (f"v{i + 1}",), (f"v{i + 2}",)))
    graph = Graph("g", {"v0": x}, {"v5000": x}, tuple(nodes))
    after = simplify(graph)
    assert len(after.nodes) == 2500
    assert infer(after) is after


def test_a_branch_whose_own_sub_graph_has_the_outputs_name(graph_of: MakeGraph, kept: Kept) -> None:
    graph = graph_of("""g (float[2] x, bool c) => (z) {
        yes = Constant<value = bool {1}>()
        o = If (yes) <
            then_branch = a () => (t) {
                r = Exp(x)
                s = If (c) <
                    then_branch = d () => (p) { y = Neg(r)  p = Add(y, r) },
                    else_branch = e () => (q) { q = Tanh(r) }
                >
                t = Add(r, s)
            },
            else_branch = b () => (r) { r = Neg(x) }
        >
        z = Relu(o)
    }""")
    node = graph.nodes[0]
    nodes = (replace(node, outputs=("y",)), replace(graph.nodes[1], inputs=("y",)))
    check(kept(replace(graph, nodes=nodes), simplify))
