"""From a graph to a program: the steps of the compiler, in order.

In: a graph, and what is known of its inputs. Out: a :class:`~pelemay.program.Program`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, ("n", 8))
>>> graph = Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),))
>>> [step.opcode for step in compile_graph(graph, {"x": (2, 8)}).instructions]
['activation']
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pelemay.passes import bind, run_passes
from pelemay.plan import plan_graph
from pelemay.plan.bands import Curve, plan_within
from pelemay.program.accept import check_accepted
from pelemay.program.budget import Budgets
from pelemay.program.build import build
from pelemay.program.tail import split
from pelemay.target import Target

if TYPE_CHECKING:
    import numpy.typing as npt

    from pelemay.graph import Graph
    from pelemay.plan import Plan
    from pelemay.program import Program


def compile_graph(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    target: Target | None = None,
    metadata: Mapping[str, Any] | None = None,
    check: bool = False,
) -> Program:
    """Compile a graph.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    shapes : mapping, optional
        Input name to its shape, for inputs whose own is not static.
    values : mapping, optional
        Input name to its value, for inputs that shape the run, as
        :func:`pelemay.passes.host_inputs.host_inputs` names them. The program has no such input.
    target : Target, optional
        How much memory it may take, and how weights are stored.
    metadata : mapping, optional
        What else the program should say of itself.
    check : bool
        Check the graph between passes.

    Returns
    -------
    Program
        Nodes without instructions, and what depends on sizes that are not known before the run,
        are in it as text for the reference backend.

    Raises
    ------
    GraphError, UnsupportedError
        If the graph contradicts itself, also in a way that only the engine sees.
    MemoryLimitError
        If it cannot be made to take as little as the target says.
    """
    return planned(graph, shapes, values, target=target, metadata=metadata, check=check).program


@dataclass(frozen=True)
class Planned:
    """Where every value of a model lies, and the program that follows from it.

    Attributes
    ----------
    plan : Plan
        Of all nodes whose values have a size before the run.
    program : Program
        Of all nodes.
    """

    plan: Plan
    program: Program


def planned(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    target: Target | None = None,
    metadata: Mapping[str, Any] | None = None,
    check: bool = False,
) -> Planned:
    """The plan of a graph after all passes, and its program; as :func:`compile_graph`."""
    made = _planned(graph, shapes, values, target, metadata, check)
    check_accepted(made.program)
    return made


def _planned(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None,
    values: Mapping[str, npt.NDArray[Any]] | None,
    target: Target | None,
    metadata: Mapping[str, Any] | None,
    check: bool,
) -> Planned:
    wanted = target or Target()
    trunk, tail = parts(graph, shapes, values, check=check)

    made = _maker(tail, metadata, wanted.weights)
    if wanted.budget_bytes is not None:
        return Budgets(trunk, made).within(wanted.budget_bytes).made
    if wanted.arena_bytes is None:
        return made(plan_graph(trunk), wanted.block_bytes)
    return made(plan_within(trunk, wanted.arena_bytes), wanted.block_bytes)


def _maker(
    tail: Graph | None, metadata: Mapping[str, Any] | None, weights: str
) -> Callable[[Plan, int | None], Planned]:
    def made(plan: Plan, block_bytes: int | None) -> Planned:
        program = build(plan, tail, metadata, block_bytes=block_bytes, weights=weights)
        return Planned(plan, program)

    return made


def budgets(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    weights: str = "f32",
) -> Budgets[Planned]:
    """The programs of a graph after all passes, within budgets; as :func:`compile_graph`."""
    trunk, tail = parts(graph, shapes, values)
    return Budgets(trunk, _maker(tail, metadata, weights))


def curve(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Curve:
    """All plans of a graph after all passes, the smaller the arena the slower."""
    trunk, _ = parts(graph, shapes, values)
    return Curve(trunk)


def parts(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None,
    values: Mapping[str, npt.NDArray[Any]] | None,
    *,
    check: bool = False,
) -> tuple[Graph, Graph | None]:
    """What of a graph can be planned before the run, after all passes, and what cannot."""
    return split(run_passes(bind(graph, shapes or {}, values or {}), check=check))
