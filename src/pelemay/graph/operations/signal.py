"""Fourier transforms and mel scales.

In: signals whose last axis holds the real part, or the real and the imaginary part. Out: spectra
in the same form.

>>> import array_api_compat.numpy as xp
>>> dft(xp, xp.asarray([[[1.0], [1.0]]]))
array([[[2., 0.],
        [0., 0.]]])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pelemay.errors import ExecutionError
from pelemay.graph.dtypes import DType
from pelemay.graph.operations.common import Array, axis_of, dtype_of, in_float32, ints, number
from pelemay.graph.operations.table import Operation


@in_float32
def dft(
    xp: Any,
    x: Array,
    dft_length: Array | None = None,
    axis: Array | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Array:
    along = axis_of(-2 if axis is None else int(number(axis)), x.ndim)
    if along == x.ndim - 1:
        raise ExecutionError("the last axis holds real and imaginary parts, not a signal")
    length = None if dft_length is None else int(number(dft_length))
    if onesided and inverse:
        return xp.expand_dims(xp.fft.irfft(_complex(xp, x), n=length, axis=along), axis=-1)
    return _spectrum(xp, x, length, along, inverse=bool(inverse), onesided=bool(onesided))


def _spectrum(
    xp: Any, x: Array, length: int | None, axis: int, *, inverse: bool, onesided: bool
) -> Array:
    if onesided:
        if x.shape[-1] != 1:
            raise ExecutionError("a one-sided transform takes a real signal")
        y = xp.fft.rfft(x[..., 0], n=length, axis=axis)
    else:
        transform = xp.fft.ifft if inverse else xp.fft.fft
        y = transform(_complex(xp, x), n=length, axis=axis)
    return xp.stack([xp.real(y), xp.imag(y)], axis=-1)


def _complex(xp: Any, x: Array) -> Array:
    kind = xp.complex128 if dtype_of(x) is DType.FLOAT64 else xp.complex64
    real = xp.astype(x[..., 0], kind)
    return real if x.shape[-1] == 1 else real + xp.astype(x[..., 1], kind) * 1j


@in_float32
def stft(
    xp: Any,
    signal: Array,
    frame_step: Array,
    window: Array | None = None,
    frame_length: Array | None = None,
    *,
    onesided: int = 1,
) -> Array:
    """Transforms of overlapping frames: (batch, frames, frequencies, 2)."""
    batch, samples, parts = signal.shape
    length = _frame_length(samples, window, frame_length)
    step = int(number(frame_step))
    starts = np.arange((samples - length) // step + 1) * step
    places = (starts[:, None] + np.arange(length)).reshape(-1)
    frames = xp.take(signal, xp.asarray(places), axis=1)
    frames = xp.reshape(frames, (batch, len(starts), length, parts))
    if window is not None:
        frames = frames * xp.expand_dims(window, axis=-1)
    one_sided = bool(onesided) and parts == 1
    return _spectrum(xp, frames, length, 2, inverse=False, onesided=one_sided)


def _frame_length(samples: int, window: Array | None, given: Array | None) -> int:
    if given is not None:
        return ints(given)[0]
    return samples if window is None else int(window.shape[0])


def mel_weight_matrix(
    xp: Any,
    num_mel_bins: Array,
    dft_length: Array,
    sample_rate: Array,
    lower_edge_hertz: Array,
    upper_edge_hertz: Array,
    *,
    output_datatype: DType | None = None,
) -> Array:
    """Triangles over the frequencies, equally far apart on the mel scale.

    The steps divide the range by the number of edges, one more than there are gaps, as the
    operation's published results do.
    """
    bands, length = int(number(num_mel_bins)), int(number(dft_length))
    edges = (float(number(edge)) for edge in (lower_edge_hertz, upper_edge_hertz))
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in edges)
    mels = low + np.arange(bands + 2) * ((high - low) / (bands + 2))
    hertz = 700 * (10 ** (mels / 2595) - 1)
    bins = np.floor((length + 1) * hertz / number(sample_rate))
    start, peak, end = bins[:-2], bins[1:-1], bins[2:]
    frequency = np.arange(length // 2 + 1)[:, None]
    rising = (frequency - start) / np.where(peak > start, peak - start, 1)
    falling = (end - frequency) / np.where(end > peak, end - peak, 1)
    up = np.where((frequency >= start) & (frequency < peak), rising, 0)
    down = np.where((frequency > peak) & (frequency < end), falling, 0)
    weights = np.where(frequency == peak, 1.0, up + down)
    return weights.astype((output_datatype or DType.FLOAT32).numpy)


ROWS = (
    Operation("DFT", dft, "signal", host=(1, 2)),
    Operation("STFT", stft, "signal", host=(1, 3)),
    Operation("MelWeightMatrix", mel_weight_matrix, "signal", on_host=True),
)
