"""``pelemay bench``: what importing and running networks costs in time and in memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay.cli.output import PLAIN_WIDTH, add_json_flag, console
from pelemay.errors import InputError

if TYPE_CHECKING:
    from pelemay.bench import Options, Progress, Suite

HELP = "Measure what importing and running networks costs in time and in memory."
EXAMPLES = """\
  pelemay bench                                   the three networks of OnnxToAxonBench
  pelemay bench model.onnx --backends reference,onnxruntime
  pelemay bench squeezenet1.1-7 --jobs run --warmup 2 --time 5
  pelemay bench resnet101-v1-7 --fit              the smallest memory in which it still ends well
  pelemay bench resnet101-v1-7 --html report.html the same as a page, with memory over time
  pelemay bench --save before                     keep the figures ...
  pelemay bench --compare bench-results/before.json   ... and compare with them later
  pelemay bench --explain                         what each figure means

--warmup, --time and --memory-time are Benchee's (2, 5 and 2 seconds). Without any of them
the three shrink equally until the suite ends within --budget. --html, --json and --save follow
memory over time too, and make the budget 210 if none is given. --fit comes on top of it: about 20
seconds for each job, network and backend."""

MODELS = ("cats_v_dogs", "cat_dog_breeds", "resnet101-v1-7")
BACKENDS = ("native", "reference", "naive", "onnxruntime", "openvino", "xla")
"""Of these, what is installed; 'onnx' and 'torch' would take most of three minutes."""

_PHASES = {"warmup": 2.0, "time": 5.0, "memory_time": 2.0}
_TIMELINE_S = 0.4
_JOBS = "import, import+serialize, load+first run, run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("models", metavar="MODEL", nargs="*", help="files, or names of 'models list'")
    add("--jobs", metavar="LIST", help=f"of: {_JOBS}")
    add(
        "--backends",
        metavar="LIST",
        help=f"names, or 'all'; those installed of {', '.join(BACKENDS)}",
    )
    add("--threads", metavar="N", type=int, help="threads that a backend may use")
    add("--warmup", metavar="S", type=float, help="seconds of warming up (2)")
    add("--time", metavar="S", type=float, help="seconds of timing (5)")
    add("--memory-time", metavar="S", type=float, help="seconds of counting allocations (2)")
    add("--min-samples", metavar="N", type=int, default=5, help="samples at least (5)")
    add(
        "--budget",
        metavar="S",
        type=float,
        help="seconds for the whole suite (150; with --html, --json or --save 210); 0: no limit",
    )
    add("--timeout", metavar="S", type=float, default=600, help="give one process up after (600)")
    add("--exclude-outliers", action="store_true", help="leave out samples far off the others")
    add("--fit", action="store_true", help="find the smallest memory cgroup that each job fits in")
    add("--no-check", action="store_true", help="do not compare the backends' answers first")
    add("--stand-ins", action="store_true", help="build stand-ins without asking the network")
    add("--save", metavar="TAG", help="keep the figures under this name")
    add("--compare", metavar="FILE", nargs="+", default=[], help="show saved figures beside these")
    add("--results", metavar="FOLDER", default="bench-results", help="where --save puts them")
    add("--markdown", action="store_true", help="print Markdown instead of tables")
    add("--svg", metavar="FILE", help="also draw the report into a picture")
    add("--html", metavar="FILE", help="also write the report as a page with pictures")
    add("--explain", action="store_true", help="say what each figure means, and stop")
    add_json_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, report, save."""
    from pelemay import bench

    if args.explain:
        out = console()
        out.print(bench.explain(out.width), markup=False, soft_wrap=True)
        return 0
    options = _options(args)
    _make_room(args)
    before = [bench.Suite.load(path) for path in args.compare]
    models = _models(args)
    with _Watcher() as watcher:
        suite = _measured(models, args, options, watcher)
    if args.save:
        saved = suite.save(Path(args.results) / f"{args.save}.json", args.save)
        console(stderr=True).print(f"saved: {saved}", markup=False)
    _report(suite, before, args, watcher.seen)
    return 0 if suite.is_ok else 1


def _options(args: argparse.Namespace) -> Options:
    from pelemay.bench import Options, default_suite_options

    chosen = {name: getattr(args, name) for name in _PHASES}
    fixed = any(value is not None for value in chosen.values())
    phases = {name: _PHASES[name] if v is None else v for name, v in chosen.items()}
    timeline_s = _TIMELINE_S if args.html or args.json or args.save else 0.0
    budget = 0.0 if fixed else default_suite_options(timeline_s).budget_s
    return Options(
        warmup_s=phases["warmup"],
        time_s=phases["time"],
        memory_time_s=phases["memory_time"],
        timeline_s=timeline_s,
        min_samples=args.min_samples,
        threads=args.threads,
        exclude_outliers=args.exclude_outliers,
        fit=args.fit,
        budget_s=budget if args.budget is None else args.budget,
        timeout_s=args.timeout,
        pre_check=not args.no_check,
    )


def _make_room(args: argparse.Namespace) -> None:
    """Refuse places that cannot be written to before minutes are spent on measuring."""
    if args.save and (Path(args.save).name != args.save or args.save.startswith(".")):
        raise InputError(f"--save {args.save}: a name, not a path", hint="use --results FOLDER")
    try:
        if args.save:
            Path(args.results).mkdir(parents=True, exist_ok=True)
        for path in filter(None, (args.svg, args.html)):
            Path(path).touch()
    except OSError as error:
        raise _not_written(error) from error


def _not_written(error: OSError) -> InputError:
    return InputError(f"cannot be written: {error.strerror}", where=str(error.filename))


def _models(args: argparse.Namespace) -> list[Any]:
    from pelemay.cli.sources import model_file

    return [
        model_file(text, "always" if args.stand_ins else "auto") for text in args.models or MODELS
    ]


def _measured(
    models: list[Any], args: argparse.Namespace, options: Options, watcher: _Watcher
) -> Suite:
    from pelemay import bench

    jobs = _listed(args.jobs) or bench.DEFAULT_JOBS
    return bench.run_suite(
        jobs, models, _backends(args.backends), options, on_progress=watcher.tell
    )


def _backends(text: str | None) -> list[str] | None:
    """The backends named; None, which means all that are installed, for 'all'."""
    from pelemay import backends

    if text == "all":
        return None
    ready = backends.available()
    return _listed(text) or [name for name in BACKENDS if ready.get(name, "") is None]


def _listed(text: str | None) -> list[str] | None:
    return [item.strip() for item in text.split(",") if item.strip()] if text else None


def _report(
    measured: Suite, before: Sequence[Suite], args: argparse.Namespace, seen: Suite | None
) -> None:
    from pelemay.bench import format_console, format_html, format_json, format_markdown

    suite = measured.compared_with(before)
    if args.json:
        sys.stdout.write(format_json(suite))
    elif args.markdown:
        sys.stdout.write(format_markdown(suite))
    else:
        out = console()
        text = format_console(suite, width=out.width, color=out.is_terminal, begun=seen)
        sys.stdout.write(text)
    if args.svg:
        _draw(suite, Path(args.svg))
    if args.html:
        _write(Path(args.html), format_html(measured, before))


def _draw(suite: Suite, path: Path) -> None:
    """Write the report as an SVG picture of a terminal."""
    from io import StringIO

    from rich.console import Console
    from rich.text import Text

    from pelemay.bench import format_console

    page = Console(record=True, width=PLAIN_WIDTH, file=StringIO(), force_terminal=True)
    page.print(Text.from_ansi(format_console(suite, width=PLAIN_WIDTH, color=True)))
    _write(path, page.export_svg(title="pelemay bench"))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _not_written(error) from error


class _Watcher:
    """Shows on stderr what the suite is doing."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        self._console = console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed())
        plain = not self._console.is_terminal
        self._bars = Progress(*columns, console=self._console, transient=True, disable=plain)
        self._task = self._bars.add_task("starting", total=None)
        self.seen: Suite | None = None
        """The suite whose header stands in the terminal that the report goes to."""

    def __enter__(self) -> _Watcher:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def tell(self, news: Progress) -> None:
        """Take the suite's news."""
        if news.kind == "begun" and news.suite is not None:
            from pelemay.bench import format_header

            width, color = self._console.width, self._console.is_terminal
            text = format_header(news.suite, width=width, color=color)
            self._console.file.write(f"{text}\n")
            self.seen = news.suite if color and sys.stdout.isatty() else None
        what = {"checked": "comparing answers", "fitting": "fits in"}.get(news.kind, "measuring")
        if (scenario := news.scenario) is not None:
            what = f"{what}: {scenario.job}, {scenario.model}, {scenario.label}"
        elif news.label:
            what = f"{what}: {news.label}"
        done = news.number - (news.kind in ("measuring", "fitting"))
        self._bars.update(self._task, description=what, completed=done, total=news.total or None)


__all__ = ["configure", "run"]
