from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelemay.bench import heap
from pelemay.bench.heap import HeapUse, Record, add_up

MIB = 1 << 20


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 1000), st.booleans()), max_size=60))
def test_blocks_add_up_as_a_simple_simulation_does(
    calls: list[tuple[int, int, bool]],
) -> None:
    held: dict[int, int] = {}
    records, allocated, peak = [], 0, 0
    for address, size, is_free in calls:
        if is_free:
            held.pop(address, None)
            records.append(Record("free", address, 0))
        elif address not in held:
            held[address] = size
            allocated += size
            records.append(Record("heap", address, size))
        peak = max(peak, sum(held.values()))
    assert add_up(records) == HeapUse(allocated, peak)


def test_a_part_of_a_mapping_is_given_back() -> None:
    records = [
        Record("map", 1000, 100),
        Record("unmap", 1030, 20),
        Record("map", 5000, 15),
        Record("unmap", 0, 2000),
        Record("map", 6000, 99),
    ]
    assert add_up(records) == HeapUse(allocated=214, peak=114)
    assert add_up(records[:3]) == HeapUse(allocated=115, peak=100)


def test_mapped_files_are_no_heap() -> None:
    records = [Record("map", 4096, 70), Record("map", 9000, 50), Record("map", 20000, 7)]
    assert add_up(records, file_sizes=[70]) == HeapUse(57, 57)
    assert add_up(records, file_ranges=[(9000, 9050)]) == HeapUse(77, 77)


@pytest.mark.skipif(not heap.available(), reason="memray is not installed")
def test_memray_counts_native_memory_and_no_files(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10 * MIB)
    sizes = heap.note_mapped_files()

    def sample() -> object:
        np.ones(30 * MIB, np.uint8)  # Freed at once.
        with path.open("rb") as file:
            kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            mmap.mmap(file.fileno(), MIB, access=mmap.ACCESS_READ).close()
        return kept, np.ones(20 * MIB, np.uint8), mmap.mmap(-1, 5 * MIB)

    use = heap.track(sample, sizes, str(tmp_path))
    assert 55 * MIB <= use.allocated < 56 * MIB
    assert 30 * MIB <= use.peak < 31 * MIB
