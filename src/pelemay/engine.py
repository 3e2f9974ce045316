"""The native engine, as Python calls it: programs, and what runs them.

In: a ``.plm`` file or its bytes, and NumPy arrays. Out: NumPy arrays. Beside NumPy only the
engine's own module is loaded.

>>> "float32" in native().DTYPES
True
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pelemay.errors import ExecutionError, InputError, MemoryLimitError, ModelError, PelemayError

if TYPE_CHECKING:
    from types import ModuleType

    import numpy.typing as npt

Array = Any
Result = TypeVar("Result")
HostCall = Callable[[tuple[int, ...], list[Any], list[Any]], object]

_RUN_TIME = frozenset(
    {"E_INDEX", "E_DIVIDE", "E_HOST", "E_MEMORY", "E_INTERRUPTED", "E_IO", "E_CHANGED"}
)


@cache
def native() -> ModuleType:
    """The engine's module; ``PELEMAY_NATIVE`` names another build of it.

    Raises
    ------
    PelemayError
        If it is not built.
    """
    if path := os.environ.get("PELEMAY_NATIVE"):
        return _load(path)
    try:
        from pelemay import _native
    except ImportError as error:
        what = f"the engine is not built: {error}"
        raise PelemayError(what, hint="install the project with pip, which builds it") from error
    return _native


def _load(path: str) -> ModuleType:
    from importlib.machinery import ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    loader = ExtensionFileLoader("pelemay._native", path)
    spec = spec_from_file_location("pelemay._native", path, loader=loader)
    if spec is None:
        raise PelemayError(f"{path} is no module")
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def open_program(
    source: str | os.PathLike[str] | bytes | memoryview, *, streamed: bool = False
) -> Any:
    """Open a program: its file is mapped and its tables are checked; no weight is read.

    Parameters
    ----------
    source : str, os.PathLike, bytes or memoryview
        A ``.plm`` file, or what such a file holds.
    streamed : bool
        Whether the weights of a file are to be read block by block into a window, as the engine
        needs them: nothing is mapped then, and an engine takes ``weights_bytes``.

    Returns
    -------
    pelemay._native.Program

    Raises
    ------
    ModelError
        If the file is missing, damaged, or of a newer format.
    """
    where = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "program in memory"
    try:
        return native().Program(source, streamed)
    except native().NativeError as error:
        raise translated(error).at(str(where)) from error
    except OSError as error:
        raise ModelError(error.strerror or str(error), where=str(where)) from error


def plans_of(program: Any) -> list[Any]:
    """The plans of a file that has several, or one for several sizes; all of them are checked.

    Raises
    ------
    ModelError
        If one is damaged.
    """
    return [_translated(program.plan, number) for number in range(program.plans)]


def at_size(plan: Any, number: int) -> Any:
    """A plan at one of its sizes, checked as a program is when it is opened.

    Raises
    ------
    ModelError
        If its forms make no program of it.
    """
    return plan if plan.sizes == 1 else _translated(plan.at_size, number)


def _translated(call: Callable[[int], Any], number: int) -> Any:
    try:
        return call(number)
    except native().NativeError as error:
        raise translated(error).at(f"plan or size {number}") from error


def verify_weights(program: Any) -> None:
    """Read all weights of a program, and compare the checksum of each block.

    Raises
    ------
    ModelError
        If a block is damaged.
    ExecutionError
        If the file became shorter after it was opened.
    """
    try:
        program.verify()
    except native().NativeError as error:
        raise translated(error).at("weights") from error


def guarded(program: Any, call: Callable[[], Result]) -> Result:
    """What ``call`` gives, which reads a program's constants.

    Raises
    ------
    ExecutionError
        If the program's file became shorter, and constants are gone.
    """
    try:
        result: Result = program.guarded(call)
    except native().NativeError as error:
        raise translated(error) from error
    return result


def translated(error: Exception) -> PelemayError:
    """What the engine raised, in the project's own tree of errors."""
    status, text, instruction, operand = error.args
    place = "" if instruction is None else f"instruction {instruction}"
    if operand is not None:
        place = f"{place}, operand {operand}" if place else f"row {operand}"
    kind = ExecutionError if status in _RUN_TIME else ModelError
    return kind(text, where=place)


def threads_of_machine() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


MOST_WORKERS = 64


def workers_of(threads: int | None = None) -> int:
    """Workers of an engine that is asked for so many threads; all processors if none are named."""
    return min(threads or threads_of_machine(), MOST_WORKERS)


class Engine:
    """The memory and the workers of one program.

    Parameters
    ----------
    program : pelemay._native.Program
        As :func:`open_program` gives.
    threads : int, optional
        Threads to compute with; all processors of the machine if not given.
    isa : str, optional
        An instruction set of ``native().ISAS``; the best if neither this nor ``PELEMAY_ISA`` is
        given.
    host : callable, optional
        Runs the nodes that have no instruction: ``host(params, inputs, outputs)``, arrays that
        lie in the engine's memory.
    weights_bytes : int, optional
        For a program that was opened as streamed: the memory that weights may take. What is read
        most often stays in it, the rest comes and goes through a window, read ahead of
        the instructions. ``program.stream_need()`` says what the least is, and the most that is of
        use.

    Raises
    ------
    InputError
        If the machine has no such instruction set, or ``weights_bytes`` is less than one
        instruction needs.
    MemoryLimitError
        If this process cannot have the memory of a run.
    """

    def __init__(
        self,
        program: Any,
        *,
        threads: int | None = None,
        isa: str | None = None,
        host: HostCall | None = None,
        weights_bytes: int | None = None,
    ) -> None:
        workers = workers_of(threads)
        isa = isa or os.environ.get("PELEMAY_ISA") or None
        try:
            _check_budget(program, weights_bytes)
            with _enough_memory(program):
                self._runner = native().Runner(program, workers, isa, weights_bytes)
        except native().NativeError as error:
            raise translated(error) from error
        except ValueError as error:
            known = ", ".join(native().ISAS)
            raise InputError(str(error), hint=f"it has {known}") from error
        self.reserved: Any = None
        """What the memory for weights was reckoned for, by whoever did so; None once it is gone."""
        self._shown = _shown(self) if os.environ.get("PELEMAY_TOP") else None
        self._take(program, host)

    def _take(self, program: Any, host: HostCall | None) -> None:
        self.program = program
        self.outputs = tuple((dtype_of(dtype), shape) for _, dtype, shape in program.outputs)
        self._host = None if host is None else _with_arrays(host)
        if self._shown is not None:
            self._shown.describe(program.instructions)

    def use(
        self, program: Any, host: HostCall | None = None, weights_bytes: int | None = None
    ) -> None:
        """Run another program from now on, with the same workers.

        The memory stays if it is enough; if not, it is given back before more is taken. Streamed
        weights that are in memory stay there for another size of the same plan, with as many
        bytes; any other program gets a window of its own, after that of the one before is gone.

        Parameters
        ----------
        program : pelemay._native.Program
            As :func:`open_program` gives.
        host : callable, optional
            As for the engine itself.
        weights_bytes : int, optional
            As for the engine itself.

        Raises
        ------
        InputError
            If ``weights_bytes`` is less than one instruction needs, is missing, or is of no use.
        MemoryLimitError
            If this process cannot have the memory of a run; the engine has none then.
        """
        try:
            _check_budget(program, weights_bytes)
            with _enough_memory(program):
                self._runner.use(program, weights_bytes)
        except native().NativeError as error:
            raise translated(error) from error
        except ValueError as error:
            raise InputError(str(error)) from error
        self._take(program, host)

    def release(self) -> None:
        """Give back the memory of runs, until a program is used again; workers stay."""
        self._runner.release()
        self.program = self.reserved = None

    @property
    def nbytes(self) -> int:
        """Bytes of the arena and the scratch."""
        return int(self._runner.nbytes)

    @property
    def isa(self) -> str:
        """The instruction set that is used."""
        return str(self._runner.isa)

    def run(
        self,
        inputs: Sequence[npt.NDArray[Any]],
        outputs: Mapping[int, npt.NDArray[Any]] | None = None,
    ) -> list[npt.NDArray[Any]]:
        """Run once.

        Parameters
        ----------
        inputs : sequence of ndarray
            In the program's order, of its types and shapes; copied only if not in C order.
        outputs : mapping, optional
            Number of an output to the array that it is written into: of its type and shape, in C
            order. An array may be an input too where the program writes it in place; whoever calls
            has to know.

        Returns
        -------
        list of ndarray
            In the program's order.

        Raises
        ------
        ExecutionError
            If an index is out of range, an integer divided by zero, a host node failed, or the
            file of streamed weights could not be read or was changed.
        ModelError
            If a streamed block of weights is damaged. The next run may be tried.
        """
        made = self._new_outputs(outputs or {})
        self._run(inputs, made, profile=False)
        return made

    def profile(self, inputs: Sequence[npt.NDArray[Any]]) -> list[int]:
        """Run once, and say how many nanoseconds each instruction took."""
        outputs = self._new_outputs({})
        times: list[int] = self._run(inputs, outputs, profile=True)
        return times

    def _new_outputs(self, given: Mapping[int, Array]) -> list[Array]:
        try:
            return [
                given[i] if i in given else np.empty(shape, dtype)
                for i, (dtype, shape) in enumerate(self.outputs)
            ]
        except MemoryError as error:
            raise _too_little_memory(self.program) from error

    def _run(self, inputs: Sequence[Array], outputs: Sequence[Array], *, profile: bool) -> Any:
        given = [_plain(np.ascontiguousarray(array)) for array in inputs]
        taken = [_plain(array) for array in outputs]
        try:
            return self._runner.run(given, taken, self._host, profile)
        except native().NativeError as error:
            raise translated(error) from error


def _shown(engine: Engine) -> Any:
    """Show other processes how far runs are; None where the folder cannot be written to."""
    from weakref import finalize

    from pelemay import progress

    try:
        shown = progress.Shown(os.environ[progress.VARIABLE])
    except OSError:
        return None
    engine._runner.show(shown.memory)
    finalize(engine, shown.remove)
    return shown


@contextmanager
def _enough_memory(program: Any) -> Iterator[None]:
    """Say what a run takes, where there is not so much."""
    try:
        yield
    except MemoryError as error:
        raise _too_little_memory(program) from error


def _too_little_memory(program: Any) -> MemoryLimitError:
    ends = sum(_nbytes(*end[1:]) for end in program.outputs)
    return MemoryLimitError(
        f"a run takes {program.arena_bytes + ends} bytes for its values and outputs, and this"
        " process cannot have so much",
        hint="compile it with a smaller --budget, or run it on a larger machine",
    )


def _nbytes(dtype: str, shape: Sequence[int]) -> int:
    return math.prod(shape) * dtype_of(dtype).itemsize


def _check_budget(program: Any, weights_bytes: int | None) -> None:
    """Refuse a budget for weights that no run can do with."""
    if weights_bytes is None:
        return
    if not program.streamed:
        what = "weights_bytes is for programs that were opened with streamed=True"
        raise InputError(what, hint="without it the weights are mapped")
    need = program.stream_need(max(0, weights_bytes))
    if weights_bytes < need["least"]:
        raise InputError(
            f"weights_bytes={weights_bytes} is less than one instruction needs",
            hint=f"the least is {need['least']}; compile with smaller blocks to lower it",
        )


def dtype_of(name: str) -> np.dtype[Any]:
    """NumPy's type of that name; bfloat16 comes from ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    else:
        found = np.dtype(name)
    return found


def constant_of(program: Any, number: int) -> npt.NDArray[Any]:
    """A tensor among a program's weights, read-only, where it lies in the file.

    Of a program that was opened as streamed it is a copy.

    Raises
    ------
    ModelError
        If the program has none of that number.
    """
    try:
        found: npt.NDArray[Any] = _array(program.constant(number))
    except (ValueError, OverflowError) as error:
        raise ModelError(str(error)) from error
    except native().NativeError as error:
        raise translated(error) from error
    return found


def _plain(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same bytes as a type that the buffer protocol knows."""
    return array if array.dtype.kind in "biuf" else array.view(np.uint16)


def _with_arrays(host: HostCall) -> HostCall:
    """The callback that the engine makes, with memory given as arrays."""

    def call(params: tuple[int, ...], inputs: list[Any], outputs: list[Any]) -> None:
        host(params, [_array(x) for x in inputs], [_array(y) for y in outputs])

    return call


def _array(operand: tuple[str, tuple[int, ...], tuple[int, ...], memoryview] | None) -> Any:
    if operand is None:
        return None
    name, shape, strides, memory = operand
    dtype = dtype_of(name)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memory, 0, strides)
