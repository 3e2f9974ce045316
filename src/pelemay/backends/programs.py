"""A compiled program as something that runs: feeds by name in, outputs by name out.

In: a ``.plm`` file or its bytes. Out: a :class:`ProgramRunnable`. Beside NumPy and the engine
nothing is loaded, as long as every node of the program has instructions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pelemay.engine import (
    Engine,
    dtype_of,
    native,
    open_program,
    verify_weights,
    workers_of,
)
from pelemay.errors import InputError, ModelError
from pelemay.graph import DType

if TYPE_CHECKING:
    from pathlib import Path

    from pelemay.backends.host_nodes import HostNodes
    from pelemay.memory import Claim, Limit

VERIFY = ("never", "load", "always")


class Room(NamedTuple):
    """What an engine may take within a limit: for a plan, at any of its sizes.

    Attributes
    ----------
    largest : pelemay._native.Program
        The plan at its largest size.
    others : int
        Bytes of a run beside weights.
    weights_bytes : int
        Bytes of weights.
    """

    largest: Any
    others: int
    weights_bytes: int

    def has(self, largest: Any, others: int) -> bool:
        """Whether it is enough for a size of that plan which takes so much."""
        return self.largest is largest and others <= self.others


class ProgramRunnable:
    """A program with its engine.

    Parameters
    ----------
    source : str, os.PathLike, bytes or pelemay._native.Program
        A ``.plm`` file, what such a file holds, or what :func:`~pelemay.engine.open_program` gave.
    threads : int, optional
        Threads to compute with; all processors of the machine if not given.
    isa : str, optional
        See :class:`pelemay.engine.Engine`.
    verify : {"never", "load", "always"}
        When the checksums of the weights are compared, which reads all of them: never, when the
        program is opened, or also before each run. Everything else is always checked.
    limit : pelemay.memory.Limit, optional
        What the whole process may hold. Weights are then read block by block, each checked, into
        what is left beside everything else; if not given, they are mapped.
    engine : pelemay.engine.Engine, optional
        Of another program of the same model: this one runs in its memory, with its workers.
    largest : pelemay._native.Program, optional
        The same plan at its largest size: within a limit there has to be room for it, and weights
        stay in memory from one size to the next.
    metadata : mapping, optional
        What :func:`metadata_of` gives, where it is known already.

    Raises
    ------
    ModelError
        If the file is missing or damaged.
    InputError
        If ``verify`` is none of the three.
    MemoryLimitError
        If a run does not fit the limit; nothing has been read then but the program's tables.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes | Any,
        *,
        threads: int | None = None,
        isa: str | None = None,
        verify: str = "never",
        limit: Limit | None = None,
        engine: Engine | None = None,
        largest: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if verify not in VERIFY:
            raise InputError(f"verify={verify!r}; it can be one of {list(VERIFY)}")
        self.program = opened(source, streamed=limit is not None)
        self._verifies_runs = verify == "always"
        if verify != "never":
            verify_weights(self.program)
        self.metadata = metadata_of(self.program) if metadata is None else metadata
        self._host = _host_nodes(
            self.program, self.metadata, threads=threads, isa=isa, compiles=limit is None
        )
        self._called = self._host if self.metadata.get("host") else None
        self._claim: Claim | None = None
        self._room: Room | None = None
        self._limit, self._workers = limit, workers_of(threads)
        self._largest = self.program if largest is None else largest
        self.engine = engine or Engine(
            self.program, threads=threads, isa=isa, host=self._called, weights_bytes=self._reserve()
        )
        if engine is None:
            self.engine.reserved = self._room
        elif limit is not None:
            self._take_engine()
        self.inputs: tuple[str, ...] = tuple(self.metadata["program_inputs"])
        self._wanted = [(dtype_of(dtype), shape) for _, dtype, shape in self.program.inputs]
        self.outputs: tuple[str, ...] = tuple(self.metadata["program_outputs"])

    def _take_engine(self) -> None:
        """Make the engine run this program; within a limit, in what is left beside all others."""
        engine = self.engine
        if engine.program is self.program:
            return
        found: Room | None = engine.reserved
        if self._limit is not None and not (found and found.has(self._largest, self._others())):
            engine.release()
            self._reserve()
            found = self._room
        engine.use(self.program, self._called, None if found is None else found.weights_bytes)
        engine.reserved = found

    def _reserve(self) -> int | None:
        """Find what weights may take, beside everything else that the process holds in a run."""
        if self._limit is None:
            return None
        from pelemay.memory import Claim, room_within, too_small

        limit, need = self._limit, self._largest.stream_need()
        beside = self._host.load() if self._host else 0
        others = self._others() + beside + need["overhead"]
        room = room_within(limit, self._workers)
        if room < others + need["least"] and self._largest is not self.program:
            self._largest = self.program
            return self._reserve()
        if room < others + need["least"]:
            because = f"the values at {self.metadata.get('arena_set_by') or 'all operations'}"
            raise too_small(limit, room, others + need["least"], because)
        weights = int(min(room - others, need["most"]))
        self._claim = Claim(others + weights)
        self._room = Room(self._largest, self._others(), weights)
        return weights

    def _others(self) -> int:
        """Bytes of a run beside weights: of values, kernels, inputs and outputs."""
        programs = (self.program, self._largest)
        scratch = max(program.scratch_bytes(self._workers) for program in programs)
        ends = [_nbytes(*e[1:]) for e in (*self._largest.inputs, *self._largest.outputs)]
        return int(self._largest.arena_bytes + scratch + sum(ends))

    def run(
        self,
        feeds: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        *,
        into: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run once.

        Parameters
        ----------
        feeds : mapping
            Input name to NumPy array.
        outputs : sequence of str, optional
            Names wanted; all if not given.
        into : mapping, optional
            Output name to the array that it is written into. The array may be that of an input
            which ``metadata["in_place"]`` names for the output; nothing is copied then.

        Returns
        -------
        dict
            Output name to array, in the order asked for.

        Raises
        ------
        InputError
            If an input is missing, or is not of the type and shape that was compiled, or does not
            have the value; if an output cannot be written into the array given.
        ModelError
            If weights are damaged, and ``verify`` was ``"always"``.
        """
        check_values(self.metadata, feeds)
        given = [self._checked(i, feeds) for i in range(len(self.inputs))]
        if self._verifies_runs:
            verify_weights(self.program)
        self._take_engine()
        results = self.engine.run(given, self._targets(into, given) if into else None)
        self._claim = None
        made = zip(self.outputs, results, strict=True)
        values: dict[str, Any] = {**feeds, **{name: self._typed(name, y) for name, y in made}}
        if self._host is not None and self.metadata.get("tail"):
            values.update(self._host.run_tail(values))
        wanted = self._model_outputs if outputs is None else outputs
        return {name: values[name] for name in wanted}

    def _targets(self, into: Mapping[str, Any], given: Sequence[Any]) -> dict[int, Any]:
        """Output number to array, checked."""
        return {self._output(name): self._target(name, into[name], given) for name in into}

    def _output(self, name: str) -> int:
        if name not in self.outputs:
            raise InputError(f"there is no output '{name}'", hint=f"there are {list(self.outputs)}")
        return self.outputs.index(name)

    def _target(self, name: str, array: Any, given: Sequence[Any]) -> Any:
        _, dtype, shape = self.program.outputs[self._output(name)]
        fits = isinstance(array, np.ndarray) and (array.dtype.name, array.shape) == (dtype, shape)
        if not fits or not array.flags.c_contiguous or not array.flags.writeable:
            what = f"output '{name}' cannot be written into what is given"
            raise InputError(
                what, hint=f"it takes a writable array {dtype}{list(shape)} in C order"
            )
        own = self.metadata.get("in_place", {}).get(name)
        for source, feed in zip(self.inputs, given, strict=True):
            same = source == own and _address(feed) == _address(array)
            if not same and np.may_share_memory(feed, array):
                what = f"output '{name}' would be written over input '{source}' while it is read"
                hint = f"it can take the place of '{own}', all of it" if own else "give another"
                raise InputError(what, hint=hint)
        return array

    @property
    def _model_outputs(self) -> Sequence[str]:
        listed = self.metadata.get("outputs")
        return self.outputs if listed is None else [entry["name"] for entry in listed]

    def _typed(self, name: str, array: Any) -> Any:
        """The array itself; one that the engine gave as bytes in the type that it has."""
        dtype = self.metadata.get("as_bytes", {}).get(name)
        return array if dtype is None else array.view(DType.of(dtype).numpy)[..., 0]

    def _checked(self, index: int, feeds: Mapping[str, Any]) -> Any:
        name = self.inputs[index]
        dtype, shape = self._wanted[index]
        if name not in feeds:
            raise InputError(f"input '{name}' is missing", hint=f"inputs are {list(self.inputs)}")
        array = np.asarray(feeds[name])
        if dtype == np.uint8 and array.dtype != dtype:
            array = np.ascontiguousarray(array)[..., None].view(np.uint8)
        if array.dtype != dtype or array.shape != shape:
            have, want = f"{array.dtype}{list(array.shape)}", f"{dtype}{list(shape)}"
            raise InputError(f"input '{name}' is {have}; the program was compiled for {want}")
        return array


def _address(array: Any) -> int:
    found: int = array.__array_interface__["data"][0]
    return found


def opened(source: Any, *, streamed: bool = False) -> Any:
    """What :func:`pelemay.engine.open_program` gives of a source, which may be that already."""
    return (
        source if isinstance(source, native().Program) else open_program(source, streamed=streamed)
    )


def _host_nodes(program: Any, metadata: Mapping[str, Any], **options: Any) -> HostNodes | None:
    """What runs nodes on the host; not loaded for a program that leaves none there."""
    if not metadata.get("host") and not metadata.get("tail"):
        return None
    from pelemay.backends.host_nodes import HostNodes

    return HostNodes(program, metadata, **options)


def load_host(path: Path) -> int | None:
    """Load what a program's nodes on the host need, and say what running them takes beside it.

    Returns
    -------
    int or None
        Bytes, as :meth:`HostNodes.load <pelemay.backends.host_nodes.HostNodes.load>` gives them;
        None where all of the program has instructions.
    """
    program = opened(path, streamed=True)
    host = _host_nodes(program, metadata_of(program))
    return host.load() if host else None


def differing(metadata: Mapping[str, Any], feeds: Mapping[str, Any]) -> list[str]:
    """Inputs whose values a program was compiled for, and that were given others."""
    bound = metadata.get("values", {}).items()
    return [n for n, value in bound if n in feeds and not np.array_equal(feeds[n], value)]


def check_values(metadata: Mapping[str, Any], feeds: Mapping[str, Any]) -> None:
    """Refuse other values than a program was compiled for.

    Raises
    ------
    InputError
        It names the first that differs.
    """
    for name in differing(metadata, feeds):
        bound = metadata["values"][name]
        raise InputError(
            f"input '{name}' decides sizes, and the program was compiled for {bound} only",
            hint=f"compile it again, with --value {name}=...",
        )


def _nbytes(dtype: str, shape: Sequence[int]) -> int:
    size = dtype_of(dtype).itemsize
    for count in shape:
        size *= count
    return size


def metadata_of(program: Any) -> dict[str, Any]:
    """What the compiler wrote of a program, checked as far as a run needs it.

    Raises
    ------
    ModelError
        If it is no JSON object, or does not name the program's inputs and outputs.
    """
    try:
        found = json.loads(program.metadata)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the program's metadata is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelError("the program's metadata is no JSON object")
    for key, ends in (("program_inputs", program.inputs), ("program_outputs", program.outputs)):
        names = found.get(key)
        if not isinstance(names, list) or len(names) != len(ends):
            raise ModelError(f"the program's metadata does not name its {key}")
    return found
