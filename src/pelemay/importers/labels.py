"""Classifiers whose labels are texts: the label's place computed, its text looked up apart.

In: a node of ``ai.onnx.ml``. Out: the node, or one that gives numbers and one that names them.
Texts do not lie in the engine's memory; so only the last is left to the reference backend.

>>> from pelemay.graph import Node
>>> labels = {"classlabels_strings": ("no", "yes"), "coefficients": (1.0, 2.0)}
>>> node = Node("LinearClassifier", ("x",), ("label", "scores"), labels, domain="ai.onnx.ml")
>>> [(made.op, made.outputs) for made in with_labels_apart(node)]
[('LinearClassifier', ('label::place', 'scores')), ('LabelEncoder', ('label',))]
"""

from __future__ import annotations

from dataclasses import replace

from pelemay.graph import Node
from pelemay.graph.operations.classes import ML

NUMBERS = {
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
    "TreeEnsembleClassifier": "classlabels_int64s",
}
"""The attribute that has labels which are numbers."""


def with_labels_apart(node: Node) -> tuple[Node, ...]:
    """The node itself if its labels are no texts.

    Parameters
    ----------
    node : Node
        In the operation table's form.
    """
    labels = node.attributes.get("classlabels_strings")
    if node.domain != ML or node.op not in NUMBERS or not labels or not node.outputs[0]:
        return (node,)
    assert isinstance(labels, tuple)
    numbers, place = tuple(range(len(labels))), f"{node.outputs[0]}::place"
    kept = {k: v for k, v in node.attributes.items() if k != "classlabels_strings"}
    numbered = replace(
        node,
        outputs=(place, *node.outputs[1:]),
        attributes={**kept, NUMBERS[node.op]: numbers},
    )
    table = {"keys_int64s": numbers, "values_strings": labels}
    named = Node("LabelEncoder", (place,), node.outputs[:1], table, ML, name=node.name)
    return numbered, named
