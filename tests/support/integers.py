"""Nodes on 8-bit integers, as cases: every instruction set must give the meaning to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.engine import Engine, native
from pelemay.graph import DType, Graph, TensorType
from pelemay.passes.quantized.softmax import powers_of
from support.nodes import Case
from support.plans import Builder

Array = Any
F = np.float32


def integers(dtype: Any, shape: tuple[int, ...], seed: int) -> Array:
    """Integers over the whole range."""
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def multipliers(sums: Array, count: int | None = None) -> Array:
    """What brings sums to about the range of 8 bits: one number, or ``count``."""
    size = F(60 / max(1.0, float(np.std(sums.astype(np.float64)))))
    if count is None:
        return np.asarray(size)
    return (size * np.linspace(0.5, 1.5, count)).astype(F)


def check(case: Case, *, workers: tuple[int, ...] = (1, 2, 3)) -> None:
    """Whatever the instruction set and the number of workers, the bits of the meaning."""
    expected = case.meaning(wide=False)
    program, inputs = case.program()
    for isa in native().ISAS:
        for count in workers:
            found = Engine(program, threads=count, isa=isa).run(inputs)
            for y, ideal in zip(found, expected, strict=True):
                what = f"{isa}, {count} workers"
                np.testing.assert_array_equal(y, ideal, what, strict=True)


def conv_case(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    data: Any = np.uint8,
    weights: Any = np.int8,
    to: Any = DType.UINT8,
    each: bool = False,
    w_zero: int = 0,
    at_run: tuple[int, ...] = (),
    **attributes: Any,
) -> Case:
    """``pelemay::QConv``; ``at_run`` are inputs that only the run knows."""
    count, zero = w[0], np.array(int(np.iinfo(data).min) + 77, data)
    inputs: list[Any] = [integers(data, x, 1), integers(weights, w, 2), None]
    inputs.append(np.random.default_rng(3).integers(-9000, 9000, count).astype(np.int32))
    zeros = np.full(count if each else (), w_zero, weights)
    if each and w_zero:
        zeros[::2] += 1
    inputs += [zero, zeros]
    sums = Case("pelemay::QConv", (*inputs,), {**attributes, "to": DType.INT32}).meaning(wide=False)
    if to is not DType.INT32:
        inputs[2] = multipliers(sums[0], count if each else None)
    if to is DType.FLOAT32:
        inputs += [None, np.linspace(-3, 3, count).astype(F)]
    elif to is not DType.INT32:
        inputs.append(np.array(int(np.iinfo(to.numpy).min) + 121, to.numpy))
    constants = tuple(i for i, a in enumerate(inputs) if i and a is not None and i not in at_run)
    return Case("pelemay::QConv", tuple(inputs), {**attributes, "to": to}, constants)


def product_case(
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    data: Any = np.uint8,
    weights: Any = np.int8,
    to: Any = DType.UINT8,
    each: bool = False,
    b_zero: int = 0,
    bias: bool = True,
    at_run: tuple[int, ...] = (),
    **attributes: Any,
) -> Case:
    """``pelemay::QMatMul``; ``at_run`` are inputs that only the run knows."""
    columns = b[-2] if attributes.get("trans_b") else b[-1]
    zero = np.array(int(np.iinfo(data).min) + 77, data)
    inputs: list[Any] = [integers(data, a, 1), integers(weights, b, 2), None, None, zero]
    if bias:
        inputs[3] = np.random.default_rng(3).integers(-9000, 9000, columns).astype(np.int32)
    inputs.append(np.array(b_zero, weights))
    plain = {**attributes, "to": DType.INT32}
    sums = Case("pelemay::QMatMul", (*inputs,), plain).meaning(wide=False)
    if to is not DType.INT32:
        inputs[2] = multipliers(sums[0], columns if each else None)
    if to is DType.FLOAT32 and bias:
        inputs += [None, np.linspace(-3, 3, columns).astype(F)]
    elif to is not DType.INT32:
        inputs.append(np.array(int(np.iinfo(to.numpy).min) + 121, to.numpy) if bias else None)
    constants = tuple(i for i, v in enumerate(inputs) if i and v is not None and i not in at_run)
    return Case("pelemay::QMatMul", tuple(inputs), {**attributes, "to": to}, constants)


def softmax_case(shape: tuple[int, ...], data: Any, to: Any = np.uint8, axis: int = -1) -> Case:
    """``pelemay::QSoftmax``, of numbers in half of the range."""
    x = (integers(data, shape, 1) // 2).astype(data)
    ends = (np.array(700, F), np.array(np.iinfo(to).min + 3, to))
    return Case("pelemay::QSoftmax", (x, powers_of(F(0.05)), *ends), {"axis": axis}, (1, 2, 3))


class Quantized(Builder):
    """A graph on 8-bit integers in the making."""

    def __init__(self, dtype: DType = DType.UINT8) -> None:
        super().__init__()
        self.dtype = dtype
        self.zero = int(np.iinfo(dtype.numpy).min) + 120

    @property
    def point(self) -> str:
        """The zero point of every value."""
        return self.constant(np.array(self.zero, self.dtype.numpy))

    def scale(self, value: float) -> str:
        """A scale, or any other number."""
        return self.constant(np.array(value, F))

    def quantized(self, x: str) -> str:
        """A real value in 8 bits."""
        inputs = (x, self.scale(0.03), self.point)
        return str(self.add("QuantizeLinear", inputs, self.shape(x), dtype=self.dtype))

    def real(self, x: str) -> str:
        """The number that 8 bits stand for."""
        return str(self.add("DequantizeLinear", (x, self.scale(0.03), self.point), self.shape(x)))

    def q_conv(
        self, x: str, channels: int, kernel: int = 3, stride: int = 1, group: int = 1
    ) -> str:
        """A convolution with padding, and a Relu."""
        _, height, width, inputs = self.shape(x)
        w = integers(np.int8, (channels, inputs // group, kernel, kernel), len(self.constants))
        size = 1 / (30 * np.sqrt(w[0].size))
        bias = np.arange(channels, dtype=np.int32) * 9
        names = (
            self.constant(w),
            self.scale(size),
            self.constant(bias),
            self.point,
            "",
            self.point,
        )
        return str(
            self.add(
                "QConv",
                (x, *names),
                (1, -(-height // stride), -(-width // stride), channels),
                domain="pelemay",
                dtype=self.dtype,
                to=self.dtype,
                low=self.zero,
                pads=(kernel // 2,) * 4,
                strides=(stride,) * 2,
                group=group,
            )
        )

    def sum(self, a: str, b: str) -> str:
        """A residual connection."""
        one, half = self.scale(1.0), self.scale(0.7)
        inputs = (a, one, self.point, b, half, self.point, one, self.point)
        how = {"domain": "pelemay", "dtype": self.dtype, "operation": "Add"}
        return str(self.add("QBinary", inputs, self.shape(a), **how))

    def table(self, x: str) -> str:
        """Some function."""
        results = self.constant(np.roll(np.arange(256), 9).astype(np.uint8).view(self.dtype.numpy))
        how = {"domain": "pelemay", "dtype": self.dtype}
        return str(self.add("QTable", (x, results), self.shape(x), **how))

    def softmax(self, x: str) -> str:
        """Shares along the last axis."""
        inputs = (x, self.constant(powers_of(F(0.03))), self.scale(1500.0), self.point)
        how = {"domain": "pelemay", "dtype": self.dtype}
        return str(self.add("QSoftmax", inputs, self.shape(x), **how))

    def pool(self, x: str, op: str, kernel: int, stride: int) -> str:
        """Maxima or means of windows without padding."""
        _, height, width, channels = self.shape(x)
        inputs = (x, self.scale(1.3), self.point, self.point) if op == "QAveragePool" else (x,)
        sizes = {"kernel_shape": (kernel,) * 2, "strides": (stride,) * 2}
        shape = (1, (height - kernel) // stride + 1, (width - kernel) // stride + 1, channels)
        return str(self.add(op, inputs, shape, domain="pelemay", dtype=self.dtype, **sizes))

    def product(self, x: str, columns: int) -> str:
        """Tokens times a matrix, as real numbers."""
        *front, inputs = self.shape(x)
        b = self.constant(integers(np.int8, (inputs, columns), len(self.constants)))
        more = (self.scale(0.001), "", self.point, "", "", self.scale(0.5))
        how = {"domain": "pelemay", "to": DType.FLOAT32}
        return str(self.add("QMatMul", (x, b, *more), (*front, columns), **how))


def network(dtype: DType = DType.UINT8) -> Graph:
    """Convolutions of all kinds, a residual, a table, pools, and a product in real numbers."""
    b = Quantized(dtype)
    x = b.q_conv(b.quantized(b.input(1, 37, 33, 3)), 24, stride=2)
    for stride in (1, 2):
        y = b.q_conv(b.q_conv(x, 40, kernel=1), 40, stride=stride, group=40)
        y = b.q_conv(y, 24, kernel=1)
        x = b.table(b.sum(x, y)) if stride == 1 else y
    x = b.pool(b.pool(x, "MaxPool", 3, 1), "QAveragePool", 2, 2)
    x = b.reshape(x, 1, 12, 24)
    b.types[x] = TensorType(dtype, (1, 12, 24))
    return b.graph(b.product(x, 70), b.real(x))
