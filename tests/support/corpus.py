"""Small programs of all kinds for the fuzzer to begin with: ONNX's own tests, compiled.

python tests/support/corpus.py FOLDER
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
from onnx.backend.test.loader import load_model_tests

from pelemay.compilation import compile_graph
from pelemay.errors import PelemayError
from pelemay.importers import from_proto
from pelemay.passes.host_inputs import host_inputs
from pelemay.program.image import image

MOST_BYTES = 16 << 10


def main(folder: Path) -> None:
    """Write them; one for each list of instructions that is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = set()
    for case in load_model_tests(kind="node"):
        if case.model is None or not case.data_sets:
            continue
        graph = from_proto(case.model).graph
        given = zip(graph.inputs, case.data_sets[0][0], strict=False)
        feeds = {n: v for n, v in given if isinstance(v, (np.ndarray, np.generic))}
        by_value = {n: np.asarray(feeds[n]) for n in host_inputs(graph) if n in feeds}
        shapes = {n: np.shape(v) for n, v in feeds.items() if n not in by_value}
        try:
            program = compile_graph(graph, shapes, by_value)
            data = image(program)
        except PelemayError:
            continue
        key = tuple((i.opcode, len(i.inputs), i.params[:2]) for i in program.instructions)
        if len(data) <= MOST_BYTES and key not in seen:
            seen.add(key)
            (folder / f"{case.name}.plm").write_bytes(data)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
