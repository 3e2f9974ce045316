"""Padding goes into convolutions and pools where that means the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pelemay.passes.layout import lay_out
from pelemay.passes.pad import fuse_pads

W = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)
NUMBERS = {
    "pads": np.asarray([0, 0, 1, 0, 0, 0, 2, 1], np.int64),
    "deep": np.asarray([0, 1, 1, 1, 0, 0, 1, 1], np.int64),
    "negative": np.asarray([0, 0, -1, 0, 0, 0, 1, 0], np.int64),
    "four": np.asarray([2, 1, 0, 1], np.int64),
    "axes": np.asarray([2, -1], np.int64),
    "one": np.asarray(1, np.float32),
    "zero": np.asarray(0, np.float32),
    "least": np.asarray(-np.inf, np.float32),
}
KINDS = {"pads": "int64[8]", "deep": "int64[8]", "negative": "int64[8]", "four": "int64[4]"}
KINDS["axes"] = "int64[2]"
POOL = "kernel_shape = [3, 3], strides = [2, 2]"

TAKEN = {
    "convolution": "p = Pad(x, pads) y = Conv(p, w)",
    "on top of its own": "p = Pad(x, pads, zero) y = Conv <pads = [1, 0, 0, 1]> (p, w)",
    "axes": 'p = Pad(x, four, "", axes) y = Conv(p, w)',
    "average": f"p = Pad(x, pads) y = AveragePool <{POOL}> (p)",
    "average over its padding": (
        f"p = Pad(x, pads) y = AveragePool <{POOL}, pads = [1, 1, 1, 1], count_include_pad = 1> (p)"
    ),
    "maximum of the least": f"p = Pad(x, pads, least) y = MaxPool <{POOL}> (p)",
    "maximum of no negatives": f"r = Relu(x) p = Pad(r, pads) y = MaxPool <{POOL}> (p)",
}
LEFT = {
    "another number": "p = Pad(x, pads, one) y = Conv(p, w)",
    "another mode": 'p = Pad <mode = "reflect"> (x, pads) y = Conv(p, w)',
    "channels": "p = Pad(x, deep) y = Conv(p, w4)",
    "cropping": "p = Pad(x, negative) y = Conv(p, w)",
    "average without its padding": (
        f"p = Pad(x, pads) y = AveragePool <{POOL}, pads = [1, 1, 1, 1]> (p)"
    ),
    "average, rounded up": f"p = Pad(x, pads) y = AveragePool <{POOL}, ceil_mode = 1> (p)",
    "maximum of negatives": f"p = Pad(x, pads) y = MaxPool <{POOL}> (p)",
    "windows of nothing": ("r = Relu(x) p = Pad(r, pads) y = MaxPool <kernel_shape = [1, 1]> (p)"),
}


def spelt(graph_of: Any, body: str) -> Any:
    constants = {**NUMBERS, "w": W, "w4": np.concatenate([W, W[:, :1]], axis=1)}
    typed = ", ".join(f"{KINDS.get(name, 'float')} {name}" for name in NUMBERS)
    text = f"""g (float[2,3,8,7] x, {typed}, float[4,3,3,3] w, float[4,4,3,3] w4)
    => (float[2,c,h,v] y) {{ {body} }}"""
    return graph_of(text, **constants)


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken(name: str, graph_of: Any, kept: Any) -> None:
    after = kept(spelt(graph_of, TAKEN[name]), lay_out, fuse_pads)
    last = next(node for node in reversed(after.nodes) if node.domain)
    maker = after.producers[last.inputs[0]]
    assert maker.op in ("Transpose", "Relu")


@pytest.mark.parametrize("name", LEFT)
def test_it_is_left(name: str, graph_of: Any, kept: Any) -> None:
    after = kept(spelt(graph_of, LEFT[name]), lay_out, fuse_pads)
    last = next(node for node in reversed(after.nodes) if node.domain)
    assert after.producers[last.inputs[0]].op == "Pad"
