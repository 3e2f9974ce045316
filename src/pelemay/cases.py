"""What the open sizes of a model are bound to: shapes, names of sizes, ranges of one or two.

In: texts of the command line, or numbers. Out: :class:`Case` after case. A case is one set of
shapes, or all sets that a range makes, or two that are independent.

>>> [case.sizes(0) for case in cases_of([("dim", "batch=1,4"), None, ("dim", "batch=8")])]
[{'batch': 1}, {'batch': 4}, {'batch': 8}]
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pelemay.errors import InputError

MOST_SPANS = 2
"""Ranges of one case."""

HOW = "write N, N,N,..., FIRST..LAST, FIRST..LAST:STEP, or OTHER+N"


@dataclass(frozen=True)
class Span:
    """The numbers that a size may be.

    Parameters
    ----------
    first, last : int
        Both included.
    step : int
        From one to the next.
    """

    first: int
    last: int
    step: int = 1

    @property
    def numbers(self) -> range:
        """All of them, the smallest first."""
        return range(self.first, self.last + 1, self.step)


@dataclass(frozen=True)
class Follows:
    """A size that is another one, and some more."""

    other: str
    more: int = 0


Size = int | Span | Follows


@dataclass(frozen=True)
class Case:
    """Open sizes, bound.

    Parameters
    ----------
    shapes : mapping
        Input name to shape.
    dims : mapping
        Name of a size to what it is; at most two are a :class:`Span`.

    Raises
    ------
    InputError
        If more than two sizes are ranges, or one follows a size that is not there.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    dims: Mapping[str, Size] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check it."""
        if len(self.spans) > MOST_SPANS:
            raise InputError(
                f"{', '.join(self.spans)} are ranges; two sizes can be",
                where="--dim",
                hint="list the numbers of the others, such as batch=1,4,8",
            )
        for name, size in self.dims.items():
            if isinstance(size, Follows) and not isinstance(self.dims.get(size.other), int | Span):
                what = f"{name} follows {size.other}, which has no number and no range"
                raise InputError(what, where="--dim")

    @property
    def spans(self) -> dict[str, Span]:
        """The sizes that are ranges, with their names."""
        return {n: s for n, s in self.dims.items() if isinstance(s, Span)}

    def followers(self, name: str) -> dict[str, str]:
        """The sizes that follow one of that name, each with how, in words."""
        sizes = {n: size for n, size in self.dims.items() if isinstance(size, Follows)}
        return {
            n: f"{name}{size.more:+}" if size.more else name
            for n, size in sizes.items()
            if size.other == name
        }

    @property
    def count(self) -> int:
        """How many sets of shapes it is."""
        return math.prod(len(span.numbers) for span in self.spans.values())

    def sizes(self, number: int) -> dict[str, int]:
        """The size of each name, for one of its sets; the first range goes fastest.

        >>> case = Case(dims={"batch": Span(1, 2), "seq": Span(5, 7)})
        >>> case.sizes(3)
        {'batch': 2, 'seq': 6}
        """
        found: dict[str, int] = {}
        for name, size in self.dims.items():
            if isinstance(size, Span):
                number, place = divmod(number, len(size.numbers))
                found[name] = size.numbers[place]
            elif not isinstance(size, Follows):
                found[name] = size
        for name, size in self.dims.items():
            if isinstance(size, Follows):
                found[name] = found[size.other] + size.more
        return found


def cases_of(items: Iterable[tuple[str, str] | None]) -> list[Case]:
    """The cases that ``--shape``, ``--dim`` and ``--and`` name, in the order given.

    Parameters
    ----------
    items : iterable
        ``("shape", text)``, ``("dim", text)``; None where one group ends and the next begins. Sizes
        of a group that list several numbers give a case for each combination.

    Raises
    ------
    InputError
        If a text is none of these.
    """
    groups: list[list[tuple[str, str]]] = [[]]
    for item in items:
        if item is None:
            groups.append([])
        else:
            groups[-1].append(item)
    return [case for group in groups for case in _group(group)]


def _group(items: Sequence[tuple[str, str]]) -> list[Case]:
    shapes = shapes_of(text for kind, text in items if kind == "shape")
    dims = dict(_dim(text) for kind, text in items if kind == "dim")
    chosen = itertools.product(*dims.values())
    return [Case(shapes, dict(zip(dims, sizes, strict=True))) for sizes in chosen]


def shapes_of(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """What ``--shape`` says.

    >>> shapes_of(["x=1x3x224x224", "scalar="])
    {'x': (1, 3, 224, 224), 'scalar': ()}
    """
    found = {}
    for text in texts:
        name, equals, sizes = text.rpartition("=")
        parts = [part for part in sizes.lower().split("x") if part]
        if not equals or not name or not all(part.isdigit() for part in parts):
            raise InputError(
                f"{text!r} is not a name and a shape", where="--shape", hint="write x=1x3x224x224"
            )
        found[name] = tuple(map(int, parts))
    return found


def _dim(text: str) -> tuple[str, tuple[Size, ...]]:
    """A name, and what it may be."""
    name, equals, value = text.rpartition("=")
    if equals and name:
        if re.fullmatch(r"\d+(,\d+)*", value):
            return name, tuple(map(int, value.split(",")))
        if match := re.fullmatch(r"(\d+)\.\.(\d+)(?::([1-9]\d*))?", value):
            span = Span(int(match[1]), int(match[2]), int(match[3] or 1))
            if span.numbers:
                return name, (span,)
        elif match := re.fullmatch(r"(.*[^\d\s+-].*?)\s*([+-]\s*\d+)?", value):
            return name, (Follows(match[1], int((match[2] or "0").replace(" ", ""))),)
    raise InputError(f"{text!r} is not a name and a size", where="--dim", hint=HOW)
