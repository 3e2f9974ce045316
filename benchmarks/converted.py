"""Networks in the formats of runtimes that do not read ONNX: converted once, into a folder.

In: an ONNX file and the arrays that it will be fed. Out: the files that ncnn or LiteRT open. ONNX
goes to ncnn, and to a PyTorch module, by pnnx; that module goes to LiteRT by litert-torch. Each
step is a process of its own, so that neither PyTorch nor its threads are in the one that measures.

    pip install ncnn pnnx                           # ncnn
    pip install pnnx ai-edge-litert litert-torch    # LiteRT
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(tempfile.gettempdir()) / "pelemay-converted"

LITERT = """
import sys
import numpy as np
import litert_torch
import torch
sys.path.insert(0, ".")
from model_pnnx import Model
feeds = tuple(torch.from_numpy(x) for x in np.load("feeds.npz").values())
litert_torch.convert(Model().float().eval(), feeds).export("model.tflite")
"""

SHORT = {"float32": "f32", "int64": "i64", "int32": "i32"}


class ConversionError(Exception):
    """The converter failed; the text is the end of what it said."""


def for_ncnn(path: Path, feeds: dict[str, Any]) -> tuple[Path, Path]:
    """The network's structure and its weights."""
    folder = by_pnnx(path, feeds)
    return folder / "model.ncnn.param", folder / "model.ncnn.bin"


def for_litert(path: Path, feeds: dict[str, Any]) -> Path:
    """The network as a flat buffer."""
    folder = by_pnnx(path, feeds)
    made = folder / "model.tflite"
    if not made.exists():
        call([sys.executable, "-c", LITERT], folder, made)
    return made


def by_pnnx(path: Path, feeds: dict[str, Any]) -> Path:
    """A folder with what pnnx writes; inputs are in0, in1, ... in the order of the feeds."""
    import numpy as np

    folder = FOLDER / path.stem
    made = folder / "model.ncnn.param"
    if not made.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / "feeds.npz", **feeds)
        (folder / "model.onnx").write_bytes(path.read_bytes())
        shapes = (f"{list(x.shape)}{SHORT[x.dtype.name]}".replace(" ", "") for x in feeds.values())
        program = Path(sys.executable).with_name("pnnx")
        command = [program, "model.onnx", "fp16=0", f"inputshape={','.join(shapes)}"]
        call([str(word) for word in command], folder, made)
    return folder


def call(command: list[str], folder: Path, made: Path) -> None:
    """Run a converter; what it made lies there whole, or not at all."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConversionError(f"{command[0]}: {error.strerror}") from error
    if done.returncode or not made.exists():
        made.unlink(missing_ok=True)
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise ConversionError(f"{Path(command[0]).name}: {said[-1][:200]}")
