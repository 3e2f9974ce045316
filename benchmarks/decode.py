"""Tokens a second of a language model, against onnxruntime: in one process, in turns, A B A B ...

    python benchmarks/decode.py [--forms NAME...] [--threads N...] [--tokens N] [--context N]
                                [--width N] [--layers N] [--json FILE]

A model of random weights in each form that exporters write (``standins/decoders.py``); ``genai4``
has weights of 4 bits. One token is made by each in turn, and both must say the same one. The ratio
is the median of ours / onnxruntime's for the same token: below 1 pelemay is faster. onnxruntime's
values stay its own between tokens; for ``genai`` past and present are one buffer, as its generation
tools bind them. Where its products of 4-bit weights may be computed with activations of 8 bits
(``accuracy_level`` 4), that is a row of its own, ``genai4a8``, and the tokens need not be the same.

Beside the times stand bytes: of the file, of the cache, and of keys and values written for a token.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from pelemay.decoding import Context, Decoder
from pelemay.decoding.compiling import compile_decoder
from pelemay.importers import load
from pelemay.models.standins.decoders import Sizes, genai, optimum

PROMPT = [1, 5, 9, 100, 37, 42, 200, 3]
PAUSE_S = 0.002


def model_of(form: str, sizes: Sizes) -> Any:
    """The model of a form."""
    if form == "optimum":
        return optimum(sizes)
    model = genai(sizes, bits=32 if form == "genai" else 4)
    for node in model.graph.node if form == "genai4a8" else ():
        if node.op_type == "MatMulNBits":
            node.attribute.append(onnx.helper.make_attribute("accuracy_level", 4))
    return model


class Peer:
    """A model in onnxruntime."""

    def __init__(self, path: Path, threads: int, sizes: Sizes, context: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = [end.name for end in self.session.get_inputs()]
        self.value = ort.OrtValue.ortvalue_from_numpy
        self.shared = "position_ids" not in self.inputs
        rows = context if self.shared else 0
        empty = np.zeros((1, sizes.shared, rows, sizes.size), np.float32)
        past = [name for name in self.inputs if name.startswith("past")]
        self.caches = {name: self.value(empty.copy()) for name in past}
        self.used = 0

    def read(self, tokens: list[int]) -> Any:
        """Scores behind these tokens."""
        whole = self.used + len(tokens)
        feeds = {
            "input_ids": np.array([tokens]),
            "attention_mask": np.ones((1, whole), np.int64),
            "position_ids": np.arange(self.used, whole)[None],
        }
        given = {name: self.value(feeds[name]) for name in feeds if name in self.inputs}
        self.used = whole
        if self.shared:
            return self._in_place(given)
        present = {n: n.replace("past_key_values", "present") for n in self.caches}
        names = ["logits", *present.values()]
        found = self.session.run_with_ort_values(names, {**given, **self.caches})
        self.caches = dict(zip(present, found[1:], strict=True))
        return found[0].numpy()[0, -1]

    def _in_place(self, given: dict[str, Any]) -> Any:
        binding = self.session.io_binding()
        for name, value in {**given, **self.caches}.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in self.caches.items():
            binding.bind_ortvalue_output(name.replace("past_key_values", "present"), value)
        binding.bind_output("logits")
        self.session.run_with_iobinding(binding)
        return binding.get_outputs()[-1].numpy()[0, -1]


def timed(read: Callable[[list[int]], Any], tokens: list[int]) -> tuple[float, int]:
    """Milliseconds, and the token that follows."""
    time.sleep(PAUSE_S)
    begin = time.perf_counter()
    scores = read(tokens)
    return (time.perf_counter() - begin) * 1e3, int(scores.argmax())


def measured(form: str, sizes: Sizes, threads: int, count: int, context: int) -> dict[str, Any]:
    """One row."""
    with tempfile.TemporaryDirectory() as folder:
        path, program = Path(folder) / "model.onnx", Path(folder) / "model.plm"
        onnx.save(model_of(form, sizes), path)
        compile_decoder(load(path), program, Context(context, min(32, context - 1)))
        ours, peer = Decoder(program, threads=threads), Peer(path, threads, sizes, context)
        prompts = timed(ours.read, PROMPT), timed(peer.read, PROMPT)
        token, other = prompts[0][1], prompts[1][1]
        times, same = [], token == other
        for _ in range(count):
            (a, token), (b, other) = timed(ours.read, [token]), timed(peer.read, [token])
            same = same and token == other
            times.append((a, b))
        if not same and form != "genai4a8":
            raise SystemExit(f"{form}: the tokens differ")
        row = 2 * sizes.layers * sizes.shared * sizes.size * 4
        own, others = zip(*times, strict=True)
        return {
            "form": form,
            "threads": threads,
            "tokens_per_s": 1e3 / statistics.median(own),
            "onnxruntime_tokens_per_s": 1e3 / statistics.median(others),
            "ratio": statistics.median(a / b for a, b in times),
            "same_tokens": same,
            "model_bytes": path.stat().st_size,
            "program_bytes": program.stat().st_size,
            "cache_bytes": ours.cache_bytes,
            "written_per_token": row,
            "onnxruntime_written_per_token": row if peer.shared else row * peer.used,
        }


FORMS = ("optimum", "genai", "genai4", "genai4a8")


def main() -> None:
    """Print a row for each form and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forms", nargs="+", default=FORMS, choices=FORMS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    sizes = Sizes(
        4096, args.width, args.layers, 3 * args.width, args.width // 64, args.width // 128
    )
    rows = []
    for form in args.forms:
        for threads in args.threads:
            row = measured(form, sizes, threads, args.tokens, args.context)
            rows.append({**row, "load": os.getloadavg()[0]})
            print("  ".join(f"{key} {_short(value)}" for key, value in rows[-1].items()))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
