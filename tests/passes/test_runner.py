"""The runner, and the tools that passes rewrite graphs with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pelemay.errors import GraphError
from pelemay.graph import ArrayConstant, DType, Graph, Node, TensorType, check
from pelemay.passes import PASSES, run_passes
from pelemay.passes.rewrite import Rewriter, rename, rename_inputs, replace_nodes, users

X = TensorType(DType.FLOAT32, (2,))


def chain(*ops: str) -> Graph:
    """Operations one after the other, from ``x`` to ``y``."""
    names = ["x", *(f"v{i}" for i in range(1, len(ops))), "y"]
    nodes = tuple(Node(op, (names[i],), (names[i + 1],)) for i, op in enumerate(ops))
    return Graph("chain", {"x": X}, {"y": X}, nodes)


def break_graph(graph: Graph) -> Graph:
    """A pass that loses a node."""
    return replace(graph, nodes=graph.nodes[1:])


def complain(graph: Graph) -> Graph:
    """A pass that refuses."""
    raise GraphError("this is wrong", where="Relu 'y'")


def relu_to_exp(graph: Graph) -> Graph:
    """A pass that changes something."""
    return replace_nodes(graph, {0: [replace(graph.nodes[0], op="Exp")]})


def test_the_list_has_no_pass_without_a_name_and_text() -> None:
    assert PASSES
    assert all(step.__name__ and step.__doc__ for step in PASSES)


def test_each_pass_is_checked() -> None:
    with pytest.raises(GraphError, match=r"pass 'break_graph', .*reads 'v1', which nothing makes"):
        run_passes(chain("Relu", "Exp"), passes=[break_graph], check=True)


def test_the_graph_before_is_checked() -> None:
    with pytest.raises(GraphError, match="which nothing makes"):
        run_passes(break_graph(chain("Relu", "Exp")), passes=[], check=True)


def test_an_error_names_the_pass() -> None:
    with pytest.raises(GraphError, match="pass 'complain', Relu 'y': this is wrong"):
        run_passes(chain("Relu"), passes=[complain])


def test_types_are_there_at_the_end() -> None:
    bare = replace(chain("Relu", "Exp"), outputs={"y": None})
    after = run_passes(bare, passes=[])
    assert (after.type_of("v1"), after.type_of("y")) == (X, X)


def test_what_a_pass_changed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pelemay.passes"):
        run_passes(chain("Relu", "Tanh"), passes=[relu_to_exp, lambda graph: graph])
    assert caplog.messages == ["relu_to_exp: 2 nodes to 2, constants +0: -1 Relu, +1 Exp"]


def test_a_pass_that_raises_the_peak_is_told(caplog: pytest.LogCaptureFixture) -> None:
    def longer(graph: Graph) -> Graph:
        """A pass that adds a node."""
        *rest, last = graph.nodes
        added = Node("Neg", ("n",), last.outputs)
        return replace(graph, nodes=(*rest, replace(last, outputs=("n",)), added))

    with caplog.at_level(logging.INFO, "pelemay.passes"):
        passes = [relu_to_exp, longer]
        run_passes(chain("Relu"), passes=passes, peak=lambda graph: 100 * len(graph.nodes))
    assert caplog.messages == ["longer: raises the least memory of a run from 100 to 200 bytes"]


def test_users_are_told_once_and_in_order() -> None:
    nodes = (Node("Add", ("x", "x"), ("a",)), Node("Mul", ("a", "x"), ("y",)))
    assert users(Graph("g", {"x": X}, {"y": X}, nodes)) == {"x": [0, 1], "a": [1]}


def test_changes_are_made_at_once() -> None:
    rewriter = Rewriter(chain("Relu", "Exp", "Identity", "Tanh"))
    assert rewriter.only_user("v1") == 1
    assert rewriter.maker("v2") is rewriter.graph.nodes[1]
    assert rewriter.maker("x") is None
    extra = rewriter.value("v1", X)
    factor = rewriter.constant("factor", 2.0, np.float32)
    mul = Node("Mul", ("v1", factor), (extra,))
    rewriter.replace(1, mul, Node("Exp", (extra,), ("v2",)))
    rewriter.remove(2)
    rewriter.forward("v3", "v2")
    assert rewriter.changed(2)
    assert not rewriter.changed(0)
    after = rewriter.graph_after()
    check(after)
    assert [node.op for node in after.nodes] == ["Relu", "Mul", "Exp", "Tanh"]
    assert after.nodes[-1].inputs == ("v2",)
    assert (extra, factor, after.types[extra]) == ("v1.1", "factor", X)


def test_no_change_is_the_same_graph() -> None:
    graph = chain("Relu")
    assert Rewriter(graph).graph_after() is graph
    assert replace_nodes(graph, {}) is graph


def test_an_output_is_made_under_its_name() -> None:
    rewriter = Rewriter(chain("Relu", "Identity"))
    rewriter.remove(1)
    rewriter.forward("y", "v1")
    after = rewriter.graph_after()
    assert after.nodes == (Node("Relu", ("x",), ("y",)),)


@pytest.mark.parametrize("source", ["x", "k"])
def test_an_output_that_no_node_can_make_is_copied(source: str) -> None:
    graph = replace(
        chain("Relu", "Identity"), constants={"k": ArrayConstant.of(np.float32([1, 2]))}
    )
    rewriter = Rewriter(graph)
    rewriter.remove(1)
    rewriter.forward("y", source)
    after = rewriter.graph_after()
    check(after)
    assert after.nodes[0] == Node("Identity", (source,), ("y",))


def test_two_outputs_that_are_one_value_both_stay() -> None:
    nodes = tuple(Node("Relu", ("x",), (name,)) for name in "yz")
    graph = rename(
        replace_nodes(Graph("g", {"x": X}, {"y": X, "z": X}, nodes), {1: []}), {"z": "y"}
    )
    check(graph)
    assert graph.nodes == (nodes[0], Node("Identity", ("y",), ("z",)))


def test_forwarding_in_a_circle_is_an_error() -> None:
    rewriter = Rewriter(chain("Relu", "Exp"))
    rewriter.forward("v1", "y")
    rewriter.forward("y", "v1")
    with pytest.raises(AssertionError, match="itself"):
        rewriter.graph_after()


def branching(graph_of: Callable[..., Graph]) -> Graph:
    return graph_of("""g (float[2] x, bool c) => (y) {
        a = Identity(x)
        y = If (c) <
            then_branch = t () => (r) { r = Exp(a) },
            else_branch = e () => (s) { x2 = Tanh(a)  s = Neg(x2) }
        >
    }""")


def test_sub_graphs_read_the_new_name(graph_of: Callable[..., Graph]) -> None:
    graph = branching(graph_of)
    after = rename(replace_nodes(graph, {0: []}), {"a": "x"})
    check(after)
    assert [inner.free_names for inner in after.nodes[0].graphs] == [{"x"}, {"x"}]


def test_a_name_that_a_sub_graph_has_itself_is_not_read_there(
    graph_of: Callable[..., Graph],
) -> None:
    graph = rename_in(branching(graph_of), "x", "x2")
    after = rename(replace_nodes(graph, {0: []}), {"a": "x2"})
    check(after)
    assert after.nodes[0] == Node("Identity", ("x2",), ("a",))
    assert [inner.free_names for inner in after.nodes[1].graphs] == [{"a"}, {"a"}]


def rename_in(graph: Graph, old: str, new: str) -> Graph:
    """The graph whose input has another name."""
    inputs = {new if name == old else name: kind for name, kind in graph.inputs.items()}
    first = rename_inputs(graph.nodes[0], {old: new})
    return replace(graph, inputs=inputs, nodes=(first, *graph.nodes[1:]))


def test_a_sub_graph_that_passes_a_value_on_still_does(graph_of: Callable[..., Graph]) -> None:
    inner = Graph("t", {}, {"a": X, "b": X}, ())
    node = Node("If", ("c",), ("y", "z"), {"then_branch": inner, "else_branch": inner})
    inputs = {"x": X, "c": TensorType(DType.BOOL, ())}
    copies = tuple(Node("Identity", ("x",), (name,)) for name in "ab")
    graph = Graph("g", inputs, {"y": X, "z": X}, (*copies, node))
    check(graph)
    after = rename(replace_nodes(graph, {0: [], 1: []}), {"a": "x", "b": "x"})
    check(after)
    branch = next(iter(after.nodes[0].graphs))
    assert list(branch.outputs) == ["a", "b"]
    assert branch.free_names == {"x"}
