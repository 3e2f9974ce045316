"""The bookkeeping of the window: what is held when, played on paper for random programs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.engine import open_program
from pelemay.program.image import image
from support.blocks import Blocks
from support.streams import KIB, streamed

SIZES = st.one_of(st.integers(1, 5000), st.integers(60 * KIB, 70 * KIB), st.integers(1, 300 * KIB))


@st.composite
def programs(draw: Any) -> Blocks:
    """Blocks and uses: of all kinds, and as bands make them, some blocks over and over."""
    sizes = draw(st.lists(SIZES, min_size=1, max_size=12))
    numbers = st.integers(0, len(sizes) - 1)
    sets = st.lists(numbers, min_size=1, max_size=4, unique=True)
    uses: list[list[int]] = []
    for _ in range(draw(st.integers(1, 5))):
        part = draw(st.lists(sets, min_size=1, max_size=5))
        uses += part * draw(st.integers(1, 5))
    return Blocks(sizes, uses, most=64)


class Checker:
    """Runs a plan on paper: which page of the file lies in which page of the memory."""

    def __init__(self, program: Any, made: Blocks, budget: int) -> None:
        plan = program.stream_plan(budget)
        self.memory, self.window, self.loads, self.small, self.steps = plan
        self.made, self.blocks = made, made.blocks()
        self.start = program.weights_offset
        self.held: dict[int, int] = {}
        self.done = self.loaded = 0

    def check_places(self) -> None:
        """Slots lie in the memory; what stays lies outside of the window, nothing over another."""
        taken = set()
        for offset, nbytes, slot, first, last, blocks, _, stays in self.loads:
            assert offset % 4096 == nbytes % 4096 == slot % 4096 == 0
            assert slot + nbytes <= (self.memory if stays else self.window)
            assert first <= last
            for number in blocks:
                assert offset <= self.start + self.blocks[number].offset
                assert self.end(number) <= offset + nbytes
            if stays:
                pages = set(range(slot, slot + nbytes, 4096))
                assert slot >= self.window
                assert not pages & taken
                taken |= pages
        end = max(taken, default=self.window - 4096) + 4096
        for number, place in self.small:
            assert place % 64 == 0
            assert place >= end
            end = place + self.made.sizes[number]
        assert end <= self.memory

    def end(self, number: int) -> int:
        return self.start + self.blocks[number].offset + self.made.sizes[number]

    def load(self, run: int) -> bool:
        """Make the next load, if its slot is free."""
        per_run = len(self.loads)
        index, of_run = self.loaded % per_run, self.loaded // per_run
        offset, nbytes, slot, _, _, _, after, stays = self.loads[index]
        free = after is None or self.done >= of_run * len(self.steps) + after + 1
        if of_run > run + 1 or not free:
            return False
        if not stays or of_run == 0:
            for at in range(0, nbytes, 4096):
                self.held[(slot + at) // 4096] = offset + at
        self.loaded += 1
        return True

    def step(self, run: int, number: int, *, eager: bool) -> None:
        """An instruction finds all pages of its blocks."""
        needs, places = self.steps[number]
        while self.loads and self.loaded < run * len(self.loads) + needs:
            assert self.load(run), "the reader waits for an instruction that waits for it"
        while eager and self.loads and self.load(run):
            pass
        in_small = dict(self.small)
        for block, place in zip(self.made.uses[number], places, strict=True):
            begin = place - self.made.start(number, block)
            if block in in_small:
                assert begin == in_small[block]
                continue
            offset = self.start + self.blocks[block].offset
            assert (begin - offset) % 4096 == 0
            for at in range(offset // 4096 * 4096, self.end(block), 4096):
                assert self.held.get((begin + at - offset) // 4096) == at
        self.done += 1


@given(programs(), st.floats(0, 1.1), st.randoms(use_true_random=False))
def test_the_window_on_paper(
    tmp_path_factory: Any, made: Blocks, share: float, random: Any
) -> None:
    path = made.write(tmp_path_factory.mktemp("paper") / "p.plm")
    program = open_program(path, streamed=True)
    need = program.stream_need()
    budget = int(need["least"] + share * (need["most"] - need["least"]))
    checker = Checker(program, made, budget)
    assert checker.memory <= budget
    checker.check_places()
    for run in range(4):
        for number in range(len(made.uses)):
            checker.step(run, number, eager=random.random() < 0.5)


@given(programs(), st.floats(0, 1.1))
@settings(max_examples=40)
def test_what_comes_out_is_what_is_in_the_blocks(
    tmp_path_factory: Any, made: Blocks, share: float
) -> None:
    path = made.write(tmp_path_factory.mktemp("run") / "p.plm")
    need = open_program(path, streamed=True).stream_need()
    budget = int(need["least"] + share * (need["most"] - need["least"]))
    expected = made.expected()
    for threads in (1, 2):
        engine = streamed(path, budget, threads)
        for _ in range(3):
            np.testing.assert_array_equal(engine.run([])[0], expected)


def test_blocks_of_a_chain_of_bands_are_read_once() -> None:
    """Three chains, each over its own blocks again and again: room for one of them is enough."""
    chains = [[[3 * chain + i] for i in range(3)] * 20 for chain in range(3)]
    made = Blocks([80 * KIB] * 9, list(itertools.chain(*chains)), most=64)
    program = open_program(image(made.program()))
    page = 4096
    total = 9 * 80 * KIB
    assert program.stream_need(6 * 80 * KIB + page)["read"] == total
    assert program.stream_need(80 * KIB)["read"] > 10 * total
