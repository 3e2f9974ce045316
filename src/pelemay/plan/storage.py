"""Storages: pieces of memory that several values lie in, and what is written and read there.

In: nothing. Out: the types that :mod:`pelemay.plan.forest` works with.

A value's *atoms* are the pieces that make up its elements: itself where a node computes it, the
atoms of others where it is a view, those of its operands where it is a concatenation in place. Each
atom is written at one step; a *touch* of a value reads all its atoms.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pelemay.plan.aliasing import Form
from pelemay.plan.layout import Ints, Layout, View

FOREVER = 1 << 60
"""The step at which graph outputs are read, and until which inputs must stay as they are."""


class Content(enum.Enum):
    """What a value that joins another has to do with its elements."""

    OWN = "own"
    """It takes the place; its elements are its own."""
    SHARED = "shared"
    """Its elements are the other's: it is a view."""
    PART = "part"
    """The other's elements are made of it: it is the operand of a concatenation."""


@dataclass(frozen=True)
class Value:
    """A value to be placed.

    Attributes
    ----------
    name : str
        Its name.
    shape : tuple of int
        Its static shape.
    itemsize : int
        Bytes of an element.
    made : int
        The step that writes it; -1 for what is there before the run.
    owner : str
        The input, output or constant whose memory it fills; ``""`` for one of the arena.
    form : Form
        The strictest layout that the kernels which write or read it ask for.
    """

    name: str
    shape: Ints
    itemsize: int
    made: int
    owner: str = ""
    form: Form = Form.ANY

    def accepts(self, layout: Layout) -> bool:
        """Whether the kernels that write and read this value take such a layout."""
        if self.form is Form.DENSE:
            return layout.is_dense
        return self.form is Form.ANY or layout.is_inner_dense


@dataclass(frozen=True, slots=True)
class Atom:
    """Elements written together: a value (``part`` -1), or one copied part of a concatenation."""

    value: str
    part: int
    step: int


@dataclass(frozen=True, slots=True)
class Touch:
    """A step that reads a value's elements, and whether its output may take their place."""

    step: int
    replaceable: bool = False


@dataclass
class Storage:
    """A piece of memory: the value that fills it in C order, and all values that lie in it."""

    root: str
    members: list[str]
    owner: str = ""
    atoms: list[Atom] = field(default_factory=list)


@dataclass(frozen=True)
class Proposal:
    """A way to join two storages: layouts that change, the edge between two values, the root."""

    moved: dict[str, Layout]
    parent: str
    child: str
    view: View
    root: str
