"""Files: what is written is read back, whole or not at all, and damage is found."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelemay.backends.programs import ProgramRunnable
from pelemay.engine import (
    Engine,
    at_size,
    dtype_of,
    native,
    open_program,
    plans_of,
    verify_weights,
)
from pelemay.errors import (
    ExecutionError,
    GraphError,
    InputError,
    ModelError,
    PelemayError,
    UnsupportedError,
)
from pelemay.graph import DType, Graph
from pelemay.plan.types import Plan
from pelemay.program import Block, Instruction, Program, Space, Tensor
from pelemay.program.build import build
from pelemay.program.encode import Numbers, encode
from pelemay.program.image import image
from pelemay.program.layout import BLOCK, FORM, HEADER, INSTRUCTION, TENSOR
from pelemay.program.plans import Plans
from pelemay.program.program import Field, Form
from pelemay.program.read import read_header, read_metadata, read_plans, read_program, verify
from pelemay.program.write import write_program

Writer = Callable[..., Path]


@pytest.fixture
def program(chain: Graph, plan_of: Callable[[Graph], Plan]) -> Program:
    return build(plan_of(chain), metadata={"graph": "chain", "odd": "\udcff"})


def with_block(nbytes: int, pieces: Callable[[], Iterator[Any]]) -> Program:
    return Program(0, (), (), (), (), (Block("w:panels", 0, nbytes, pieces=pieces),), {"a": 1})


def zeros(*sizes: int) -> Callable[[], Iterator[Any]]:
    return lambda: (np.zeros(size, np.float32) for size in sizes)


def test_what_is_written_is_read_back(program: Program, plm: Writer) -> None:
    again = read_program(plm(program))
    blocks = tuple(replace(block, crc=None) for block in again.blocks)
    assert replace(again, blocks=blocks) == replace(program, metadata=again.metadata)
    assert dict(again.metadata) == dict(program.metadata)


def test_the_engine_opens_it(program: Program, plm: Writer) -> None:
    opened = open_program(plm(program))
    assert opened.inputs == (("x", "float32", (2, 3)),)
    assert opened.outputs == (("y", "float32", (2, 3)),)
    assert opened.arena_bytes == program.arena_bytes
    assert [name for _, name, *_ in opened.instructions] == [i.name for i in program.instructions]
    opened.verify()


def test_every_field_survives(tmp_path: Path) -> None:
    shape = (1, 2, 3, 4)
    tensors = (
        Tensor(DType.FLOAT64, shape, (24, 12, 4, 1), Space.INPUT, name="in"),
        Tensor(DType.BFLOAT16, shape, (0, 12, 4, 1), Space.ARENA, 0, 128, 2, "ring"),
        Tensor(DType.FLOAT64, shape, (24, 12, 4, 1), Space.OUTPUT, name="out"),
    )
    call = Instruction("copy", (0, None), (1,), (-1, 1 << 62), 1 << 40, True, 7, "Copy 'α'")
    program = Program(4096, tensors, (call,), (0,), (2,), (), {"n": [1, None]})
    numbers = Numbers(("host", "copy"), ("float64", "bfloat16"))
    path = write_program(program, tmp_path / "m.plm", numbers=numbers).path
    assert read_program(path, numbers) == program


def test_structs_are_those_of_the_engine() -> None:
    header = Path(__file__).parents[2] / "native" / "vm" / "pelemay.h"
    text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
    rows = {"pm_header": HEADER, "pm_tensor": TENSOR, "pm_instr": INSTRUCTION}
    rows |= {"pm_block": BLOCK, "pm_form": FORM}
    for name, kind in rows.items():
        body = re.search(rf"typedef struct \{{([^}}]*)\}} {name};", text)
        assert body is not None
        declared = re.findall(r"(\w+)(?:\[\w+\])?[,;]", body[1])
        assert tuple(declared) == kind.names


def test_the_hash_is_that_of_the_file(program: Program, plm: Writer) -> None:
    path = plm(program)
    data = bytearray(path.read_bytes())
    header = read_header(path)
    place = HEADER.fields["sha256"][1]
    assert data[place : place + 32].hex() == header.sha256
    data[place : place + 32] = bytes(32)
    assert hashlib.sha256(data).hexdigest() == header.sha256
    assert verify(path) == header


def test_the_same_program_is_the_same_file(program: Program, plm: Writer) -> None:
    assert plm(program, "a.plm").read_bytes() == plm(program, "b.plm").read_bytes()


def test_weights_are_written_by_windows(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    source = Lasting()
    program = with_block(4 * 3_000_000, zeros(*[500_000] * 6))
    write_program(
        program,
        tmp_path / "w.plm",
        progress=lambda done, total: steps.append((done, total)),
        source=source,
    )
    assert steps[-1] == (12_000_000, 12_000_000)
    assert steps == sorted(steps)
    assert source.released >= 3


class Lasting:
    """What weights are read from; it fails at the end of a reading if it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.released, self.fails = 0, fails

    def release(self) -> None:
        self.released += 1

    @contextlib.contextmanager
    def intact(self) -> Iterator[None]:
        yield
        if self.fails:
            raise ExecutionError("it was changed")


def test_weights_that_were_not_what_they_should_be_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="it was changed"):
        write_program(with_block(16, zeros(4)), tmp_path / "w.plm", source=Lasting(fails=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", [3, 5])
def test_pieces_that_are_not_what_was_promised_are_refused(tmp_path: Path, given: int) -> None:
    with pytest.raises(GraphError, match=f"has {4 * given} bytes; 16 were promised"):
        write_program(with_block(16, zeros(given)), tmp_path / "w.plm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_half_written_is_left(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "w.plm"
    path.write_bytes(b"before")

    def pieces() -> Iterator[Any]:
        yield np.zeros(2, np.float32)
        raise failure

    with pytest.raises((KeyboardInterrupt, InputError), match=r"No space left on device|^$"):
        write_program(with_block(16, pieces), path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("w.plm", b"before")]


def test_a_full_disk_is_said(program: Program) -> None:
    with pytest.raises(InputError, match="is not a regular file"):
        write_program(program, "/dev/full")
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        write_program(program, "no-such-folder/w.plm")


def test_an_instruction_that_the_engine_lacks_is_refused() -> None:
    program = Program(0, (), (Instruction("dance", (), (), name="Dance 'y'"),), (), ())
    with pytest.raises(UnsupportedError, match="Dance 'y': the engine has no instruction 'dance'"):
        encode(program, Numbers(("host",), ("float32",)))


# Damage


def damaged(path: Path, place: int, value: bytes) -> Path:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(value)
    return path


def test_a_damaged_block_is_named(plm: Writer) -> None:
    path = plm(with_block(8, lambda: iter((np.float32([1, 2]),))))
    start = read_header(path).weights_offset
    with pytest.raises(ModelError, match=r"model.plm: weights are damaged: 'w:panels'"):
        verify(damaged(path, start + 5, b"\x01"))
    with pytest.raises(native().NativeError):
        open_program(path).verify()


def weighted(plm: Writer) -> Path:
    """A program whose output is a constant, in a file."""
    tensors = tuple(
        Tensor(DType.FLOAT32, (2,), (1,), space) for space in (Space.WEIGHTS, Space.OUTPUT)
    )
    weights = Block("w:raw", 0, 8, pieces=lambda: iter((np.float32([1, 2]),)))
    names = {"program_inputs": [], "program_outputs": ["y"]}
    return plm(Program(0, tensors, (Instruction("copy", (0,), (1,)),), (), (1,), (weights,), names))


def test_when_checksums_are_compared(plm: Writer) -> None:
    path = weighted(plm)
    for verify_when in ("never", "load", "always"):
        assert ProgramRunnable(path, verify=verify_when).run({})["y"].tolist() == [1, 2]
    running = ProgramRunnable(path, verify="always")
    damaged(path, read_header(path).weights_offset, b"\x01")
    assert ProgramRunnable(path, verify="never").run({})["y"][0] != 1
    for call in (lambda: ProgramRunnable(path, verify="load"), lambda: running.run({})):
        with pytest.raises(ModelError, match="weights, row 0: a checksum does not match"):
            call()
    with pytest.raises(InputError, match=r"it can be one of \['never', 'load', 'always'\]"):
        ProgramRunnable(path, verify="sometimes")


def test_a_damaged_gap_is_found(plm: Writer) -> None:
    blocks = tuple(Block(f"{i}", 64 * i, 4, pieces=zeros(1)) for i in range(2))
    path = plm(Program(0, (), (), (), (), blocks))
    start = read_header(path).weights_offset
    with pytest.raises(ModelError, match="SHA-256 does not match"):
        verify(damaged(path, start + 20, b"\x01"))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, b"x", "this is not a .plm file"),
        (8, b"\x02", r"its format is 2\.\d+; this version of pelemay reads 1\.x\. update pelemay"),
        (10, b"\xff", "the checksum of its tables does not match"),
        (300, b"\xff", "the checksum of its tables does not match"),
        (16, b"\x00\x00", r"it has \d+ bytes, and says that it has"),
    ],
)
def test_damage_before_the_weights_is_refused(
    program: Program, plm: Writer, place: int, value: bytes, message: str
) -> None:
    path = damaged(plm(program), place, value)
    for read in (read_header, read_program, read_metadata, verify):
        with pytest.raises(ModelError, match=message):
            read(path)
    with pytest.raises(ModelError):
        open_program(path)


@pytest.mark.parametrize("size", [0, 7, 100, 256, 1000, -1])
def test_a_file_that_is_cut_off_is_refused(program: Program, plm: Writer, size: int) -> None:
    path = plm(program)
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    with pytest.raises(ModelError):
        verify(path)
    with pytest.raises(ModelError):
        open_program(path)


def two_blocks(*places: tuple[int, int]) -> bytes:
    """A program that copies 8 bytes of weights, at (block, offset), for each place."""
    weights = tuple(
        Tensor(DType.FLOAT32, (2,), (1,), Space.WEIGHTS, index=index, offset=offset)
        for index, offset in places
    )
    outputs = tuple(
        Tensor(DType.FLOAT32, (2,), (1,), Space.OUTPUT, index=i) for i in range(len(places))
    )
    numbers = range(len(places))
    copies = tuple(Instruction("copy", (i,), (len(places) + i,)) for i in numbers)
    blocks = tuple(
        Block(f"b{i}", 64 * i, 24, pieces=lambda i=i: iter((np.full(6, i, np.float32),)))
        for i in range(2)
    )
    ends = tuple(len(places) + i for i in numbers)
    return image(Program(0, (*weights, *outputs), copies, (), ends, blocks))


def test_a_tensor_lies_in_the_block_that_it_names() -> None:
    y = Engine(open_program(two_blocks((0, 16), (1, 64)))).run([])
    assert [x.tolist() for x in y] == [[0, 0], [1, 1]]


@pytest.mark.parametrize("place", [(0, 20), (0, 64), (1, 16), (1, 84), (2, 64), (0, 32), (1, 96)])
def test_a_tensor_outside_of_its_block_is_refused(place: tuple[int, int]) -> None:
    with pytest.raises(ModelError, match="a tensor reaches beyond its memory"):
        open_program(two_blocks(place))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 63, 1000, 1 << 15, (1 << 15) + 5, 123_457])
def test_checksums_are_those_of_zlib(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    block = Block("b", 0, size, pieces=lambda: iter((data,)))
    whole = bytearray(image(Program(0, (), (), (), (), (block,))))
    verify_weights(open_program(bytes(whole)))
    whole[-1 - size // 2] ^= 1
    with pytest.raises(ModelError, match="a checksum does not match"):
        verify_weights(open_program(bytes(whole)))


def with_checksum(head: bytes) -> bytes:
    """The bytes of a file with the checksum of its tables made right again."""
    data = bytearray(head)
    row = np.frombuffer(data, HEADER, 1)[0].copy()
    row["sha256"], row["head_crc"] = np.void(bytes(32)), 0
    stop = min(int(row["weights_offset"]), len(data))
    crc = zlib.crc32(data[HEADER.itemsize : stop], zlib.crc32(row.tobytes()))
    place = HEADER.fields["head_crc"][1]
    data[place : place + 4] = crc.to_bytes(4, "little")
    return bytes(data)


def test_a_newer_minor_version_is_read(program: Program, plm: Writer) -> None:
    path = plm(program)
    data = bytearray(path.read_bytes())
    data[HEADER.fields["minor"][1]] = 99
    path.write_bytes(with_checksum(data))
    assert read_header(path).minor == 99
    assert read_program(path).instructions == program.instructions
    open_program(path)


@cache
def samples() -> list[bytes]:
    """Files of which each byte may be changed: the golden ones, and one that is made here."""
    tensors = tuple(Tensor(DType.FLOAT32, (2, 3), (3, 1), space) for space in Space)
    call = Instruction("host", (0, 1, 2), (3, None), (0, 0, 1), 6, name="Add 'y'")
    weights = Block("w:raw", 0, 24, crc=0)
    metadata = {"host": [], "program_inputs": ["x"]}
    made = Program(64, tensors, (call, call), (2,), (3,), (weights,), metadata)
    files = sorted((Path(__file__).parent / "golden").rglob("*.plm"))
    return [encode(made) + bytes(24), for_sizes(), *(path.read_bytes() for path in files)]


def for_sizes() -> bytes:
    """A plan for three sizes, and one for one."""
    ends = (Space.INPUT, Space.OUTPUT)
    tensors = tuple(Tensor(DType.FLOAT32, (6, 4), (4, 1), space) for space in ends)
    names = {"program_inputs": ["x"], "program_outputs": ["y"]}
    call = Instruction("copy", (0,), (1,))
    one = Program(0, tensors, (call,), (0,), (1,), (), names)
    forms = tuple(Form(Field.DIM, row, 0, (2, 2, 0)) for row in range(2))
    return encode(Plans.of([replace(one, sizes=3, forms=forms), one]))


@st.composite
def changes(draw: st.DrawFn) -> tuple[float, list[tuple[float, int]]]:
    """A file, and bytes to change in it; places are parts of its size, most in its tables."""
    place = st.floats(0, 1, exclude_max=True)
    edits = draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8))
    return draw(place), edits


@settings(max_examples=400)
@given(changes(), st.booleans())
def test_a_changed_byte_is_refused_or_harmless(
    change: tuple[float, list[tuple[float, int]]], tables_only: bool
) -> None:
    """With the checksum made right, so that it is the other checks that have to find it.

    What is still opened is run too: whatever its outputs are, it must not crash.
    """
    which, edits = change
    data = bytearray(samples()[int(which * len(samples()))])
    limit = int(np.frombuffer(data, HEADER, 1)[0]["weights_offset"]) if tables_only else len(data)
    for place, value in edits:
        data[int(place * limit)] = value
    changed = with_checksum(data)
    with contextlib.suppress(ModelError):
        read_bytes(changed)
    with contextlib.suppress(PelemayError):
        run(open_program(changed))
    with contextlib.suppress(PelemayError):
        for plan in plans_of(open_program(changed)):
            for number in range(min(plan.sizes, 4)):
                run(at_size(plan, number))


def read_bytes(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".plm") as file:
        Path(file.name).write_bytes(data)
        read_plans(file.name)
        verify(file.name)


def run(opened: Any) -> None:
    ends = [math.prod(shape) for _, _, shape in (*opened.inputs, *opened.outputs)]
    if max(opened.arena_bytes + opened.scratch_bytes(1), *ends) > 1 << 24:
        return
    engine = Engine(opened, threads=1, host=lambda params, inputs, outputs: None)
    engine.run([np.ones(shape, dtype_of(dtype)) for _, dtype, shape in opened.inputs])
