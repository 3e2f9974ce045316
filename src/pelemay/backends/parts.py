"""What has no size before the run, in parts that have one once it is reached.

In: a graph, such as what stands behind a NonZero, and its inputs when they are there. Out: its
outputs. With the inputs' shapes known, much of the graph has static types again: that part is
compiled, in this process, and run by the engine; the nodes whose results have no size before they
ran (the *boundary*) run on the reference backend; and what is left is a graph whose inputs are
there.

A graph is taken apart when it is reached with the same shapes for the second time, or for the first
where there is much to do, and a part is compiled if there is enough to do in it; until then, and
otherwise, the reference runs it: most shapes that depend on data come once. What was compiled last
is kept, up to a number of bytes.

>>> from pelemay.graph import Constant, DType, Graph, Node, TensorType
>>> import numpy as np
>>> x, n = TensorType(DType.FLOAT32, (4,)), TensorType(DType.INT64, (1, None))
>>> nodes = (Node("NonZero", ("x",), ("i",)), Node("Neg", ("i",), ("y",)))
>>> part = Part(Graph("g", {"x": x}, {"y": n}, nodes), Store())
>>> part.run({"x": np.float32([0, 1, 0, 2])})
{'y': array([[-1, -3]])}
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from types import MappingProxyType
from typing import Any

import numpy as np

from pelemay.backends.reference import GraphRunnable, numpy_table
from pelemay.errors import PelemayError
from pelemay.graph import Constant, DType, Graph, Node, TensorType, ValueType, reads
from pelemay.graph.evaluate import Body, Executor, Value
from pelemay.graph.operations import find

KEPT_BYTES = 64 << 20
"""Of programs that were compiled while running, with their weights and arenas."""

KEPT_SHAPES = 16
"""Sets of shapes for which it is known what comes next."""

WORTH = 1 << 18
"""Multiply-accumulates, or elements made, from which on a part is compiled."""

AT_ONCE = 1 << 26
"""Multiply-accumulates from which on the reference takes longer than compiling: about that many, as
:meth:`Part.about` guesses them, and a part is compiled when its shapes come for the first time."""

HEAVY = frozenset({"attention", "convolution", "linear", "recurrent"})
"""Groups of operations for which a graph is taken apart."""

KEPT_PARTS = 64
"""Sub-graphs of which it is known what they are made of."""

_numbers = count()

log = logging.getLogger(__name__)

Values = Mapping[str, Value]


@dataclass
class Store:
    """The programs of all parts of a run, the one used last at the end.

    Parameters
    ----------
    limit : int
        Bytes that they may take; 0 compiles nothing.
    worth : int
        The least that has to be done in a part.
    at_once : int
        What there is to be done in a part that is compiled when it is reached for the first time.
    threads : int, optional
        As for :class:`~pelemay.backends.programs.ProgramRunnable`.
    """

    limit: int = KEPT_BYTES
    worth: int = WORTH
    at_once: int = AT_ONCE
    threads: int | None = None
    isa: str | None = None
    _programs: OrderedDict[int, tuple[Any, int]] = field(default_factory=OrderedDict)
    _parts: OrderedDict[int, tuple[Graph, Part]] = field(default_factory=OrderedDict)

    @property
    def nbytes(self) -> int:
        """Bytes that the programs take now."""
        return sum(size for _, size in self._programs.values())

    def run(self, key: int, graph: Graph, feeds: Values) -> dict[str, Value] | None:
        """Run a graph of static types on the engine; None if it cannot be."""
        if key not in self._programs:
            self._keep(key, *self._compiled(graph))
        self._programs.move_to_end(key)
        program = self._programs[key][0]
        found: dict[str, Value] | None = program and program.run(feeds, list(graph.outputs))
        return found

    def part_of(self, graph: Graph) -> Part:
        """The part that a sub-graph is."""
        key = id(graph)
        if key not in self._parts:
            # The graph is kept as well, so that nothing else gets its number.
            self._parts[key] = graph, Part(_closed(graph), self)
            while len(self._parts) > KEPT_PARTS:
                self._parts.popitem(last=False)
        return self._parts[key][1]

    def _keep(self, key: int, program: Any, nbytes: int) -> None:
        self._programs[key] = program, nbytes
        while self.nbytes > self.limit:
            self._programs.popitem(last=False)
        if key not in self._programs:
            self._programs[key] = None, 0

    def _compiled(self, graph: Graph) -> tuple[Any, int]:
        from pelemay.backends.programs import ProgramRunnable
        from pelemay.compilation import compile_graph
        from pelemay.program.image import image

        try:
            program = compile_graph(graph)
            if program.metadata["tail"] or program.weights_bytes > self.limit:
                return None, 0
            data = image(program)
            made = ProgramRunnable(data, threads=self.threads, isa=self.isa)
        except PelemayError as error:
            log.info("%s is left to the reference backend: %s", graph.name, error)
            return None, 0
        return made, len(data) + made.engine.nbytes


@dataclass
class _Step:
    """What is done for one set of shapes: a part with static types, a boundary, what is left."""

    number: int
    trunk: Graph
    work: int
    boundary: Graph | None
    rest: Part | None


class Part:
    """A graph that is run for whatever shapes come.

    Parameters
    ----------
    graph : Graph
        All that it reads are its inputs and constants.
    store : Store
        Where programs are kept.
    """

    def __init__(self, graph: Graph, store: Store) -> None:
        self.graph = graph
        self._store = store
        self._steps: OrderedDict[tuple[Any, ...], list[_Step | None]] = OrderedDict()
        self._by_value = _read_as_numbers(graph)
        self._is_worth = bool(store.limit) and any(map(_is_heavy, graph.nodes))
        self._weights = sum(_weights(graph, node) for node in graph.nodes if _is_heavy(node))

    def run(self, feeds: Values) -> dict[str, Value]:
        """The outputs for these inputs."""
        step = self._step(feeds) if self._is_worth else None
        if step is None:
            return self._on_reference(self.graph, feeds)
        values = {**feeds, **self._run_trunk(step, feeds)}
        if step.boundary is not None:
            values |= self._on_reference(step.boundary, _taken(step.boundary, values))
        if step.rest is not None:
            values |= step.rest.run(_taken(step.rest.graph, values))
        return {name: values[name] for name in self.graph.outputs}

    def _run_trunk(self, step: _Step, feeds: Values) -> dict[str, Value]:
        given = {name: feeds[name] for name in step.trunk.inputs}
        if step.work >= self._store.worth:
            found = self._store.run(step.number, step.trunk, given)
            if found is not None:
                return found
        return self._on_reference(step.trunk, given)

    def _on_reference(self, graph: Graph, feeds: Values) -> dict[str, Value]:
        return GraphRunnable(graph, Staged(self._store)).run(feeds)

    def _step(self, feeds: Values) -> _Step | None:
        """What to do for these shapes; None the first time that they come, if it is little."""
        key = tuple(_key(name, value, name in self._by_value) for name, value in feeds.items())
        if key not in self._steps:
            self._steps[key] = []
            while len(self._steps) > KEPT_SHAPES:
                self._steps.popitem(last=False)
            if self.about(feeds) < self._store.at_once:
                return None
        self._steps.move_to_end(key)
        made = self._steps[key]
        if not made:
            made.append(self._made(feeds))
        return made[0]

    def about(self, feeds: Values) -> int:
        """Multiply-accumulates, guessed without typing the graph.

        Each pixel, or row, of the largest input meets all weights.
        """
        arrays = [value for value in feeds.values() if isinstance(value, np.ndarray) and value.size]
        rows = (x.size // (x.shape[1 if x.ndim > 3 else -1] if x.ndim else 1) for x in arrays)
        return max(rows, default=0) * self._weights

    def _made(self, feeds: Values) -> _Step | None:
        """None where the types contradict what is there: the reference then says what is wrong."""
        from pelemay.passes import bind
        from pelemay.passes.simplify import simplify
        from pelemay.program.tail import split

        known = {name: _typed(value, self.graph.inputs[name]) for name, value in feeds.items()}
        numbers = {
            n: np.asarray(feeds[n]) for n in self._by_value if isinstance(known.get(n), TensorType)
        }
        graph = replace(self.graph, inputs={**self.graph.inputs, **known})
        try:
            trunk, rest = split(simplify(bind(graph, {}, numbers)))
        except PelemayError as error:
            log.info("%s is left to the reference backend: %s", graph.name, error)
            return None
        boundary, left = (None, None) if rest is None else _cut(rest)
        part = None if left is None else Part(left, self._store)
        return _Step(next(_numbers), trunk, work_of(trunk), boundary, part)


def _taken(graph: Graph, values: Values) -> dict[str, Value]:
    return {name: values[name] for name in graph.inputs if name in values}


def _cut(rest: Graph) -> tuple[Graph | None, Graph | None]:
    """The nodes that can run now, and the others with what they read as inputs."""
    there = {*rest.inputs, *rest.constants}
    ready = [node for node in rest.nodes if there.issuperset(reads(node))]
    made = {name for node in ready for name in node.outputs if name}
    later = [node for node in rest.nodes if not there.issuperset(reads(node))]
    read = {name for node in later for name in reads(node)}
    passed = {name: rest.type_of(name) for name in sorted(made & (read | rest.outputs.keys()))}
    boundary = _graph_of(rest, ready, passed) if ready else None
    outputs = {name: kind for name, kind in rest.outputs.items() if name not in made | there}
    return boundary, _graph_of(rest, later, outputs) if later else None


def _graph_of(graph: Graph, nodes: list[Node], outputs: Mapping[str, ValueType | None]) -> Graph:
    """Some nodes of a graph; what others made are inputs."""
    made = {name for node in nodes for name in node.outputs}
    read = dict.fromkeys(name for node in nodes for name in reads(node))
    constants = {name: graph.constants[name] for name in read if name in graph.constants}
    inputs = {n: graph.type_of(n) for n in read if n not in constants and n not in made}
    types = {name: kind for name, kind in graph.types.items() if name in made}
    return Graph(graph.name, inputs, outputs, tuple(nodes), constants, types)


def _read_as_numbers(graph: Graph) -> frozenset[str]:
    from pelemay.passes.host_inputs import host_inputs

    return frozenset(host_inputs(graph))


def _key(name: str, value: Value, by_value: bool) -> tuple[Any, ...]:
    if not isinstance(value, np.ndarray):
        return name, type(value).__name__
    values = value.tobytes() if by_value else None
    return name, value.dtype.name, value.shape, values


def _typed(value: Value, declared: ValueType | None) -> ValueType | None:
    """A value's own type, where it is an array of numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind in "OUS":
        return declared
    return TensorType(DType.of_numpy(value.dtype), value.shape)


def _is_heavy(node: Node) -> bool:
    """Whether a node, or one inside of it, multiplies; others take the reference little time."""
    row = find(node.op, node.domain)
    inner = (other for graph in node.graphs for other in graph.nodes)
    return (row is not None and row.group in HEAVY) or any(map(_is_heavy, inner))


def _weights(graph: Graph, node: Node) -> int:
    """Elements of the constants that a node, or one inside of it, multiplies with."""
    own = (graph.constants[name] for name in node.inputs if name in graph.constants)
    inner = ((inside, other) for inside in node.graphs for other in inside.nodes)
    return sum(math.prod(constant.shape) for constant in own) + sum(
        _weights(inside, other) for inside, other in inner
    )


def work_of(graph: Graph) -> int:
    """Multiply-accumulates of products and convolutions, and elements that other nodes make.

    >>> x, w = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.FLOAT32, (3, 5))
    >>> y = TensorType(DType.FLOAT32, (2, 5))
    >>> work_of(Graph("g", {"x": x, "w": w}, {"y": y}, (Node("MatMul", ("x", "w"), ("y",)),)))
    30
    """
    return sum(_work(graph, node) for node in graph.nodes)


def _work(graph: Graph, node: Node) -> int:
    made = sum(math.prod(_sizes(graph, name)) for name in node.outputs if name)
    if node.op in ("MatMul", "Gemm"):
        # A Gemm may read it transposed: the estimate is then that of another product.
        return made * max(_sizes(graph, node.inputs[0])[-1:], default=1)
    if node.op == "Conv":
        return made * math.prod(_sizes(graph, node.inputs[1])[1:])
    return made


def _sizes(graph: Graph, name: str) -> tuple[int, ...]:
    kind = graph.type_of(name)
    shape = kind.shape if isinstance(kind, TensorType) else None
    return tuple(size for size in shape or () if isinstance(size, int))


@dataclass(frozen=True)
class Staged:
    """The reference backend's executor, for which a sub-graph that is run is a part, too.

    Parameters
    ----------
    store : Store
        Where parts and programs are kept.
    """

    store: Store
    table: Executor = field(default_factory=numpy_table)

    def constant(self, constant: Constant) -> Value:
        """As the reference backend."""
        return self.table.constant(constant)

    def run(self, node: Node, inputs: list[Value], attributes: dict[str, Any]) -> tuple[Value, ...]:
        """Apply a node; what it is given as a function may run on the engine."""
        for name, value in attributes.items():
            if isinstance(value, Body):
                attributes[name] = StagedBody(value, self.store.part_of(value.graph))
        return self.table.run(node, inputs, attributes)


@dataclass(frozen=True)
class StagedBody:
    """The body of a loop, or a branch, as a part."""

    body: Body
    part: Part

    def __call__(self, *arguments: Value) -> tuple[Value, ...]:
        """Run it; one argument for each of its inputs."""
        given = zip(self.body.graph.inputs, arguments, strict=True)
        feeds = {**self.body.outer, **{name: _array(value) for name, value in given}}
        return tuple(self.part.run(feeds).values())

    @property
    def outputs(self) -> Mapping[str, ValueType | None]:
        """Names and types of what a call gives, for loops that run no round."""
        return self.body.graph.outputs


def _array(value: Value) -> Value:
    return np.asarray(value) if isinstance(value, np.generic) else value


def with_constants(graph: Graph, around: Mapping[str, Constant] = MappingProxyType({})) -> Graph:
    """The graph, whose sub-graphs have the constants that they read around them as their own.

    Parameters
    ----------
    graph : Graph
        Its own constants stay.
    around : mapping, optional
        Constants of the graphs around it.
    """
    known = {**around, **graph.constants}
    taken = {name: known[name] for name in graph.free_names if name in around}
    nodes = tuple(
        replace(node, attributes=_with_constants(node, known)) if any(node.graphs) else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes, constants={**taken, **graph.constants})


def _with_constants(node: Node, known: Mapping[str, Constant]) -> dict[str, Any]:
    return {
        name: with_constants(value, known) if isinstance(value, Graph) else value
        for name, value in node.attributes.items()
    }


def _closed(graph: Graph) -> Graph:
    """A sub-graph whose inputs are also the values around it that it reads."""
    free = {name: graph.type_of(name) for name in sorted(graph.free_names)}
    return replace(graph, inputs={**graph.inputs, **free})
