"""Numbers of tokens that a decoder counts itself are those that were read, not rows of its cache.

In: a decoder whose keys and values lie in buffers, where a piece of a prompt is written to the last
rows. Out: the same with the input ``tokens_read``, where it counts tokens from the length of the
past on: for the angles of rotary embeddings, if it has no ``position_ids``, and for attention of a
window, which compares the number of a key with that of a query less the window. Plain causal masks
stay as they are, and so does what the mask is read with: they are about rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pelemay.decoding.roles import POSITIONS, READ, ROWS, Roles
from pelemay.errors import UnsupportedError
from pelemay.graph import DType, Graph, Node, TensorType
from pelemay.passes.matching import is_standard
from pelemay.passes.rewrite import Rewriter

ANGLES = ("Cos", "Sin")
COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
MOVES = ("Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
Asked = Mapping[str, Callable[[str], bool]]
AHEAD = f"{READ}::ahead"


def with_counts(graph: Graph, roles: Roles) -> tuple[Graph, Roles]:
    """Let the number of tokens read be given, where the model depends on it.

    Parameters
    ----------
    graph : Graph
        A decoder with buffers; its sizes may be open.
    roles : Roles
        Of its ends.

    Returns
    -------
    (Graph, Roles)
        Both as they were where nothing depends on it.

    Raises
    ------
    UnsupportedError
        If the model's positions can neither be given nor counted.
    """
    if not roles.has_rows:
        return graph, roles
    copies = _Copies(Rewriter(graph), frozenset(roles.caches))
    asked = dict.fromkeys(COMPARISONS, copies.is_shifted)
    if POSITIONS not in roles.inputs:
        asked |= dict.fromkeys(ANGLES, copies.is_counted)
        if not copies.asked_for(asked, ANGLES):
            what = f"the model has no input '{POSITIONS}', and no angles of counted tokens"
            raise UnsupportedError(what, hint="without either the rows of a cache cannot be chosen")
    copies.write(asked)
    if not copies.made:
        return graph, roles
    after = copies.rewriter.graph_after()
    inputs = {**after.inputs, READ: TensorType(DType.INT64, (1,))}
    nodes = (Node("Sub", (READ, ROWS), (AHEAD,)), *after.nodes)
    changed = replace(after, inputs=inputs, nodes=nodes)
    return changed, replace(roles, inputs=(*roles.inputs, READ))


@dataclass
class _Copies:
    """Nodes behind a Range of tokens, once more, with the numbers of tokens that were read."""

    rewriter: Rewriter
    pasts: frozenset[str]
    made: dict[str, str] = field(default_factory=dict)
    _new: list[Node] = field(default_factory=list)
    _known: dict[tuple[str, str], bool] = field(default_factory=dict)

    def asked_for(self, asked: Asked, ops: Iterable[str]) -> list[int]:
        """The nodes of these operations of which an input is asked for."""
        return [
            index
            for index, node in enumerate(self.rewriter.graph.nodes)
            if is_standard(node, *ops) and any(map(asked[node.op], node.inputs))
        ]

    def write(self, asked: Asked) -> None:
        """Let those nodes read copies."""
        for index in self.asked_for(asked, asked):
            node = self.rewriter.graph.nodes[index]
            inputs = tuple(map(self._copy, node.inputs))
            self.rewriter.replace(index, *self._new, replace(node, inputs=inputs))
            self._new = []

    def is_counted(self, name: str) -> bool:
        """Whether a value is made of the numbers of tokens, and not only of how many they are."""
        return self._is("counted", name, self._counts)

    def is_shifted(self, name: str) -> bool:
        """Whether a value is such a number, more or less another."""
        return self._is("shifted", name, self._shifts)

    def _follows(self, name: str) -> bool:
        """Whether a value depends on a past, of which only the length can be meant."""
        return name in self.pasts or self._is("follows", name, self._is_behind)

    def _is(self, question: str, name: str, ask: Callable[[Node], bool]) -> bool:
        node = self.rewriter.maker(name)
        if node is None:
            return False
        if (question, name) not in self._known:
            self._known[question, name] = ask(node)
        return self._known[question, name]

    def _is_behind(self, node: Node) -> bool:
        return any(map(self._follows, node.inputs))

    def _counts(self, node: Node) -> bool:
        if is_standard(node, "Range"):
            return self._follows(node.inputs[1])
        return not is_standard(node, "Shape", "Size") and any(map(self.is_counted, node.inputs))

    def _shifts(self, node: Node) -> bool:
        if is_standard(node, "Add", "Sub"):
            return any(map(self.is_counted, node.inputs))
        return is_standard(node, *MOVES) and self.is_shifted(node.inputs[0])

    def _copy(self, name: str) -> str:
        """The value as it is with the numbers of tokens that were read."""
        if name in self.made or not self.is_counted(name):
            return self.made.get(name, name)
        node = self.rewriter.maker(name)
        assert node is not None
        if is_standard(node, "Range"):
            return self._range(node)
        inputs = tuple(map(self._copy, node.inputs))
        return self._node(node.op, inputs, name, node)

    def _range(self, node: Node) -> str:
        """Numbers of new tokens from those read on; those of all keys as if no row were free."""
        start, (name,) = node.inputs[0], node.outputs
        if self._follows(start):
            behind = self._node("Sub", (READ, start), f"{name}::behind")
        else:
            new = self._node("GreaterOrEqual", (name, ROWS), f"{name}::new")
            new = self._node("Cast", (new,), f"{name}::ones", to=DType.INT64)
            behind = self._node("Mul", (new, AHEAD), f"{name}::behind")
        return self._node("Add", (name, behind), name)

    def _node(
        self, op: str, inputs: tuple[str, ...], of: str, like: Node | None = None, **attributes: Any
    ) -> str:
        output = self.rewriter.name(f"{of}::read")
        node = Node(op, inputs, (output,), attributes)
        self._new.append(node if like is None else replace(like, inputs=inputs, outputs=(output,)))
        self.made[of] = output
        return output
