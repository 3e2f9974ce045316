"""Attention written out as two products around a softmax becomes one operation.

In: ``softmax(scale * q @ k.T + mask) @ v`` as exporters write it: the factor on the queries, on the
keys, on both or on the scores; masks added or chosen by Where; any number of leading axes; keys
and values repeated for grouped queries. Out: Attention over (batch, heads, tokens, size), with
Transpose and Reshape around it that layout removes.

>>> from pelemay.graph import DType, Graph, Node, TensorType
>>> def matrix(*shape): return TensorType(DType.FLOAT32, (1, 2, *shape))
>>> nodes = (
...     Node("MatMul", ("q", "k"), ("s",)),
...     Node("Softmax", ("s",), ("p",)),
...     Node("MatMul", ("p", "v"), ("y",)),
... )
>>> inputs = {"q": matrix(3, 4), "k": matrix(4, 5), "v": matrix(5, 4)}
>>> types = {"s": matrix(3, 5), "p": matrix(3, 5)}
>>> g = fuse_attention(Graph("g", inputs, {"y": matrix(3, 4)}, nodes, types=types))
>>> [node.op for node in g.nodes]
['MatMul', 'Softmax', 'Transpose', 'Attention']
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, prod

from pelemay.graph import Attribute, Graph
from pelemay.passes.attention_masks import Masks
from pelemay.passes.attention_scores import Scores, scores_of, unscaled
from pelemay.passes.emitting import Emitter
from pelemay.passes.matching import (
    integers,
    is_float32,
    is_standard,
    operand,
    permutation,
    scalar,
    shape_of,
)
from pelemay.passes.rewrite import Rewriter

Shape = tuple[int, ...]


def fuse_attention(graph: Graph) -> Graph:
    """Recognise Attention.

    Requires static types. Guarantees that what is read elsewhere is still made; what nothing
    reads any more stays for dead code removal.
    """
    rewriter = Rewriter(graph)
    masks = Masks(rewriter)
    for index, node in enumerate(graph.nodes):
        if is_standard(node, "MatMul") and is_float32(graph, *node.inputs):
            _fuse(rewriter, index, masks)
    return rewriter.graph_after()


def _fuse(rewriter: Rewriter, index: int, masks: Masks) -> None:
    """Replace the product of shares and values of that index, if it is one."""
    graph = rewriter.graph
    shares, values = graph.nodes[index].inputs
    reader, turned = index, False
    if _is_turned(rewriter, values):
        reader, turned = rewriter.makers[values], True
        shares, values = graph.nodes[reader].inputs[0], shares
    guard, shares, users = _unguarded(rewriter, shares, reader)
    scored = _softmax(rewriter, shares, users)
    scores = None if scored is None else scores_of(rewriter, scored)
    shape = shape_of(graph, scored or "")
    if scores is None or shape is None:
        return
    if guard and not _is_harmless(rewriter, guard, shares, scores):
        return
    step = _Step(Emitter(rewriter, graph.nodes[index].outputs[0]), shape, turned)
    if step.write(scores, values, masks):
        rewriter.replace(index, *step.emitter.nodes)


def _is_turned(rewriter: Rewriter, name: str) -> bool:
    """Whether a product's second operand is a matrix of shares, transposed for it alone."""
    node = rewriter.maker(name)
    if node is None or not is_standard(node, "Transpose") or rewriter.only_user(name) is None:
        return False
    rank = len(shape_of(rewriter.graph, name) or ())
    softmax = rewriter.maker(node.inputs[0])
    return is_standard(softmax, "Softmax") and permutation(node, rank) == _swapped(rank)


def _unguarded(rewriter: Rewriter, shares: str, reader: int) -> tuple[str, str, set[int]]:
    """The condition under which shares are set to zero, the shares before, and who reads them."""
    node = rewriter.maker(shares)
    zeroed = node is not None and is_standard(node, "Where")
    if node is None or not zeroed or scalar(rewriter.graph, node.inputs[1]) != 0:
        return "", shares, {reader}
    condition, _, inner = node.inputs
    users = {rewriter.makers[shares]}
    if rewriter.only_user(condition) == rewriter.makers[shares]:
        users.add(rewriter.makers.get(condition, -1))
    return condition, inner, users


def _is_harmless(rewriter: Rewriter, guard: str, shares: str, scores: Scores) -> bool:
    """Whether shares are set to zero just where Attention gives zeros: no key is visible."""
    constant, test = rewriter.graph.constants.get(guard), rewriter.maker(guard)
    if constant is not None:
        return not constant.array().any()
    if test is None or is_standard(test, "IsNaN"):
        return test is not None and test.inputs == (shares,)
    most = rewriter.maker(test.inputs[0]) if is_standard(test, "Equal") else None
    if most is None or not is_standard(most, "ReduceMax"):
        return False
    last = len(shape_of(rewriter.graph, most.inputs[0]) or ()) - 1
    axes = integers(rewriter.graph, operand(most, 1))
    along_keys = axes in ((-1,), (last,)) and bool(most.attributes.get("keepdims", 1))
    hidden = scalar(rewriter.graph, test.inputs[1]) == -inf
    return along_keys and hidden and most.inputs[0] in {mask.value for mask in scores.masks}


def _softmax(rewriter: Rewriter, shares: str, users: set[int]) -> str | None:
    """What the softmax reads that makes ``shares``, which nobody but ``users`` may read."""
    node = rewriter.maker(shares)
    if node is None or not is_standard(node, "Softmax") or shares in rewriter.graph.outputs:
        return None
    rank = len(shape_of(rewriter.graph, shares) or ())
    last = rank >= 2 and node.attributes.get("axis", -1) in (-1, rank - 1)
    return node.inputs[0] if last and set(rewriter.users[shares]) <= users else None


@dataclass
class _Step:
    """One attention whose scores have the given shape; the emitter gathers its nodes.

    Where it is ``turned``, values come and results go transposed.
    """

    emitter: Emitter
    shape: Shape
    turned: bool
    scale: float = field(default=1.0)

    @property
    def graph(self) -> Graph:
        return self.emitter.rewriter.graph

    @property
    def outer(self) -> tuple[int, int]:
        """Batch and heads: all axes before the last two, the last of them being the heads."""
        axes = self.shape[:-2]
        return prod(axes[:-1]), axes[-1] if axes else 1

    def write(self, scores: Scores, values: str, masks: Masks) -> bool:
        """Emit the nodes; False where a shape does not fit, and then nothing may be used."""
        sources = (scores.queries, scores.keys, values)
        if any((shape_of(self.graph, name) or ())[:-2] != self.shape[:-2] for name in sources):
            return False
        mask = masks.mask_of(self.emitter, scores.masks, self.shape)
        if mask is None:
            return False
        keys = self._keys(scores.keys)
        if self.turned:
            values = self.emitter.transpose(values, _swapped(len(self.shape)))
        q, k, v = (self._four(name) for name in (scores.queries, keys, values))
        shared = self._unrepeated(keys), self._unrepeated(values)
        if shared[0] and shared[1]:
            k, v = shared[0], shared[1]
        attributes: dict[str, Attribute] = {"scale": scores.scale * self.scale}
        if mask.causal:
            attributes["is_causal"] = 1
        if scores.softcap:
            attributes["softcap"] = scores.softcap
        inputs = (q, k, v, mask.name) if mask.name else (q, k, v)
        size = self.emitter.shape(values)[-1]
        shape = (*self.outer, self.shape[-2], size)
        y = self.emitter.node("Attention", inputs, shape, attributes)
        y = self.emitter.reshape(y, (*self.shape[:-1], size))
        if self.turned:
            y = self.emitter.transpose(y, _swapped(len(self.shape)))
        self.emitter.finish(y)
        return True

    def _keys(self, name: str) -> str:
        """Keys as (..., tokens, size), from the transposed ones that the product reads."""
        rewriter = self.emitter.rewriter
        node = rewriter.maker(name)
        swapped = _swapped(len(self.shape))
        if node is None or not is_standard(node, "Transpose"):
            return self.emitter.transpose(name, swapped)
        inner, factor = unscaled(rewriter, node.inputs[0])
        self.scale *= factor
        order = permutation(node, len(self.shape))
        moved = tuple(order[axis] for axis in swapped)
        return self.emitter.transpose(inner, moved)

    def _four(self, name: str) -> str:
        return self.emitter.reshape(name, (*self.outer, *self.emitter.shape(name)[-2:]))

    def _unrepeated(self, name: str) -> str:
        """Keys or values before each head of them was repeated for a group of query heads."""
        rewriter = self.emitter.rewriter
        merge = rewriter.maker(name)
        spread = None if merge is None else rewriter.maker(merge.inputs[0])
        if merge is None or spread is None or len(self.shape) != 4:
            return ""
        if not is_standard(merge, "Reshape") or not is_standard(spread, "Expand"):
            return ""
        wide = shape_of(self.graph, spread.outputs[0]) or ()
        narrow = shape_of(self.graph, spread.inputs[0]) or ()
        batch, heads = self.outer
        if len(wide) != 5 or len(narrow) != 5 or wide[:2] != narrow[:2]:
            return ""
        if wide[1] * wide[2] != heads or wide[0] != batch or narrow[2:] != (1, *wide[3:]):
            return ""
        return self.emitter.reshape(spread.inputs[0], (*narrow[:2], *narrow[3:]))


def _swapped(rank: int) -> Shape:
    """The permutation that transposes matrices."""
    return (*range(rank - 2), rank - 1, rank - 2)
