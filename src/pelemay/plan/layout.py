"""Layouts: how the elements of a value lie in a piece of memory, and views of them.

In: an offset, a shape and strides, all in elements. Out: the layout of a view, or None where the
elements of the view do not lie at regular strides; and whether two layouts may share bytes.

>>> whole = Layout.dense((2, 6))
>>> half = Window((0, 2), (1, 1), (2, 3)).apply(whole)
>>> half
Layout(offset=2, shape=(2, 3), strides=(6, 1))
>>> Reshape((6,)).apply(half) is None
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Where the elements of an array lie: an offset and strides, in elements."""

    offset: int
    shape: Ints
    strides: Ints

    @classmethod
    def dense(cls, shape: Ints) -> Layout:
        """C order from the start."""
        return cls(0, shape, dense_strides(shape))

    @cached_property
    def is_dense(self) -> bool:
        """Whether the elements lie one behind the other in C order."""
        natural = dense_strides(self.shape)
        sizes = zip(self.shape, self.strides, natural, strict=True)
        return 0 in self.shape or all(s == n for size, s, n in sizes if size > 1)

    @cached_property
    def is_inner_dense(self) -> bool:
        """Whether the elements of the last dimension are neighbours."""
        return not self.shape or self.shape[-1] <= 1 or self.strides[-1] == 1

    @cached_property
    def span(self) -> tuple[int, int]:
        """First element and the one behind the last."""
        if 0 in self.shape:
            return self.offset, self.offset
        reach = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return self.offset, self.offset + reach + 1

    @cached_property
    def runs(self) -> tuple[tuple[tuple[int, int], ...], int]:
        """The outer dimensions as (size, stride), largest stride first, and the innermost run.

        Neighbouring dimensions that lie without a gap are one; an order of dimensions that
        differs only by a transposition gives the same runs.
        """
        sizes = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n > 1]
        sizes.sort(key=lambda pair: pair[1])
        run = 1
        outer: list[tuple[int, int]] = []
        for n, s in sizes:
            if s == run and not outer:
                run *= n
            elif outer and outer[-1][0] * outer[-1][1] == s:
                outer[-1] = (outer[-1][0] * n, outer[-1][1])
            else:
                outer.append((n, s))
        return tuple(reversed(outer)), run


@dataclass(frozen=True, slots=True)
class Same:
    """The same elements in the same shape."""

    def apply(self, layout: Layout) -> Layout | None:
        """The layout itself."""
        return layout

    def inverse(self, _shape: Ints) -> View | None:
        """The same."""
        return self


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements in C order in another shape."""

    shape: Ints

    def apply(self, layout: Layout) -> Layout | None:
        """The layout of the view; None where strides cannot say it."""
        strides = _reshaped(layout, self.shape)
        return None if strides is None else Layout(layout.offset, self.shape, strides)

    def inverse(self, shape: Ints) -> View | None:
        """Back to ``shape``."""
        return Reshape(shape)


@dataclass(frozen=True, slots=True)
class Permute:
    """The dimensions in another order."""

    axes: Ints

    def apply(self, layout: Layout) -> Layout | None:
        """The layout of the view."""
        shape = tuple(layout.shape[a] for a in self.axes)
        return Layout(layout.offset, shape, tuple(layout.strides[a] for a in self.axes))

    def inverse(self, _shape: Ints) -> View | None:
        """Back to the order before."""
        return Permute(tuple(self.axes.index(a) for a in range(len(self.axes))))


@dataclass(frozen=True, slots=True)
class Window:
    """A part: for each dimension where it starts, its step and its size."""

    starts: Ints
    steps: Ints
    shape: Ints

    @classmethod
    def along(cls, axis: int, start: int, shape: Ints) -> Window:
        """A part of one dimension, all of the others."""
        rank = len(shape)
        starts = tuple(start if d == axis else 0 for d in range(rank))
        return cls(starts, (1,) * rank, shape)

    def apply(self, layout: Layout) -> Layout | None:
        """The layout of the part; None where it does not lie within."""
        sizes = zip(layout.shape, self.starts, self.steps, self.shape, strict=True)
        if any(n > 0 and (b < 0 or b + (n - 1) * step >= size) for size, b, step, n in sizes):
            return None
        start = sum(b * s for b, s in zip(self.starts, layout.strides, strict=True))
        strides = tuple(a * b for a, b in zip(self.steps, layout.strides, strict=True))
        return Layout(layout.offset + start, self.shape, strides)

    def inverse(self, _shape: Ints) -> View | None:
        """A part does not say where the rest lies."""
        return None


View: TypeAlias = Same | Reshape | Permute | Window


def dense_strides(shape: Ints) -> Ints:
    """Strides of C order, in elements.

    >>> dense_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides, stride = [], 1
    for size in reversed(shape):
        strides.append(stride)
        stride *= max(size, 1)
    return tuple(reversed(strides))


def _reshaped(layout: Layout, shape: Ints) -> Ints | None:
    """Strides of ``shape`` over the same elements in C order; None if there are none."""
    if 0 in shape or layout.is_dense:
        return dense_strides(shape)
    old = [(n, s) for n, s in zip(layout.shape, layout.strides, strict=True) if n != 1]
    strides = [1] * len(shape)
    at = 0
    for group, inner in _groups([n for n, _ in old], shape):
        members = old[at : at + group]
        at += group
        if any(a[1] != b[0] * b[1] for a, b in pairwise(members)):
            return None
        stride = members[-1][1]
        for axis in reversed(inner):
            strides[axis] = stride
            stride *= shape[axis]
    return _with_natural_ones(shape, strides)


def _groups(old: list[int], shape: Ints) -> list[tuple[int, list[int]]]:
    """How many old dimensions become which new ones, in the smallest groups of equal products."""
    groups = []
    axes = [axis for axis, n in enumerate(shape) if n != 1]
    i = j = 0
    while i < len(old) or j < len(axes):
        first_i, first_j = i, j
        left, right = old[i], shape[axes[j]]
        i, j = i + 1, j + 1
        while left != right:
            if left < right:
                left, i = left * old[i], i + 1
            else:
                right, j = right * shape[axes[j]], j + 1
        groups.append((i - first_i, axes[first_j:j]))
    return groups


def _with_natural_ones(shape: Ints, strides: list[int]) -> Ints:
    """Give dimensions of size 1 the stride that C order would."""
    following = 1
    for axis in range(len(shape) - 1, -1, -1):
        if shape[axis] == 1:
            strides[axis] = following
        following = strides[axis] * shape[axis]
    return tuple(strides)


def tidy(layout: Layout) -> Layout:
    """The same elements, with the stride of C order where a dimension's size is 1."""
    strides = _with_natural_ones(layout.shape, list(layout.strides))
    return Layout(layout.offset, layout.shape, strides)


def overlap(a: Layout, b: Layout) -> bool:
    """Whether two layouts in one piece of memory may share an element.

    True is sometimes said of two that do not; False never of two that do.

    >>> left, right = Layout(0, (4, 3), (6, 1)), Layout(3, (4, 3), (6, 1))
    >>> overlap(left, right), overlap(left, Layout(2, (4, 3), (6, 1)))
    (False, True)
    """
    (a_first, a_end), (b_first, b_end) = a.span, b.span
    if a_end <= b_first or b_end <= a_first or a_first == a_end or b_first == b_end:
        return False
    (a_outer, a_run), (b_outer, b_run) = a.runs, b.runs
    pitch = math.gcd(*(s for _, s in (*a_outer, *b_outer)))
    if pitch <= 1:
        return True
    a_start, b_start = a_first % pitch, b_first % pitch
    if a_start + a_run > pitch or b_start + b_run > pitch:
        return True
    return a_start < b_start + b_run and b_start < a_start + a_run
