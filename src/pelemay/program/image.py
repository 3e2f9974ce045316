"""A program as bytes in memory, for models that are compiled and run at once.

In: a :class:`Program` whose blocks know how their bytes are made. Out: what its file would hold.

>>> image(Program(0, (), (), (), ()), Numbers(("host",), ("float32",)))[:3]
b'PLM'
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from pelemay.errors import GraphError
from pelemay.program.encode import Numbers, encode
from pelemay.program.plans import Plans
from pelemay.program.program import Block, Program


def image(program: Program | Plans, numbers: Numbers | None = None) -> bytes:
    """All bytes of a file; the hash of the whole is left zero.

    Parameters
    ----------
    program : Program or Plans
        Its blocks have ``pieces``.
    numbers : Numbers, optional
        Those of the engine that is installed, if not given.

    Raises
    ------
    GraphError
        If a block's pieces are not as many bytes as were promised.
    """
    plans = program if isinstance(program, Plans) else Plans.of([program])
    weights = bytearray(plans.weights_bytes)
    written = plans.written([_placed(block, weights) for block in plans.blocks])
    return encode(written, numbers) + bytes(weights)


def _placed(block: Block, weights: bytearray) -> Block:
    if block.pieces is None:
        raise GraphError(f"block '{block.name}' has no bytes: the program was read from a file")
    at = block.offset
    for piece in block.pieces():
        data = np.ascontiguousarray(piece).tobytes()
        weights[at : at + len(data)] = data
        at += len(data)
    if at - block.offset != block.nbytes:
        what = f"has {at - block.offset} bytes; {block.nbytes} were promised"
        raise GraphError(f"block '{block.name}' {what}")
    crc = zlib.crc32(memoryview(weights)[block.offset : at])
    return replace(block, crc=crc)
