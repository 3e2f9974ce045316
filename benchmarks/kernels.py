"""How fast each kernel is within a network: time and GFLOP/s of every instruction.

    python benchmarks/kernels.py [MODEL...] [--threads N] [--isa NAME] [--rounds N] [--all]

A model is a name of ``pelemay models`` or an ONNX file. Times are medians over the rounds, of whole
runs of the network, so that every layer finds the caches as its neighbours leave them. Layers of
the same kind and shapes are one row, the slowest first; ``--all`` shows each instruction by itself.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COUNTED = ("conv", "depthwise", "winograd", "matmul", "attention")
"""Instructions whose cost is multiply-accumulates; that of others is elements written."""


@dataclass
class Row:
    """Instructions of one kind and shape: their times in ms, and the cost of each."""

    opcode: str
    shapes: str
    times: list[float]
    cost: int

    @property
    def text(self) -> str:
        total = sum(self.times)
        rate = 2e-6 * self.cost * len(self.times) / total if self.opcode in COUNTED else 0
        speed = f"{rate:9.1f}" if rate else f"{'':9}"
        return f"{total:10.3f}{len(self.times):6}{speed}  {self.opcode:12} {self.shapes}"


def program_of(model: str) -> tuple[Any, list[Any], Any]:
    from pelemay import models, pipeline
    from pelemay.bench.inputs import inputs_of_model, make_feeds
    from pelemay.importers import load
    from pelemay.passes.host_inputs import host_inputs
    from pelemay.program.image import image

    path = Path(model) if model.endswith(".onnx") else models.get(model).path
    feeds = make_feeds(inputs_of_model(path), seed=0)
    loaded = load(path)
    values = {name: feeds[name] for name in host_inputs(loaded.graph) if name in feeds}
    program = pipeline.lower(loaded, {n: tuple(x.shape) for n, x in feeds.items()}, values)
    inputs = [feeds[name] for name in program.metadata["program_inputs"]]
    return program, inputs, image(program)


def shapes_of(program: Any, numbers: Any) -> str:
    shapes = [program.tensors[n].shape for n in numbers if n is not None]
    return " ".join("x".join(map(str, shape)) or "-" for shape in shapes[:2])


def profile(engine: Any, inputs: list[Any], rounds: int) -> list[float]:
    engine.run(inputs)
    runs = [engine.profile(inputs) for _ in range(rounds)]
    return [statistics.median(times) / 1e6 for times in zip(*runs, strict=True)]


def rows_of(program: Any, times: list[float], *, apart: bool) -> list[Row]:
    rows: dict[Any, Row] = {}
    for number, (step, time) in enumerate(zip(program.instructions, times, strict=True)):
        read, written = shapes_of(program, step.inputs), shapes_of(program, step.outputs)
        shapes = f"{read} -> {written}"
        key = (step.opcode, shapes, number if apart else 0)
        row = rows.setdefault(key, Row(step.opcode, shapes, [], step.cost))
        row.times.append(time)
    return list(rows.values()) if apart else sorted(rows.values(), key=lambda r: -sum(r.times))


def show(model: str, options: argparse.Namespace) -> None:
    from pelemay.engine import Engine, open_program

    program, inputs, data = program_of(model)
    engine = Engine(open_program(data), threads=options.threads, isa=options.isa)
    times = profile(engine, inputs, options.rounds)
    print(f"\n{model}: {sum(times):.2f} ms, {engine.isa}, {options.threads or 'all'} threads")
    print(f"{'ms':>10}{'times':>6}{'GFLOP/s':>9}  instruction")
    for row in rows_of(program, times, apart=options.all):
        print(row.text)
    sums: dict[str, float] = defaultdict(float)
    for step, time in zip(program.instructions, times, strict=True):
        sums[step.opcode] += time
    for opcode, total in sorted(sums.items(), key=lambda item: -item[1]):
        print(f"{total:10.3f}  {total / sum(times):6.1%}  {opcode}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["resnet50-v1-7", "mobilenetv2-12"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--isa")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--all", action="store_true", help="one row for each instruction")
    options = parser.parse_args()
    for model in options.models:
        show(model, options)


if __name__ == "__main__":
    main()
