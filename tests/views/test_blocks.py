"""Nodes folded into blocks, and where these are laid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.graph import Graph
from pelemay.importers.model import from_proto
from pelemay.views.blocks import Block, Flow, Item, fold, nodes_of
from pelemay.views.layered import is_acyclic, layered
from support.pictured import network
from support.plans import Builder, graphs


def node(build: Builder, op: str, *inputs: str) -> str:
    name: str = build.add(op, inputs, build.shape(inputs[0]))
    return name


def residual(build: Builder, x: str, *, shrink: bool = False) -> str:
    inner = node(build, "Sin", node(build, "Sin", x))
    return node(build, "Add", inner, node(build, "Cos", x) if shrink else x)


def titles(items: Sequence[Item]) -> list[str]:
    return [item.title if isinstance(item, Block) else "-" for item in items]


def levels(items: tuple[Item, ...]) -> Iterator[tuple[Item, ...]]:
    yield items
    for item in items:
        if isinstance(item, Block):
            yield from levels(item.members)


def check(graph: Graph) -> tuple[Item, ...]:
    """Every node once, no block that reads what reads it."""
    items = fold(graph)
    numbers = sorted(n for item in items for n in nodes_of(item))
    assert numbers == list(range(len(graph.nodes)))
    flow = Flow(graph)
    for level in levels(items):
        assert is_acyclic(len(level), list(flow.edges(level)))
    return items


def test_scopes_of_names_are_blocks() -> None:
    items = check(from_proto(network()).graph)
    assert titles(items) == ["body", "head"]
    body = items[0]
    assert isinstance(body, Block)
    assert titles(body.members) == ["-", "block", "-"]


def test_residual_blocks_of_one_shape_are_a_stage() -> None:
    build = Builder()
    x = node(build, "Exp", build.input(1, 4, 8, 8))
    for _ in range(3):
        x = residual(build, x)
    x = residual(build, x, shrink=True)
    items = check(build.graph(node(build, "Exp", x)))
    assert titles(items) == ["-", "stage 1: 4 blocks", "-"]
    stage = items[1]
    assert isinstance(stage, Block)
    assert titles(stage.members) == ["residual block"] * 4


def test_a_value_that_many_read_ends_no_block() -> None:
    build = Builder()
    x, mask = build.input(2, 4), node(build, "Exp", build.input(2, 4))
    for _ in range(10):
        x = node(build, "Mul", node(build, "Sin", x), mask)
    assert len(check(build.graph(x))) > 10


@settings(max_examples=40)
@given(graphs())
def test_any_graph_folds(graph: Graph) -> None:
    check(graph)


@st.composite
def edges(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 12))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    pairs = draw(st.lists(pair, max_size=30, unique=True))
    return count, list({(min(p), max(p)) for p in pairs if p[0] != p[1]})


@given(edges())
def test_edges_go_down_from_layer_to_layer(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, joined = drawn
    found = layered(count, joined)
    assert len(found.layers) == len(found.places)
    for (source, target), bends in zip(joined, found.bends, strict=True):
        path = [found.layers[i] for i in (source, *bends, target)]
        assert path == list(range(path[0], path[-1] + 1))
    for layer in set(found.layers):
        places = [p for p, at in zip(found.places, found.layers, strict=True) if at == layer]
        assert len(set(places)) == len(places)


def test_first_and_last_lie_at_the_ends() -> None:
    found = layered(5, [(3, 0), (0, 1), (3, 2), (1, 4)], first=3, last=4)
    assert found.layers[3] == min(found.layers)
    assert found.layers[4] == max(found.layers)
    assert found.layers[2] > found.layers[3]
