"""Evaluation: how long values live, what bodies see, which outputs come, how errors speak."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.errors import ExecutionError, InputError, PelemayError, UnsupportedError
from pelemay.graph import ArrayConstant, Constant, DType, Graph, Node, TensorType, check
from pelemay.graph.evaluate import Table, Value, evaluate

X = TensorType(DType.FLOAT32, (2,))


class Token:
    """A value that can be watched, and knows what made it."""

    def __init__(self, name: str) -> None:
        self.name = name


class Watcher:
    """Runs nodes that make tokens; notes the names alive when each one starts and ends."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Token] = weakref.WeakSet()
        self.at_start: dict[str, set[str]] = {}
        self.at_end: dict[str, set[str]] = {}

    def token(self, name: str) -> Token:
        made = Token(name)
        self.alive.add(made)
        return made

    def constant(self, constant: Constant) -> Value:
        return self.token(f"constant {constant.array()[0]}")

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        self.at_start[node.name] = self.names()
        for body in attributes.values():
            if callable(body):
                body()
        results = tuple(self.token(name) for name in node.outputs)
        self.at_end[node.name] = self.names()
        return results

    def names(self) -> set[str]:
        return {token.name for token in self.alive}


def node(number: int, inputs: str, outputs: str, **attributes: Any) -> Node:
    """A node named by its number, over values with names of one letter."""
    return Node("Any", tuple(inputs), tuple(outputs), attributes, name=str(number))


def watched(*nodes: Node, outputs: str = "", **fields: Any) -> Watcher:
    graph = Graph("g", {}, dict.fromkeys(outputs), nodes, **fields)
    check(graph)
    watcher = Watcher()
    assert list(evaluate(graph, {}, watcher)) == list(outputs)
    return watcher


def test_a_value_is_dropped_when_its_last_reader_has_run() -> None:
    watcher = watched(
        node(0, "", "a"), node(1, "a", "b"), node(2, "ab", "c"), node(3, "c", "d"), outputs="d"
    )
    assert watcher.at_start == {"0": set(), "1": {"a"}, "2": {"a", "b"}, "3": {"c"}}
    assert watcher.at_end["2"] == {"a", "b", "c"}


def test_an_output_lives_to_the_end_and_no_longer() -> None:
    watcher = watched(node(0, "", "a"), node(1, "a", "b"), node(2, "b", "c"), outputs="a")
    assert watcher.at_start["2"] == {"a", "b"}
    assert watcher.names() == set()


def test_one_node_may_read_a_value_twice() -> None:
    watcher = watched(node(0, "", "a"), node(1, "aa", "b"), node(2, "b", "c"), outputs="c")
    assert watcher.at_start["2"] == {"b"}


def test_constants_come_when_first_read_and_go_after_the_last() -> None:
    constants = {name: ArrayConstant.of([name]) for name in "kl"}
    watcher = watched(
        node(0, "", "a"),
        node(1, "ak", "b"),
        node(2, "bk", "c"),
        node(3, "c", "d"),
        outputs="dl",
        constants=constants,
    )
    with_k = {name for name, alive in watcher.at_start.items() if "constant k" in alive}
    assert with_k == {"1", "2"}
    assert "constant l" not in watcher.at_end["3"]


def test_what_a_body_reads_lives_until_the_body_has_run() -> None:
    body = Graph(
        "body", {}, {"r": None}, (node(10, "a", "p"), node(11, "p", "q"), node(12, "q", "r"))
    )
    watcher = watched(node(0, "", "a"), node(1, "", "b", body=body), node(2, "b", "c"), outputs="c")
    assert watcher.at_start["12"] == {"a", "q"}
    assert watcher.at_start["2"] == {"b"}


def test_a_body_that_runs_twice_finds_its_values_twice() -> None:
    body = Graph("body", {}, {"r": None}, (node(10, "a", "r"),))
    watcher = watched(
        node(0, "", "a"), node(1, "", "b", first=body, second=body), node(2, "ab", "c"), outputs="c"
    )
    assert watcher.at_start["2"] == {"a", "b"}


def test_a_value_that_nobody_reads_is_dropped_at_once() -> None:
    watcher = watched(node(0, "", "ab"), node(1, "a", "c"), outputs="c")
    assert watcher.at_end["0"] == {"a", "b"}
    assert watcher.at_start["1"] == {"a"}


@st.composite
def dags(draw: st.DrawFn) -> Graph:
    """Add and Neg over one input; every value is read or is an output."""
    nodes: list[Node] = []
    values = ["x"]
    for i in range(draw(st.integers(1, 12))):
        operands = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
        name = f"v{i}"
        nodes.append(
            Node("Neg" if len(operands) == 1 else "Add", tuple(operands), (name,), name=name)
        )
        values.append(name)
    read = {name for n in nodes for name in n.inputs}
    unread = [name for name in values[1:] if name not in read]
    more = draw(st.lists(st.sampled_from(values), unique=True, max_size=2))
    return Graph("g", {"x": X}, dict.fromkeys([*unread, *more]), tuple(nodes))


def expected_peak(graph: Graph) -> int:
    """From intervals: a value lives from its node to its last reader, or the end."""
    end = len(graph.nodes)
    born = {n.outputs[0]: i for i, n in enumerate(graph.nodes)}
    dies = {name: end if name in graph.outputs else i for name, i in born.items()}
    for i, n in enumerate(graph.nodes):
        for name in n.inputs:
            if name in born:
                dies[name] = max(dies[name], i)
    return max(sum(born[v] <= i <= dies[v] for v in born) for i in range(end))


@settings(max_examples=200)
@given(dags())
def test_the_peak_is_that_of_the_intervals(graph: Graph) -> None:
    check(graph)
    watcher = Watcher()
    evaluate(graph, {"x": Token("x")}, watcher)
    assert max(map(len, watcher.at_end.values())) == expected_peak(graph)


@settings(max_examples=100)
@given(dags(), st.data())
def test_values_are_those_of_a_plain_loop(graph: Graph, data: st.DataObject) -> None:
    known: dict[str, Any] = {"x": xp.asarray([1.0, -2.0])}
    for n in graph.nodes:
        operands = [known[name] for name in n.inputs]
        known[n.outputs[0]] = -operands[0] if n.op == "Neg" else operands[0] + operands[1]
    wanted = data.draw(st.lists(st.sampled_from(list(graph.outputs)), unique=True))
    result = evaluate(graph, {"x": known["x"]}, Table(xp), wanted)
    assert list(result) == wanted
    for name, value in result.items():
        np.testing.assert_array_equal(value, known[name])


def add(*operands: str, **fields: Any) -> Graph:
    return Graph("g", {"x": X}, {"y": X}, (Node("Add", operands, ("y",), name="sum"),), **fields)


def run(graph: Graph, **feeds: Any) -> Mapping[str, Any]:
    return evaluate(graph, {name: xp.asarray(value) for name, value in feeds.items()}, Table(xp))


def test_feeds_go_before_constants() -> None:
    graph = add("x", "c", constants={"c": ArrayConstant.of([10.0, 20.0])})
    assert run(graph, x=[1.0, 2.0])["y"].tolist() == [11, 22]
    assert run(graph, x=[1.0, 2.0], c=[0.0, 1.0])["y"].tolist() == [1, 3]


def test_inputs_and_constants_may_be_outputs() -> None:
    graph = Graph("g", {"x": X}, {"c": X, "x": X}, (), {"c": ArrayConstant.of([3.0])})
    result = run(graph, x=[1.0])
    assert [(name, value.tolist()) for name, value in result.items()] == [("c", [3]), ("x", [1])]


def test_feeds_stay_as_they_are() -> None:
    feeds = {"x": xp.asarray([1.0])}
    evaluate(add("x", "x"), feeds, Table(xp))
    assert feeds["x"].tolist() == [1]


def test_an_error_names_the_node_and_the_operands() -> None:
    with pytest.raises(ExecutionError) as caught:
        run(add("x", "c", constants={"c": ArrayConstant.of(np.ones(3))}), x=[1.0, 2.0])
    assert str(caught.value).startswith("Add 'sum': ValueError: ")
    assert "the inputs are (float64[2], float64[3])" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


class Failing(Watcher):
    """Raises one error at every node."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("too big"), "Add 'sum': too big"),
        (InputError("too big", where="Mul 'inner'"), "Mul 'inner': too big"),
        (RuntimeError("out of luck"), "Add 'sum': RuntimeError: out of luck; the inputs are (int)"),
    ],
)
def test_errors_get_a_place_once(error: Exception, text: str) -> None:
    graph = Graph("g", {"x": X}, {"y": X}, (Node("Add", ("x",), ("y",), name="sum"),))
    with pytest.raises(PelemayError) as caught:
        evaluate(graph, {"x": 1}, Failing(error))
    assert str(caught.value) == text


def test_an_interrupt_is_no_error_of_a_node() -> None:
    with pytest.raises(KeyboardInterrupt):
        evaluate(add("x", "x"), {"x": 1}, Failing(KeyboardInterrupt()))  # type: ignore[arg-type]


def test_an_operation_without_a_row_goes_to_the_fallback() -> None:
    graph = Graph("g", {"x": X}, {"y": X}, (Node("Mystery", ("x", ""), ("y",), {"a": 1}),))
    with pytest.raises(UnsupportedError, match="Mystery is not in the operation table"):
        run(graph, x=[1.0])
    seen: list[Any] = []

    def fallback(node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        seen.append((node.op, inputs, attributes))
        return ("made",)

    assert evaluate(graph, {"x": 7}, Table(xp, fallback=fallback)) == {"y": "made"}
    assert seen == [("Mystery", [7, None], {"a": 1})]


def test_an_older_version_goes_to_the_fallback() -> None:
    graph = Graph("g", {"x": X}, {"y": X}, (Node("Add", ("x", "x"), ("y",), version=6),))
    table = Table(xp, fallback=lambda node, inputs, attributes: (node.version,))
    assert evaluate(graph, {"x": 7}, table) == {"y": 6}


def test_graphs_and_constants_among_attributes_are_ready_to_use() -> None:
    body = Graph("body", {"a": None}, {"b": None}, (Node("Add", ("a", "x"), ("b",)),))
    attributes = {"body": body, "value": ArrayConstant.of([5.0]), "axis": 1}
    graph = Graph("g", {"x": X}, {"y": X}, (Node("Own", (), ("y",), attributes),))

    def fallback(node: Node, inputs: list[Value], given: dict[str, Any]) -> tuple[Value, ...]:
        assert given["axis"] == 1
        return given["body"](given["value"])  # type: ignore[no-any-return]

    result = evaluate(graph, {"x": xp.asarray([1.0])}, Table(xp, fallback=fallback))
    assert result["y"].tolist() == [6]
