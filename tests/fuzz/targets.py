"""What the fuzzers call: one function for each way into the Python side.

Each takes bytes that nobody has checked. It may raise nothing: a refusal by name is caught here,
and whatever else comes out is a finding, as are a crash, a hang and memory without end.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from pelemay.cli.arrays import read_arrays
from pelemay.compilation import compile_graph
from pelemay.engine import open_program
from pelemay.errors import PelemayError
from pelemay.graph import check
from pelemay.graph.text import from_text, to_text
from pelemay.importers import from_proto
from pelemay.program.describe import summary
from pelemay.program.image import image
from pelemay.program.layout import HEADER, MAGIC, MAJOR
from pelemay.program.read import read_plans, verify

MOST_BYTES = 1 << 24


@cache
def folder() -> Path:
    """Where files of the fuzzers lie; the one that models name holds 64 bytes."""
    place = Path(tempfile.mkdtemp(prefix="pelemay-fuzz-", dir=_memory()))
    (place / "w").write_bytes(bytes(64))
    return place


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def fuzz_onnx(data: bytes) -> None:
    """An ONNX file is read: its wire format, every parameter, its graph."""
    try:
        model = from_proto(data, folder())
        for name in model.parameters:
            try:
                model.parameters[name]
            except PelemayError:
                continue
        check(model.graph)
    except PelemayError:
        return


def fuzz_compile(data: bytes) -> None:
    """An ONNX file is compiled, and the engine accepts what the compiler wrote."""
    try:
        graph = from_proto(data).graph
        program = compile_graph(graph)
        if program.weights_bytes > MOST_BYTES:
            return
        written = image(program)
    except PelemayError:
        return
    open_program(written)


def fuzz_text(data: bytes) -> None:
    """The text of a graph is parsed, and what it means is printed so that it means the same."""
    try:
        graph = from_text(data.decode("utf-8", "surrogateescape"))
        check(graph)
    except PelemayError:
        return
    text = to_text(graph)
    assert to_text(from_text(text)) == text


def fuzz_plm(data: bytes) -> None:
    """A program file is read by Python: its tables, its metadata, its checksums."""
    if len(data) < HEADER.itemsize:
        return
    path = folder() / "m.plm"
    path.write_bytes(mended(data))
    for read in (verify, lambda given: [summary(program) for program in read_plans(given)]):
        try:
            read(path)
        except PelemayError:
            continue


def mended(data: bytes) -> bytes:
    """The bytes of a program with what any change would break set right."""
    row = np.frombuffer(data[: HEADER.itemsize], HEADER)[0].copy()
    row["magic"] = np.void(MAGIC)
    row["major"], row["file_bytes"] = MAJOR, len(data)
    row["sha256"], row["head_crc"] = np.void(bytes(32)), 0
    start = int(row["weights_offset"])
    row["head_crc"] = zlib.crc32(row.tobytes() + data[HEADER.itemsize : start])
    return row.tobytes() + data[HEADER.itemsize :]


def fuzz_npy(data: bytes) -> None:
    """An array is read from a .npy or .npz file."""
    path = folder() / "x.npy"
    path.write_bytes(data)
    try:
        read_arrays(path)
    except PelemayError:
        return


TARGETS: dict[str, Callable[[bytes], None]] = {
    "onnx": fuzz_onnx,
    "compile": fuzz_compile,
    "text": fuzz_text,
    "plm": fuzz_plm,
    "npy": fuzz_npy,
}
