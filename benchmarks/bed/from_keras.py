"""Models of Keras on TensorFlow as files, written by tf2onnx.

In: a function that builds a model. Out: an entry of the bed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from entry import Entry, Feeds

OPSET = 17


def keras_entry(name: str, family: str, build: Callable[[], Any], **options: Any) -> Entry:
    """The entry of a model of Keras."""
    return Entry(f"{name}.keras", family, "Keras, tf2onnx", partial(write, build), **options)


def write(build: Callable[[], Any], path: Path) -> Feeds:
    """Build, stir and convert; the feeds fit its inputs, with a batch of two."""
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", KERAS_BACKEND="tensorflow")
    import keras
    import tensorflow as tf
    import tf2onnx

    keras.utils.set_random_seed(0)
    model = build()
    stir(model)
    random = np.random.default_rng(0)
    types = [tf.TensorSpec(x.shape, x.dtype, name=f"input_{i}") for i, x in enumerate(model.inputs)]
    function = tf.function(lambda *args: model(list(args), training=False), input_signature=types)
    tf2onnx.convert.from_function(
        function,
        input_signature=types,
        opset=OPSET,
        output_path=str(path),
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    return {t.name: _made(random, [d or 2 for d in t.shape], t.dtype.name) for t in types}


def _erfc(graph: Any, node: Any, name: str, _: Any) -> Any:
    """1 - Erf: neither ONNX nor tf2onnx knows what Keras makes of a GELU."""
    node.type = "Erf"
    one = graph.make_const(f"{name}_one", np.ones((), np.float32)).output[0]
    less = graph.insert_new_node_on_output("Neg", node.output[0], name=f"{name}_less").output[0]
    graph.insert_new_node_on_output("Add", less, inputs=[less, one], name=f"{name}_complement")
    return node


def stir(model: Any) -> None:
    """Make what all starts at one value random, so that no layer does nothing."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        value = np.asarray(weight)
        if value.size > 1 and np.all(value == value.flat[0]) and value.dtype == np.float32:
            weight.assign(value + random.uniform(-0.2, 0.2, value.shape).astype(np.float32))


def _made(random: np.random.Generator, shape: list[int], dtype: str) -> Any:
    if dtype.startswith("int"):
        return random.integers(1, 100, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)
