"""The functions of ``authored``.

onnxscript reads their source, and looks names up in this module.
"""

from __future__ import annotations

from onnxscript import FLOAT, script
from onnxscript import opset18 as op
from onnxscript.values import Opset

own = Opset("bed.layers", 1)


@script(own)
def layer(x, w, b):
    """A layer as a function of the model's own."""
    y = op.Add(op.MatMul(x, w), b)
    return y * op.Sigmoid(y)


@script()
def layers_as_functions(x: FLOAT[4, 16], w: FLOAT[16, 16], b: FLOAT[16]) -> FLOAT[4, 16]:
    """Two such layers."""
    return layer(layer(x, w, b), w, b)


@script()
def loop_of_steps(x: FLOAT[8], w: FLOAT[8, 8]) -> FLOAT[8]:
    """A recurrence by hand."""
    y = op.Identity(x)
    for _ in range(12):
        y = op.Tanh(op.MatMul(w, y) + x)
    return y


@script()
def branches(x: FLOAT[4, 8]) -> FLOAT[4, 8]:
    """Either of two, by a value that only the run knows."""
    zero = op.Constant(value_float=0.0)
    if op.ReduceSum(x, keepdims=0) > zero:
        y = op.Softmax(x)
    else:
        y = op.Relu(x)
    return y


@script()
def attention_by_hand(
    q: FLOAT[2, 4, 20, 16], k: FLOAT[2, 4, 20, 16], v: FLOAT[2, 4, 20, 16]
) -> FLOAT[2, 4, 20, 16]:
    """Causal attention, its mask made of a constant."""
    scores = op.MatMul(q, op.Transpose(k, perm=[0, 1, 3, 2])) * op.Constant(value_float=0.25)
    low = op.Expand(op.Constant(value_float=-1e9), op.Shape(scores))
    hidden = op.Trilu(low, op.Constant(value_int=1))
    return op.MatMul(op.Softmax(scores + hidden, axis=-1), v)


@script()
def spectrogram(x: FLOAT[1, 2048, 1], weights: FLOAT[129, 40]) -> FLOAT[1, 15, 40]:
    """The logarithm of a mel spectrogram."""
    window = op.HannWindow(op.Constant(value_int=256))
    found = op.STFT(x, op.Constant(value_int=128), window)
    power = op.ReduceSumSquare(found, op.Constant(value_ints=[-1]), keepdims=0)
    return op.Log(op.MatMul(power, weights) + op.Constant(value_float=1e-6))
