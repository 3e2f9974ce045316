"""Blocks in files, as MiniMalloc has them.

In: the path of a CSV file with the columns ``id``, ``lower``, ``upper`` and ``size``; the capacity
may stand in its name, as in ``A.1048576.csv``. Out: :class:`BlocksFile`. Back: the same columns and
``offset``.

>>> capacity_in(Path("A.1048576.csv")), capacity_in(Path("blocks.csv"))
(1048576, None)
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pelemay.errors import InputError
from pelemay.plan.arena.types import Block

COLUMNS = ("id", "lower", "upper", "size")


@dataclass(frozen=True)
class BlocksFile:
    """What a file of blocks says.

    Attributes
    ----------
    names : tuple of str
        The column ``id``.
    blocks : tuple of Block
        Held from ``lower`` up to, but without, ``upper``.
    capacity : int or None
        The number in the file's name.
    """

    names: tuple[str, ...]
    blocks: tuple[Block, ...]
    capacity: int | None


def read_blocks(path: Path) -> BlocksFile:
    """Read a file of blocks.

    Raises
    ------
    InputError
        If it cannot be read, a column is missing, or a line is not a block; with the line.
    """
    names, blocks = [], []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise InputError(
                    f"there is no column {', '.join(missing)}",
                    where=str(path),
                    hint=f"the first line must name {', '.join(COLUMNS)}",
                )
            for row in rows:
                names.append(row["id"])
                blocks.append(_block(row, f"{path}, line {rows.line_num}"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"it cannot be read: {error}", where=str(path)) from error
    return BlocksFile(tuple(names), tuple(blocks), capacity_in(path))


def _block(row: dict[str, str], where: str) -> Block:
    try:
        block = Block(int(row["lower"]), int(row["upper"]), int(row["size"]))
    except (TypeError, ValueError) as error:
        raise InputError(f"not a whole number: {error}", where=where) from error
    if block.lower < 0 or block.upper <= block.lower or block.size < 0:
        raise InputError(
            f"{tuple(block)} is no block", where=where, hint="0 <= lower < upper, and size >= 0"
        )
    return block


def capacity_in(path: Path) -> int | None:
    """The number before the ending of a file's name; None if there is none."""
    last = path.stem.rpartition(".")[2]
    return int(last) if last.isdigit() else None


def write_offsets(path: Path, source: BlocksFile, offsets: Sequence[int]) -> None:
    """Write the blocks with their offsets.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow((*COLUMNS, "offset"))
            for name, block, offset in zip(source.names, source.blocks, offsets, strict=True):
                writer.writerow((name, *block, offset))
    except OSError as error:
        raise InputError(f"it cannot be written: {error}", where=str(path)) from error
