"""From a plan to a program.

In: a plan, and the part of the graph that could not be planned. Out: a :class:`Program` whose
weights are not made yet: every node is instructions now, or text for the reference backend, with
the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pelemay.errors import GraphError, UnsupportedError
from pelemay.graph import Graph, Node, TensorType, reads
from pelemay.plan.bands.rows import Local, local
from pelemay.plan.groups import peak_of
from pelemay.program.bands import banded
from pelemay.program.ends import pairs_in_place
from pelemay.program.host import Constants, host_operand, one_node, text_of
from pelemay.program.lower import LOWERINGS
from pelemay.program.lowering import Lowering
from pelemay.program.narrow import format_of
from pelemay.program.operand import Call, Operand
from pelemay.program.program import (
    MAX_OPERANDS,
    NATIVE_DTYPES,
    Program,
    Space,
    Tensor,
    contiguous_strides,
)
from pelemay.program.tables import Tables, Weights
from pelemay.program.tail import why_late

if TYPE_CHECKING:
    from pelemay.plan import Plan, Step


def build(
    plan: Plan,
    tail: Graph | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    block_bytes: int | None = None,
    weights: str = "f32",
) -> Program:
    """Lower every node of a plan.

    Parameters
    ----------
    plan : Plan
        Of a graph whose values all have static types that can lie in memory.
    tail : Graph, optional
        What is run after it on the host; see :func:`pelemay.program.tail.split`.
    metadata : mapping, optional
        What else the program should say; JSON must be able to hold it.
    block_bytes : int, optional
        Above which a layer's packed weights are cut into several blocks, each with an instruction
        of its own; see :mod:`pelemay.program.slices`.
    weights : {"f32", "f16", "bf16", "int8"}
        What the weights of convolutions and of products are stored as. They are computed with in
        float32; see :mod:`pelemay.program.narrow`.

    Returns
    -------
    Program
        ``metadata["host"]`` has an entry for each node that has no instruction.

    Raises
    ------
    GraphError
        If the plan does not place a value.
    """
    return _Builder(plan, block_bytes, weights).program(tail, metadata or {})


class _Builder:
    def __init__(self, plan: Plan, block_bytes: int | None, weights: str) -> None:
        self.plan = plan
        self.weights = Weights()
        self.tables = Tables(self.weights)
        self.format = weights
        self.lowering = Lowering(plan, self.weights, block_bytes, format_of(weights))
        self.constants = Constants(self.lowering, self.tables)
        self.host: list[dict[str, Any]] = []
        self.locals: dict[int, Local | None] = {}

    def program(self, tail: Graph | None, metadata: Mapping[str, Any]) -> Program:
        graph = self.plan.graph
        inputs = tuple(self.end(name, i, Space.INPUT) for i, name in enumerate(graph.inputs))
        outputs = tuple(self.end(name, i, Space.OUTPUT) for i, name in enumerate(graph.outputs))
        for number, step in enumerate(self.plan.steps):
            self.step(number, step)
        last = self.tail(tail) if tail is not None else None
        return Program(
            self.plan.arena_bytes,
            self.tables.tensors,
            self.tables.instructions,
            inputs,
            outputs,
            self.weights.blocks(),
            {
                **metadata,
                "nodes": len(graph.nodes) + (len(tail.nodes) if tail is not None else 0),
                **self.peak(),
                "program_inputs": list(graph.inputs),
                "program_outputs": list(graph.outputs),
                **self.as_bytes((*graph.inputs, *graph.outputs)),
                **self.in_place(tuple(graph.inputs), tuple(graph.outputs)),
                **({"weights": self.format} if self.lowering.widens else {}),
                "host": self.host,
                "tail": last,
                "constants": self.constants.entries,
            },
        )

    def end(self, name: str, index: int, space: Space) -> int:
        """The tensor that the caller's array is: whole, in C order."""
        kind = self.lowering.type(name)
        shape, dtype = self.lowering.shape(name), kind.dtype
        if dtype not in NATIVE_DTYPES:
            shape, dtype = (*shape, dtype.numpy.itemsize), type(dtype).UINT8
        strides = contiguous_strides(shape)
        return self.tables.number(Operand(Tensor(dtype, shape, strides, space, index, name=name)))

    def peak(self) -> dict[str, str]:
        """What sets the size of the arena, if there is one."""
        found = peak_of(self.plan)
        return {"arena_set_by": found.label} if found else {}

    def as_bytes(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The types of those ends that the engine takes and gives as bytes, if there are any."""
        types = {name: self.lowering.type(name).dtype for name in names}
        found = {name: dtype.value for name, dtype in types.items() if dtype not in NATIVE_DTYPES}
        return {"as_bytes": found} if found else {}

    def in_place(self, inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, dict[str, str]]:
        """Outputs that may lie where an input does, if there are any."""
        found = pairs_in_place(self.tables.tensors, self.tables.instructions)
        named = {outputs[y]: inputs[x] for x, y in found.items()}
        return {"in_place": named} if named else {}

    def tail(self, graph: Graph) -> dict[str, Any]:
        """The whole tail as text, and why each of its nodes is there."""
        reasons = [{"node": node.label, "reason": why_late(graph, node)} for node in graph.nodes]
        return {**text_of(graph, self.constants), "nodes": reasons}

    def step(self, number: int, step: Step) -> None:
        """A whole node, or some rows of one."""
        node = self.plan.graph.nodes[step.node]
        if not step.is_band:
            self.node(number, step.node, node)
            return
        if step.node not in self.locals:
            self.locals[step.node] = local(self.plan.graph, node)
        for call in banded(self.lowering, self.plan, step, self.locals[step.node]):
            self.tables.add(call, step.node, node.label, number)

    def node(self, step: int, number: int, node: Node) -> None:
        """Its instructions; none where it makes no element at all."""
        graph = self.plan.graph
        kinds = [graph.type_of(name) for name in node.outputs if name]
        if kinds and all(isinstance(k, TensorType) and 0 in (k.shape or ()) for k in kinds):
            return
        for call in self.calls(node):
            self.tables.add(call, number, node.label, step)

    def calls(self, node: Node) -> list[Call]:
        lower = LOWERINGS.get((node.domain, node.op)) if node.version == 0 else None
        reason = f"there is no instruction for {node.qualified}"
        if node.version:
            reason += f" in the form of operator set {node.version}"
        try:
            if lower is not None:
                lower(self.lowering, node)
                return self.lowering.take()
        except UnsupportedError as error:
            self.lowering.take()
            reason = str(error)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"its inputs and attributes do not fit an instruction: {error}"
            raise GraphError(what, where=node.label) from error
        return self.on_host(node, reason)

    def on_host(self, node: Node, reason: str) -> list[Call]:
        """The node as text, and an instruction that stops for it.

        Its parameters are the entry's number, and which part of how many this is: an instruction
        has few operands, so that a node of many takes several; it runs at the last.
        """
        graph = self.plan.graph
        inputs = [name for name in dict.fromkeys(reads(node)) if name not in graph.constants]
        outputs = [name for name in node.outputs if name]
        entry = text_of(one_node(graph, node), self.constants)
        self.host.append({**entry, "node": node.label, "reason": reason})
        parts = -(-max(len(inputs), len(outputs), 1) // MAX_OPERANDS)
        for part in range(parts):
            window = slice(part * MAX_OPERANDS, (part + 1) * MAX_OPERANDS)
            self.lowering.emit(
                "host",
                [host_operand(self.lowering, name) for name in inputs[window]],
                [host_operand(self.lowering, name) for name in outputs[window]],
                [len(self.host) - 1, part, parts],
                serial=True,
            )
        return self.lowering.take()
