"""One program for all sizes of a range, or as few as may be.

In: a graph, and what it is bound to for each size, or for each pair of two sizes. Out: programs,
each for as many of them as one can be for.

What is decided for the largest size (the order, what shares memory, where it lies, bands of rows)
is kept for the others, so that their programs differ in numbers only; see
:mod:`pelemay.program.forms`. The numbers of three sizes make polynomials, and these are compared
with the programs of other sizes: of all, if they are few, else of a sample.

A size that is left out is believed to be what the polynomials say. What a program is made of are
sums, products and quotients of sizes, and comparisons of them. Comparisons with a limit that agree
at two sizes agree between them; quotients that go evenly at three sizes side by side and far away
go evenly between; and the sizes are in the sample at which a size could be taken for another one of
the model, and powers of two with their neighbours. So what would be missed is a rule that is
another one for a single size. The engine checks every size as it checks a file: what it runs stays
within its memory, and has the shapes of the call.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pelemay.compilation import Planned, parts
from pelemay.errors import MemoryLimitError, UnsupportedError
from pelemay.graph import TensorType
from pelemay.plan.again import Recipe
from pelemay.plan.bands import Curve
from pelemay.program.budget import Budgets, Fitted
from pelemay.program.build import build
from pelemay.program.forms import POINTS, Family
from pelemay.program.scratch import needed_by
from pelemay.program.versions import Place, changed_constants
from pelemay.target import Target

if TYPE_CHECKING:
    import numpy.typing as npt

    from pelemay.graph import Graph
    from pelemay.plan import Plan
    from pelemay.plan.bands.again import BandedRecipe
    from pelemay.program import Program

MOST_PLANS = 64
"""Plans that one range may be cut into."""

STRIDES = (2, 4, 8, 16, 32)
"""Between sizes that may be one program, where those side by side are not: what the strides of a
network for images multiply to."""

EVERY = 32
"""Sizes up to which all are compiled; of more, a sample."""

RANDOM = 8
"""Sizes of a sample that are drawn; of pairs, twice as many."""

TRIES = 2
"""Budgets that are tried for one plan, until the file of all keeps to what was asked for."""

ALIKE = 24
"""Sizes of a sample that are also those of something else in the model."""


@dataclass(frozen=True)
class Sized:
    """What a graph is bound to for one size, and what is then said of the program."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Span:
    """Sizes that the programs are for: all pairs of one of the first and one of the second.

    Attributes
    ----------
    first, second : range
        Numbers of sizes, ascending.
    """

    first: range
    second: range

    @property
    def axes(self) -> tuple[range, range]:
        """Both."""
        return self.first, self.second

    def at(self, place: Place) -> Place:
        """The numbers of the sizes so far below the largest."""
        return self.first[-1 - place[0]], self.second[-1 - place[1]]

    def replaced(self, axis: int, numbers: range) -> Span:
        """With other sizes on one axis."""
        return Span(numbers, self.second) if axis == 0 else Span(self.first, numbers)

    def upper(self, counts: Place) -> Span:
        """So many of the largest of each."""
        return Span(self.first[-counts[0] :], self.second[-counts[1] :])

    def without(self, counts: Place) -> Iterator[Span]:
        """What is left without so many of the largest of each."""
        if counts[0] < len(self.first):
            yield Span(self.first[: -counts[0]], self.second)
        if counts[1] < len(self.second):
            yield Span(self.first[-counts[0] :], self.second[: -counts[1]])


@dataclass(frozen=True)
class Request:
    """What is compiled.

    Parameters
    ----------
    graph : Graph
        A checked graph.
    numbers : pair of sequences
        The sizes themselves, ascending; the second is ``(0,)`` where there is none.
    sized : callable
        ``sized(first, second)`` gives what the graph is bound to for numbers of sizes.
    values : mapping, optional
        As for :func:`~pelemay.compilation.compile_graph`.
    target : Target
        What each size keeps to.
    """

    graph: Graph
    numbers: tuple[Sequence[int], Sequence[int]]
    sized: Callable[[int, int], Sized]
    values: Mapping[str, npt.NDArray[Any]] | None = None
    target: Target = field(default_factory=Target)


Describe = Callable[[Span, int], Mapping[str, Any]]


def ranged(request: Request, describe: Describe) -> list[Program]:
    """Programs for all sizes of a request, each of which the engine has checked.

    Parameters
    ----------
    request : Request
        What is compiled, and for which sizes.
    describe : callable
        ``describe(span, compiled)`` gives what a program for these sizes says of them, for so many
        of which it was compiled.

    Raises
    ------
    UnsupportedError
        If the range would have to be cut into too many programs; it says why.
    MemoryLimitError
        If a size cannot be made to take as little as the target says.
    """
    budget, target = request.target.budget_bytes, request.target
    programs = _cut(request, describe)
    for _ in range(TRIES):
        needed = needed_by(programs)
        if budget is None or needed <= budget:
            return programs
        # The file has tables of all plans, which no plan of one size knew of.
        target = target._replace(budget_bytes=(target.budget_bytes or 0) - needed + budget)
        programs = _cut(replace(request, target=target), describe)
    raise MemoryLimitError(
        f"a run takes {needed:,} bytes at least with the tables of {len(programs)} plans",
        hint=f"allow {needed:,} bytes, or less sizes",
        least_bytes=needed,
    )


def _cut(request: Request, describe: Describe) -> list[Program]:
    """The programs, as few as may be."""
    first, second = (range(len(numbers)) for numbers in request.numbers)
    made: list[Program] = []
    left, like = [Span(first, second)], None
    while left:
        span = left.pop(0)
        found = _largest_part(request, span, like)
        like = like or found.decided
        said = describe(found.span.upper(found.counts), found.family.compiled)
        metadata = {**found.family.largest.metadata, **said}
        made.append(found.family.program(found.counts, metadata))
        left[:0] = _left(span, found)
        if left and len(made) == MOST_PLANS:
            count = len(first) * len(second)
            what = f"{count} sizes need more than {MOST_PLANS} plans: {found.family.reason}"
            hint = "list the sizes that are needed, such as --dim batch=1,4,8, or make steps"
            raise UnsupportedError(what, hint=hint)
    return made


@dataclass(frozen=True)
class _Found:
    """A family, for so many of the largest sizes of a span."""

    family: Family
    span: Span
    counts: Place
    decided: _Decided

    def is_poor(self, axis: int) -> bool:
        """Whether sizes side by side are other programs."""
        return self.counts[axis] <= POINTS and self.counts[axis] < len(self.span.axes[axis])


def _left(span: Span, found: _Found) -> Iterator[Span]:
    """The sizes of a span that a family is not for, which takes some steps at a time."""
    yield from found.span.without(found.counts)
    for axis in (0, 1):
        all_of, taken = span.axes[axis], found.span.axes[axis]
        for shift in range(1, taken.step // all_of.step):
            yield span.replaced(axis, _every(all_of[: len(all_of) - shift], taken.step))
        span = span.replaced(axis, taken)


def _every(numbers: range, step: int) -> range:
    """The last of some numbers, and those before it that are whole steps away."""
    return range(numbers[0] + (numbers[-1] - numbers[0]) % step, numbers[-1] + 1, step)


def _largest_part(request: Request, span: Span, like: _Decided | None) -> _Found:
    """The family of the largest size of a span, as large as it gets, with blocks like others.

    Where a stride of the network does not divide each size, its programs are alike in every second,
    fourth, ... size only.
    """
    maker = _Maker(request, span.at((0, 0)), like)
    best = _grown(maker, span)
    for axis in (0, 1):
        tried = (best.span.replaced(axis, _every(span.axes[axis], n)) for n in _steps(span, axis))
        others = iter(tried if best.is_poor(axis) else ())
        while best.is_poor(axis) and (other := next(others, None)):
            found = _grown(maker, other)
            best = max(best, found, key=lambda f: f.counts[axis])
    return best


def _steps(span: Span, axis: int) -> Iterator[int]:
    """Steps for which there are at least two sizes."""
    numbers = span.axes[axis]
    return (n * numbers.step for n in STRIDES if n < len(numbers))


class _Maker:
    """The programs of sizes that are no larger than one, as was decided for that one."""

    def __init__(self, request: Request, largest: Place, like: _Decided | None) -> None:
        self.request = request
        self._largest = request.sized(*largest)
        self._trunk, tail = parts(request.graph, self._largest.shapes, request.values)
        self.decided = _decided(self._trunk, tail, request.target, like)
        self.program = self._built(self.decided.recipe.plan, tail, self._largest)
        self._made: dict[Place, tuple[Program, frozenset[str]] | None] = {}

    def _built(self, plan: Plan, tail: Graph | None, sized: Sized) -> Program:
        block_bytes, weights = self.decided.block_bytes, self.request.target.weights
        return build(plan, tail, sized.metadata, block_bytes=block_bytes, weights=weights)

    def at(self, numbers: Place) -> tuple[Program, frozenset[str]] | None:
        """The program of a size, and the constants that are others than for the largest."""
        if numbers not in self._made:
            self._made[numbers] = self._compiled(self.request.sized(*numbers))
        return self._made[numbers]

    def _compiled(self, sized: Sized) -> tuple[Program, frozenset[str]] | None:
        small, rest = parts(self.request.graph, sized.shapes, self.request.values)
        plan = None if rest else self.decided.recipe.at(small)
        if plan is None:
            return None
        return self._built(plan, None, sized), changed_constants(small, self._trunk)

    @property
    def sizes(self) -> frozenset[int]:
        """Sizes of values and constants of the largest."""
        kinds = [self._trunk.type_of(name) for node in self._trunk.nodes for name in node.outputs]
        shapes = [kind.shape or () for kind in kinds if isinstance(kind, TensorType)]
        shapes += [constant.shape for constant in self._trunk.constants.values()]
        return frozenset(size for shape in shapes for size in shape if isinstance(size, int))


@dataclass(frozen=True)
class _Decided:
    """How a size is planned: how values lie, and the size of blocks of weights."""

    recipe: Recipe | BandedRecipe
    block_bytes: int | None
    fitted: Fitted[Planned] | None = None


def _decided(trunk: Graph, tail: Graph | None, target: Target, like: _Decided | None) -> _Decided:
    def made(plan: Plan, block_bytes: int | None) -> Planned:
        program = build(plan, tail, block_bytes=block_bytes, weights=target.weights)
        return Planned(plan, program)

    if target.budget_bytes is not None:
        budgets = Budgets(trunk, made, None if like is None else like.fitted)
        found = budgets.within(target.budget_bytes)
        return _Decided(budgets.curve.recipe(found.point), found.block_bytes, found)
    if target.arena_bytes is not None:
        curve = Curve(trunk)
        recipe = curve.recipe(curve.within(target.arena_bytes))
        return _Decided(recipe, target.block_bytes)
    return _Decided(Recipe.of(trunk), target.block_bytes)


def _grown(maker: _Maker, span: Span) -> _Found:
    """The sizes of a span that are one program with the largest."""
    family = Family(maker.program)
    known: dict[Place, bool] = {(0, 0): True}

    def takes(place: Place) -> bool:
        if place not in known:
            made = maker.at(span.at(place))
            known[place] = made is not None and family.add(*made, place)
            family.reason = family.reason or "its values share memory in another way"
        return known[place]

    if family.is_left_to_others:
        family.reason = "some of its nodes have no instruction"
        return _Found(family, span, (1, 1), maker.decided)
    first = _along(maker, family, span, 0, lambda count: takes((count, 0)))
    second = _along(maker, family, span, 1, lambda count: takes((0, count)))
    counts = _inside(family, (first, second), takes)
    return _Found(family, span, counts, maker.decided)


def _along(
    maker: _Maker, family: Family, span: Span, axis: int, takes: Callable[[int], bool]
) -> int:
    """How many sizes of one axis are the same program, the other at its largest."""
    numbers = span.axes[axis]
    for count in range(1, min(POINTS, len(numbers))):
        if not takes(count):
            return count
    sizes = [maker.request.numbers[axis][number] for number in reversed(numbers)]
    last, end = min(POINTS, len(numbers)) - 1, len(numbers)
    for count in sorted(sampled(sizes, maker.sizes)):
        if not takes(count):
            end = _first_other(last, count, takes)
            break
        last = count
    others = (count for count in range(end) if family.varies and not takes(count))
    return next(others, end)


def _first_other(low: int, high: int, is_taken: Callable[[int], bool]) -> int:
    """Where taken ones end, between one that is and one that is not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_taken(middle) else (low, middle)
    return high


def sampled(sizes: Sequence[int], others: frozenset[int] = frozenset()) -> frozenset[int]:
    """Places of the sizes that are compiled, of sizes that fall from the first on.

    All of few; of more the ends, the middle, powers of two and their neighbours, sizes that are
    among ``others``, and some that are drawn.

    >>> sorted(600 - place for place in sampled(range(600, 0, -1), frozenset({768, 48})))[:12]
    [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31]
    """
    if len(sizes) <= EVERY:
        return frozenset(range(len(sizes)))
    powers = {2**n + k for n in range(31) for k in (-1, 0, 1)}
    alike = sorted(set(sizes) & others)[:ALIKE]
    near = {size + k for size in alike for k in (-1, 0, 1)}
    found = {place for place, size in enumerate(sizes) if size in powers or size in near}
    drawn = _drawn(range(len(sizes)), RANDOM)
    return frozenset({0, len(sizes) // 2, len(sizes) - 2, len(sizes) - 1, *found, *drawn})


def _drawn(sequence: Sequence[Any], count: int) -> list[Any]:
    """Some of a sequence, the same each time."""
    return random.Random(len(sequence)).sample(sequence, count)  # noqa: S311


def _inside(family: Family, counts: Place, takes: Callable[[Place], bool]) -> Place:
    """How many pairs of sizes are the same program, of so many that are with the other largest."""
    if 1 in counts:
        return counts
    first, second = (range(1, min(POINTS, count)) for count in counts)
    points = list(itertools.product(first, second))
    if not all(map(takes, points)):
        return (counts[0], 1) if counts[0] >= counts[1] else (1, counts[1])
    for place in _pairs(family, counts):
        if place[0] < counts[0] and place[1] < counts[1] and not takes(place):
            rows, columns = (place[0], counts[1]), (counts[0], place[1])
            counts = max(rows, columns, key=lambda pair: pair[0] * pair[1])
    return counts


def _pairs(family: Family, counts: Place) -> Iterator[Place]:
    """Pairs to be compiled: all of few, or where each is needed; else corners, and some drawn."""
    every = list(itertools.product(range(1, counts[0]), range(1, counts[1])))
    if len(every) > EVERY:
        last = counts[0] - 1, counts[1] - 1
        yield from (last, (1, last[1]), (last[0], 1))
        yield from _drawn(every, 2 * RANDOM)
    if len(every) <= EVERY or family.varies:
        yield from every
