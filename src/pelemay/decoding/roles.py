"""What the inputs and outputs of a decoder are for, by the names that exporters give them.

In: names. Out: :class:`Roles`. The names are those of optimum, of onnxruntime-genai's model
builder, and of the operations ``TensorScatter`` and ``Attention``.

>>> roles_of(("input_ids", "past.0.key"), ("logits", "present.0.key")).caches
{'past.0.key': 'present.0.key'}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pelemay.errors import InputError

TOKENS, MASK, POSITIONS = "input_ids", "attention_mask", "position_ids"
PLACES, COUNTS = "write_indices", "nonpad_kv_seqlen"
ROWS = "cache_rows"
"""The input that :mod:`pelemay.decoding.buffers` adds: the row from which new keys are written."""

READ = "tokens_read"
"""The input that :mod:`pelemay.decoding.positions` adds: how many tokens were read before."""

LOGITS = "logits"

_PAST = re.compile(r"past(_key_values|_key|_value|_kv|)([._].*|\d*)")


@dataclass(frozen=True)
class Roles:
    """The ends of a decoder.

    Attributes
    ----------
    inputs : tuple of str
        All but those of the caches.
    caches : mapping
        Input with past keys or values to the output with those of all tokens.
    logits : str
        The output with scores of the next token.
    """

    inputs: tuple[str, ...]
    caches: Mapping[str, str]
    logits: str = LOGITS

    @property
    def has_rows(self) -> bool:
        """Whether new keys are written to rows that this package chooses."""
        return ROWS in self.inputs


def roles_of(inputs: Iterable[str], outputs: Iterable[str]) -> Roles:
    """Find the roles of the ends of a decoder.

    Parameters
    ----------
    inputs, outputs : iterable of str
        Their names.

    Raises
    ------
    InputError
        If there are no caches, or an end is not known.
    """
    made, given = list(outputs), list(inputs)
    caches = {name: _present(name, made) for name in given if _PAST.fullmatch(name)}
    if not caches:
        raise InputError(
            "the model has no past keys and values among its inputs",
            hint="export it with its cache: optimum's text-generation-with-past, for example",
        )
    others = tuple(name for name in given if name not in caches)
    known = (TOKENS, MASK, POSITIONS, PLACES, COUNTS)
    for name in others:
        if name not in (*known, ROWS, READ):
            what = f"'{name}' is no input that a decoder is known to have"
            raise InputError(what, hint=f"known are {', '.join(known)}, and past keys and values")
    if TOKENS not in others or LOGITS not in made:
        raise InputError(f"the model has no input '{TOKENS}', or no output '{LOGITS}'")
    return Roles(others, caches)


def _present(past: str, outputs: list[str]) -> str:
    """The output that goes with an input."""
    for head in ("past_key_values", "past"):
        if past.startswith(head):
            name = "present" + past.removeprefix(head)
            if name in outputs:
                return name
    raise InputError(f"no output goes with '{past}'", hint=f"outputs are {', '.join(outputs)}")
