"""Convolutions: data with channels last, weights in panels.

In: nodes ``pelemay::Conv`` and ``pelemay::ConvTranspose``. Out: one instruction for a convolution,
or one for each slice of output channels where a limit for a block of weights is set; the same for
each phase of a transposed one, which is an ordinary convolution whose outputs lie a stride apart.

>>> phase_taps(kernel=3, stride=2, dilation=1, pad=1, phase=0)
Taps(first=1, step=1, count=1, dilation=1, shift=0)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.engine import native
from pelemay.graph import DType
from pelemay.program.operand import Panels
from pelemay.program.pack import row_windows
from pelemay.program.panels import PANEL, mirrored, panels_of, window_panels
from pelemay.program.schedule import SMALL, Filtering, Product, filtering_of, split_of
from pelemay.program.slices import Slice, slices_of
from pelemay.program.views import part_along

if TYPE_CHECKING:
    from pelemay.graph import Node
    from pelemay.program.lowering import Lowering
    from pelemay.program.operand import Operand

SPREADS = (1, 2, 4, 8, 16, 32)
"""Channels of a group, inputs and outputs, that the kernel ``depthwise`` takes."""

PACKED, RAW, MIRRORED = range(3)
"""How weights lie, in the order of ``pm_weights``."""

Ints = Sequence[int]
Form = Callable[[Any], Any]


@dataclass(frozen=True)
class Window:
    """A convolution's geometry, three dimensions each; ``begins`` may be below zero."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Positions."""
        return math.prod(self.kernel)


@dataclass(frozen=True)
class Task:
    """One instruction to emit.

    Parameters
    ----------
    x, y : Operand
        Data and output.
    bias, residual : Operand or None
        What is added.
    window : Window
        The geometry.
    group : int
        Groups of channels.
    epilogue : tuple
        Activation, its two parameters, whether the residual comes after it.
    rows : (int, int)
        Rows of the output that are made, [begin, end).
    """

    x: Operand
    y: Operand
    bias: Operand | None
    residual: Operand | None
    window: Window
    group: int
    epilogue: tuple[int | float, ...]
    rows: tuple[int, int]

    @property
    def made(self) -> tuple[int, ...]:
        """Sizes of what is made: of the output, with those rows only."""
        if self.y.rank < 4:
            return self.y.shape
        return (*self.y.shape[:-3], self.rows[1] - self.rows[0], *self.y.shape[-2:])

    @property
    def is_depthwise(self) -> bool:
        """Whether there are so few channels in a group that a panel holds several groups."""
        channels, outputs = self.x.shape[-1], self.y.shape[-1]
        return channels == outputs and self.group > 1 and channels // self.group in SPREADS

    @property
    def steps(self) -> int:
        """Of the sum that an output is."""
        return self.window.taps * (self.x.shape[-1] // self.group)

    def params(self, weights: int) -> tuple[int | float, ...]:
        """The parameters that all kernels of convolutions share."""
        w = self.window
        geometry = (*w.kernel, *w.strides, *w.dilations, *w.begins, self.group)
        return (*geometry, *self.epilogue, *self.rows, weights)


def epilogue_of(l: Lowering, node: Node, alpha: str, beta: str) -> tuple[int | float, ...]:
    """What comes after the sum, as the kernels take it."""
    values = node.attributes
    name = values.get("activation", "")
    known = native().ACTIVATIONS
    if name not in known:
        raise l.unsupported(f"the activation '{name}' is not known to the engine")
    has_residual = len(node.inputs) > 3 and bool(node.inputs[3])
    after = has_residual and values.get("residual_position", "before") == "after"
    factors = (float(_number(values.get(alpha, 0.0))), float(_number(values.get(beta, 0.0))))
    return (known.index(name), *factors, int(after))


def _number(value: Any) -> float:
    return float(value)


def optional(l: Lowering, node: Node, index: int) -> Operand | None:
    """An input that may be left out."""
    name = node.inputs[index] if len(node.inputs) > index else ""
    return l.tensor(name) if name else None


def _threes(values: Any, rank: int, default: int) -> tuple[int, ...]:
    given = tuple(values) or (default,) * rank
    return (default,) * (3 - rank) + tuple(map(int, given))


def window_of(node: Node, kernel: Ints) -> Window:
    """The geometry that a node's attributes and its weights say."""
    rank, values = len(kernel), node.attributes
    begins = tuple(values.get("pads", ()))[:rank]  # type: ignore[arg-type]
    return Window(
        _threes(kernel, rank, 1),
        _threes(values.get("strides", ()), rank, 1),
        _threes(values.get("dilations", ()), rank, 1),
        _threes(begins, rank, 0),
    )


def _task(l: Lowering, node: Node, window: Window) -> Task:
    x, y = l.tensor(node.inputs[0]), l.tensor(node.outputs[0])
    if x.dtype != DType.FLOAT32 or y.dtype != DType.FLOAT32:
        raise l.unsupported(f"convolutions are of float32, this is of {x.dtype.value}")
    if not x.shape[-1]:
        raise l.unsupported("there are no channels")
    group = int(_number(node.attributes.get("group", 1)))
    epilogue = epilogue_of(l, node, "alpha", "beta")
    rows = l.rows or (0, y.shape[-3] if y.rank > 3 else 1)
    return Task(x, y, optional(l, node, 2), optional(l, node, 3), window, group, epilogue, rows)


@dataclass(frozen=True)
class Method:
    """Which instruction computes a layer, and its own parameters."""

    opcode: str
    params: tuple[int, ...] = ()


def method_of(task: Task, kind: int, *, widened: bool = False) -> Method:
    """The one that suits the sizes; for all slices of a layer the same."""
    if task.is_depthwise:
        return Method("depthwise")
    filtering = _filtering(task) if kind == PACKED else None
    if filtering is not None:
        return Method("winograd", filtering.params)
    outputs = task.y.shape[-1]
    rows = math.prod(task.made) // max(1, outputs)
    whole = task.residual is not None and bool(task.epilogue[3])
    product = Product(rows, outputs // task.group, task.steps, whole, widened)
    return Method("conv", split_of(product).params)


def emit(l: Lowering, task: Task, panels: Panels, kind: int, method: Method | None = None) -> None:
    """Emit an instruction; the method is found by the task's own sizes if it is not given."""
    chosen = method or method_of(task, kind)
    inputs = [task.x, panels.weights, task.bias, task.residual, *panels.scales]
    cost = math.prod(task.made) * task.steps
    serial = cost < SMALL and chosen.opcode != "winograd"
    params = (*task.params(kind), *chosen.params)
    l.emit(chosen.opcode, inputs, [task.y], params, cost=cost, serial=serial)


def _filtering(task: Task) -> Filtering | None:
    """Winograd's filtering, where it can be used and is faster."""
    w, ones = task.window, (1, 1, 1)
    if w.kernel != (1, 3, 3) or (w.strides, w.dilations) != (ones, ones):
        return None
    if task.group != 1 or task.x.rank != 4 or w.begins[0]:
        return None
    images, height, width, outputs = task.made
    return filtering_of(images, height, width, task.x.shape[-1], outputs)


def conv(l: Lowering, node: Node) -> None:
    """One convolution."""
    weights = node.inputs[1]
    shape = l.shape(weights)
    task = _task(l, node, window_of(node, shape[2:]))
    if l.constant(weights) is not None:
        _emit_packed(l, weights, "panels", task)
        return
    emit(l, task, Panels(_raw(l, weights, task.group)), RAW)


def _packed_sizes(task: Task, *, depthwise: bool) -> tuple[int, int, int]:
    outputs, group = task.y.shape[-1], task.group
    panels = panels_of(outputs) if depthwise else group * panels_of(outputs // group)
    return (panels, task.steps, PANEL)


def _emit_packed(l: Lowering, name: str, key: str, task: Task, form: Form | None = None) -> None:
    """One instruction, or one for each slice of output channels, over weights that are constant."""
    method = method_of(task, PACKED, widened=l.widens)
    panel_bytes = task.steps * PANEL * l.stored.numpy.itemsize
    for chosen in channel_slices(task, l.block_bytes, panel_bytes):
        part = slice_of(l, task, chosen)
        own_key = f"{key}-depthwise" if task.is_depthwise else f"{key}-{task.group}"
        own_key += chosen.key(task.y.shape[-1])
        panels = _packed(l, name, own_key, task, part, chosen, form)
        emit(l, part, panels, PACKED, method)


def channel_slices(task: Task, limit: int | None, panel_bytes: int) -> list[Slice]:
    """Whole groups; of a group that is larger than the limit, some of its outputs."""
    outputs = task.y.shape[-1]
    own = outputs // task.group
    if task.is_depthwise:
        step = max(PANEL, own)
        bytes_of_step = step // PANEL * panel_bytes
        return slices_of(outputs, step_bytes=bytes_of_step, limit=limit, step=step)
    group_bytes = panels_of(own) * panel_bytes
    if task.group == 1 or limit is None or group_bytes <= limit:
        step, bytes_of_step = (PANEL, panel_bytes) if task.group == 1 else (own, group_bytes)
        return slices_of(outputs, step_bytes=bytes_of_step, limit=limit, step=step)
    of_one = slices_of(own, step_bytes=panel_bytes, limit=limit)
    return [Slice(at + s.first, at + s.last) for at in range(0, outputs, own) for s in of_one]


def slice_of(l: Lowering, task: Task, chosen: Slice) -> Task:
    """The part of a layer that makes these outputs."""
    outputs = task.y.shape[-1]
    if chosen.size == outputs:
        return task
    own, channels = outputs // task.group, task.x.shape[-1] // task.group
    group = max(1, chosen.size // own)
    first = chosen.first // own * channels

    def cut(operand: Operand | None) -> Operand | None:
        if operand is None:
            return None
        return part_along(l, operand, operand.rank - 1, chosen.first, chosen.size)

    y = cut(task.y)
    assert y is not None
    x = task.x
    if task.group > 1:
        x = part_along(l, x, x.rank - 1, first, group * channels)
    return replace(task, x=x, y=y, bias=cut(task.bias), residual=cut(task.residual), group=group)


def _packed(
    l: Lowering, name: str, key: str, task: Task, part: Task, chosen: Slice, form: Form | None
) -> Panels:
    """Some rows of a constant in panels, after ``form`` made it an ordinary convolution's."""
    constant = l.constant(name)
    assert constant is not None
    together = 1 if task.is_depthwise else part.group

    def pieces() -> Iterator[Any]:
        if form is not None or together > 1:
            w = constant.array() if form is None else form(constant.array())
            yield from window_panels(w[chosen.first : chosen.last], together)
            return
        for rows in row_windows(constant, PANEL, chosen.first, chosen.last):
            yield from window_panels(rows, 1)

    sizes = _packed_sizes(part, depthwise=task.is_depthwise)
    return l.panels(name, key, sizes, pieces)


def _raw(l: Lowering, name: str, group: int) -> Operand:
    """Weights (M, C / group, *kernel) of the run as the kernels see them."""
    w = l.tensor(name)
    outputs = w.shape[0] // group
    ones = (1,) * (5 - w.rank)
    shape = (group, outputs, w.shape[1], *ones, *w.shape[2:])
    strides = (outputs * w.strides[0], *w.strides[:2], *(0,) * len(ones), *w.strides[2:])
    return l.view(name, shape=shape, strides=strides)


@dataclass(frozen=True)
class Taps:
    """The positions of a transposed convolution's window that reach the outputs of one phase.

    Parameters
    ----------
    first, step, count : int
        Positions ``first``, ``first + step``, and so on, of the window.
    dilation : int
        Inputs from one to the next.
    shift : int
        Input that the first position reaches from output 0 of the phase.
    """

    first: int
    step: int
    count: int
    dilation: int
    shift: int


def phase_taps(*, kernel: int, stride: int, dilation: int, pad: int, phase: int) -> Taps:
    """Of one dimension: outputs ``phase``, ``phase + stride``, and so on.

    Output o is the sum over positions k of input (o + pad - k * dilation) / stride, where that
    is a whole number.
    """
    fits = [k for k in range(kernel) if (phase + pad - k * dilation) % stride == 0]
    if not fits:
        return Taps(0, 1, 0, 1, 0)
    step = fits[1] - fits[0] if len(fits) > 1 else 1
    shift = (phase + pad - fits[0] * dilation) // stride
    return Taps(fits[0], step, len(fits), step * dilation // stride if len(fits) > 1 else 1, shift)


def conv_transpose(l: Lowering, node: Node) -> None:
    """One convolution for each phase of the output."""
    weights = node.inputs[1]
    shape = l.shape(weights)
    window = window_of(node, shape[2:])
    task = _task(l, node, window)
    if len(shape) > 2 and math.prod(window.strides) > 64:
        raise l.unsupported(f"strides {window.strides} have too many phases")
    sizes = _threes(task.y.shape[1:-1], task.y.rank - 2, 1)
    for phase in itertools.product(*map(range, window.strides)):
        begin, end = (-((phase[1] - row) // window.strides[1]) for row in task.rows)
        if begin < end and all(p < size for p, size in zip(phase, sizes, strict=True)):
            _emit_phase(l, weights, replace(task, rows=(begin, end)), phase)


def _emit_phase(l: Lowering, weights: str, task: Task, phase: Ints) -> None:
    window = task.window
    axes = zip(window.kernel, window.strides, window.dilations, window.begins, phase, strict=True)
    taps = [phase_taps(kernel=k, stride=s, dilation=d, pad=p, phase=q) for k, s, d, p, q in axes]
    empty = not all(t.count for t in taps)
    counts = tuple(1 if empty else t.count for t in taps)
    dilations = tuple(1 if empty else t.dilation for t in taps)
    begins = tuple((c - 1) * d - t.shift for c, d, t in zip(counts, dilations, taps, strict=True))
    part = replace(
        task,
        y=_phase_view(l, task.y, window.strides, phase),
        residual=task.residual and _phase_view(l, task.residual, window.strides, phase),
        window=Window(counts, (1, 1, 1), dilations, (0, 0, 0) if empty else begins),
    )
    if empty:
        sizes = _packed_sizes(part, depthwise=part.is_depthwise)
        emit(l, part, Panels(l.literal(np.zeros(sizes, np.float32))), PACKED)
    elif l.constant(weights) is None:
        emit(l, part, Panels(_raw_phase(l, weights, taps, task.group)), MIRRORED)
    else:
        steps = (*window.strides, *window.dilations, *window.begins, *phase)
        key = "phase-" + ",".join(map(str, steps))
        _emit_packed(l, weights, key, part, _phase_of(taps, task.group))


def _phase_of(taps: Sequence[Taps], group: int) -> Form:
    """Takes the weights of one phase, and makes them an ordinary convolution's."""

    def form(w: Any) -> Any:
        chosen = (slice(t.first, t.first + t.count * t.step, t.step) for t in taps[5 - w.ndim :])
        return mirrored(w[(slice(None), slice(None), *chosen)], group)

    return form


def _phase_view(l: Lowering, y: Operand, strides: Ints, phase: Ints) -> Operand:
    rank = y.rank - 2
    steps, starts = strides[3 - rank :], phase[3 - rank :]
    inner = list(zip(y.shape[1:-1], y.strides[1:-1], steps, starts, strict=True))
    offset = sum(stride * start for _, stride, _, start in inner)
    shape = (y.shape[0], *(-(-(n - start) // step) for n, _, step, start in inner), y.shape[-1])
    spaced = (y.strides[0], *(stride * step for _, stride, step, _ in inner), y.strides[-1])
    seen = l.view_of(y, offset=4 * offset, shape=shape, strides=spaced)
    ring = seen.tensor.ring // strides[1]
    return replace(seen, tensor=replace(seen.tensor, ring=ring)) if ring else seen


def _raw_phase(l: Lowering, name: str, taps: Sequence[Taps], group: int) -> Operand:
    """Weights (C, M / group, *kernel) of the run: those of one phase, still to be mirrored."""
    w = l.tensor(name)
    rank = w.rank - 2
    channels = w.shape[0] // group
    ones = (1,) * (3 - rank)
    chosen = taps[3 - rank :]
    spatial = w.strides[2:]
    offset = sum(t.first * stride for t, stride in zip(chosen, spatial, strict=True))
    steps = tuple(t.step * stride for t, stride in zip(chosen, spatial, strict=True))
    shape = (group, w.shape[1], channels, *ones, *(t.count for t in chosen))
    strides = (channels * w.strides[0], w.strides[1], w.strides[0], *(0,) * len(ones), *steps)
    return l.view(name, offset=4 * offset, shape=shape, strides=strides)


LOWERINGS = {
    ("pelemay", "Conv"): conv,
    ("pelemay", "ConvTranspose"): conv_transpose,
}
