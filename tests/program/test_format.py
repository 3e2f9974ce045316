"""FORMAT.md against the code: every field, every key, and what it claims of alignment."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pelemay.graph import Graph
from pelemay.plan.types import Plan
from pelemay.program.build import build
from pelemay.program.describe import metadata
from pelemay.program.layout import (
    BLOCK,
    FORM,
    HEADER,
    INSTRUCTION,
    MAGIC,
    MAJOR,
    MINOR,
    SECTIONS,
    TENSOR,
)
from pelemay.program.program import ALIGNMENT, LARGE_BLOCK, MAX_OPERANDS, MAX_RANK, PAGE
from pelemay.program.read import read_header, read_program
from pelemay.signature import Signature

TEXT = (Path(__file__).parents[2] / "FORMAT.md").read_text()


def chapter(title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def first_column(title: str) -> list[str]:
    rows = re.findall(r"^\| (`[^|]*) \|", chapter(title), re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Header", HEADER),
        ("Tensors", TENSOR),
        ("Instructions", INSTRUCTION),
        ("Blocks", BLOCK),
        ("Plans", FORM),
    ],
)
def test_every_field_is_in_its_table_in_order(title: str, kind: np.dtype[np.void]) -> None:
    assert tuple(first_column(title)) == kind.names
    assert f"{kind.itemsize} bytes" in chapter(title)


def test_every_section_is_named() -> None:
    assert [name for name in SECTIONS if f"`{name}`" not in TEXT] == []


def test_every_key_of_the_metadata_is_named(
    chain: Graph, plan_of: Callable[[Graph], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pelemay.program.build.LOWERINGS", {})
    made = build(plan_of(chain), chain, metadata(Signature().to_metadata())).metadata
    assert set(first_column("Metadata")) == {
        *made,
        "as_bytes",
        "weights",
        "arena_set_by",
        "range",
        "compiled",
        "in_place",
    }
    for entry in (made["host"][0], made["tail"], *made["constants"]):
        assert [key for key in entry if f"`{key}`" not in chapter("Metadata")] == []


def test_numbers_are_those_of_the_code() -> None:
    assert MAGIC.hex(" ").upper() in TEXT
    assert f"version of the format: {MAJOR}, {MINOR}" in TEXT
    assert f"multiples of {ALIGNMENT} bytes" in TEXT
    assert f"multiple of {PAGE}" in TEXT
    assert f"those of {LARGE_BLOCK >> 10} KiB and more" in TEXT
    assert f"at most {MAX_OPERANDS} each" in TEXT
    assert f"0 to {MAX_RANK}" in TEXT


def test_tables_and_blocks_are_aligned(
    chain: Graph, plan_of: Callable[[Graph], Plan], plm: Callable[..., Path]
) -> None:
    header = read_header(path := plm(build(plan_of(chain), metadata={"producer": "tests"})))
    row = np.frombuffer(header.head, HEADER, 1)[0]
    assert [int(row[name]["offset"]) % ALIGNMENT for name in SECTIONS] == [0] * len(SECTIONS)
    assert header.weights_offset % (PAGE if header.weights_bytes else ALIGNMENT) == 0
    for block in read_program(path).blocks:
        assert block.offset % (PAGE if block.nbytes >= LARGE_BLOCK else ALIGNMENT) == 0
