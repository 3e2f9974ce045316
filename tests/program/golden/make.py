"""Write the golden files of this version of the format: ``python tests/program/golden/make.py``.

For each small network of ``support.networks``: the program, its inputs, and what it gave. After a
release these files are kept as they are, and a newer version's files are added beside them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from pelemay.backends.programs import ProgramRunnable  # noqa: E402
from pelemay.compilation import compile_graph  # noqa: E402
from pelemay.engine import native  # noqa: E402
from pelemay.program.describe import metadata  # noqa: E402
from pelemay.program.layout import MAJOR, MINOR  # noqa: E402
from pelemay.program.write import write_program  # noqa: E402
from pelemay.signature import Signature  # noqa: E402
from support.networks import MAKERS, feeds_of  # noqa: E402


def main() -> None:
    """Write a folder named like the version."""
    folder = HERE / f"{MAJOR}.{MINOR}"
    folder.mkdir(exist_ok=True)
    for make in MAKERS:
        graph, name = make(), make.__name__
        signature = Signature(graph.inputs, graph.outputs, name=graph.name)
        program = compile_graph(graph, metadata=metadata(signature.to_metadata()))
        path = write_program(program, folder / f"{name}.plm").path
        feeds = feeds_of(graph)
        outputs = ProgramRunnable(path, threads=1).run(feeds, list(graph.outputs))
        arrays = {**{f"in:{n}": x for n, x in feeds.items()}}
        arrays |= {f"out:{n}": y for n, y in outputs.items()}
        np.savez_compressed(folder / f"{name}.npz", **arrays)
    numbers = {"opcodes": native().OPCODES, "dtypes": native().DTYPES}
    (folder / "numbers.json").write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
