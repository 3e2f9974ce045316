"""The rows of a ``.plm`` file as they lie in it, the same as the structs of ``pelemay.h``.

In: nothing. Out: NumPy's types of the header and of the tables' rows: little-endian, no padding.
FORMAT.md says what each field means.

>>> HEADER.itemsize, TENSOR.itemsize, INSTRUCTION.itemsize, BLOCK.itemsize, FORM.itemsize
(256, 128, 32, 24, 32)
"""

from __future__ import annotations

import numpy as np

from pelemay.program.program import MAX_RANK

MAGIC = b"PLM\0\r\n\x1a\n"
MAJOR, MINOR = 1, 0
NONE = 0xFFFF_FFFF
"""An operand that is left out, a name that is not kept."""

SERIAL = 1
"""A flag of an instruction."""

SECTION = np.dtype([("offset", "<u8"), ("count", "<u8")])

SECTIONS = (
    "tensors", "instrs", "operands", "params", "inputs", "outputs", "blocks", "strings", "metadata",
)  # fmt: skip
"""The tables before the weights, in the order in which they lie there."""

HEADER = np.dtype(
    [
        ("magic", "V8"),
        ("major", "<u2"),
        ("minor", "<u2"),
        ("header_bytes", "<u4"),
        ("file_bytes", "<u8"),
        ("sha256", "V32"),
        ("arena_bytes", "<u8"),
        ("weights_offset", "<u8"),
        ("weights_bytes", "<u8"),
        ("flags", "<u4"),
        ("head_crc", "<u4"),
        *((name, SECTION) for name in SECTIONS),
        ("more", SECTION),
        ("sizes", "<u4"),
        ("across", "<u4"),
    ]
)

TENSOR = np.dtype(
    [
        ("dtype", "u1"),
        ("rank", "u1"),
        ("space", "u1"),
        ("flags", "u1"),
        ("index", "<u4"),
        ("offset", "<u8"),
        ("ring", "<u4"),
        ("name", "<u4"),
        ("reserved", "<u8"),
        ("dims", "<u4", (MAX_RANK,)),
        ("strides", "<i8", (MAX_RANK,)),
    ]
)

INSTRUCTION = np.dtype(
    [
        ("opcode", "<u2"),
        ("flags", "<u2"),
        ("n_in", "u1"),
        ("n_out", "u1"),
        ("n_params", "<u2"),
        ("operands", "<u4"),
        ("params", "<u4"),
        ("name", "<u4"),
        ("node", "<u4"),
        ("cost", "<u8"),
    ]
)

BLOCK = np.dtype([("offset", "<u8"), ("nbytes", "<u8"), ("crc", "<u4"), ("name", "<u4")])

FORM = np.dtype([("row", "<u4"), ("field", "<u2"), ("factor", "<u2"), ("terms", "<i8", (3,))])

ROWS = {
    "tensors": TENSOR,
    "instrs": INSTRUCTION,
    "operands": np.dtype("<u4"),
    "params": np.dtype("<i8"),
    "inputs": np.dtype("<u4"),
    "outputs": np.dtype("<u4"),
    "blocks": BLOCK,
    "strings": np.dtype("u1"),
    "metadata": np.dtype("u1"),
}
"""What one row of each section is."""
