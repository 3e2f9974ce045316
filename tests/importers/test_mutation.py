"""Damaged models: each either loads, or raises ModelError; none crashes or takes much memory.

The damaged models are read in a process whose address space is bounded, so that a large
allocation ends the test.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import onnx
import pytest

READ_ALL = """
import random, resource, sys, threading
from collections import Counter
from pathlib import Path

import onnx
import pelemay.importers.convert
from pelemay.errors import ModelError
from pelemay.importers import from_proto, load

# The interpreter with NumPy and onnx has mapped this much already.
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20),) * 2)
counts = Counter()

def read(data, source=from_proto):
    try:
        model = source(data)
        for name in model.parameters:
            try:
                model.parameters[name]
            except ModelError as error:
                count("bad parameter", error)
        model.graph
        counts["loaded"] += 1
    except ModelError as error:
        count("refused", error)

def count(kind, error):
    counts[kind] += 1
    while error:
        assert not isinstance(error, MemoryError), kind
        error = error.__cause__

def mutated(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([0, 0x7F, 0x80, 0xFF])
        elif kind == 2:
            del data[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            other = rng.randrange(len(data))
            data[at:at] = data[other : other + rng.randrange(1, 200)]
        if not data:
            break
    return bytes(data)
"""

DATA = Path(onnx.__file__).parent / "backend/test/data"
MODELS = {
    "light_zfnet512": (DATA / "light/light_zfnet512.onnx", 600),
    "light_squeezenet": (DATA / "light/light_squeezenet.onnx", 200),
    "light_shufflenet": (DATA / "light/light_shufflenet.onnx", 60),
    "sequence_model": (DATA / "simple/test_sequence_model8/model.onnx", 600),
    "strings": (DATA / "simple/test_strnorm_model_monday_casesensintive_lower/model.onnx", 300),
    "expand_shape": (DATA / "simple/test_expand_shape_model4/model.onnx", 300),
    "pytorch_conv": (DATA / "pytorch-converted/test_Conv2d_groups/model.onnx", 600),
    "gradient": (DATA / "simple/test_gradient_of_add_and_mul/model.onnx", 300),
}


@pytest.fixture(scope="module")
def every_encoding(tmp_path_factory, pb) -> Path:
    """A small model with every place and encoding of a tensor."""
    tensors = [
        pb.tensor("raw", 1, [140], pb.message(9, b"\0" * 560)),
        pb.tensor("floats", 1, [30], pb.message(4, b"\0" * 120)),
        pb.tensor("spread", 1, [30], (pb.key(4, 5) + b"\0" * 4) * 30),
        pb.tensor("int32", 10, [20], pb.message(5, b"\x81\x01" * 20)),
        pb.tensor("int64", 7, [20], pb.number(7, -5) * 20),
        pb.tensor("uint64", 12, [20], pb.message(11, b"\x05" * 20)),
        pb.tensor("int4", 22, [7], pb.message(9, b"\x21" * 4)),
        pb.tensor("text", 8, [2], pb.message(6, "one") + pb.message(6, "two")),
        pb.tensor("out", 1, [1], pb.message(13, pb.message(1, "location") + pb.message(2, "w"))
                  + pb.number(14, 1)),
    ]  # fmt: skip
    values = pb.tensor("sparse", 1, [2], pb.message(4, b"\0" * 8))
    indices = pb.tensor("", 7, [2], pb.message(7, b"\1\2"))
    sparse = pb.message(1, values) + pb.message(2, indices) + pb.number(3, 9)
    path = tmp_path_factory.mktemp("every") / "model.onnx"
    path.write_bytes(pb.model(pb.graph(*tensors[:-1], more=pb.message(15, sparse))))
    (path.parent / "w").write_bytes(b"\0" * 4)
    (path.parent / "external.onnx").write_bytes(pb.model(pb.graph(tensors[-1])))
    return path


@pytest.mark.parametrize("name", MODELS)
def test_random_damage(run_python, name):
    path, tries = MODELS[name]
    code = """
    data = Path(sys.argv[1]).read_bytes()
    for seed in range(int(sys.argv[2])):
        read(mutated(data, random.Random(seed)))
    print(counts)
    """
    assert "refused" in run_script(run_python, code, path, tries)


def test_random_damage_of_every_encoding(run_python, every_encoding):
    code = """
    for name, tries in (("model", 2000), ("external", 500)):
        path = Path(sys.argv[1]).with_stem(name)
        data, folder = path.read_bytes(), path.parent
        read(data, lambda data: from_proto(data, folder))
        assert counts["loaded"], "the undamaged model loads"
        for seed in range(tries):
            read(mutated(data, random.Random(seed)), lambda data: from_proto(data, folder))
    print(counts)
    """
    assert "bad parameter" in run_script(run_python, code, every_encoding)


@pytest.mark.parametrize("name", ["sequence_model", "every"])
def test_every_truncation(run_python, every_encoding, name):
    code = """
    data = Path(sys.argv[1]).read_bytes()
    file = Path(sys.argv[2])
    for size in range(len(data)):
        file.write_bytes(data[:size])
        read(file, load)
    print(counts)
    """
    path = every_encoding if name == "every" else MODELS[name][0]
    out = run_script(run_python, code, path, every_encoding.parent / "cut.onnx")
    assert "loaded" not in out


def run_script(run_python, code: str, *arguments: object) -> str:
    return run_python(READ_ALL + textwrap.dedent(code), *arguments)
