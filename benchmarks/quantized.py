"""Int8 against float32, here and in onnxruntime, in one process, in turns: A B C D A B C D ...

    python benchmarks/quantized.py [--models NAME...] [--threads N] [--format qdq|qoperator]
                                   [--rounds N] [--preempt] [--folder FOLDER]

Each network is quantized by onnxruntime's own tools, with random inputs: BERT dynamically, the
others for activations of uint8 and weights of int8, one scale for each output channel. Both
runtimes get the same files. The columns are milliseconds of pelemay in float32, and how many times
faster the others are: pelemay's int8, onnxruntime's float32, onnxruntime's int8; medians. The last
is how far apart the two int8 answers are, relative to the largest number. ``--preempt`` is that of
``latency.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import onnx.version_converter
from latency import difference, feeds_of, onnxruntime, pelemay, rounds_for, schedule, timed

MODELS = ("resnet50-v1-7", "mobilenetv2-12", "bert_mini")
DYNAMIC = ("bert_mini",)

OPSET = 17
"""Scales for each channel came with 13."""


def quantized(path: Path, folder: Path, style: str) -> Path:
    """The network in int8, made once; the style is qdq, qoperator or dynamic."""
    from onnxruntime import quantization as q

    target = folder / f"{path.stem}-{style}.onnx"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    prepared = folder / f"{path.stem}-prepared.onnx"
    newer = folder / f"{path.stem}-newer.onnx"
    onnx.save(onnx.version_converter.convert_version(onnx.load(path), OPSET), newer)
    q.shape_inference.quant_pre_process(newer, prepared, skip_symbolic_shape=True)
    if style == "dynamic":
        q.quantize_dynamic(prepared, target, weight_type=q.QuantType.QInt8)
        return target

    class Reader(q.CalibrationDataReader):  # type: ignore[misc]
        left = 2

        def get_next(self) -> dict[str, Any] | None:
            self.left -= 1
            return feeds_of(path) if self.left >= 0 else None

    styles = {"qdq": q.QuantFormat.QDQ, "qoperator": q.QuantFormat.QOperator}
    types = {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8}
    q.quantize_static(
        prepared, target, Reader(), quant_format=styles[style], per_channel=True, **types
    )
    return target


def compare(path: Path, options: Any) -> str:
    """One line of the table."""
    style = "dynamic" if path.name.split(".")[0] in DYNAMIC else options.format
    small, feeds, threads = quantized(path, options.folder, style), feeds_of(path), options.threads
    runs = {
        "pelemay": pelemay(path, feeds, threads),
        "pelemay int8": pelemay(small, feeds, threads),
        "onnxruntime": onnxruntime(path, feeds, threads),
        "onnxruntime int8": onnxruntime(small, feeds, threads),
    }
    gap = difference(runs["pelemay int8"](), runs["onnxruntime int8"]())
    rounds = options.rounds or rounds_for(runs["pelemay"])
    if options.preempt:
        schedule(os.SCHED_FIFO)
    try:
        times = timed(runs, rounds)
    finally:
        if options.preempt:
            schedule(os.SCHED_OTHER)
    ours = times.pop("pelemay")
    ratios = [sorted(a / b for a, b in zip(ours, other, strict=True)) for other in times.values()]
    cells = "".join(f"{ratio[len(ratio) // 2]:>18.2f}" for ratio in ratios)
    return f"{path.stem:20}{sorted(ours)[len(ours) // 2]:>12.2f}{cells}{gap:>12.1e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--format", choices=("qdq", "qoperator"), default="qdq")
    parser.add_argument("--rounds", type=int, default=0, help="0: as many as take 4 s, 15 at least")
    parser.add_argument("--preempt", action="store_true", help="before all else on the machine")
    parser.add_argument("--folder", type=Path, default=Path("build/quantized"))
    options = parser.parse_args()
    from pelemay import models

    names = ("pelemay int8", "onnxruntime", "onnxruntime int8")
    print(f"{'model':20}{'pelemay ms':>12}{''.join(f'{n:>18}' for n in names)}{'apart':>12}")
    for name in options.models:
        path = Path(name) if name.endswith(".onnx") else models.get(name).path
        print(compare(path, options))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
