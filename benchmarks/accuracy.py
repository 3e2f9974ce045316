"""True accuracy on pictures that were not trained on: scikit-learn's digits, in every precision.

    python benchmarks/accuracy.py

Needs torch, scikit-learn and onnxruntime. A small convolutional network is trained for some
seconds, exported, compiled with weights of each kind, and quantized; each form is run on the 450
pictures of the test set. The table is Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from pelemay.backends.programs import ProgramRunnable

Array = np.ndarray[Any, Any]
Run = Callable[[Array], Array]

TEST_PICTURES = 450
CALIBRATION_PICTURES = 250


def pictures() -> tuple[Array, Array, Array, Array]:
    """Pictures (n, 1, 8, 8) from 0 to 1 and digits, to train on and to test with."""
    x, y = load_digits(return_X_y=True)
    images = (x / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    train, test, digits, true = train_test_split(
        images, y, test_size=TEST_PICTURES, random_state=0, stratify=y
    )
    return train, digits, test, true


def network() -> nn.Module:
    """Three convolutions, of which one is depthwise, a pool and a product."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU6()),
        *(nn.Conv2d(16, 32, 1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 10)),
    )


def trained(x: Array, y: Array, epochs: int) -> nn.Module:
    """The network after so many rounds over the pictures."""
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    images, digits = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(epochs):
        for part in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[part]), digits[part]).backward()
            optimizer.step()
    return model.eval()


def exported(model: nn.Module, path: Path) -> Path:
    """The ONNX file, one picture at a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(model, (torch.zeros(1, 1, 8, 8),), str(path)),
            dynamo=False,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
        )
    return path


def pelemay(*arguments: object) -> None:
    """Run a command of pelemay's."""
    command = [sys.executable, "-m", "pelemay.cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def native(model: Path, weights: str = "f32") -> tuple[Path, Run]:
    """A compiled file, and how to run it."""
    program = model.with_suffix(f".{weights}.plm")
    pelemay("compile", model, "-o", program, "--weights", weights, "--no-samples")
    runnable = ProgramRunnable(program)
    return program, lambda x: np.asarray(runnable.run({"x": x})["y"])


def theirs(model: Path) -> Run:
    """onnxruntime on a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return lambda x: np.asarray(session.run(None, {"x": x})[0])


def answers(run: Run, x: Array) -> Array:
    """What is found for each picture."""
    return np.concatenate([run(x[i : i + 1]) for i in range(len(x))])


def row(name: str, size: int, results: list[Array | None], true: Array) -> str:
    """A line of the table; a result that there is not is a dash."""
    shares = ["–" if y is None else f"{(y.argmax(1) == true).mean():.2%}" for y in results]
    return f"| {name} | {size:,} | {' | '.join(shares)} |"


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    args = parser.parse_args()
    x, y, test, true = pictures()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = exported(trained(x, y, args.epochs), folder / "digits.onnx")
        samples = folder / "samples.npz"
        np.savez(samples, x=x[:CALIBRATION_PICTURES])
        print("| digits, 450 test pictures | .plm bytes | pelemay | onnxruntime |")
        print("|---|---|---|---|")
        for weights in ("f32", "f16", "int8"):
            program, run = native(model, weights)
            own = None if weights != "f32" else answers(theirs(model), test)
            label = "float32" if weights == "f32" else f"weights in {weights}, computed in float32"
            print(row(label, program.stat().st_size, [answers(run, test), own], true))
        for label, options in (("", ()), (", per channel", ("--per-channel",))):
            quantized = folder / f"q{len(options)}.onnx"
            pelemay("quantize", model, "-o", quantized, "--calibrate", samples, *options)
            program, run = native(quantized)
            found = [answers(run, test), answers(theirs(quantized), test)]
            print(row(f"8-bit integers{label}", program.stat().st_size, found, true))
            print(f"<!-- same digit: {(found[0].argmax(1) == found[1].argmax(1)).mean():.2%},")
            print(f"     largest difference: {np.abs(found[0] - found[1]).max():.3g} -->")


if __name__ == "__main__":
    main()
