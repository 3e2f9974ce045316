"""Large layers as several instructions, each over some of the output channels.

In: how many output channels there are, and what a panel of their weights takes. Out: ranges of
channels, in whole panels; the weights of each are a block of their own. No sum is cut, so that the
results are the same to the last bit.

>>> slices_of(100, step_bytes=1000, limit=4500)
[Slice(first=0, last=64), Slice(first=64, last=100)]
>>> slices_of(100, step_bytes=1000, limit=None)
[Slice(first=0, last=100)]
"""

from __future__ import annotations

from dataclasses import dataclass

from pelemay.program.panels import PANEL


@dataclass(frozen=True, slots=True)
class Slice:
    """Output channels ``first`` to ``last``, that one not among them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """Channels."""
        return self.last - self.first

    def key(self, total: int) -> str:
        """What a block's name says of it; nothing where it is all of ``total``.

        >>> Slice(16, 32).key(64), Slice(0, 64).key(64)
        ('[16:32]', '')
        """
        return "" if self.size == total else f"[{self.first}:{self.last}]"


def slices_of(
    channels: int, *, step_bytes: int, limit: int | None, step: int = PANEL
) -> list[Slice]:
    """As few ranges as the limit allows, of about one size.

    Parameters
    ----------
    channels : int
        In all.
    step_bytes : int
        Of the weights of ``step`` channels. A range has one step at least, whatever the limit.
    limit : int or None
        Bytes of a range; None where there is none.
    step : int
        What the first channel of a range is a multiple of.
    """
    steps = -(-channels // step)
    most = steps if limit is None else max(1, limit // max(1, step_bytes))
    count = -(-steps // most) if steps else 1
    size = -(-steps // count) * step if steps else channels
    return [Slice(at, min(at + size, channels)) for at in range(0, max(1, channels), max(1, size))]
