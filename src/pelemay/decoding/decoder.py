"""A decoder that is run token by token.

In: tokens. Out: scores of the next one. Keys and values lie in arrays that a :class:`Decoder`
holds, and are written where they lie: a token costs no copy of them and no compilation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pelemay.decoding.choosing import Choice
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
    prompt, batch : int
        Tokens of a prompt that are read at once, and texts side by side; for an ONNX file.
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
    batch : int
        Texts that are read and made side by side.

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
        batch: int = 1,
        weights: str = "f32",
        **options: Any,
    ) -> None:
        program = os.fspath(path)
        if not program.endswith(".plm"):
            program = _compiled(program, context, prompt, batch, weights)
        self._runnable = _opened(program, options)
        self._plans = _plans(self._runnable)
        sizes = [_shape_of(plan, TOKENS) for plan in self._plans]
        self.batch, self._steps = sizes[0][0], sorted((step for _, step in sizes), reverse=True)
        self._roles = _roles(self._plans[0])
        first = next(iter(self._roles.caches))
        self.context = _shape_of(self._plans[0], first)[2]
        if context not in (None, self.context):
            what = f"the program has room for {self.context} tokens, not {context}"
            raise InputError(what, where=program, hint="compile it with --context")
        self.reset()
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
        self._padding = np.zeros((self.batch, 1), np.int64)

    def read(self, tokens: Sequence[int] | Sequence[Sequence[int]]) -> npt.NDArray[Any]:
        """Read tokens behind those that were read before.

        Parameters
        ----------
        tokens : sequence of int
            One at least; a sequence of them for each text where the batch is not 1. Where texts
            are of several lengths, at the beginning, the shorter ones are filled up in front with
            what is not looked at.

        Returns
        -------
        ndarray
            Scores of the token that comes next, one for each of the vocabulary; (batch, vocabulary)
            where the batch is not 1.

        Raises
        ------
        InputError
            If there are none, or no room for them, or not as many texts as the batch has; nothing
            has been read then.
        """
        left = self._rows(tokens)
        count = left.shape[1]
        if not count or self.used + count > self.context:
            what = f"{count} tokens behind {self.used} in a context of {self.context}"
            raise InputError(what, hint="reset(), or compile it with a larger --context")
        scores: Any = None
        while left.shape[1]:
            step = self._step(left.shape[1])
            scores = self._run(left[:, :step], step)
            left = left[:, step:]
        found: npt.NDArray[Any] = scores if self.batch > 1 else scores[0]
        return found

    def generate(
        self,
        tokens: Sequence[int] | Sequence[Sequence[int]],
        count: int,
        *,
        stop: Sequence[int] = (),
        temperature: float = 0.0,
        top_k: int = 0,
        seed: int | None = None,
    ) -> Iterator[Any]:
        """Read tokens, and make more: each time the one with the highest score, or one drawn.

        Parameters
        ----------
        tokens : sequence of int
            What is read first, as :meth:`read` takes it.
        count : int
            Tokens to make at most.
        stop : sequence of int
            Tokens behind which no other is made, once each text has had one of them.
        temperature : float
            What scores are divided by before a token is drawn by their softmax; 0 draws none.
        top_k : int
            Only so many of the highest scores are drawn from; 0 means all.
        seed : int, optional
            The same one draws the same tokens.

        Yields
        ------
        int or list of int
            Token after token; one for each text where the batch is not 1.

        Raises
        ------
        InputError
            As :meth:`read`, or if the temperature or the number of scores is below 0.
        """
        choose = Choice(temperature, top_k, seed)
        scores = self.read(tokens)
        ended = np.zeros(self.batch, bool)
        for made in range(count):
            chosen = choose(scores.reshape(self.batch, -1))
            yield chosen if self.batch > 1 else chosen[0]
            ended |= np.isin(chosen, stop)
            if ended.all() or made + 1 == count:
                return
            scores = self.read([[token] for token in chosen] if self.batch > 1 else chosen)

    def _rows(self, tokens: Any) -> npt.NDArray[np.int64]:
        """Tokens as (batch, tokens), the shorter texts filled up in front."""
        texts = [tokens] if self.batch == 1 else list(tokens)
        lengths = [len(text) for text in texts]
        if len(texts) != self.batch or not all(lengths):
            what = f"texts of {lengths} tokens for a batch of {self.batch}"
            raise InputError(what, hint="one token at least for each")
        longest = max(lengths, default=0)
        padding = np.array([[longest - length] for length in lengths], np.int64)
        if padding.any():
            if self.used or not self._roles.has_rows:
                what = f"texts of {lengths} tokens"
                fits = "such a model" if self.used == 0 else "what comes behind the first"
                raise InputError(what, hint=f"all of {fits} have to be of one length")
            self._padding = padding
        rows = np.zeros((self.batch, longest), np.int64)
        for row, text in zip(rows, texts, strict=True):
            row[longest - len(text) :] = text
        return rows

    def _step(self, left: int) -> int:
        """How many tokens the next run takes: a piece may be filled up, if there is room for it."""
        for step in self._steps:
            if (left > 1 or step == 1) and self.used + step <= self.context:
                return step
        raise InputError(f"the program has no plan for one token, but for {self._steps}")

    def _run(self, tokens: npt.NDArray[np.int64], step: int) -> Any:
        """Run one piece, the tokens that lack as zeros; scores behind the last one."""
        count = tokens.shape[1]
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
        return logits[:, min(count, logits.shape[1]) - 1]

    def _feeds(self, tokens: npt.NDArray[np.int64], step: int, row: int) -> dict[str, Any]:
        count, each = tokens.shape[1], np.ones(self.batch, np.int64)
        # What a piece is filled up with is read by nobody: causal attention hides it from the
        # tokens before, and the next ones are written over it.
        seen = count if self._roles.has_rows else step
        new = np.arange(self.used, self.used + step)
        mask = np.zeros((self.batch, self.context), np.int64)
        mask[:, : self.used] = np.arange(self.used) >= self._padding
        mask[:, row : row + seen] = new[:seen] >= self._padding
        known = {
            TOKENS: np.pad(tokens, ((0, 0), (0, step - count))),
            MASK: mask,
            POSITIONS: np.maximum(new - self._padding, 0),
            PLACES: self.used * each,
            COUNTS: (self.used + step) * each,
            ROWS: np.array([row], np.int64),
            READ: np.array([self.used], np.int64),
        }
        given = {name: _as(self._plans[0], name, known[name]) for name in self._roles.inputs}
        return {**given, **self._caches}


def _compiled(path: str, context: int | None, prompt: int, batch: int, weights: str) -> str:
    """The program of an ONNX file, from the cache."""
    from pelemay import cache
    from pelemay.target import Target

    if context is None:
        what = "a decoder is compiled for a context, and none is given"
        raise InputError(what, where=path, hint="context=512, for example")
    size = Context(context, min(prompt, max(1, context - 1)), batch)
    sizes = (size.tokens, size.prompt, size.batch)
    return os.fspath(cache.compiled(path, context=sizes, target=Target(weights=weights)))


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
