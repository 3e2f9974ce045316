"""The command ``pelemay``: arguments in, exit code out.

Each sub-command is a module with ``HELP``, ``EXAMPLES``, ``configure(parser)``, which may set
``logs(args) -> bool``, and ``run(args) -> int``. These modules import nothing heavy before ``run``.

>>> main(["--version"])
Traceback (most recent call last):
SystemExit: 0
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pelemay import __version__
from pelemay.errors import PelemayError

COMMANDS = (
    *("bench", "report", "run", "compile", "quantize", "plan", "tune", "top"),
    *("check", "inspect", "models", "cache", "doctor"),
)

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

_EPILOG = """\
examples:
  pelemay bench                          import and run three networks, and see their memory
  pelemay run resnet101-v1-7 cat.jpg     classify a picture
  pelemay inspect model.onnx             what is in a model, and what it weighs
  pelemay plan model.onnx                what a run will take, to the byte
  pelemay models list                    networks to try
  pelemay doctor                         what this machine has, and what is missing

exit codes: 0 fine, 1 something failed (said on stderr), 2 wrong usage, 130 interrupted"""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Parameters
    ----------
    command : str, optional
        The only command that it has to know; to know them all takes 2 MiB more.
    """
    parser = argparse.ArgumentParser(
        prog="pelemay",
        description="Run ONNX networks in the memory that a machine really has.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pelemay {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in (command,) if command else COMMANDS:
        module = import_module(f"pelemay.cli.{name}")
        added = commands.add_parser(
            name,
            help=module.HELP,
            description=module.HELP,
            epilog=f"examples:\n{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_argument("-v", "--verbose", action="store_true", help="log what is done")
        added.set_defaults(run=module.run, logs=_always)
        module.configure(added)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; those of the process if not given.

    Returns
    -------
    int
        The exit code.
    """
    argv = sys.argv[1:] if argv is None else argv
    known = argv[0] if argv and argv[0] in COMMANDS else None
    args = build_parser(known).parse_args(argv)
    if args.verbose or args.logs(args):
        _log_to_stderr(verbose=args.verbose)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except PelemayError as error:
        print(f"pelemay: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("pelemay: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return code


def _always(args: argparse.Namespace) -> bool:
    """Whether a command may log; to be able to takes 0.8 MiB, which a run within a limit needs."""
    return True


def _log_to_stderr(*, verbose: bool) -> None:
    import logging

    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, format="pelemay: %(message)s")
    logging.getLogger("pelemay").setLevel(level)
    # A model that is compiled before it runs is told of: it takes a while, once.
    logging.getLogger("pelemay.cache").setLevel(logging.INFO)


__all__ = ["build_parser", "main"]
