"""torchvision beside a PyTorch without CUDA: its operations, as far as an export needs them.

The registry's torchvision is built for PyTorch with CUDA, so its operations do not load beside the
CPU's. Networks need only that they are declared; non-maximum suppression is also run once, while a
detector is traced.
"""

from __future__ import annotations

from functools import cache
from typing import Any

BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def with_operations() -> None:
    """Declare what torchvision wants to find, and import it."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        with_operations.library = library  # type: ignore[attr-defined]
        for name in ("nms", "qnms"):
            library.define(f"{name}{BOXES}")
        library.impl("nms", _suppressed, "CPU")
        import torchvision
    torchvision.ops.boxes._assert_has_ops = _declared


def _declared() -> None:
    """In the place of a check that all operations are there; it is compiled, so no lambda."""


def _suppressed(boxes: Any, scores: Any, threshold: float) -> Any:
    """Indices of the boxes that are kept, the best first."""
    import torch
    from torchvision.ops import box_iou

    overlap, left, kept = box_iou(boxes, boxes), scores.argsort(descending=True), []
    while left.numel():
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[overlap[best, left] <= threshold]
    return torch.stack(kept) if kept else torch.zeros(0, dtype=torch.int64)
