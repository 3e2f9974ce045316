"""A model's own functions, put in the place of their calls.

In: a ``ModelProto``. Out: one without functions. How many nodes that gives is counted first: a few
functions that call each other many times unfold to more nodes than any machine holds.

>>> import onnx.parser
>>> model = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 21, "own" : 1]>
... g (float[2] x) => (float[2] y) { y = own.Twice (x) }
... <opset_import: ["" : 21], domain: "own"> Twice (a) => (b) { b = Add (a, a) }''')
>>> [node.op_type for node in inlined(model).graph.node]
['Add']
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import onnx
import onnx.inliner
from onnx import NodeProto

from pelemay.errors import ModelError
from pelemay.graph.checker import MAX_DEPTH

MAX_NODES = 1_000_000

Key: TypeAlias = tuple[str, str, str]
Calls: TypeAlias = Mapping[Key, Counter[Key]]


def inlined(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions; itself if it has none.

    Raises
    ------
    ModelError
        If functions call each other in a cycle, or there would be more than a million nodes.
    """
    _check_size(proto)
    if not proto.functions:
        return proto
    try:
        return onnx.inliner.inline_local_functions(proto)
    except Exception as error:
        raise ModelError(f"the model's functions cannot be inlined: {error}") from error


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Nodes, and those of the graphs in their attributes."""
    waiting = [iter(nodes)]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
            continue
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                waiting.append(iter(attribute.g.node))
            waiting.extend(iter(graph.node) for graph in attribute.graphs)


def _check_size(proto: onnx.ModelProto) -> None:
    calls = {(f.domain, f.name, f.overload): _calls(f.node) for f in proto.functions}
    sizes: dict[Key, int] = {}
    for key in calls:
        _measure(key, calls, sizes, ())
    total = _size(_calls(proto.graph.node), sizes)
    if max((total, *sizes.values())) > MAX_NODES:
        raise ModelError(f"the model, its functions unfolded, has more than {MAX_NODES} nodes")


def _calls(nodes: Iterable[NodeProto]) -> Counter[Key]:
    return Counter((node.domain, node.op_type, node.overload) for node in all_nodes(nodes))


def _size(calls: Counter[Key], sizes: Mapping[Key, int]) -> int:
    return sum(sizes.get(key, 1) * count for key, count in calls.items())


def _measure(key: Key, calls: Calls, sizes: dict[Key, int], path: tuple[Key, ...]) -> None:
    """Note how many nodes a function unfolds to; those that it calls come first."""
    if key in path or len(path) > MAX_DEPTH:
        raise ModelError("functions call each other in a cycle, or too deeply", where=key[1])
    if key in sizes:
        return
    for inner in calls[key]:
        if inner in calls:
            _measure(inner, calls, sizes, (*path, key))
    sizes[key] = _size(calls[key], sizes)
