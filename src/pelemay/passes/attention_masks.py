"""Masks of attention: what exporters add to scores, or choose instead of them.

In: the masks that were found on the way from the product to the softmax. Out: one mask as the
Attention operation takes it: a bias that broadcasts to (batch, heads, queries, keys), or nothing
where the mask hides just the keys that come after the query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np

from pelemay.graph import ArrayConstant, Constant, DType
from pelemay.passes.attention_scores import HIDDEN, Mask
from pelemay.passes.derived import derived
from pelemay.passes.emitting import Emitter
from pelemay.passes.matching import is_float32, shape_of
from pelemay.passes.rewrite import Rewriter

Shape = tuple[int, ...]

MAX_LOOKED_AT = 1 << 24
"""Constant masks of more bytes are not looked into."""


@dataclass(frozen=True)
class Bias:
    """What Attention gets: the name of a bias, ``""`` for none, and whether it is causal."""

    name: str
    causal: bool = False


@dataclass
class Masks:
    """Makes masks; layers that share one get the same bias."""

    rewriter: Rewriter
    _whole: dict[tuple[tuple[Mask, ...], Shape], Bias] = field(default_factory=dict)

    def mask_of(self, emitter: Emitter, masks: tuple[Mask, ...], shape: Shape) -> Bias | None:
        """The bias for scores of that shape; None if Attention cannot take these masks.

        Parameters
        ----------
        emitter : Emitter
            Takes the nodes that make it.
        masks : tuple of Mask
            Applied one after the other.
        shape : tuple of int
            The scores' shape, of any rank from 2.
        """
        if (masks, shape) not in self._whole:
            if not all(self._fits(mask, shape) for mask in masks):
                return None
            self._whole[masks, shape] = self._sum(emitter, masks, shape)
        return self._whole[masks, shape]

    def _sum(self, emitter: Emitter, masks: tuple[Mask, ...], shape: Shape) -> Bias:
        total, causal = "", False
        for mask in masks:
            name = self._bias(emitter, mask)
            if _is_nothing(emitter, name):
                continue
            if self._is_causal(emitter, name, shape):
                causal = True
            elif total:
                sizes = np.broadcast_shapes(emitter.shape(total), emitter.shape(name))
                total = emitter.node("Add", (total, name), tuple(sizes), label="mask")
            else:
                total = name
        return Bias(_four(emitter, total) if total else "", causal)

    def _fits(self, mask: Mask, scores: Shape) -> bool:
        """Whether a mask broadcasts to scores in a way that survives merging the outer axes."""
        shape = shape_of(self.rewriter.graph, mask.value)
        if mask.hidden is None and not is_float32(self.rewriter.graph, mask.value):
            return False
        if not shape or len(shape) > len(scores) or shape[-1] != scores[-1]:
            return False
        aligned = (1,) * (len(scores) - len(shape)) + shape
        if any(m not in (1, s) for m, s in zip(aligned, scores, strict=True)):
            return False
        merged, full = aligned[:-3], scores[:-3]
        return all(m == 1 for m in merged) or merged == full

    def _bias(self, emitter: Emitter, mask: Mask) -> str:
        """The name of a mask of float32."""
        if mask.hidden is None:
            return mask.value
        graph = self.rewriter.graph
        shape = shape_of(graph, mask.value) or ()
        constant = graph.constants.get(mask.value)
        if constant is None:
            return _chosen(emitter, mask, shape)
        return emitter.add_constant("mask", _constant(constant, mask))

    def _is_causal(self, emitter: Emitter, name: str, shape: Shape) -> bool:
        """Whether a constant hides the keys behind the query and changes nothing else."""
        constant = emitter.constant(name)
        if constant is None or constant.nbytes > MAX_LOOKED_AT:
            return False
        if shape[-1] != shape[-2] or constant.shape[-2:] != shape[-2:]:
            return False
        if prod(constant.shape) != shape[-1] ** 2:
            return False
        hides = constant.array().reshape(shape[-2:])
        seen = np.tri(shape[-1], dtype=bool)
        return bool((hides[seen] == 0).all() and (hides[~seen] <= HIDDEN).all())


def _is_nothing(emitter: Emitter, name: str) -> bool:
    """Whether a mask is a constant of zeros."""
    constant = emitter.constant(name)
    if constant is None or constant.nbytes > MAX_LOOKED_AT:
        return False
    return not constant.array().any()


def _chosen(emitter: Emitter, mask: Mask, shape: Shape) -> str:
    assert mask.hidden is not None
    numbers = [
        emitter.add_constant(label, ArrayConstant.of(number, np.float32))
        for label, number in (("seen", 0.0), ("hidden", mask.hidden))
    ]
    inputs = (mask.value, *(numbers if mask.keeps else reversed(numbers)))
    return emitter.node("Where", inputs, shape, label="mask")


def _constant(condition: Constant, mask: Mask) -> Constant:
    hidden = np.float32(mask.hidden)

    def chosen(seen: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> object:
        keep = seen if mask.keeps else ~seen
        return np.where(keep, np.float32(0), hidden)

    return derived(
        "Where",
        chosen,  # type: ignore[arg-type]
        condition,
        shape=condition.shape,
        dtype=DType.FLOAT32,
    )


def _four(emitter: Emitter, name: str) -> str:
    """The mask in four dimensions."""
    shape = (1, 1, *emitter.shape(name))
    return emitter.reshape(name, (prod(shape[:-3]), *shape[-3:]))
