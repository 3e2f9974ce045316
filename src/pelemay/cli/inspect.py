"""``pelemay inspect``: what is in a model, and what it weighs, without reading its weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cases import shapes_of
from pelemay.cli.output import add_json_flag, console, print_json, size, table
from pelemay.cli.programs import listing, rows_of, show_fallbacks, show_opcodes, show_plans
from pelemay.cli.sources import resolve
from pelemay.errors import InputError

if TYPE_CHECKING:
    from pelemay.importers import Model

HELP = "Show what is in a model, and what it weighs, without reading its weights."
EXAMPLES = """\
  pelemay inspect resnet101-v1-7
  pelemay inspect model.onnx --parameters     every parameter: where it lies, and how
  pelemay inspect model.onnx --text           the graph as text
  pelemay inspect model.onnx --layers         every node: products, parameters, result
  pelemay inspect model.onnx --html net.html  a page with the graph drawn, in blocks that open
  pelemay inspect model.onnx --native         what the engine runs, what not, and why
  pelemay inspect model.plm                   a compiled program; --text lists its instructions
  pelemay inspect model.onnx --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "model", metavar="MODEL", help="an ONNX or .plm file, or a name of 'models list'"
    )
    parser.add_argument("--parameters", action="store_true", help="list every parameter")
    parser.add_argument("--layers", action="store_true", help="list every node")
    parser.add_argument("--html", metavar="FILE", help="write a page with the graph drawn")
    parser.add_argument(
        "--shape",
        metavar="NAME=1x3x224x224",
        action="append",
        default=[],
        help="the shape of an input whose sizes the model leaves open; else they become 1",
    )
    parser.add_argument("--text", action="store_true", help="print the graph as text")
    parser.add_argument(
        "--native", action="store_true", help="say what the engine would not run, and why"
    )
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from pelemay.importers import load

    path = resolve(args.model)
    if path.suffix == ".plm":
        return _run_program(path, args)
    model = load(path)
    if args.text:
        from pelemay.graph.text import to_text

        print(to_text(model.graph))
        return 0
    return _run_model(model, args)


def _run_model(model: Model, args: argparse.Namespace) -> int:
    from pelemay.views import inspect

    inspection = inspect(model, shapes_of(args.shape))
    findings = {**inspection.findings, "layers": list(inspection.layers)}
    if args.parameters:
        findings["parameter_list"] = _parameters(model)
    if args.html:
        findings["page"] = str(inspection.save(args.html))
    if args.json:
        print_json(findings)
    elif args.html:
        console().print(f"{findings['page']}: {inspection.finding}", markup=False, soft_wrap=True)
    else:
        _show(findings, layers=args.layers, native=args.native)
    return 0


def _run_program(path: Path, args: argparse.Namespace) -> int:
    """The same for a compiled program."""
    if args.html:
        what = "a compiled program has no graph to draw"
        raise InputError(what, where=str(path), hint="give the model that it was compiled from")
    from pelemay.program.describe import of_all, summary
    from pelemay.program.read import read_plans

    programs = read_plans(path)
    if args.text:
        for program in programs:
            console().print("\n".join(listing(program)), markup=False, soft_wrap=True)
        return 0
    findings = {"file": str(path), "file_bytes": path.stat().st_size, **summary(programs[0])}
    findings |= of_all(programs)
    if args.parameters:
        blocks = {(b.offset, b.nbytes): b for program in programs for b in program.blocks}
        findings["block_list"] = [
            {"name": b.name, "bytes": b.nbytes, "offset": b.offset}
            for _, b in sorted(blocks.items())
        ]
    if args.json:
        print_json(findings)
    else:
        _show_program(findings)
    return 0


def _show_program(findings: dict[str, Any]) -> None:
    head = ("file", f"{findings['file']} ({size(findings['file_bytes'])})")
    console().print(table("program", "", rows=[head, *rows_of(findings)]))
    show_plans(findings)
    show_opcodes(findings)
    show_fallbacks(findings)
    if listed := findings.get("block_list"):
        rows = [(b["name"], size(b["bytes"]), f"{b['offset']:,}") for b in listed]
        console().print(table("block", "size", "at byte", rows=rows, right=[1, 2]))


def _parameters(model: Model) -> list[dict[str, Any]]:
    rows = []
    for name in model.parameters:
        place = model.parameters.placement(name)
        constant = model.graph.constants[name]
        rows.append(
            {
                "name": name,
                "dtype": constant.dtype.value,
                "shape": list(constant.shape),
                "bytes": place.nbytes,
                "encoding": place.encoding,
                "file": str(place.path),
                "offset": place.offset,
                "in_place": place.in_place,
            }
        )
    return rows


MOST_LAYERS = 10
"""Of those with the most products that are listed without being asked for."""


def _show(findings: dict[str, Any], *, layers: bool, native: bool) -> None:
    out = console()
    total, in_place = findings["parameter_bytes"], findings["parameter_bytes_in_place"]
    encodings = ", ".join(f"{count} {name}" for name, count in findings["encodings"].items())
    rows = [
        ("file", f"{findings['file']} ({size(findings['file_bytes'] or 0)})"),
        ("producer", findings["producer"] or "not said"),
        ("operator sets", ", ".join(f"{k} {v}" for k, v in findings["opsets"].items())),
        *((f"input {name}", kind) for name, kind in findings["inputs"].items()),
        *((f"output {name}", kind) for name, kind in findings["outputs"].items()),
        ("parameters", f"{findings['parameters']} ({size(total)}; {encodings or 'none'})"),
        ("read in place", f"{in_place / total:.0%}" if total else "nothing to read"),
        ("multiply-accumulates", f"{findings['macs']:,}"),
        *_compiled(findings["native"]),
    ]
    out.print(table("model", "", rows=rows))
    rows3 = [(o["operation"], str(o["count"]), o["runs_on"]) for o in findings["operations"]]
    out.print(table("operation", "count", "runs on", rows=rows3, right=[1]))
    _show_layers(findings["layers"], every=layers)
    if native and findings["native"] and not findings["native"].get("refused"):
        out.print(table("compiled", "", rows=rows_of(findings["native"])))
        show_fallbacks(findings["native"])
    if listed := findings.get("parameter_list"):
        rows5 = [
            (
                p["name"],
                f"{p['dtype']}{p['shape']}",
                size(p["bytes"]),
                p["encoding"],
                f"{p['offset']:,}" if p["in_place"] else "decoded",
            )
            for p in listed
        ]
        out.print(
            table("parameter", "type", "size", "encoding", "at byte", rows=rows5, right=[2, 4])
        )
    for text in findings["warnings"]:
        out.print(f"Note: {text}.", markup=False, soft_wrap=True)


def _compiled(native: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What the engine makes of it, in short."""
    if not native or native.get("refused"):
        return [("native nodes", "none: see below")]
    rows = rows_of(native)
    return [row for row in rows if row[0] in ("arena", "instructions", "native nodes")]


def _show_layers(layers: list[dict[str, Any]], *, every: bool) -> None:
    """All nodes in order, or those that compute the most."""
    shown = layers
    if not every:
        heavy = sorted(layers, key=lambda layer: (-layer["macs"], -layer["bytes"]))
        shown = [layer for layer in heavy[:MOST_LAYERS] if layer["macs"] or layer["bytes"]]
    rows = [
        (
            layer["name"],
            layer["operation"],
            f"{layer['macs']:,}" if layer["macs"] else "",
            size(layer["bytes"]) if layer["bytes"] else "",
            layer["result"].replace(", ", ","),
        )
        for layer in shown
    ]
    heading = "node" if every else "node that computes most"
    columns = (heading, "operation", "MACs", "parameters", "result")
    if rows:
        console().print(table(*columns, rows=rows, right=[2, 3]))
    if not every and len(shown) < len(layers):
        console().print(f"{len(layers)} nodes in all; --layers lists them")
