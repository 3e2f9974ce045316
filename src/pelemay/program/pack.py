"""Constants as bytes, a window at a time.

In: a constant whose elements may lie in a file. Out: arrays of a few hundred KiB whose elements,
one after the other, are the constant's.

>>> import numpy as np
>>> from pelemay.graph import ArrayConstant
>>> [piece.size for piece in raw_pieces(ArrayConstant.of(np.zeros((300, 1000), np.float32)))]
[65536, 65536, 65536, 65536, 37856]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pelemay.graph import Constant

WINDOW_BYTES = 1 << 18


def raw_pieces(constant: Constant) -> Iterator[npt.NDArray[Any]]:
    """The elements in C order, flat, by windows.

    A constant that has a method ``windows()``, as those that lie in a file do, gives its own.
    """
    windows = getattr(constant, "windows", None)
    if windows is not None:
        yield from windows()
        return
    flat = np.ascontiguousarray(constant.array()).reshape(-1)
    step = max(1, WINDOW_BYTES // max(1, flat.itemsize))
    for start in range(0, flat.size, step):
        yield flat[start : start + step]
