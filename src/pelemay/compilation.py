"""From a graph to a program: the steps of the compiler, in order.

In: a graph, and what is known of its inputs. Out: a :class:`~pelemay.program.Program`.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, ("n", 8))
>>> graph = Graph("g", {"x": x}, {"y": x}, (Node("Relu", ("x",), ("y",)),))
>>> [step.opcode for step in compile_graph(graph, {"x": (2, 8)}).instructions]
['activation']
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pelemay.errors import UnsupportedError
from pelemay.passes import bind, run_passes
from pelemay.plan import plan_graph
from pelemay.plan.again import Recipe
from pelemay.plan.bands import Curve, plan_within
from pelemay.program.budget import Budgets
from pelemay.program.build import build
from pelemay.program.forms import Family
from pelemay.program.tail import split
from pelemay.program.versions import changed_constants
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
        If the graph contradicts itself.
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
    wanted = target or Target()
    trunk, tail = _parts(graph, shapes, values, check=check)

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
    trunk, tail = _parts(graph, shapes, values, check=False)
    return Budgets(trunk, _maker(tail, metadata, weights))


MOST_PLANS = 64
"""Plans that one range may be cut into."""

STRIDES = (1, 2, 4, 8, 16, 32)
"""Between sizes that may be one program; those of a network for images multiply to one of these."""


@dataclass(frozen=True)
class Sized:
    """What a graph is bound to for one size of a range, and what is then said of the program."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, Any]


def ranged(
    graph: Graph,
    sizes: Sequence[Sized],
    values: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    target: Target | None = None,
    describe: Callable[[int, int, int], Mapping[str, Any]],
) -> list[Program]:
    """Programs for all sizes of a range, each for as many of them as one program can be for.

    The graph is compiled once for each size. What is decided for the largest (the order, what
    shares memory, where it lies) is kept for the others, so that their programs differ in numbers
    only; see :mod:`pelemay.program.forms`.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    sizes : sequence of Sized
        The smallest first.
    values : mapping, optional
        As for :func:`compile_graph`.
    target : Target, optional
        How weights are stored; values are whole.
    describe : callable
        ``describe(first, last, stride)`` gives what a program for these sizes says of them.

    Raises
    ------
    UnsupportedError
        If the range would have to be cut into too many programs; it says why.
    """
    wanted = target or Target()
    made: list[Program] = []
    left, stride = set(range(len(sizes))), 1
    while left:
        family, members, stride = _next_family(graph, sizes, values, wanted, left, stride)
        said = describe(members[-1], members[0], stride)
        made.append(family.program({**family.largest.metadata, **said}))
        left.difference_update(members)
        if len(made) > MOST_PLANS:
            what = f"{len(sizes)} sizes need more than {MOST_PLANS} plans: {family.reason}"
            hint = "list the sizes that are needed, such as --dim batch=1,4,8, or make steps"
            raise UnsupportedError(what, hint=hint)
    return made


def _next_family(
    graph: Graph,
    sizes: Sequence[Sized],
    values: Mapping[str, npt.NDArray[Any]] | None,
    target: Target,
    left: Collection[int],
    stride: int,
) -> tuple[Family, list[int], int]:
    """The largest size that is left, and those before it that are the same program.

    Where a stride of the network does not divide each size, its programs are alike in every second,
    fourth, ... size only: what was found last is tried first, then others.
    """
    last = max(left)
    best: tuple[Family, list[int], int] | None = None
    for step in dict.fromkeys((stride, *STRIDES)):
        members = list(takewhile(left.__contains__, range(last, -1, -step)))
        family = _family(graph, [sizes[n] for n in members], values, target)
        found = family, members[: family.count], step
        if family.count > 3 or family.count == len(left):
            return found
        best = max(best or found, found, key=lambda other: other[0].count)
    return best or found


def _family(
    graph: Graph,
    sizes: Sequence[Sized],
    values: Mapping[str, npt.NDArray[Any]] | None,
    target: Target,
) -> Family:
    """The first size, which is the largest, and all behind it that are the same program."""
    trunk, tail = _parts(graph, sizes[0].shapes, values, check=False)
    recipe = Recipe.of(trunk)

    def built(plan: Plan, size: Sized, rest: Graph | None) -> Program:
        return build(
            plan, rest, size.metadata, block_bytes=target.block_bytes, weights=target.weights
        )

    family = Family(built(recipe.plan, sizes[0], tail))
    for size in sizes[1:]:
        small, rest = _parts(graph, size.shapes, values, check=False)
        plan = None if rest else recipe.at(small)
        if plan is None:
            family.reason = "its values share memory in another way"
            break
        if not family.add(built(plan, size, None), changed_constants(small, trunk)):
            break
    return family


def curve(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    values: Mapping[str, npt.NDArray[Any]] | None = None,
) -> Curve:
    """All plans of a graph after all passes, the smaller the arena the slower."""
    trunk, _ = _parts(graph, shapes, values, check=False)
    return Curve(trunk)


def _parts(
    graph: Graph,
    shapes: Mapping[str, tuple[int, ...]] | None,
    values: Mapping[str, npt.NDArray[Any]] | None,
    *,
    check: bool,
) -> tuple[Graph, Graph | None]:
    """What can be planned before the run, and what cannot."""
    return split(run_passes(bind(graph, shapes or {}, values or {}), check=check))
