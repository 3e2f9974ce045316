"""Concatenations grow out of each other, and pieces of a split are whole again."""

from __future__ import annotations

from typing import Any

from pelemay.passes.concats import nest_concats


def test_dense_blocks(graph_of: Any, kept: Any) -> None:
    """PyTorch concatenates all features anew for every layer."""
    text = """g (float[1,2,4] a, float[1,3,4] b, float[1,1,4] c, float[1,2,4] d)
    => (float[1,5,4] x, float[1,6,4] y, float[1,8,4] z) {
      x = Concat <axis = 1> (a, b) y = Concat <axis = -2> (a, b, c)
      z = Concat <axis = 1> (a, b, c, d) }"""
    after = kept(graph_of(text), nest_concats)
    assert [node.inputs for node in after.nodes] == [("a", "b"), ("x", "c"), ("y", "d")]


def test_other_axes_and_orders_stay(graph_of: Any) -> None:
    text = """g (float[2,2] a, float[2,2] b) => (float[2,4] x, float[4,2] y, float[2,6] z) {
      x = Concat <axis = 1> (a, b) y = Concat <axis = 0> (a, b)
      z = Concat <axis = 1> (b, a, a) }"""
    graph = graph_of(text)
    assert nest_concats(graph) is graph


def test_pieces_of_a_split(graph_of: Any, kept: Any) -> None:
    """The two halves in a C2f block, with what is made of the second."""
    text = """g (float[1,6,4] x) => (float[1,9,4] y) {
      a, b = Split <axis = 1, num_outputs = 2> (x) c = Relu(b)
      y = Concat <axis = 1> (a, b, c) }"""
    assert kept(graph_of(text), nest_concats).nodes[-1].inputs == ("x", "c")


def test_pieces_along_another_axis_stay(graph_of: Any) -> None:
    text = """g (float[1,6,4] x) => (float[1,12,2] y) {
      a, b = Split <axis = 2, num_outputs = 2> (x) y = Concat <axis = 1> (a, b) }"""
    graph = graph_of(text)
    assert nest_concats(graph) is graph


def test_pieces_in_another_order_stay(graph_of: Any) -> None:
    text = """g (float[1,6,4] x) => (float[1,6,4] y) {
      a, b = Split <axis = 1, num_outputs = 2> (x) y = Concat <axis = 1> (b, a) }"""
    graph = graph_of(text)
    assert nest_concats(graph) is graph


def test_the_same_twice(graph_of: Any, kept: Any) -> None:
    text = """g (float[2,2] a, float[2,2] b) => (float[2,4] x, float[2,4] y) {
      x = Concat <axis = 1> (a, b) y = Concat <axis = 1> (a, b) }"""
    assert kept(graph_of(text), nest_concats).nodes[1].op == "Identity"
