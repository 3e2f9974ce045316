"""Models written by hand with onnxscript: functions, control flow, many small operations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from entry import Entry, Feeds

HEADS = (2, 4, 20, 16)
SHAPES: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "layers_as_functions": {"x": (4, 16), "w": (16, 16), "b": (16,)},
    "loop_of_steps": {"x": (8,), "w": (8, 8)},
    "branches": {"x": (4, 8)},
    "attention_by_hand": {"q": HEADS, "k": HEADS, "v": HEADS},
    "spectrogram": {"x": (1, 2048, 1), "weights": (129, 40)},
}


def entries() -> list[Entry]:
    """All of this module."""
    return [
        Entry(f"{name}.onnxscript", "by hand", "onnxscript", partial(_write, name))
        for name in SHAPES
    ]


def _write(name: str, path: Path) -> Feeds:
    import scripts

    path.write_bytes(getattr(scripts, name).to_model_proto().SerializeToString())
    random = np.random.default_rng(0)
    feeds = {n: random.standard_normal(s).astype(np.float32) for n, s in SHAPES[name].items()}
    return {n: np.abs(x) if n == "weights" else x for n, x in feeds.items()}
