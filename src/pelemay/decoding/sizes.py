"""How many tokens a decoder has room for, and the shapes that follow.

In: a :class:`Context`, and the types of a model's inputs. Out: the cases to compile it for: one for
a piece of a prompt, one for a single token.

>>> Context(512, 32).steps
(32, 1)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pelemay.cases import Case
from pelemay.decoding.roles import COUNTS, MASK, PLACES, POSITIONS, READ, ROWS, TOKENS, Roles
from pelemay.errors import InputError
from pelemay.graph import Graph, TensorType, ValueType
from pelemay.graph.typing import infer

PROMPT = 32
"""Tokens of a prompt that are read at once, if nobody says how many."""


@dataclass(frozen=True)
class Context:
    """What a decoder is compiled for.

    Parameters
    ----------
    tokens : int
        Room for so many: those of the prompt and those that are made.
    prompt : int
        Tokens of a prompt that are read at once; 1 means that there is no plan for more.
    batch : int
        Texts that are read and made side by side.

    Raises
    ------
    InputError
        If a piece of a prompt has no place.
    """

    tokens: int
    prompt: int = PROMPT
    batch: int = 1

    def __post_init__(self) -> None:
        """Check it."""
        if not 1 <= self.prompt < max(2, self.tokens):
            what = f"a prompt read {self.prompt} tokens at a time in a context of {self.tokens}"
            raise InputError(what, hint="the context has to be the larger one")
        if self.batch < 1:
            raise InputError(f"a batch of {self.batch}", hint="1 at least")

    @property
    def steps(self) -> tuple[int, ...]:
        """How many tokens each plan reads, the most first."""
        return (self.prompt, 1) if self.prompt > 1 else (1,)


def cases_for(context: Context, roles: Roles, types: Mapping[str, ValueType | None]) -> list[Case]:
    """The cases to compile a decoder for, its batch.

    Raises
    ------
    InputError
        If a size that the model fixes is another.
    """
    return [Case(_shapes(context, step, roles, types)) for step in context.steps]


def cache_types(graph: Graph, roles: Roles) -> dict[str, ValueType | None]:
    """The types of the caches; the size of a head that an input leaves open is its output's.

    onnxruntime-genai's model builder leaves it open.
    """
    typed = infer(graph)
    return {
        past: _closed(typed.type_of(past), typed.type_of(present))
        for past, present in roles.caches.items()
    }


def _closed(past: ValueType | None, present: ValueType | None) -> ValueType | None:
    shapes = [kind.shape for kind in (past, present) if isinstance(kind, TensorType)]
    if len(shapes) < 2 or None in shapes or not isinstance(past, TensorType):
        return past
    own, other = (shape or () for shape in shapes)
    if len(own) != 4 or len(other) != 4:
        return past
    known = (a if isinstance(a, int) else b for a, b in zip(own[1::2], other[1::2], strict=True))
    heads, size = known
    return TensorType(past.dtype, (own[0], heads, own[2], size))


def _shapes(
    context: Context, step: int, roles: Roles, types: Mapping[str, ValueType | None]
) -> dict[str, tuple[int, ...]]:
    batch, room = context.batch, context.tokens
    known: dict[str, tuple[int, ...]] = {ROWS: (1,), READ: (1,), PLACES: (batch,), COUNTS: (batch,)}
    known |= {TOKENS: (batch, step), MASK: (batch, room), POSITIONS: (batch, step)}
    found = {name: known[name] for name in roles.inputs}
    for name in roles.caches:
        kind = types.get(name)
        dims = kind.shape if isinstance(kind, TensorType) else None
        if dims is None or len(dims) != 4 or not all(isinstance(dims[i], int) for i in (1, 3)):
            what = f"'{name}' is {kind or 'of no known type'}"
            raise InputError(what, hint="a cache is (batch, heads, tokens, size)")
        heads, size = (int(dims[i] or 0) for i in (1, 3))
        found[name] = (batch, heads, room, size)
    for name, shape in found.items():
        _check(name, shape, types.get(name))
    return found


def _check(name: str, shape: tuple[int, ...], kind: ValueType | None) -> None:
    if not isinstance(kind, TensorType) or kind.shape is None:
        return
    pairs = zip(kind.shape, shape, strict=False)
    fixed = any(isinstance(own, int) and own != size for own, size in pairs)
    if len(kind.shape) != len(shape) or fixed:
        what = f"input '{name}' is {kind}, and would be {list(shape)}"
        raise InputError(what, hint="the context has to be the one that the model was exported for")
