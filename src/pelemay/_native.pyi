from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

OPCODES: tuple[str, ...]
DTYPES: tuple[str, ...]
STATUSES: tuple[str, ...]
ACTIVATIONS: tuple[str, ...]
CLASSES: tuple[str, ...]
UNARY: tuple[str, ...]
BINARY: tuple[str, ...]
SCATTERS: tuple[str, ...]
ISAS: tuple[str, ...]
FORMAT_MAJOR: int
FORMAT_MINOR: int

def memory() -> dict[str, Any]: ...

class NativeError(Exception): ...

class Program:
    inputs: tuple[tuple[str | None, str, tuple[int, ...]], ...]
    outputs: tuple[tuple[str | None, str, tuple[int, ...]], ...]
    instructions: tuple[tuple[str, str | None, int, int], ...]
    metadata: bytes
    arena_bytes: int
    weights_bytes: int
    weights_offset: int
    file_bytes: int
    streamed: bool
    def __new__(
        cls, source: str | PathLike[str] | bytes | memoryview, streamed: bool = False
    ) -> Program: ...
    def constant(
        self, number: int
    ) -> tuple[str, tuple[int, ...], tuple[int, ...], memoryview | bytes]: ...
    def scratch_bytes(self, workers: int) -> int: ...
    def stream_need(self, budget: int | None = None) -> dict[str, int]: ...
    def stream_plan(
        self, budget: int | None
    ) -> tuple[
        int,
        int,
        list[tuple[int, int, int, int, int, tuple[int, ...], int | None, bool]],
        list[tuple[int, int]],
        list[tuple[int, list[int]]],
    ]: ...
    def verify(self) -> None: ...

class Runner:
    workers: int
    nbytes: int
    isa: str
    def __new__(
        cls,
        program: Program,
        workers: int = 1,
        isa: str | None = None,
        weights_bytes: int | None = None,
    ) -> Runner: ...
    def run(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        host: Callable[..., Any] | None = None,
        profile: bool = False,
    ) -> list[int] | None: ...
    def show(self, memory: Any) -> None: ...
