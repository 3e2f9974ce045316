"""Nodes that have no instruction, as text in a program's metadata.

In: a node of a graph. Out: an entry for ``metadata["host"]``: the node as a graph of one node, why
it is there, and which constants it reads. The reference backend runs such a node; its values stay
where the plan placed them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pelemay.graph import Constant, Graph, Kind, Node, TensorType, reads
from pelemay.graph.text import external_constants, to_text
from pelemay.program.lowering import Lowering
from pelemay.program.operand import Operand
from pelemay.program.program import MAX_RANK, NATIVE_DTYPES
from pelemay.program.tables import Tables


class Constants:
    """The constants that nodes on the host read, listed in ``metadata["constants"]``.

    Parameters
    ----------
    lowering : Lowering
        Puts them among the weights.
    tables : Tables
        Gives their tensors numbers.
    """

    def __init__(self, lowering: Lowering, tables: Tables) -> None:
        self.entries: list[dict[str, Any]] = []
        self._lowering = lowering
        self._tables = tables
        self._indices: dict[int, int] = {}
        self._kept: list[Constant] = []

    def refer(self, constants: Mapping[str, Constant]) -> dict[str, int]:
        """Key in the text to the place in the list; a constant is stored once."""
        return {key: self._index(key, constant) for key, constant in constants.items()}

    def _index(self, key: str, constant: Constant) -> int:
        if id(constant) not in self._indices:
            self._kept.append(constant)
            self._indices[id(constant)] = len(self.entries)
            self.entries.append(self._entry(key, constant))
        return self._indices[id(constant)]

    def _entry(self, key: str, constant: Constant) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": key, "dtype": constant.dtype.value, "shape": list(constant.shape)
        }  # fmt: skip
        if constant.dtype.kind is Kind.STRING:
            return {**entry, "strings": [str(text) for text in constant.array().reshape(-1)]}
        operand = self._lowering.raw(key, constant)
        return {**entry, "tensor": self._tables.number(operand)}


def text_of(graph: Graph, constants: Constants) -> dict[str, Any]:
    """A graph as the metadata holds it: its text, and where the constants are that it refers to."""
    return {"graph": to_text(graph), "constants": constants.refer(external_constants(graph))}


def one_node(graph: Graph, node: Node) -> Graph:
    """A node with the values and constants that it reads, as a graph of its own."""
    names = dict.fromkeys(reads(node))
    constants = {name: graph.constants[name] for name in names if name in graph.constants}
    return Graph(
        node.name,
        {name: graph.type_of(name) for name in names if name not in constants},
        {name: graph.type_of(name) for name in node.outputs if name},
        (node,),
        constants,
    )


def host_operand(lowering: Lowering, name: str) -> Operand:
    """Where a value lies; one of a type that the engine lacks is shown as its bytes.

    Such a view has one dimension more, for the bytes of an element.
    """
    kind = lowering.type(name)
    if kind.dtype in NATIVE_DTYPES:
        return lowering.tensor(name)
    return lowering.raw_bytes(name)


def is_placeable(kind: Any) -> bool:
    """Whether a value of that type can have a place in memory: its bytes are known and whole."""
    if not isinstance(kind, TensorType) or kind.nbytes is None or kind.shape is None:
        return False
    if kind.dtype in NATIVE_DTYPES:
        return len(kind.shape) <= MAX_RANK
    return kind.dtype.bits >= 8 and len(kind.shape) < MAX_RANK
