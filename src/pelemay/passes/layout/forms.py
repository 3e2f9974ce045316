"""Values and the orders of axes in which they are held while the layout pass walks a graph.

In: a graph, and calls of the rules, one for each node. Out: new nodes. A *form* of a value is an
array whose axis ``i`` is the value's axis ``perm[i]``. A Transpose makes no array: it gives the
form that is there another permutation. Only a rule that needs an order that no form has
makes a Transpose node, or a Reshape where just axes of size 1 move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from pelemay.graph import Attribute, Constant, DType, Graph, Node, TensorType
from pelemay.passes.derived import permuted, reshaped
from pelemay.passes.matching import dtype_of, shape_of
from pelemay.passes.rewrite import Rewriter

Perm = tuple[int, ...]
Shape = tuple[int, ...]


def natural(rank: int) -> Perm:
    """The order that moves no axis.

    >>> natural(3)
    (0, 1, 2)
    """
    return tuple(range(rank))


def without_ones(perm: Iterable[int], shape: Shape) -> Perm:
    """The axes of a form in order, but those of size 1, whose place does not matter.

    >>> without_ones((0, 2, 3, 1), (1, 8, 4, 1))
    (2, 1)
    """
    return tuple(axis for axis in perm if shape[axis] != 1)


@dataclass
class Forms:
    """What the walk over a graph has made so far.

    Attributes
    ----------
    graph : Graph
        Before the pass; rules speak of its values.
    wanted_last : frozenset of str
        Values that readers want with channels last.
    index : int
        Of the node whose turn it is.
    nodes : list of Node
        Of the graph after the pass.
    scrambled : dict
        Products, by index, whose first operand's last axis was merged from axes of these sizes
        in this order: their weights have to follow.
    """

    graph: Graph
    wanted_last: frozenset[str] = frozenset()
    index: int = 0
    nodes: list[Node] = field(default_factory=list)
    scrambled: dict[int, tuple[Shape, Perm]] = field(default_factory=dict)
    _held: dict[str, dict[Perm, str]] = field(default_factory=dict)
    _constants: dict[str, Constant] = field(default_factory=dict)
    _declared: dict[str, tuple[DType, Shape]] = field(default_factory=dict)

    @cached_property
    def rewriter(self) -> Rewriter:
        """Gives names, and keeps constants and types."""
        return Rewriter(self.graph)

    def declare(self, base: str, label: str, shape: Shape) -> str:
        """A value that stands between the steps into which a rule takes a node apart."""
        name = self.rewriter.name(f"{base}::{label}")
        self._declared[name] = (self.dtype(base), shape)
        return name

    def shape(self, name: str) -> Shape:
        """The static shape of a value of the graph before."""
        if name in self._declared:
            return self._declared[name][1]
        found = shape_of(self.graph, name)
        assert found is not None, name
        return found

    def is_static(self, *names: str) -> bool:
        """Whether values are tensors of static shape; ``""`` counts as one."""
        return all(shape_of(self.graph, name) is not None for name in names if name)

    def dtype(self, name: str) -> DType:
        """The element type of a value of the graph before."""
        if name in self._declared:
            return self._declared[name][0]
        found = dtype_of(self.graph, name)
        assert found is not None, name
        return found

    def perms(self, name: str) -> tuple[Perm, ...]:
        """The orders in which a value is held, the first made first."""
        held = self._held.get(name)
        return tuple(held) if held else (natural(len(self.shape(name))),)

    def perm(self, name: str) -> Perm:
        """The order in which a value was made."""
        return self.perms(name)[0]

    def is_free(self, name: str, perm: Perm) -> bool:
        """Whether a value can be had in an order without moving elements in the run."""
        if name in self.graph.constants:
            return True
        wanted = without_ones(perm, self.shape(name))
        return any(without_ones(held, self.shape(name)) == wanted for held in self.perms(name))

    def hold(self, name: str, source: str, perm: Perm) -> None:
        """Say that the new value ``source`` is a value of the graph before in that order."""
        self._held.setdefault(name, {}).setdefault(perm, source)

    def prefer(self, name: str, perm: Perm) -> None:
        """Hold a value that was in natural order in another one first."""
        source = self.read(name, perm)
        self._held[name] = {perm: source, **self._held[name]}

    def read(self, name: str, perm: Perm) -> str:
        """A new value that is ``name`` with its axes in that order; made if it is not there."""
        shape = self.shape(name)
        held = self._held.get(name) or {natural(len(shape)): name}
        if perm in held:
            return held[perm]
        sizes = tuple(shape[axis] for axis in perm)
        wanted = without_ones(perm, shape)
        same = [p for p in held if without_ones(p, shape) == wanted]
        own = same[0] if same else next(iter(held))
        source = held[own]
        relative = tuple(own.index(axis) for axis in perm)
        constant = self._constant_at(source)
        if constant is not None:
            made = self.constant(f"{name}::moved", permuted(constant, relative))
        elif same:
            made = self._reshape(name, source, sizes)
        else:
            kind = self.dtype(name)
            made = self.step("Transpose", (source,), name, kind, sizes, {"perm": relative})
        self.hold(name, source, own)
        self.hold(name, made, perm)
        return made

    def plain(self, name: str) -> str:
        """A new value that is ``name`` as it was; values of unknown rank are always so."""
        if not name or name not in self._held:
            return name
        return self.read(name, natural(len(self.shape(name))))

    def broadcast(self, name: str, perm: Perm, *, short: bool = False) -> str:
        """A value of lower or equal rank as it broadcasts to an array in that order.

        Parameters
        ----------
        name : str
            The value; ``""`` gives ``""``.
        perm : tuple of int
            The order of the result's axes, of which the value's own are the last by nature.
        short : bool
            Whether a constant may lose leading axes of size 1.
        """
        if not name:
            return ""
        shape = self.shape(name)
        extra = len(perm) - len(shape)
        source = self.read(name, tuple(axis - extra for axis in perm if axis >= extra))
        sizes = tuple(shape[axis - extra] if axis >= extra else 1 for axis in perm)
        kept = sizes[extra:] if all(axis < extra for axis in perm[:extra]) else sizes
        constant = self._constant_at(source)
        if constant is not None:
            while short and len(kept) > 1 and kept[0] == 1:
                kept = kept[1:]
            row = reshaped(constant, kept)
            return source if row is constant else self.constant(f"{name}::row", row)
        if kept == tuple(shape[axis - extra] for axis in perm if axis >= extra):
            return source
        return self._reshape(name, source, kept)

    def _constant_at(self, source: str) -> Constant | None:
        return self._constants.get(source) or self.graph.constants.get(source)

    def constant(self, base: str, value: Constant) -> str:
        """A new constant."""
        name = self.rewriter.constant(base, value)
        self._constants[name] = value
        return name

    def integers(self, base: str, values: Sequence[int]) -> str:
        """A new constant of int64, one-dimensional."""
        return self.rewriter.constant(base, list(values), np.int64)

    def reshape(self, name: str, source: str, shape: Shape) -> str:
        """The new value ``source``, which belongs to ``name``, in another shape."""
        constant = self._constant_at(source)
        if constant is not None:
            return self.constant(f"{name}::shaped", reshaped(constant, shape))
        return self._reshape(name, source, shape)

    def _reshape(self, name: str, source: str, shape: Shape) -> str:
        target = self.integers(f"{name}::shape", shape)
        attributes: dict[str, Attribute] = {"allowzero": 1} if 0 in shape else {}
        inputs = (source, target)
        return self.step("Reshape", inputs, name, self.dtype(name), shape, attributes)

    def step(
        self,
        op: str,
        inputs: tuple[str, ...],
        base: str,
        dtype: DType,
        shape: Shape,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> str:
        """A new value between, named after ``base``, and the standard node that makes it."""
        made = self.rewriter.value(f"{base}::{op.lower()}", TensorType(dtype, shape))
        self.nodes.append(Node(op, inputs, (made,), attributes or {}))
        return made

    def add(
        self,
        node: Node,
        inputs: Sequence[str],
        perms: Sequence[Perm],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        op: str = "",
        domain: str = "",
    ) -> None:
        """Put a node in the place of an old one, whose outputs it makes in the orders given.

        Parameters
        ----------
        node : Node
            The old one; what is not given is as there.
        inputs : sequence of str
            New values.
        perms : sequence of tuple
            An order for each output.
        attributes : mapping, optional
            All attributes of the new node.
        op, domain : str, optional
            Its operation.
        """
        outputs = []
        for name, perm in zip(node.outputs, perms, strict=True):
            outputs.append(self._output(name, perm) if name else "")
        made = Node(
            op or node.op,
            tuple(inputs),
            tuple(outputs),
            node.attributes if attributes is None else attributes,
            domain=domain or node.domain,
            version=node.version,
            name=node.name,
        )
        self.nodes.append(made)

    def _output(self, name: str, perm: Perm) -> str:
        source = name
        if perm != natural(len(perm)):
            shape = self.shape(name)
            kind = TensorType(self.dtype(name), tuple(shape[axis] for axis in perm))
            source = self.rewriter.value(f"{name}::last", kind)
        self.hold(name, source, perm)
        return source

    def cheapest(self, names: Iterable[str], perms: Iterable[Perm]) -> Perm:
        """The order among some in which values are had by moving the fewest bytes.

        Of equals the first that is not the natural one wins.
        """
        wanted = list(names)

        def cost(perm: Perm) -> tuple[int, bool]:
            moved = sum(prod(self.shape(name)) for name in wanted if not self.is_free(name, perm))
            return moved, perm == natural(len(perm))

        return min(dict.fromkeys(perms), key=cost)
