"""What the commands that compile share: their arguments, and what they say of a program.

In: an argument parser, what :func:`pelemay.program.describe.summary` found, or a program. Out: rows
and text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import console, size, table
from pelemay.target import WEIGHTS, Target, size_of

if TYPE_CHECKING:
    from pelemay.program import Instruction, Program, Tensor

Progress = Callable[[int, int], None]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is compiled, where it is written, and what open sizes are bound to."""
    parser.add_argument("model", metavar="MODEL", help="an ONNX file, or a name of 'models list'")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write; MODEL.plm if not given"
    )
    parser.set_defaults(sizes=[])
    parser.add_argument(
        "--shape",
        metavar="NAME=1x3x224x224",
        action=AddSize,
        help="the shape of an input whose sizes the model leaves open",
    )


class AddSize(argparse.Action):
    """Notes what open sizes are bound to, in the order given; see :mod:`pelemay.cases`."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: str | None = None) -> None:
        """Add one option."""
        item = None if self.nargs == 0 else (self.dest, values)
        namespace.sizes = [*namespace.sizes, item]


def add_case_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what makes a file of several plans."""
    parser.add_argument(
        "--dim",
        metavar="NAME=SIZE",
        action=AddSize,
        help="what a size that has a name is: 4, or 1,4,8 for a plan each, or 1..512, or "
        "32..512:32 in steps of 32; or another name and some more, such as past+1",
    )
    parser.add_argument(
        "--and",
        dest="and_",
        nargs=0,
        action=AddSize,
        help="what follows is of other plans of the same file, over the same weights",
    )


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how much memory a run may take, and how weights are stored."""
    group = parser.add_argument_group("memory")
    group.add_argument(
        "--budget",
        metavar="SIZE",
        help="what a run may take beside its process, such as 6MiB: values, scratch, inputs, "
        "outputs, weights in memory; arena and blocks are chosen for the shortest time",
    )
    group.add_argument(
        "--arena",
        metavar="SIZE",
        help="what values may take: they are held a few rows at a time where they have to be",
    )
    group.add_argument(
        "--block-bytes",
        metavar="SIZE",
        help="cut layers whose weights are larger, so that they fit a small window",
    )
    group.add_argument(
        "--weights",
        choices=WEIGHTS,
        default=WEIGHTS[0],
        help="what weights of convolutions and products are stored as (f32)",
    )


def target_of(args: argparse.Namespace) -> Target:
    """What those arguments say.

    Raises
    ------
    InputError
        If a size is none.
    """
    sizes = {
        name: size_of(text) if (text := getattr(args, option)) else None
        for name, option in (
            ("budget_bytes", "budget"),
            ("arena_bytes", "arena"),
            ("block_bytes", "block_bytes"),
        )
    }
    return Target(**sizes, weights=args.weights)


def output_of(args: argparse.Namespace, source: Path) -> Path:
    """Where to write the program of a model: as asked for, or here, under the model's name."""
    return Path(args.output) if args.output else Path(source.name).with_suffix(".plm")


@contextmanager
def progress_bar(description: str) -> Iterator[Progress | None]:
    """A bar on stderr of the bytes that were done; none where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total or None)


def rows_of(findings: dict[str, Any]) -> list[tuple[str, str]]:
    """A program's summary as rows of a table."""
    nodes, native = findings["nodes"], findings["native_nodes"]
    share = f"{native} of {nodes}" + (f" ({native / nodes:.0%})" if nodes else "")
    return [
        *((f"input {name}", kind or "?") for name, kind in findings["inputs"].items()),
        *((f"output {name}", kind or "?") for name, kind in findings["outputs"].items()),
        *((f"compiled for {n}", "x".join(map(str, s))) for n, s in findings["shapes"].items()),
        ("weights, mapped", f"{size(findings['weights_bytes'])} in {findings['blocks']} blocks"),
        ("arena", f"{size(findings['arena_bytes'])}"),
        ("instructions", str(findings["instructions"])),
        ("native nodes", share),
    ]


def show_plans(findings: dict[str, Any]) -> None:
    """Print the plans of a file that has several, or one for several sizes."""
    if not findings["plans"]:
        return
    rows = [
        (
            str(number),
            plan["for"],
            str(plan["sizes"]),
            str(plan["compiled"]),
            size(plan["arena_bytes"]),
        )
        for number, plan in enumerate(findings["plans"])
    ]
    console().print(
        table("plan", "for", "sizes", "compiled", "arena", rows=rows, right=[0, 2, 3, 4])
    )


def show_fallbacks(findings: dict[str, Any]) -> None:
    """Print what the reference backend has to run, and why."""
    if not findings["fallbacks"]:
        return
    rows = [(entry["node"], entry["reason"]) for entry in findings["fallbacks"]]
    console().print(table("runs on the reference backend", "because", rows=rows))


def show_opcodes(findings: dict[str, Any]) -> None:
    """Print how many instructions of each kind there are."""
    rows = [(opcode, str(count)) for opcode, count in findings["opcodes"].items()]
    console().print(table("instruction", "count", rows=rows, right=[1]))


def listing(program: Program) -> Iterator[str]:
    """The instructions as text, one a line: operands, parameters, the node that they are of.

    An operand is its type, and where it begins: ``a`` the arena, ``w`` the weights, ``i`` and
    ``o`` an input or output with its number.
    """
    for number, instruction in enumerate(program.instructions):
        outputs = ", ".join(_operand(program, n) for n in instruction.outputs)
        inputs = ", ".join(_operand(program, n) for n in instruction.inputs)
        call = f"{instruction.opcode}({inputs}) [{' '.join(map(str, instruction.params))}]"
        yield f"{number:4} {outputs} = {call}{_note(instruction)}"


def _note(instruction: Instruction) -> str:
    serial = " serial" if instruction.serial else ""
    return f"{serial} # {instruction.name}, cost {instruction.cost}"


def _operand(program: Program, number: int | None) -> str:
    if number is None:
        return "_"
    tensor = program.tensors[number]
    sizes = ",".join(map(str, tensor.shape))
    strides = "" if tensor.is_contiguous else f" strides {','.join(map(str, tensor.strides))}"
    return f"{tensor.dtype.value}[{sizes}]{strides} {_place(tensor)}"


def _place(tensor: Tensor) -> str:
    letter = tensor.space.name[0].lower()
    index = str(tensor.index) if letter in "io" else ""
    ring = f" ring {tensor.ring}" if tensor.ring else ""
    return f"@{letter}{index}+{tensor.offset}{ring}"
