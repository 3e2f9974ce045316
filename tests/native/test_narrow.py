"""Weights that lie narrower than they are computed with: the sums are those of float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.engine import Engine, native, open_program
from pelemay.errors import ModelError
from pelemay.graph import DType
from pelemay.program.image import image
from pelemay.program.narrow import Whole, floats
from pelemay.program.program import Block, Instruction, Program, Space, Tensor, contiguous_strides
from support.layers import DEPTHWISE, FORMS, SHAPES, TRANSPOSED, conv_case, product_case
from support.nodes import Case

NARROW = (DType.FLOAT16, DType.BFLOAT16, DType.INT8)
LAYERS = ("conv", "depthwise", "winograd", "matmul")
PAGE = 4096

each_type = pytest.mark.parametrize("dtype", NARROW, ids=lambda d: d.value)


def packed_weights(program: Program, step: Instruction) -> Tensor | None:
    """The panels that an instruction reads, if it does."""
    number = step.inputs[1] if step.opcode in LAYERS else None
    if number is None:
        return None
    found = program.tensors[number]
    packed = step.params[19] == 0 if step.opcode != "matmul" else step.params[2] == 1
    return found if packed and found.space is Space.WEIGHTS else None


def narrowed(panels: Any, dtype: DType) -> tuple[Any, Any]:
    """Panels in a narrower type, and their scales."""
    if dtype is not DType.INT8:
        return next(floats("w", lambda: iter((panels,)), dtype)), None
    whole = Whole("w", lambda: iter((panels,)))
    return next(whole.values()), next(whole.scales()).reshape(-1)


def widened(values: Any, scales: Any) -> Any:
    """What the kernels should make of them."""
    wide = values.astype(np.float32)
    return wide if scales is None else wide * scales.reshape(-1, 1, 16)


class Rewritten:
    """Two programs of one: with narrow weights, and with float32 weights of the same values."""

    def __init__(self, program: Program, dtype: DType) -> None:
        self.bytes = image(program)[-program.weights_bytes :] if program.weights_bytes else b""
        self.dtype = dtype
        self.changed: list[str] = []
        self.narrow = self._made(program, wide=False)
        self.wide = self._made(program, wide=True)

    def _made(self, program: Program, *, wide: bool) -> Program:
        tensors, blocks = list(program.tensors), list(program.blocks)

        def add(array: Any) -> int:
            end = blocks[-1].offset + blocks[-1].nbytes
            offset = -(-end // PAGE) * PAGE
            block = Block(f"b{len(blocks)}", offset, array.nbytes, pieces=lambda: iter((array,)))
            strides = contiguous_strides(array.shape)
            kind = DType.of_numpy(array.dtype)
            at = {"index": len(blocks), "offset": offset}
            tensors.append(Tensor(kind, array.shape, strides, Space.WEIGHTS, **at))
            blocks.append(block)
            return len(tensors) - 1

        def changed(step: Instruction) -> Instruction:
            found = packed_weights(program, step)
            if found is None:
                return step
            self.changed.append(step.opcode)
            count = int(np.prod(found.shape))
            panels = np.frombuffer(self.bytes, np.float32, count, found.offset)
            values, scales = narrowed(panels.reshape(found.shape), self.dtype)
            if wide:
                return self._with(step, add(widened(values, scales)))
            more = () if scales is None else (add(scales),)
            return self._with(step, add(values), *more)

        instructions = tuple(map(changed, program.instructions))
        return replace(
            program, tensors=tuple(tensors), blocks=tuple(blocks), instructions=instructions
        )

    @staticmethod
    def _with(step: Instruction, weights: int, *scales: int) -> Instruction:
        data, _, *others = step.inputs
        return replace(step, inputs=(data, weights, *others, *scales))


def check(case: Case, dtype: DType) -> None:
    """Every instruction set, and any number of workers, computes what it does with float32."""
    program, inputs = case.built()
    both = Rewritten(program, dtype)
    assert both.changed == 2 * [step.opcode for step in program.instructions]
    narrow, wide = open_program(image(both.narrow)), open_program(image(both.wide))
    for isa in native().ISAS:
        expected = Engine(wide, threads=1, isa=isa).run(inputs)
        for workers in (1, 2, 3):
            found = Engine(narrow, threads=workers, isa=isa).run(inputs)
            for y, ideal in zip(found, expected, strict=True):
                what = f"{isa}, {workers} workers"
                np.testing.assert_array_equal(y, ideal, what, strict=True)


@each_type
@pytest.mark.parametrize("name", FORMS)
def test_convolutions(name: str, dtype: DType) -> None:
    x, w, attributes = FORMS[name]
    check(conv_case(x, w, **attributes), dtype)


@each_type
@pytest.mark.parametrize("name", DEPTHWISE)
def test_depthwise(name: str, dtype: DType) -> None:
    x, kernel, attributes = DEPTHWISE[name]
    check(conv_case(x, (x[-1], 1, *kernel), group=x[-1], **attributes), dtype)


@each_type
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed(name: str, dtype: DType) -> None:
    x, w, attributes = TRANSPOSED[name]
    check(conv_case(x, w, transposed=True, **attributes), dtype)


@each_type
@pytest.mark.parametrize("residual", ["before", "after"])
@pytest.mark.parametrize("form", ["3x3", "filtered", "long", "groups of 4"])
def test_epilogues(form: str, residual: str, dtype: DType) -> None:
    x, w, attributes = FORMS.get(form, ((1, 4, 4, 700), (40, 700, 1, 1), {}))
    more = {"activation": "Tanh", "residual_position": residual, **attributes}
    check(conv_case(x, w, residual=True, **more), dtype)


@each_type
@pytest.mark.parametrize("shapes", [s for s in SHAPES if len(s[1]) == 2], ids=str)
@pytest.mark.parametrize("more", [{}, {"residual": True, "activation": "Gelu"}], ids=str)
def test_products(shapes: Any, more: dict[str, Any], dtype: DType) -> None:
    check(product_case(*shapes, constant=True, bias=True, **more), dtype)


@each_type
@pytest.mark.parametrize("stack", [(), (2, 3)])
@pytest.mark.parametrize("sizes", [(1, 700, 130), (30, 64, 33), (40, 1300, 17)], ids=str)
@pytest.mark.parametrize("position", ["before", "after"])
def test_products_turned(stack: Any, sizes: Any, position: str, dtype: DType) -> None:
    m, k, n = sizes
    flags = {"trans_a": 1, "trans_b": 1, "alpha": 0.25, "residual_position": position}
    case = product_case((*stack, k, m), (n, k), constant=True, residual=True, **flags)
    check(case, dtype)


SPOILED: dict[str, Any] = {
    "no scales": lambda step, _: replace(step, inputs=step.inputs[:4]),
    "scales left out": lambda step, _: replace(step, inputs=(*step.inputs[:4], None)),
    "bias as scales": lambda step, _: replace(step, inputs=(*step.inputs[:4], step.inputs[2])),
    "weights as scales": lambda step, _: replace(step, inputs=(*step.inputs[:4], step.inputs[1])),
    "scales of float32 weights": lambda step, wide: replace(
        step, inputs=(step.inputs[0], wide, *step.inputs[2:])
    ),
    "one operand more": lambda step, _: replace(step, inputs=(*step.inputs, step.inputs[4])),
    "weights not packed": lambda step, _: replace(step, params=_unpacked(step)),
}


def _unpacked(step: Instruction) -> tuple[int, ...]:
    place, value = (2, 0) if step.opcode == "matmul" else (19, 1)
    return (*step.params[:place], value, *step.params[place + 1 :])


@pytest.mark.parametrize("spoil", SPOILED)
@pytest.mark.parametrize("layer", LAYERS)
def test_what_does_not_fit_is_refused(layer: str, spoil: str) -> None:
    case = {
        "conv": conv_case((1, 5, 5, 20), (24, 20, 1, 1)),
        "depthwise": conv_case((1, 9, 9, 20), (20, 1, 3, 3), group=20),
        "winograd": conv_case((1, 40, 40, 32), (44, 32, 3, 3), pads=(1,) * 4),
        "matmul": product_case((9, 20), (20, 40), constant=True, bias=True),
    }[layer]
    program, _ = case.built()
    wide = program.instructions[0].inputs[1]
    made = Rewritten(program, DType.INT8).narrow
    open_program(image(made))
    (step,) = made.instructions
    assert step.opcode == layer
    with pytest.raises(ModelError):
        open_program(image(replace(made, instructions=(SPOILED[spoil](step, wide),))))


@pytest.mark.parametrize("dtype", [DType.FLOAT64, DType.INT16, DType.UINT8, DType.BOOL])
def test_other_types_are_refused(dtype: DType) -> None:
    program, _ = conv_case((1, 5, 5, 20), (24, 20, 1, 1)).built()
    number = program.instructions[0].inputs[1]
    tensors = list(program.tensors)
    tensors[number or 0] = replace(tensors[number or 0], dtype=dtype)
    grown = tuple(replace(b, nbytes=2 * b.nbytes, pieces=lambda: iter(())) for b in program.blocks)
    with pytest.raises(ModelError):
        open_program(image(replace(program, tensors=tuple(tensors), blocks=grown)))


def weights(draw: st.DrawFn) -> Any:
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 20)), 16)
    size = draw(st.sampled_from([1e-45, 1e-38, 1e-6, 1.0, 1e6, 3e38]))
    values = np.random.default_rng(draw(st.integers(0, 1 << 32))).normal(0, 1, shape)
    values[np.abs(values) < draw(st.sampled_from([0.0, 0.5, 9.0]))] = 0
    return np.clip(values * size, -3.4e38, 3.4e38).astype(np.float32)


@settings(max_examples=200)
@given(panels=st.composite(weights)())
def test_whole_numbers_are_the_nearest(panels: Any) -> None:
    values, scales = narrowed(panels, DType.INT8)
    assert (values.dtype, values.shape, scales.shape) == (
        np.int8,
        panels.shape,
        (panels[:, 0].size,),
    )
    scales = scales.reshape(-1, 1, 16)
    largest = np.abs(panels).max(axis=1, keepdims=True)
    exact = largest.astype(np.float64) / 127
    assert (scales > 0).all()
    normal = exact > 1e-36
    np.testing.assert_allclose(scales[normal], exact[normal], rtol=1e-6)
    assert np.abs(values.astype(int)).max() <= 127
    error = np.abs(values * scales.astype(np.float64) - panels)
    assert (error <= scales * 0.50001)[np.broadcast_to(normal, error.shape)].all()
    assert (values[np.broadcast_to(largest == 0, values.shape)] == 0).all()
    assert (scales[largest == 0] == 1).all()
    # What is stored is kept: the same numbers and scales again.
    again, same = narrowed(widened(values, scales), DType.INT8)
    if normal.all():
        np.testing.assert_array_equal(again, values)
        np.testing.assert_allclose(same.reshape(scales.shape), scales, rtol=1e-6)


def test_ties_go_to_the_even_number() -> None:
    panels = np.zeros((1, 6, 16), np.float32)
    panels[0, :, 3] = 127, 0.5, 1.5, -2.5, -0.5, 126.5
    values, scales = narrowed(panels, DType.INT8)
    assert scales[3] == 1
    assert values[0, :, 3].tolist() == [127, 0, 2, -2, 0, 126]


def pieces(panels: Any) -> Iterator[Any]:
    yield from np.array_split(panels, len(panels))


def test_scales_are_the_same_before_and_after_the_values() -> None:
    panels = np.random.default_rng(0).normal(0, 1, (4, 9, 16)).astype(np.float32)
    whole = Whole("w", lambda: pieces(panels))
    before = np.concatenate(list(whole.scales()))
    values = np.concatenate(list(whole.values()))
    np.testing.assert_array_equal(np.concatenate(list(whole.scales())), before)
    np.testing.assert_array_equal(narrowed(panels, DType.INT8)[0], values)
