"""Small networks for onnxruntime's quantization tool, with the operations that it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

RNG = np.random.default_rng(31)


def normal(*shape: int) -> Any:
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:] or shape))).astype(np.float32)


def _model(text: str, shape: tuple[int, ...], **constants: Any) -> Any:
    import onnx.parser
    from onnx import numpy_helper

    sizes = ", ".join(map(str, shape))
    header = '<ir_version: 8, opset_import: ["" : 17]>'
    model = onnx.parser.parse_model(f"{header} g (float[{sizes}] x) => (float y) {{ {text} }}")
    held = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    model.graph.initializer.extend(held)
    return onnx.shape_inference.infer_shapes(model)


def images() -> Any:
    """Convolutions of all kinds, a residual, pools, parts put together, a product."""
    return _model(
        """
        c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w, b)
        r = Relu (c)
        d = Conv <group = 8, pads = [1, 1, 1, 1]> (r, v)
        k = Clip (d, zero, six)
        e = Conv (k, u)
        s = Add (e, r)
        p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (s)
        q = Conv <dilations = [2, 2], pads = [2, 2, 2, 2]> (p, t, b)
        j = Concat <axis = 1> (p, q)
        a = GlobalAveragePool (j)
        f = Flatten (a)
        y = Gemm <transB = 1> (f, g, h)
        """,
        (2, 3, 16, 16),
        w=normal(8, 3, 3, 3),
        b=normal(8),
        v=normal(8, 1, 3, 3),
        u=normal(8, 8, 1, 1),
        t=normal(8, 8, 3, 3),
        g=normal(5, 16),
        h=normal(5),
        zero=np.float32(0),
        six=np.float32(6),
    )


def activations() -> Any:
    """Elementwise operations of many kinds, padding, resizing, a mean of windows."""
    return _model(
        """
        p = Pad (x, pads)
        c = Conv (p, w)
        s = Sigmoid (c)
        m = Mul (c, s)
        l = LeakyRelu <alpha = 0.1> (m)
        a = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (l)
        z = Resize <mode = "nearest"> (a, none, scales)
        t = Transpose <perm = [0, 2, 3, 1]> (z)
        g = Slice (t, starts, ends, axes)
        y = Add (g, k)
        """,
        (1, 4, 9, 9),
        w=normal(8, 4, 3, 3),
        pads=np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        none=np.zeros(0, np.float32),
        scales=np.array([1, 1, 2, 2], np.float32),
        starts=np.array([1]),
        ends=np.array([9]),
        axes=np.array([1]),
        k=normal(8),
    )


def tokens() -> Any:
    """A block of a transformer: products of data, a softmax, a norm."""
    return _model(
        """
        q = MatMul (x, wq)
        qb = Add (q, bq)
        k = MatMul (x, wk)
        kt = Transpose <perm = [0, 2, 1]> (k)
        s = MatMul (qb, kt)
        p = Softmax <axis = -1> (s)
        o = MatMul (p, k)
        r = Add (o, x)
        n = LayerNormalization <axis = -1> (r, g, b)
        f = MatMul (n, wf)
        e = Relu (f)
        y = MatMul (e, wg)
        """,
        (2, 5, 16),
        wq=normal(16, 16),
        bq=normal(16),
        wk=normal(16, 16),
        g=1 + normal(16),
        b=normal(16),
        wf=normal(16, 24),
        wg=normal(24, 16),
    )


NETWORKS: dict[str, Callable[[], Any]] = {
    "images": images,
    "activations": activations,
    "tokens": tokens,
}


def feeds(model: Any, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """So many random inputs."""
    rng = np.random.default_rng(seed)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return [{"x": rng.standard_normal(shape).astype(np.float32)} for _ in range(count)]


class _Reader:
    """What the tool calls for calibration."""

    def __init__(self, given: list[dict[str, Any]]) -> None:
        self._left: Iterator[dict[str, Any]] = iter(given)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._left, None)


def quantized(model: Any, folder: Path, *, dynamic: bool = False, **options: Any) -> Any:
    """The model as onnxruntime's tool quantizes it; options are its own, types by name."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    kinds = {"weight_type", "activation_type"}
    given = {k: QuantType[v] if k in kinds else v for k, v in options.items()}
    source, target = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(model, source)
    if dynamic:
        quantize_dynamic(source, target, **given)
    else:
        given["quant_format"] = QuantFormat[options.get("quant_format", "QDQ")]
        quantize_static(source, target, _Reader(feeds(model, 4)), **given)
    return onnx.load(target)
