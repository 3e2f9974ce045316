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
from pelemay.backends.programs import ProgramRunnable, load_host, opened
from pelemay.backends.protocol import Runnable
from pelemay.engine import native, workers_of
from pelemay.errors import MemoryLimitError, UnsupportedError
from pelemay.signature import Signature

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.plans import PlansRunnable
    from pelemay.backends.specialized import Shapes, Values
    from pelemay.memory import Limit

SUFFIX = ".plm"

KEPT = 4
"""Programs of one model, for several shapes, that stay ready."""

STEP = 256 << 10
"""Bytes by which the room for a run is told to the compiler."""


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
        weights: str = "f32",
        memory_limit: int | str | None = None,
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
        weights : {"f32", "f16", "bf16", "int8"}
            What the weights of an ONNX file are stored as; a ``.plm`` has been decided.
        memory_limit : int or str, optional
            What the whole process may hold: bytes, a text such as ``"48MiB"``, or ``"auto"``; if
            not given, ``PELEMAY_MEMORY_LIMIT`` says it. An ONNX file is compiled for it, in a
            process of its own that it does not count for.

        Raises
        ------
        ModelError
            If the file is missing or broken.
        UnsupportedError
            If something has to fall back and may not; it names the nodes.
        MemoryLimitError
            If a run does not fit the limit; it says the smallest that would do.
        """
        found, _ = self.prepare_signed(
            path,
            threads=threads,
            weights=weights,
            memory_limit=memory_limit,
            allow_fallback=allow_fallback,
            isa=isa,
            verify=verify,
        )
        return found

    def prepare_signed(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        weights: str = "f32",
        memory_limit: int | str | None = None,
        **options: Any,
    ) -> tuple[Runnable, Signature]:
        """As :meth:`prepare`, with what the model takes and gives."""
        limit = _limit(memory_limit)
        options = {"threads": threads, "limit": limit, **options}
        if _is_program(path):
            program = _file(path, **options)
            # What a feed may replace in the model is part of the program.
            return program, Signature.from_metadata({**program.metadata, "overridable": ()})
        compiled = _Compiler(path, weights, limit, threads)

        first = _opened(compiled({}, {}), **options)
        engine = first.engine

        def compile_for(shapes: Shapes, values: Values) -> ProgramRunnable:
            if limit is not None:
                # What the program before took is room for the next one.
                engine.release()
            return _opened(compiled(shapes, values), engine=engine, **options)

        signature = Signature.from_metadata(first.metadata)
        if signature.is_static and not signature.overridable:
            return first, signature
        from pelemay.backends.specialized import SpecializedRunnable

        by_value = (*signature.by_value, *signature.overridable)
        kept = KEPT if limit is None else 1
        ready = None if signature.by_value else first
        return SpecializedRunnable(compile_for, by_value, kept=kept, first=ready), signature

    def compiled_within(
        self,
        path: Path,
        shapes: Shapes,
        *,
        memory_limit: int,
        threads: int | None = None,
    ) -> Path:
        """Compile an ONNX file for a process that may hold so many bytes; see the protocol."""
        if _is_program(path):
            return path
        return _Compiler(path, "f32", _limit(memory_limit), threads)(shapes, {})

    def parameters(self, path: Path) -> Mapping[str, Any]:
        """The parameters of an ONNX file, as read-only arrays that lie in it."""
        if _is_program(path):
            raise UnsupportedError("a compiled program keeps no parameters by their ONNX names")
        return super().parameters(path)


def _is_program(path: str | Path) -> bool:
    """Found without pathlib: with what it imports, it takes 0.6 MiB."""
    return os.fspath(path).endswith(SUFFIX)


def _limit(asked: int | str | None) -> Limit | None:
    """The limit that holds; where there is none, nothing is loaded to say so."""
    if asked is None and not os.environ.get("PELEMAY_MEMORY_LIMIT"):
        return None
    from pelemay.memory import limit_of

    return limit_of(asked)


class _Compiler:
    """Compiles one ONNX file, into the cache, for the room that there is."""

    def __init__(
        self, path: str | Path, weights: str, limit: Limit | None, threads: int | None
    ) -> None:
        self.path, self.weights, self.limit = path, weights, limit
        self.workers = workers_of(threads)

    def __call__(self, shapes: Shapes, values: Values) -> Path:
        if self.limit is None:
            return self._compiled(shapes, values, None)
        # What the cache loads, 2.6 MiB, is seen in what is held.
        from pelemay import cache  # noqa: F401
        from pelemay.memory import room_within

        found = self._compiled(shapes, values, room_within(self.limit, self.workers))
        beside = load_host(found)
        if beside is None:
            return found
        # What it leaves to the reference backend is loaded now, and seen in what is held.
        return self._compiled(shapes, values, room_within(self.limit, self.workers) - beside)

    def _compiled(self, shapes: Shapes, values: Values, room: int | None) -> Path:
        from pelemay import cache
        from pelemay.target import Target

        # Whole steps, so that a run after this one finds the same program.
        budget = None if room is None else max(room, 0) // STEP * STEP
        target = Target(budget_bytes=budget, weights=self.weights)
        try:
            return cache.compiled(self.path, shapes=shapes, values=values, target=target)
        except MemoryLimitError as error:
            if self.limit is None or room is None or not error.least_bytes:
                raise
            from pelemay.memory import too_small

            least = -(-error.least_bytes // STEP) * STEP
            because = f"the values at {error.where}" if error.where else ""
            raise too_small(self.limit, room, least, because).at(os.fspath(self.path)) from error


def _file(path: str | Path, **options: Any) -> ProgramRunnable | PlansRunnable:
    """A program's file, which may have several plans."""
    file = opened(path, streamed=options["limit"] is not None)
    if not file.plans:
        return _opened(file, **options)
    from pelemay.backends.plans import PlansRunnable

    allowed = options.pop("allow_fallback", True)
    found = PlansRunnable(file, **options)
    for metadata in found.all_metadata if not allowed else ():
        _refuse_fallbacks(metadata)
    return found


def _opened(source: Any, *, allow_fallback: bool = True, **options: Any) -> ProgramRunnable:
    program = ProgramRunnable(source, **options)
    if not allow_fallback:
        _refuse_fallbacks(program.metadata)
    return program


def _refuse_fallbacks(metadata: Mapping[str, Any]) -> None:
    from pelemay.program.describe import refuse_fallbacks

    refuse_fallbacks(metadata)
