"""Recurrent layers.

In: sequences of shape (steps, batch, features), or (batch, steps, features) with ``layout=1``,
weights for each direction. Out: all hidden states, and the last ones.

>>> import array_api_compat.numpy as xp
>>> one = xp.ones((1, 1, 1))
>>> rnn(xp, one, one, one, activations=("Affine",), activation_alpha=(2.0,))[1]
array([[[2.]]])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pelemay.errors import ExecutionError
from pelemay.graph.operations import activation
from pelemay.graph.operations.common import Array, in_float32
from pelemay.graph.operations.table import Operation

Floats = tuple[float, ...]
Names = tuple[str, ...]
State = tuple[Array, ...]
Step = Callable[[Array, State], State]
"""From what the input gives to the gates, and the state, to the next state; hidden state first."""


def _affine(xp: Any, x: Array, *, alpha: float = 1.0, beta: float = 0.0) -> Array:
    return alpha * x + beta


def _scaled_tanh(xp: Any, x: Array, *, alpha: float = 1.0, beta: float = 1.0) -> Array:
    return alpha * xp.tanh(beta * x)


ACTIVATIONS: dict[str, tuple[Callable[..., Any], Names]] = {
    "affine": (_affine, ("alpha", "beta")),
    "elu": (activation.elu, ("alpha",)),
    "hardsigmoid": (activation.hard_sigmoid, ("alpha", "beta")),
    "leakyrelu": (activation.leaky_relu, ("alpha",)),
    "relu": (activation.relu, ()),
    "scaledtanh": (_scaled_tanh, ("alpha", "beta")),
    "sigmoid": (activation.sigmoid, ()),
    "softplus": (activation.softplus, ()),
    "softsign": (activation.softsign, ()),
    "tanh": (activation.tanh, ()),
    "thresholdedrelu": (activation.thresholded_relu, ("alpha",)),
}
"""Each activation function and the parameters that it takes."""


@dataclass(frozen=True)
class Settings:
    """The attributes that the three operations share."""

    direction: str
    activations: Names
    alpha: Floats
    beta: Floats
    clip: float | None
    layout: int

    @property
    def directions(self) -> int:
        """One or two."""
        return 2 if self.direction == "bidirectional" else 1

    def functions(self, xp: Any, defaults: Names) -> list[list[Callable[[Array], Array]]]:
        """The activation functions of each direction, clipping included.

        Clipping is for the gates: the third function, of LSTM's cell, is without it in
        onnxruntime and OpenVINO, and so here.
        """
        count = len(defaults) * self.directions
        names = tuple(n.lower() for n in self.activations[:count] or defaults * self.directions)
        if unknown := [name for name in names if name not in ACTIVATIONS]:
            raise ExecutionError(
                f"activation {unknown[0]} is not known", hint=f"one of {', '.join(ACTIVATIONS)}"
            )
        parameters = _parameters(names, {"alpha": self.alpha, "beta": self.beta})
        size = len(defaults)
        made = [
            _bound(xp, name, parameters[i], self.clip if i % size < 2 else None)
            for i, name in enumerate(names)
        ]
        return [made[i : i + size] for i in range(0, len(made), size)]


def _parameters(names: Names, given: dict[str, Floats]) -> list[dict[str, float]]:
    """Numbers belong, in order, to the functions that take one."""
    found: list[dict[str, float]] = [{} for _ in names]
    for key, values in given.items():
        takers = (i for i, name in enumerate(names) if key in ACTIVATIONS[name][1])
        for place, value in zip(takers, values, strict=False):
            found[place][key] = value
    return found


def _bound(
    xp: Any, name: str, parameters: dict[str, float], clip: float | None
) -> Callable[[Array], Array]:
    function, _ = ACTIVATIONS[name]

    def apply(x: Array) -> Array:
        return function(xp, x if clip is None else xp.clip(x, -clip, clip), **parameters)

    return apply


def _run(
    xp: Any, x: Array, lengths: Array | None, state: State, step: Step, *, reverse: bool
) -> Any:
    """All hidden states and the last state of one direction; ``x`` has the gates' inputs.

    A sequence that is over keeps its state and gives zeros; backwards it starts at its own end.
    """
    steps = range(x.shape[0])
    hidden = []
    for time in reversed(steps) if reverse else steps:
        new = step(x[time, ...], state)
        if lengths is None:
            state = new
            hidden.append(new[0])
        else:
            on = xp.reshape(lengths > time, (-1, 1))
            state = tuple(xp.where(on, n, old) for n, old in zip(new, state, strict=True))
            hidden.append(xp.where(on, new[0], xp.zeros_like(new[0])))
    return xp.stack(hidden[::-1] if reverse else hidden), state


@dataclass(frozen=True)
class Direction:
    """The weights and the start of one direction."""

    reverse: bool
    weights: Array
    recurrence: Array
    input_bias: Array | None
    recurrence_bias: Array | None
    start: State
    functions: list[Callable[[Array], Array]]


def _directions(
    xp: Any,
    x: Array,
    weights: tuple[Array, Array, Array | None],
    starts: tuple[Array | None, ...],
    settings: Settings,
    defaults: Names,
) -> Iterator[Direction]:
    w, r, b = weights
    hidden = r.shape[-1]
    functions = settings.functions(xp, defaults)
    zeros = xp.zeros((x.shape[1], hidden), dtype=x.dtype)
    for i in range(settings.directions):
        half = w.shape[1]
        yield Direction(
            reverse=i == 1 or settings.direction == "reverse",
            weights=xp.matrix_transpose(w[i, ...]),
            recurrence=xp.matrix_transpose(r[i, ...]),
            input_bias=None if b is None else b[i, :half],
            recurrence_bias=None if b is None else b[i, half:],
            start=tuple(zeros if s is None else s[i, ...] for s in starts),
            functions=functions[i],
        )


def _plus(x: Array, bias: Array | None) -> Array:
    return x if bias is None else x + bias


def _parts(x: Array, count: int) -> list[Array]:
    """Equal parts of the last axis: the gates."""
    size = x.shape[-1] // count
    return [x[..., i * size : (i + 1) * size] for i in range(count)]


def _layer(
    xp: Any,
    x: Array,
    weights: tuple[Array, Array, Array | None],
    lengths: Array | None,
    starts: tuple[Array | None, ...],
    settings: Settings,
    defaults: Names,
    step_of: Callable[[Direction, int], Step],
) -> tuple[Array, ...]:
    """Run every direction; the outputs are Y, Y_h and, for a cell state, Y_c."""
    if settings.layout:
        x = xp.permute_dims(x, (1, 0, 2))
        starts = tuple(None if s is None else xp.permute_dims(s, (1, 0, 2)) for s in starts)
    runs = []
    for i, one in enumerate(_directions(xp, x, weights, starts, settings, defaults)):
        gates = _plus(xp.matmul(x, one.weights), one.input_bias)
        runs.append(_run(xp, gates, lengths, one.start, step_of(one, i), reverse=one.reverse))
    hidden = xp.stack([hidden for hidden, _ in runs], axis=1)
    last = [xp.stack(parts) for parts in zip(*(state for _, state in runs), strict=True)]
    if settings.layout:
        hidden = xp.permute_dims(hidden, (2, 0, 1, 3))
        last = [xp.permute_dims(state, (1, 0, 2)) for state in last]
    return hidden, *last


@in_float32
def rnn(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Floats = (),
    activation_beta: Floats = (),
    activations: Names = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
) -> tuple[Array, ...]:
    """``h = f(x W + h R + b)``."""

    def step_of(one: Direction, index: int) -> Step:
        def step(x: Array, state: State) -> State:
            recurrent = _plus(xp.matmul(state[0], one.recurrence), one.recurrence_bias)
            return (one.functions[0](x + recurrent),)

        return step

    settings = Settings(direction, activations, activation_alpha, activation_beta, clip, layout)
    return _layer(xp, x, (w, r, b), sequence_lens, (initial_h,), settings, ("tanh",), step_of)


@in_float32
def gru(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    *,
    activation_alpha: Floats = (),
    activation_beta: Floats = (),
    activations: Names = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    layout: int = 0,
    linear_before_reset: int = 0,
) -> tuple[Array, ...]:
    """Cho et al., Learning phrase representations using RNN encoder-decoder, arXiv 1406.1078."""

    def step_of(one: Direction, index: int) -> Step:
        f, g = one.functions
        size = one.recurrence.shape[0]
        gates, inner = one.recurrence[:, : 2 * size], one.recurrence[:, 2 * size :]
        bias = one.recurrence_bias
        gate_bias = None if bias is None else bias[: 2 * size]
        inner_bias = None if bias is None else bias[2 * size :]

        def step(x: Array, state: State) -> State:
            (h,) = state
            z, reset = _parts(f(x[:, : 2 * size] + _plus(xp.matmul(h, gates), gate_bias)), 2)
            if linear_before_reset:
                recurrent = reset * _plus(xp.matmul(h, inner), inner_bias)
            else:
                recurrent = _plus(xp.matmul(reset * h, inner), inner_bias)
            new = g(x[:, 2 * size :] + recurrent)
            return ((1 - z) * new + z * h,)

        return step

    settings = Settings(direction, activations, activation_alpha, activation_beta, clip, layout)
    return _layer(
        xp, x, (w, r, b), sequence_lens, (initial_h,), settings, ("sigmoid", "tanh"), step_of
    )


@in_float32
def lstm(
    xp: Any,
    x: Array,
    w: Array,
    r: Array,
    b: Array | None = None,
    sequence_lens: Array | None = None,
    initial_h: Array | None = None,
    initial_c: Array | None = None,
    p: Array | None = None,
    *,
    activation_alpha: Floats = (),
    activation_beta: Floats = (),
    activations: Names = (),
    clip: float | None = None,
    direction: str = "forward",
    hidden_size: int = 0,
    input_forget: int = 0,
    layout: int = 0,
) -> tuple[Array, ...]:
    """Hochreiter and Schmidhuber, Long short-term memory, 1997, with forget gate and peepholes."""

    def step_of(one: Direction, index: int) -> Step:
        f, g, h = one.functions
        peep_i, peep_o, peep_f = (0, 0, 0) if p is None else _parts(p[index, :], 3)

        def step(x: Array, state: State) -> State:
            hidden, cell = state
            gates = x + _plus(xp.matmul(hidden, one.recurrence), one.recurrence_bias)
            i, o, forget, new = _parts(gates, 4)
            i = f(i + peep_i * cell)
            forget = 1 - i if input_forget else f(forget + peep_f * cell)
            cell = forget * cell + i * g(new)
            return f(o + peep_o * cell) * h(cell), cell

        return step

    settings = Settings(direction, activations, activation_alpha, activation_beta, clip, layout)
    starts, defaults = (initial_h, initial_c), ("sigmoid", "tanh", "tanh")
    return _layer(xp, x, (w, r, b), sequence_lens, starts, settings, defaults, step_of)


ROWS = (
    Operation("RNN", rnn, "recurrent"),
    Operation("GRU", gru, "recurrent"),
    Operation("LSTM", lstm, "recurrent"),
)
