"""``pelemay plan``, as a user meets it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from pelemay.plan.arena import Block, check_offsets
from pelemay.plan.arena.files import read_blocks

Call = Callable[..., Any]

TEXT = """<ir_version: 8, opset_import: ["" : 17]>
net (float[n, 4, 8, 8] x) => (float[n, 4, 8, 8] y) {
  a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
  b = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a, w)
  y = Add(b, a) }"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = onnx.parser.parse_model(TEXT)
    weights = np.ones((4, 4, 3, 3), np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    path = tmp_path_factory.mktemp("plan") / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    path = tmp_path / "five.12.csv"
    path.write_text("id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\nb3,0,9,4\nb4,9,21,4\nb5,0,21,4\n")
    return path


def test_it_says_what_a_run_takes(pelemay: Call, network: Path) -> None:
    answer = pelemay("plan", network, "--timeline", "--check")
    assert answer.code == 0
    found = pelemay("plan", network, "--json").json
    for count in (found["arena_bytes"], found["scratch_bytes"], found["weights_bytes"]):
        assert f"{count:,}" in answer.out
    assert f"Step {found['peak']['step']} sets it" in answer.out
    assert "▲" in answer.out
    assert "input x is taken as 1x4x8x8" in answer.out
    assert "Replayed over memory" in answer.out


def test_json_has_every_step_and_every_byte(pelemay: Call, network: Path) -> None:
    found = pelemay("plan", network, "--json").json
    steps = found["steps"]
    assert [entry["step"] for entry in steps] == list(range(len(steps)))
    assert max(entry["held_bytes"] for entry in steps) == found["lower_bound_bytes"]
    assert found["peak"]["bytes"] == found["lower_bound_bytes"] <= found["arena_bytes"]
    held = [b for b in found["buffers"] if b["first_step"] <= found["peak"]["step"]]
    assert {t["buffer"] for t in found["peak"]["tensors"]} <= {b["name"] for b in held}
    assert found["input_bytes"] == {"x": 4 * 8 * 8 * 4}


def test_a_shape_makes_it_larger(pelemay: Call, network: Path) -> None:
    one = pelemay("plan", network, "--json").json["arena_bytes"]
    three = pelemay("plan", network, "--shape", "x=3x4x8x8", "--json").json["arena_bytes"]
    assert three == 3 * one > 0


def test_what_it_says_is_what_a_program_takes(pelemay: Call, network: Path, tmp_path: Path) -> None:
    from pelemay.engine import open_program

    planned = pelemay("plan", network, "--threads", 2, "--json").json
    output = tmp_path / "net.plm"
    assert pelemay("compile", network, "-o", output).code == 0
    program = open_program(output)
    assert program.arena_bytes == planned["arena_bytes"]
    assert program.weights_bytes == planned["weights_bytes"]
    assert program.scratch_bytes(2) == planned["scratch_bytes"]


def test_the_drawing_is_svg(pelemay: Call, network: Path, tmp_path: Path) -> None:
    path = tmp_path / "arena.svg"
    assert pelemay("plan", network, "--svg", path).code == 0
    buffers = pelemay("plan", network, "--json").json["buffers"]
    root = ElementTree.parse(path).getroot()
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(title.split(": ")[0] for title in titles) == sorted(b["name"] for b in buffers)


def test_blocks_are_placed_within_the_capacity_in_the_name(
    pelemay: Call, blocks: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    answer = pelemay("plan", "--buffers", blocks, "--offsets", output, "--json")
    assert answer.code == 0
    found = answer.json
    source = read_blocks(blocks)
    check_offsets(source.blocks, [found["offsets"][name] for name in source.names], 12)
    assert output.read_text().splitlines()[0] == "id,lower,upper,size,offset"
    assert len(output.read_text().splitlines()) == 6
    assert "12" in pelemay("plan", "--buffers", blocks).out


def test_without_a_capacity_blocks_are_placed_as_low_as_can_be(
    pelemay: Call, tmp_path: Path
) -> None:
    path = tmp_path / "blocks.csv"
    path.write_text("id,lower,upper,size\na,0,2,4\nb,1,3,4\nc,2,4,4\n")
    found = pelemay("plan", "--buffers", path, "--json").json
    assert (found["capacity_bytes"], found["height_bytes"]) == (None, 8)


def test_blocks_that_cannot_fit_are_refused(pelemay: Call, blocks: Path) -> None:
    answer = pelemay("plan", "--buffers", blocks, "--capacity", 11)
    assert answer.code == 1
    assert "12 are held at one step" in answer.err
    assert "cannot fit" in answer.err


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("id,lower,upper\na,0,1\n", "no column size"),
        ("id,lower,upper,size\na,0,1,x\n", "line 2: not a whole number"),
        ("id,lower,upper,size\na,0,1,1\nb,2,1,1\n", "line 3: (2, 1, 1) is no block"),
        ("id,lower,upper,size\na,0,1\n", "line 2: not a whole number"),
    ],
)
def test_a_broken_file_of_blocks_is_named(
    pelemay: Call, tmp_path: Path, text: str, what: str
) -> None:
    path = tmp_path / "broken.csv"
    path.write_text(text)
    answer = pelemay("plan", "--buffers", path)
    assert answer.code == 1
    assert what in answer.err
    assert str(path) in answer.err


def test_a_file_that_is_not_there(pelemay: Call, tmp_path: Path) -> None:
    assert "cannot be read" in pelemay("plan", "--buffers", tmp_path / "none.csv").err
    assert pelemay("plan", tmp_path / "none.onnx").code == 1


def test_a_model_or_blocks_but_not_both(pelemay: Call, network: Path, blocks: Path) -> None:
    assert "give a model, or --buffers" in pelemay("plan").err
    assert "give a model, or --buffers" in pelemay("plan", network, "--buffers", blocks).err
    assert "at least 1" in pelemay("plan", network, "--threads", 0).err


def test_a_compiled_program_keeps_no_plan(pelemay: Call, network: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.plm"
    pelemay("compile", network, "-o", output)
    answer = pelemay("plan", output)
    assert answer.code == 1
    assert "give the model that it was compiled from" in answer.err


def test_a_capacity_beats_the_one_in_the_name(pelemay: Call, blocks: Path) -> None:
    found = pelemay("plan", "--buffers", blocks, "--capacity", 16, "--json").json
    assert found["capacity_bytes"] == 16
    assert read_blocks(blocks).capacity == 12
    assert read_blocks(blocks).blocks[0] == Block(0, 3, 4)


LONG = """<ir_version: 8, opset_import: ["" : 17]>
long (float[1, 4, 32, 32] x) => (float[1, 4, 32, 32] y) {
  a = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
  b = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a, w)
  c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(b, w)
  y = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(c, w) }"""


@pytest.fixture(scope="module")
def long_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = onnx.parser.parse_model(LONG)
    weights = np.ones((4, 4, 3, 3), np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    path = tmp_path_factory.mktemp("plan") / "long.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_the_least_arena_holds_a_few_rows(pelemay: Call, long_network: Path) -> None:
    whole = pelemay("plan", long_network, "--json").json
    answer = pelemay("plan", long_network, "--arena", "least", "--timeline", "--check")
    assert answer.code == 0
    found = pelemay("plan", long_network, "--arena", "least", "--json").json
    assert found["arena_bytes"] < whole["arena_bytes"] / 2
    assert found["mac_factor"] == 1
    assert found["peak"]["operation"] == "chain"
    assert "bands of 1 row" in answer.out
    assert "no row is made twice" in answer.out.replace("\n", " ")


def test_a_limit_is_kept_or_refused(pelemay: Call, long_network: Path, tmp_path: Path) -> None:
    found = pelemay("plan", long_network, "--arena", "12kB", "--json").json
    assert found["arena_bytes"] <= 12 * 1024
    refused = pelemay("plan", long_network, "--arena", "1kB")
    assert refused.code != 0
    least = pelemay("plan", long_network, "--arena", "least", "--json").json["arena_bytes"]
    said = " ".join(refused.err.split())
    assert f"values need {least:,} bytes at least, 1,024 are allowed" in said
    assert "chain of" in said
    output = tmp_path / "long.plm"
    assert pelemay("compile", long_network, "-o", output, "--arena", "12kB").code == 0
    compiled = pelemay("inspect", output, "--json").json
    assert compiled["arena_bytes"] == found["arena_bytes"]


def test_arenas_against_time(pelemay: Call, long_network: Path, tmp_path: Path) -> None:
    file = tmp_path / "curve.svg"
    answer = pelemay("plan", long_network, "--pareto", "--svg", file, "--check")
    assert answer.code == 0
    assert "●" in answer.out
    points = pelemay("plan", long_network, "--pareto", "--json").json["points"]
    assert len(points) > 1
    sizes = [point["arena_bytes"] for point in points]
    times = [point["estimated_us"] for point in points]
    assert sizes == sorted(sizes)
    assert times == sorted(times, reverse=True)
    assert all(point["mac_factor"] == 1 for point in points)
    circles = ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}circle")
    assert len(list(circles)) == len(points)


def test_of_a_range_the_largest_size_is_planned(pelemay: Call, tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 4] x) => (float[n, n] y) { t = Transpose(x)  y = MatMul(x, t) }"""
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(text).SerializeToString())
    found = pelemay("plan", tmp_path / "m.onnx", "--dim", "n=1..9", "--json").json
    assert found["shapes"] == {"x": [9, 4]}
    assert pelemay("plan", tmp_path / "m.onnx", "--dim", "n=1,9").code != 0
