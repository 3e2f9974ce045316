"""New nodes for the place of an old one, with the shapes of what they make.

In: a :class:`~pelemay.passes.rewrite.Rewriter` and calls that name operations. Out: nodes, whose
last makes what the old node made. A constant is moved at once, lazily, instead of by a node.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x, y = TensorType(DType.FLOAT32, (2, 3)), TensorType(DType.FLOAT32, (6,))
>>> e = Emitter(Rewriter(Graph("g", {"x": x}, {"y": y}, (Node("Foo", ("x",), ("y",)),))), "y")
>>> e.finish(e.reshape(e.transpose("x", (1, 0)), (6,)))
>>> [node.op for node in e.nodes], e.nodes[-1].outputs
(['Transpose', 'Reshape'], ('y',))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pelemay.graph import Attribute, Constant, DType, Node, TensorType
from pelemay.passes.derived import permuted, reshaped
from pelemay.passes.matching import dtype_of, shape_of
from pelemay.passes.rewrite import Rewriter

Shape = tuple[int, ...]


@dataclass
class Emitter:
    """Nodes that will make the value ``output``, gathered in order.

    Attributes
    ----------
    rewriter : Rewriter
        Gives names, and takes constants and types.
    output : str
        The value; names of others begin with its name.
    nodes : list of Node
        What has been emitted.
    """

    rewriter: Rewriter
    output: str
    nodes: list[Node] = field(default_factory=list)
    _made: dict[str, TensorType] = field(default_factory=dict)
    _constants: dict[str, Constant] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        """The static shape of a value, old or new; what has none must not be asked for."""
        own = self._made.get(name)
        if own is not None and own.shape is not None:
            return tuple(size for size in own.shape if isinstance(size, int))
        found = shape_of(self.rewriter.graph, name)
        assert found is not None, name
        return found

    def dtype(self, name: str) -> DType:
        """The element type of a value, old or new."""
        own = self._made.get(name)
        found = own.dtype if own is not None else dtype_of(self.rewriter.graph, name)
        assert found is not None, name
        return found

    def constant(self, name: str) -> Constant | None:
        """The constant of that name, old or new; None for a value that the run makes."""
        return self._constants.get(name) or self.rewriter.graph.constants.get(name)

    def add_constant(self, label: str, value: Constant) -> str:
        """A new constant."""
        name = self.rewriter.constant(f"{self.output}::{label}", value)
        self._constants[name] = value
        self._made[name] = TensorType(value.dtype, value.shape)
        return name

    def integers(self, label: str, values: Sequence[int]) -> str:
        """A new constant of int64, one-dimensional."""
        return self.rewriter.constant(f"{self.output}::{label}", list(values), np.int64)

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        shape: Shape,
        attributes: dict[str, Attribute] | None = None,
        *,
        dtype: DType = DType.FLOAT32,
        domain: str = "",
        label: str = "",
        name: str = "",
    ) -> str:
        """Add a node with one output, and return that."""
        kind = TensorType(dtype, shape)
        output = self.rewriter.value(f"{self.output}::{label or op.lower()}", kind)
        self._made[output] = kind
        node = Node(op, tuple(inputs), (output,), attributes or {}, domain=domain, name=name)
        self.nodes.append(node)
        return output

    def transpose(self, name: str, perm: Sequence[int]) -> str:
        """The value with its axes in another order."""
        order = tuple(perm)
        if order == tuple(range(len(order))):
            return name
        constant = self.constant(name)
        if constant is not None:
            return self.add_constant("moved", permuted(constant, order))
        shape = self.shape(name)
        moved = tuple(shape[axis] for axis in order)
        return self.node("Transpose", (name,), moved, {"perm": order}, dtype=self.dtype(name))

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """The value's elements in another shape."""
        wanted = tuple(shape)
        if wanted == self.shape(name):
            return name
        constant = self.constant(name)
        if constant is not None:
            return self.add_constant("reshaped", reshaped(constant, wanted))
        return self.node(
            "Reshape",
            (name, self.integers("shape", wanted)),
            wanted,
            {"allowzero": 1} if 0 in wanted else {},
            dtype=self.dtype(name),
        )

    def finish(self, name: str) -> None:
        """Let the value ``name`` be what the old node made."""
        for index, node in enumerate(self.nodes):
            if name in node.outputs:
                outputs = tuple(self.output if o == name else o for o in node.outputs)
                self.nodes[index] = replace(node, outputs=outputs)
                read = any(name in later.inputs for later in self.nodes[index + 1 :])
                assert not read, name
                return
        self.nodes.append(Node("Identity", (name,), (self.output,)))
