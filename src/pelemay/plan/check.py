"""The plan's checker: replays the order over memory. It is dumb on purpose, and plans nothing.

In: a :class:`~pelemay.plan.Plan`. Out: nothing, or a :class:`~pelemay.errors.PlanError`. Instead of
numbers every element is a token that stands for "this element of that value"; views and
concatenations move tokens as their meaning says, every other node writes new ones. A node that
finds other tokens than were last made for its operands has been given destroyed memory.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> from pelemay.plan import plan_graph
>>> t = TensorType(DType.FLOAT32, (16,))
>>> nodes = (Node("Relu", ("x",), ("a",)), Node("MatMul", ("a", "a"), ("y",)))
>>> check_plan(plan_graph(Graph("g", {"x": t}, {"y": t}, nodes, types={"a": t})))
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
import numpy.typing as npt

from pelemay.errors import PlanError
from pelemay.graph import Graph, Node, TensorType, reads
from pelemay.graph import check as check_graph
from pelemay.graph.evaluate import Table
from pelemay.plan.aliasing import Form, ability
from pelemay.plan.arena import Block, check_offsets
from pelemay.plan.types import ALIGNMENT, Placement, Plan, aligned

Tokens = npt.NDArray[np.int32]

_MOVING = (
    *("Concat", "Expand", "Flatten", "Identity", "Reshape"),
    *("Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"),
)


def check_plan(plan: Plan) -> None:
    """Check offsets, lifetimes, layouts and that nothing is read after it was overwritten.

    The time is that of moving every value once; the memory that of arena, inputs and outputs.

    Raises
    ------
    PlanError
        If a rule is broken.
    GraphError
        If the order is none.
    """
    check_graph(plan.graph)
    _check_buffers(plan)
    _check_lifetimes(plan)
    _Replay(plan).run()


def _check_buffers(plan: Plan) -> None:
    blocks = [Block(b.first, b.last + 1, b.nbytes) for b in plan.buffers]
    offsets = [b.offset for b in plan.buffers]
    check_offsets(blocks, offsets, plan.arena_bytes, ALIGNMENT)
    held = Counter[int]()
    for buffer in plan.buffers:
        held.update(dict.fromkeys(range(buffer.first, buffer.last + 1), aligned(buffer.nbytes)))
    most = max(held.values(), default=0)
    if plan.lower_bound_bytes != most:
        raise PlanError(f"the lower bound is said to be {plan.lower_bound_bytes}, but is {most}")


def _check_lifetimes(plan: Plan) -> None:
    """A buffer must be held whenever a value that lies in it is written or read."""
    buffers = {buffer.name: buffer for buffer in plan.buffers}
    for step, node in enumerate(plan.graph.nodes):
        for name in {*reads(node), *filter(None, node.outputs)}:
            place, nbytes = plan.placements[name], _nbytes(plan.graph, name)
            if place.space != "arena" or not nbytes:
                continue
            buffer = buffers.get(place.buffer)
            if buffer is None or not buffer.first <= step <= buffer.last:
                raise PlanError(f"'{name}' is used at step {step}, but its buffer is not held")
            end = place.offset + _reach(plan.graph, name, place)
            if place.offset < buffer.offset or end > buffer.end:
                raise PlanError(f"'{name}' lies outside its buffer '{buffer.name}'")


class _Replay:
    """Memory that holds tokens, and what each value's tokens should be."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.grain = _grain(plan)
        self.memory: dict[str, Tokens] = {"arena": self._blank(plan.arena_bytes)}
        self.expected: dict[str, Tokens] = {}
        self.next_token = 1

    def run(self) -> None:
        """Every node in turn; then the outputs must hold what was made for them."""
        left = Counter(name for node in self.graph.nodes for name in set(reads(node)))
        for name in (*self.graph.inputs, *self._moved_constants()):
            self._make(name)
        for node in self.graph.nodes:
            self._step(node)
            left.subtract(set(reads(node)))
            for name in {*reads(node), *filter(None, node.outputs)}:
                if left[name] <= 0 and name not in self.graph.outputs:
                    self.expected.pop(name, None)
        for name in self.graph.outputs:
            if name in self.expected:
                self._read(name, f"output '{name}'")

    def _moved_constants(self) -> list[str]:
        moving = [node for node in self.graph.nodes if _moves(self.graph, node)]
        names = dict.fromkeys(name for node in moving for name in _moved(node))
        return [name for name in names if name in self.graph.constants]

    def _step(self, node: Node) -> None:
        """Read the operands, check what may be overwritten, write the outputs."""
        whole = set(reads(node)) - set(_moved(node) if _moves(self.graph, node) else ())
        for name in whole & self.expected.keys():
            self._read(name, node.label)
        for name in filter(None, node.outputs):
            place = self.plan.placements[name]
            if place.space in ("input", "constant") and not _moves(self.graph, node):
                raise PlanError(
                    f"'{name}' would be written into the caller's memory", where=node.label
                )
        if _moves(self.graph, node):
            made = self._moved_tokens(node)
        else:
            self._check_operands(node)
            made = [self._fresh(name) for name in node.outputs if name]
        for name, tokens in zip(filter(None, node.outputs), made, strict=True):
            self._write(name, tokens, node.label)
        for name in filter(None, node.outputs):
            self._read(name, node.label)

    def _moved_tokens(self, node: Node) -> list[Tokens]:
        """The outputs of a moving node; what it writes must not lie on what it still reads."""
        made = self._moved_parts(node, self.expected)
        self._check_moved(node, made)
        for output, tokens in zip(filter(None, node.outputs), made, strict=True):
            changed = np.zeros(self._space(output).shape, dtype=bool)
            self._view(output, changed)[...] = self._view(output) != tokens[..., None]
            for name in _moved(node):
                if self._space(name) is not self._space(output):
                    continue
                if self._view(name, changed).any():
                    what = f"a copy into '{output}' would overwrite operand '{name}'"
                    raise PlanError(what, where=node.label)
        return made

    def _check_moved(self, node: Node, made: list[Tokens]) -> None:
        """The elements that are moved must be there still; those beside them need not."""
        for grain in range(self._view(_moved(node)[0]).shape[-1]):
            held = {name: self._view(name)[..., grain] for name in _moved(node)}
            found = self._moved_parts(node, held)
            if not all(map(np.array_equal, found, made)):
                what = f"what '{node.outputs[0]}' is made of was overwritten before it is read"
                raise PlanError(what, where=node.label)

    def _moved_parts(self, node: Node, values: Mapping[str, Tokens]) -> list[Tokens]:
        moved = [values[name] for name in _moved(node)]
        shapes = [_shape(self.graph, name) for name in node.outputs if name]
        axis = node.attributes.get("axis", 0)
        if node.op == "Concat":
            return [np.concatenate(moved, axis)]  # type: ignore[arg-type]
        if node.op == "Expand":
            return [np.broadcast_to(moved[0], np.broadcast_shapes(moved[0].shape, shapes[0]))]
        if node.op == "Transpose":
            return [np.transpose(moved[0], node.attributes.get("perm"))]  # type: ignore[arg-type]
        if node.op == "Split":
            ends = np.cumsum([shape[axis] for shape in shapes])[:-1]  # type: ignore[index]
            return np.split(moved[0], ends, axis)  # type: ignore[arg-type]
        if node.op == "Slice":
            numbers = [self.graph.constants[n].array() if n else None for n in node.inputs[1:]]
            return list(Table(xp).run(node, [moved[0], *numbers], {}))
        return [moved[0].reshape(shapes[0])]

    def _check_operands(self, node: Node) -> None:
        """An output may share bytes with an operand only in the same place, and where allowed."""
        can = ability(self.graph, node)
        for output in filter(None, node.outputs):
            mask = np.zeros(self._space(output).shape, dtype=bool)
            self._view(output, mask)[...] = True
            for position, name in enumerate(node.inputs):
                if name not in self.expected or self._space(name) is not self._space(output):
                    continue
                same = self.plan.placements[name] == self.plan.placements[output]
                same = same and _shape(self.graph, name) == _shape(self.graph, output)
                allowed = same and position in can.in_place and output == node.outputs[0]
                if not allowed and self._view(name, mask).any():
                    what = f"output '{output}' would overwrite operand '{name}'"
                    raise PlanError(what, where=node.label)
        self._check_forms(node, can.form)

    def _check_forms(self, node: Node, form: Form) -> None:
        for name in {*filter(None, node.outputs), *(set(reads(node)) & self.expected.keys())}:
            strides = self.plan.placements[name].strides
            shape = _shape(self.graph, name)
            inner = not shape or shape[-1] < 2 or strides[-1] == 1
            dense = _dense(shape, strides)
            if not (dense if form is Form.DENSE else inner or form is Form.ANY):
                raise PlanError(
                    f"the kernel does not take the strides of '{name}'", where=node.label
                )

    def _make(self, name: str) -> None:
        self._write(name, self._fresh(name), name)

    def _fresh(self, name: str) -> Tokens:
        shape = _shape(self.graph, name)
        count = int(np.prod(shape, dtype=np.int64))
        tokens = np.arange(self.next_token, self.next_token + count, dtype=np.int64)
        self.next_token += count
        return (tokens % (2**31 - 1)).astype(np.int32).reshape(shape)

    def _write(self, name: str, tokens: Tokens, where: str) -> None:
        view = self._view(name)
        if tokens.shape != view.shape[:-1]:
            raise PlanError(f"'{name}' has shape {tokens.shape}, not as typed", where=where)
        view[...] = tokens[..., None]
        self.expected[name] = tokens

    def _read(self, name: str, where: str) -> None:
        view = self._view(name)
        if not (view == self.expected[name][..., None]).all():
            raise PlanError(f"'{name}' was overwritten before it is read", where=where)

    def _space(self, name: str) -> Tokens:
        place = self.plan.placements[name]
        if place.space == "arena":
            return self.memory["arena"]
        key = f"{place.space} {place.buffer}"
        if key not in self.memory:
            self.memory[key] = self._blank(_nbytes(self.graph, place.buffer))
        return self.memory[key]

    def _blank(self, nbytes: int) -> Tokens:
        return np.zeros(-(-nbytes // self.grain), dtype=np.int32)

    def _view(self, name: str, memory: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
        """A value in memory; the last dimension is the grains of one element."""
        place, shape = self.plan.placements[name], _shape(self.graph, name)
        base = self._space(name) if memory is None else memory
        per = _itemsize(self.graph, name) // self.grain
        if 0 in shape:
            return np.zeros((*shape, per), dtype=base.dtype)
        start = place.offset // self.grain
        if place.offset % self.grain or start + _reach(self.graph, name, place) // self.grain > len(
            base
        ):
            raise PlanError(f"'{name}' lies outside the memory of {place.space} '{place.buffer}'")
        strides = tuple(s * per * base.itemsize for s in place.strides)
        return np.lib.stride_tricks.as_strided(
            base[start:], (*shape, per), (*strides, base.itemsize)
        )


def _moves(graph: Graph, node: Node) -> bool:
    """Whether a node only moves elements, to places that are known."""
    if node.op == "Slice" and any(n and n not in graph.constants for n in node.inputs[1:]):
        return False
    return node.op in _MOVING and not node.domain and node.version == 0


def _moved(node: Node) -> tuple[str, ...]:
    """The operands of a moving node whose elements are moved."""
    return node.inputs if node.op == "Concat" else node.inputs[:1]


def _grain(plan: Plan) -> int:
    """Bytes that all element sizes are multiples of."""
    names = [name for name in plan.placements if _is_sized(plan.graph, name)]
    return int(np.gcd.reduce([_itemsize(plan.graph, name) for name in names] or [1]))


def _is_sized(graph: Graph, name: str) -> bool:
    kind = graph.type_of(name)
    return isinstance(kind, TensorType) and kind.dtype.bits > 0


def _dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= max(size, 1)
    return True


def _shape(graph: Graph, name: str) -> tuple[int, ...]:
    kind = graph.type_of(name)
    if not isinstance(kind, TensorType) or kind.shape is None:
        raise PlanError(f"'{name}' has no size")
    return tuple(size for size in kind.shape if isinstance(size, int))


def _itemsize(graph: Graph, name: str) -> int:
    kind = graph.type_of(name)
    if not isinstance(kind, TensorType):
        raise PlanError(f"'{name}' has no size")
    return kind.dtype.numpy.itemsize


def _nbytes(graph: Graph, name: str) -> int:
    return int(np.prod(_shape(graph, name), dtype=np.int64)) * _itemsize(graph, name)


def _reach(graph: Graph, name: str, place: Placement) -> int:
    """Bytes from the first element to the end of the last."""
    shape = _shape(graph, name)
    if 0 in shape:
        return 0
    steps = sum((n - 1) * s for n, s in zip(shape, place.strides, strict=True))
    return (steps + 1) * _itemsize(graph, name)
