"""The ``native`` backend: pelemay's own engine, on programs whose memory was planned.

In: a ``.plm`` file, or an ONNX file, which is compiled first, once, in a process of its own, into
the cache. Out: something that runs. Weights are mapped, never copied; beside NumPy and the engine
nothing is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pelemay.backends.in_place import InPlace
from pelemay.backends.programs import ProgramRunnable
from pelemay.backends.protocol import Runnable
from pelemay.backends.specialized import SpecializedRunnable
from pelemay.engine import native
from pelemay.errors import UnsupportedError
from pelemay.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.specialized import Shapes, Values

SUFFIX = ".plm"


class NativeBackend(InPlace):
    """Runs compiled programs; what has no instruction runs on the reference backend."""

    name = "native"
    description = "pelemay's own engine: memory planned before the run, weights mapped"

    def import_runtime(self) -> None:
        """Import NumPy and the engine."""
        native()

    def prepare(
        self,
        path: Path,
        *,
        threads: int | None = None,
        allow_fallback: bool = True,
        isa: str | None = None,
        verify: str = "never",
    ) -> Runnable:
        """Open a program; compile it first, if it is an ONNX file that the cache does not have.

        Parameters
        ----------
        path : Path
            A ``.plm`` or an ONNX file.
        threads : int, optional
            Threads to compute with; all processors of the machine if not given.
        allow_fallback : bool
            Whether nodes that have no instruction may run on the reference backend.
        isa : str, optional
            An instruction set; see :class:`pelemay.engine.Engine`.
        verify : {"never", "load", "always"}
            When all weights are read and their checksums compared; see
            :class:`~pelemay.backends.programs.ProgramRunnable`.

        Raises
        ------
        ModelError
            If the file is missing or broken.
        UnsupportedError
            If something has to fall back and may not; it names the nodes.
        """
        found, _ = self.prepare_signed(
            path, threads=threads, allow_fallback=allow_fallback, isa=isa, verify=verify
        )
        return found

    def prepare_signed(
        self, path: str | Path, *, threads: int | None = None, **options: Any
    ) -> tuple[Runnable, Signature]:
        """As :meth:`prepare`, with what the model takes and gives."""
        if _is_program(path):
            program = _opened(path, threads=threads, **options)
            # What a feed may replace in the model is part of the program.
            return program, Signature.from_metadata({**program.metadata, "overridable": ()})
        from pathlib import Path

        from pelemay import cache

        source = Path(path)

        def compile_for(shapes: Shapes, values: Values) -> ProgramRunnable:
            made = cache.compiled(source, shapes=shapes, values=values)
            return _opened(made, threads=threads, **options)

        first = _opened(cache.compiled(source), threads=threads, **options)
        signature = Signature.from_metadata(first.metadata)
        if signature.is_static and not signature.overridable:
            return first, signature
        by_value = (*signature.by_value, *signature.overridable)
        return SpecializedRunnable(compile_for, by_value), signature

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters of an ONNX file, as read-only arrays that lie in it."""
        if _is_program(path):
            raise UnsupportedError("a compiled program keeps no parameters by their ONNX names")
        return super().parameters(path)


def _is_program(path: str | Path) -> bool:
    """Found without pathlib: with what it imports, it takes 0.6 MiB."""
    return os.fspath(path).endswith(SUFFIX)


def _opened(
    path: str | Path, *, threads: int | None, allow_fallback: bool = True, **options: Any
) -> ProgramRunnable:
    program = ProgramRunnable(path, threads=threads, **options)
    if not allow_fallback:
        from pelemay.program.describe import refuse_fallbacks

        refuse_fallbacks(program.metadata)
    return program
