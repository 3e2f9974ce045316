"""What a trace writes down: nodes, and the constants that they read.

In: calls that name standard operations and give :class:`Traced` arrays, NumPy arrays or Python
numbers. Out: :class:`Traced` arrays that stand for the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pelemay.errors import UnsupportedError
from pelemay.graph import (
    ArrayConstant,
    Attribute,
    Constant,
    DType,
    Graph,
    Node,
    TensorType,
    ValueType,
)
from pelemay.graph.typing import infer
from pelemay.passes.tracing.array import Traced

if TYPE_CHECKING:
    from pelemay.passes.rewrite import Rewriter

MOST_NODES = 4096
"""A loop of more steps is left to whoever can run it as a loop."""


@dataclass
class Recorder:
    """Nodes that are gathered while a meaning runs.

    Attributes
    ----------
    rewriter : Rewriter
        Gives names, and takes constants and types.
    node : Node
        The node whose meaning is traced.
    nodes : list of Node
        What has been written down.
    """

    rewriter: Rewriter
    node: Node
    nodes: list[Node] = field(default_factory=list)

    def emit(
        self,
        op: str,
        inputs: Sequence[Any],
        shape: Sequence[int],
        dtype: npt.DTypeLike,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> Traced:
        """Add a node of one output whose type is known.

        Raises
        ------
        UnsupportedError
            If there are too many nodes already.
        """
        kind = TensorType(DType.of_numpy(np.dtype(dtype)), tuple(map(int, shape)))
        made = self.rewriter.value(f"{self._base}::{op.lower()}", kind)
        self._add(Node(op, self._names(inputs), (made,), attributes or {}, name=self.node.name))
        return self.traced(made, kind)

    def apply(self, node: Node, inputs: Sequence[Any]) -> tuple[Traced | None, ...]:
        """Add a node as it is, over other operands; its output types are inferred.

        Raises
        ------
        UnsupportedError
            If they do not follow.
        """
        names = self._names(inputs)
        types = self._inferred(node, names, inputs)
        outputs = tuple(
            self.rewriter.value(f"{self._base}::{node.op.lower()}", types[name]) if name else ""
            for name in node.outputs
        )
        self._add(replace(node, inputs=names, outputs=outputs, name=self.node.name))
        made = zip(node.outputs, outputs, strict=True)
        return tuple(self.traced(name, types[old]) if old else None for old, name in made)

    def traced(self, name: str, kind: ValueType | None) -> Traced:
        """A value of the graph, as meanings see it.

        Raises
        ------
        UnsupportedError
            If it is no tensor of a static shape.
        """
        if not isinstance(kind, TensorType) or kind.nbytes is None or kind.dtype is DType.STRING:
            raise UnsupportedError(f"'{name}' is {kind or 'of no known type'}: it cannot be traced")
        sizes = tuple(size for size in kind.shape or () if isinstance(size, int))
        return Traced(self, name, sizes, kind.dtype.numpy)

    def constant(self, value: Constant | npt.ArrayLike) -> str:
        """The name of a new constant."""
        return self.rewriter.constant(f"{self._base}::constant", value)

    def integers(self, values: Sequence[int]) -> npt.NDArray[np.int64]:
        """Numbers such as axes, for an operand."""
        return np.asarray(list(values), np.int64)

    @property
    def _base(self) -> str:
        return next(name for name in self.node.outputs if name)

    def _add(self, node: Node) -> None:
        if len(self.nodes) >= MOST_NODES:
            raise UnsupportedError(f"more than {MOST_NODES} steps")
        self.nodes.append(node)

    def _names(self, inputs: Sequence[Any]) -> tuple[str, ...]:
        return tuple(map(self._name, inputs))

    def _name(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, Traced):
            return value.name
        if not isinstance(value, (np.ndarray, np.generic)):
            raise UnsupportedError(f"{type(value).__name__} cannot be an operand")
        return self.constant(np.asarray(value))

    def _inferred(
        self, node: Node, names: Sequence[str], inputs: Sequence[Any]
    ) -> Mapping[str, ValueType | None]:
        kinds: dict[str, ValueType | None] = {}
        constants: dict[str, Constant] = {}
        for name, value in zip(names, inputs, strict=True):
            if isinstance(value, (np.ndarray, np.generic)):
                constants[name] = ArrayConstant.of(np.asarray(value))
            elif name:
                kinds[name] = TensorType(DType.of_numpy(value.dtype), value.shape)
        outputs: dict[str, ValueType | None] = {name: None for name in node.outputs if name}
        given = replace(node, inputs=tuple(names))
        return infer(Graph("", kinds, outputs, (given,), constants)).outputs
