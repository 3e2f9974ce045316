"""Sliding windows: counts and places against a definition by enumeration."""

from __future__ import annotations

import array_api_compat.numpy as xp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pelemay.errors import ExecutionError
from pelemay.graph.operations.windows import extent_of, pad, window_of

AXIS = st.tuples(
    st.integers(1, 12),  # size
    st.integers(1, 4),  # kernel
    st.integers(1, 3),  # stride
    st.integers(1, 3),  # dilation
    st.integers(0, 3),  # begin
    st.integers(0, 3),  # end
)


@given(AXIS)
def test_a_window_reads_the_elements_that_it_spans(axis):
    size, kernel, stride, dilation, begin, end = axis
    assume(size + begin + end >= extent_of(kernel, dilation))
    window = window_of(
        (size,), (kernel,), strides=(stride,), dilations=(dilation,), pads=(begin, end)
    )
    line = [*[0] * begin, *range(1, size + 1), *[0] * end]
    starts = range(0, len(line) - extent_of(kernel, dilation) + 1, stride)
    expected = [[line[s + k * dilation] for k in range(kernel)] for s in starts]
    x = window.padded(xp, np.arange(1, size + 1).reshape(1, 1, -1))
    taps = [window.tap(x, position) for position in window.positions]
    assert np.stack(taps, axis=-1)[0, 0].tolist() == expected


@given(AXIS)
def test_rounding_up_adds_windows_that_start_inside(axis):
    size, kernel, stride, dilation, begin, end = axis
    room = size + begin + end - extent_of(kernel, dilation)
    assume(room >= 0 and end < kernel)
    settings = {"strides": (stride,), "dilations": (dilation,), "pads": (begin, end)}
    window = window_of((size,), (kernel,), ceil_mode=1, **settings)
    starts = range(0, room + stride, stride)
    assert window.outputs[0] == sum(start < size + begin for start in starts)


@given(
    st.integers(1, 12), st.integers(1, 4), st.integers(1, 4), st.sampled_from(["UPPER", "LOWER"])
)
def test_same_padding_gives_a_window_every_stride(size, kernel, stride, side):
    window = window_of((size,), (kernel,), strides=(stride,), auto_pad=f"SAME_{side}")
    assert window.outputs == (-(-size // stride),)
    begin, end = window.begins[0], window.ends[0]
    assert abs(begin - end) <= 1
    assert (begin <= end) if side == "UPPER" else (begin >= end)


def test_negative_padding_crops():
    x = np.arange(4).reshape(1, 1, 4)
    assert pad(xp, x, (-1,), (2,), 9).tolist() == [[[1, 2, 3, 9, 9]]]


def test_attributes_that_do_not_fit_are_refused():
    with pytest.raises(ExecutionError, match=r"strides \(1,\) needs 2 numbers"):
        window_of((4, 4), (2, 2), strides=(1,))
    with pytest.raises(ExecutionError, match="does not fit"):
        window_of((2,), (4,))
