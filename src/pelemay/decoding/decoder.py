"""A decoder that is run token by token.

In: tokens. Out: scores of the next one. Keys and values lie in arrays that a :class:`Decoder`
holds, and are written where they lie: a token costs no copy of them and no compilation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.decoding.roles import (
    COUNTS,
    MASK,
    PLACES,
    POSITIONS,
    READ,
    ROWS,
    TOKENS,
    Roles,
    roles_of,
)
from pelemay.decoding.sizes import PROMPT, Context
from pelemay.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt


class Decoder:
    """A language model, what it has read, and room for more.

    Parameters
    ----------
    path : str or path
        A file that ``pelemay compile --context`` wrote, or an ONNX file, which is compiled for the
        context first, once, into the cache.
    context : int, optional
        Tokens that there is room for; needed for an ONNX file.
    prompt : int
        Tokens of a prompt that are read at once; for an ONNX file.
    weights : str
        What the weights of an ONNX file are stored as; see :class:`pelemay.target.Target`.
    **options
        ``threads``, ``isa``, ``verify`` and ``memory_limit``, as of the native backend.

    Attributes
    ----------
    used : int
        Tokens read so far.
    context : int
        Tokens that there is room for.

    Raises
    ------
    InputError
        If the file is no decoder, or an ONNX file comes without a context.

    Examples
    --------
    >>> decoder = Decoder("model.onnx", context=256)  # doctest: +SKIP
    >>> list(decoder.generate([1, 15043], 16))  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        context: int | None = None,
        prompt: int = PROMPT,
        weights: str = "f32",
        **options: Any,
    ) -> None:
        program = os.fspath(path)
        if not program.endswith(".plm"):
            program = _compiled(program, context, prompt, weights)
        self._runnable = _opened(program, options)
        self._plans = _plans(self._runnable)
        steps = [_shape_of(plan, TOKENS)[1] for plan in self._plans]
        self._steps = sorted(steps, reverse=True)
        self._roles = _roles(self._plans[0])
        first = next(iter(self._roles.caches))
        self.context = _shape_of(self._plans[0], first)[2]
        if context not in (None, self.context):
            what = f"the program has room for {self.context} tokens, not {context}"
            raise InputError(what, where=program, hint="compile it with --context")
        self.used = 0
        self._caches = {
            name: np.zeros(_shape_of(self._plans[0], name), _dtype_of(self._plans[0], name))
            for name in self._roles.caches
        }

    @property
    def cache_bytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(cache.nbytes for cache in self._caches.values())

    def reset(self) -> None:
        """Forget all tokens."""
        self.used = 0

    def read(self, tokens: Sequence[int]) -> npt.NDArray[Any]:
        """Read tokens behind those that were read before.

        Parameters
        ----------
        tokens : sequence of int
            One at least.

        Returns
        -------
        ndarray
            Scores of the token that comes next, one for each of the vocabulary.

        Raises
        ------
        InputError
            If there are none, or no room for them; nothing has been read then.
        """
        left = [int(token) for token in tokens]
        if not left or self.used + len(left) > self.context:
            what = f"{len(left)} tokens behind {self.used} in a context of {self.context}"
            raise InputError(what, hint="reset(), or compile it with a larger --context")
        scores: Any = None
        while left:
            step = self._step(len(left))
            scores = self._run(left[:step], step)
            left = left[step:]
        found: npt.NDArray[Any] = scores
        return found

    def generate(
        self, tokens: Sequence[int], count: int, *, stop: Sequence[int] = ()
    ) -> Iterator[int]:
        """Read tokens, and make more of them: each time the one with the highest score.

        Parameters
        ----------
        tokens : sequence of int
            What is read first.
        count : int
            Tokens to make at most.
        stop : sequence of int
            Tokens behind which no other is made.

        Yields
        ------
        int
            Token after token.
        """
        scores = self.read(tokens)
        for made in range(count):
            token = int(scores.argmax())
            yield token
            if token in stop or made + 1 == count:
                return
            scores = self.read([token])

    def _step(self, left: int) -> int:
        """How many tokens the next run takes: a piece may be filled up, if there is room for it."""
        for step in self._steps:
            if (left > 1 or step == 1) and self.used + step <= self.context:
                return step
        raise InputError(f"the program has no plan for one token, but for {self._steps}")

    def _run(self, tokens: list[int], step: int) -> Any:
        """Run one piece, the tokens that lack as zeros; scores behind the last one."""
        count = len(tokens)
        row = self.used
        if self._roles.has_rows and step > 1:
            row = self.context - step
        feeds = self._feeds(tokens, step, row)
        into = {present: self._caches[past] for past, present in self._roles.caches.items()}
        logits = self._runnable.run(feeds, [self._roles.logits], into=into)[self._roles.logits]
        if row != self.used:
            for cache in self._caches.values():
                cache[:, :, self.used : self.used + count] = cache[:, :, row : row + count]
        self.used += count
        return logits[0, min(count, logits.shape[1]) - 1]

    def _feeds(self, tokens: list[int], step: int, row: int) -> dict[str, Any]:
        mask = np.zeros((1, self.context), np.int64)
        mask[:, : self.used] = 1
        # What a piece is filled up with is read by nobody: causal attention hides it from the
        # tokens before, and the next ones are written over it.
        seen = len(tokens) if self._roles.has_rows else step
        mask[:, row : row + seen] = 1
        known = {
            TOKENS: np.array([tokens + [0] * (step - len(tokens))], np.int64),
            MASK: mask,
            POSITIONS: np.arange(self.used, self.used + step, dtype=np.int64)[None],
            PLACES: np.array([self.used], np.int64),
            COUNTS: np.array([self.used + step], np.int64),
            ROWS: np.array([row], np.int64),
            READ: np.array([self.used], np.int64),
        }
        given = {name: _as(self._plans[0], name, known[name]) for name in self._roles.inputs}
        return {**given, **self._caches}


def _compiled(path: str, context: int | None, prompt: int, weights: str) -> str:
    """The program of an ONNX file, from the cache."""
    from pelemay import cache
    from pelemay.target import Target

    if context is None:
        what = "a decoder is compiled for a context, and none is given"
        raise InputError(what, where=path, hint="context=512, for example")
    size = Context(context, min(prompt, max(1, context - 1)))
    target = Target(weights=weights)
    return os.fspath(cache.compiled(path, context=(size.tokens, size.prompt), target=target))


def _opened(path: str, options: dict[str, Any]) -> Any:
    """What runs it: a ``PlansRunnable``, or where there is but one plan a ``ProgramRunnable``."""
    from pelemay.backends.native import NativeBackend

    return NativeBackend().prepare_signed(path, **options)[0]


def _plans(runnable: Any) -> list[Any]:
    """Programs of a file, with their metadata."""
    from pelemay.backends.programs import metadata_of
    from pelemay.engine import plans_of

    programs = plans_of(runnable.program) or [runnable.program]
    return [(program, metadata_of(program)) for program in programs]


def _roles(plan: Any) -> Roles:
    return roles_of(plan[1]["program_inputs"], plan[1]["program_outputs"])


def _end(plan: Any, name: str) -> tuple[str, tuple[int, ...]]:
    """Element type and shape of an input."""
    program, metadata = plan
    names = metadata["program_inputs"]
    if name not in names:
        raise InputError(f"the program has no input '{name}'", hint="it is no decoder")
    _, dtype, shape = program.inputs[names.index(name)]
    return dtype, shape


def _shape_of(plan: Any, name: str) -> tuple[int, ...]:
    return _end(plan, name)[1]


def _dtype_of(plan: Any, name: str) -> np.dtype[Any]:
    from pelemay.engine import dtype_of

    return dtype_of(_end(plan, name)[0])


def _as(plan: Any, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.astype(_dtype_of(plan, name), copy=False)
