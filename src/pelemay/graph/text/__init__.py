"""The text form of a graph: printed for people and golden files, parsed back to the same graph.

In: a :class:`Graph`, or its text. Out: its text, or an equal :class:`Graph`. Constants above 16
elements stay outside the text, by name; their bytes are not touched.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> x = TensorType(DType.FLOAT32, (1, "n", None))
>>> nodes = (Node("Softmax", ("x",), ("y",), {"axis": -1}, version=13, name="last layer"),)
>>> print(to_text(Graph("g", {"x": x}, {"y": None}, nodes)), end="")
graph "g" (%x: float32[1, n, ?]) -> (%y) {
  %y = Softmax(%x) {axis = -1} @13 "last layer"
}

The grammar; white space and ``# comments`` may stand between any two tokens:

.. code-block:: text

    graph     = "graph" STRING "(" values ")" "->" "(" values ")" "{" statement* "}"
    values    = [value ("," value)*]              value = NAME [":" type]
    statement = "const" NAME ":" tensor           a constant
              | "type" NAME ":" type              what is known of a value that no node here makes
              | results "=" operation "(" [operand ("," operand)*] ")"
                [attributes] ["@" version] [STRING, the node's name]
    results   = "(" ")" | result ("," result)*    result = value | "_"
    operation = [word "::"] word                  operand = NAME | "_"
    attributes = "{" word "=" attribute ("," word "=" attribute)* "}"
    attribute = item | "[" [item ("," item)*] "]"
    item      = NUMBER | STRING | dtype | "type" type | "tensor" tensor | graph
    tensor    = dtype "[" sizes "]" "=" ("[" elements "]" | "external" [STRING, its key])
    type      = dtype ["[" dims "]"] | "sparse" "(" type ")" | "sequence" "(" type ")"
              | "optional" "(" type ")" | "map" "(" dtype "," type ")"
    dim       = NUMBER | word | "?"
    word      = WORD | STRING, where the plain word would not do

A ``NAME`` is ``%`` and a plain name or a ``STRING``. ``_`` is a value that is left out. Elements
are in row-major order; a complex one is a pair. ``bits(0x7fc1)`` is a float with just these bits.
"""

from __future__ import annotations

from pelemay.graph.text.parser import from_text
from pelemay.graph.text.printer import external_constants, to_text

__all__ = ["external_constants", "from_text", "to_text"]
