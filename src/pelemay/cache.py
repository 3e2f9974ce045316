"""Compiled programs, kept in the user's cache folder.

In: the path of a model. Out: the path of its ``.plm`` file, compiled once, in a child process that
is gone when this returns: what compiling takes is never added to what a run takes.

A program's name is a hash of the content of the model's files, of the compiler, and of the shapes
and values that it is compiled for. So that a large model is not read at each start, a note says
which program a path led to, with size, inode and times of each file. A note is believed if all of
these are the same, and if the files had been at rest for two seconds when they were read: a file
that changes within one tick of the file system's clock keeps its times. The time of the last
change of the inode is among them, which no program can set back.

>>> size_of("1.5 GiB"), size_of("4096")
(1610612736, 4096)
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pelemay import __version__, errors
from pelemay.errors import InputError, ModelError, PelemayError

DEFAULT_LIMIT = 4 << 30
AT_REST_NS = 2_000_000_000
LEFT_OVER_SECONDS = 3600
ROOMS = ("graph", "importers", "passes", "plan", "program")
"""What a program depends on beside its model: a change in these is another compiler."""

UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

log = logging.getLogger(__name__)


def home() -> Path:
    """The cache folder of everything: ``$PELEMAY_CACHE``, or the system's place for caches."""
    if chosen := os.environ.get("PELEMAY_CACHE"):
        return Path(chosen).expanduser()
    if platform.system() == "Linux":
        caches = os.environ.get("XDG_CACHE_HOME", "")
        return (Path(caches) if caches else Path.home() / ".cache") / "pelemay"
    import platformdirs

    return Path(platformdirs.user_cache_dir("pelemay"))


def folder() -> Path:
    """Where programs are kept; it need not exist yet."""
    return home() / "programs"


def size_of(text: str) -> int:
    """Bytes that a text such as ``4096``, ``500M`` or ``1.5 GiB`` means.

    Raises
    ------
    InputError
        If it means none.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise InputError(f"{text!r} is no size", hint="write 500M or 4G")
    return int(float(match[1]) * UNITS[match[2].upper()])


def limit_bytes() -> int:
    """Bytes that all programs together may take: ``$PELEMAY_CACHE_SIZE``, or 4 GiB."""
    text = os.environ.get("PELEMAY_CACHE_SIZE", "")
    try:
        return size_of(text) if text else DEFAULT_LIMIT
    except InputError as error:
        raise error.at("PELEMAY_CACHE_SIZE") from error


@dataclass(frozen=True)
class Request:
    """A model, and what it is to be compiled for.

    Parameters
    ----------
    path : Path
        The model's file.
    shapes, values : mapping
        As for :func:`pelemay.pipeline.compile`.
    """

    path: Path
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> str:
        """Shapes and values as text that is the same for the same ones."""
        shapes = {name: [int(n) for n in shape] for name, shape in self.shapes.items()}
        values = {name: plain(value) for name, value in self.values.items()}
        return json.dumps([shapes, values], sort_keys=True)

    @property
    def note(self) -> Path:
        """Where it is noted which program this leads to."""
        key = "\0".join((os.path.realpath(self.path), self.options, compiler()))
        return folder() / "notes" / f"{_digest(key)}.json"

    @property
    def arguments(self) -> list[str]:
        """The same request on the command line."""
        shapes = (f"--shape={n}={'x'.join(map(str, s))}" for n, s in self.shapes.items())
        values = (f"--value={n}={json.dumps(plain(v))}" for n, v in self.values.items())
        return [os.fspath(self.path), *shapes, *values]


def plain(value: Any) -> Any:
    """An array, or numbers, as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else value


def compiled(
    path: str | os.PathLike[str],
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Path:
    """The compiled program of a model.

    Parameters
    ----------
    path : str or path
        An ONNX file.
    shapes, values : mapping, optional
        As for :func:`pelemay.pipeline.compile`.

    Returns
    -------
    Path
        A file of the cache. It may go when others are compiled; one that is open stays usable.

    Raises
    ------
    PelemayError
        As compiling does.
    """
    request = Request(Path(path), shapes or {}, values or {})
    found = _noted(request)
    if found is None:
        log.info("%s: compiling, once, into %s", request.path, folder())
        found = _compile_in_child(request)
    with suppress(OSError):
        os.utime(found)
    return found


def _noted(request: Request) -> Path | None:
    try:
        note = json.loads(request.note.read_text(encoding="ascii"))
        program = folder() / note["program"]
        same = all(_fingerprint(Path(f[0]).stat()) == f[1:] for f in note["files"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return program if same and program.is_file() else None


def _fingerprint(status: os.stat_result) -> list[int]:
    return [
        status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
    ]  # fmt: skip


def _compile_in_child(request: Request) -> Path:
    if not sys.executable:
        raise PelemayError(
            "there is no Python to compile with", hint="compile it with 'pelemay compile'"
        )
    command = [sys.executable, "-P", "-m", "pelemay", "compile", "--into-cache", *request.arguments]
    seen = sys.stderr is not None and sys.stderr.isatty()
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=None if seen else subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": _python_path()},
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        tail = (done.stderr or "").strip()[-500:]
        what = f"compiling ended with code {done.returncode} {tail}".strip()
        raise ModelError(what, where=os.fspath(request.path)) from None
    if "error" in answer:
        raise _error(answer["error"])
    return Path(answer["path"])


def _python_path() -> str:
    package = os.fspath(Path(__file__).parents[1])
    return os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))


def error_as_data(error: PelemayError) -> dict[str, str]:
    """An error so that the process that asked can raise it again."""
    return {
        "kind": type(error).__name__, "what": error.what, "where": error.where, "hint": error.hint
    }  # fmt: skip


def _error(found: Mapping[str, str]) -> PelemayError:
    kind = getattr(errors, found["kind"], PelemayError)
    made: PelemayError = kind(found["what"], where=found["where"], hint=found["hint"])
    return made


def fill(request: Request, sources: Iterable[Any], compile_to: Callable[[Path], object]) -> Path:
    """Compile into the cache what is not there yet; the child process calls this.

    Two processes that ask for the same program wait for each other; where they cannot, both
    compile it, and the last one's file, which is the same, stays.

    Parameters
    ----------
    request : Request
        What is asked for.
    sources : iterable
        The model's files, with ``path``, ``status`` and ``sha256``.
    compile_to : callable
        Writes the program to a path.
    """
    files = list(sources)
    name = f"{_digest(chr(0).join((*(f.sha256 for f in files), request.options, compiler())))}.plm"
    program = folder() / name
    _make(folder() / "notes")
    with _locked(program.with_suffix(".lock")):
        if not program.is_file():
            compile_to(program)
    _note(request, files, name)
    prune(limit_bytes(), keep=program)
    return program


def _note(request: Request, files: Sequence[Any], program: str) -> None:
    rows: list[list[Any]] = []
    for source in files:
        if source.path is None or source.status is None:
            return
        now = source.path.stat()
        newest = max(now.st_mtime_ns, now.st_ctime_ns)
        was = _fingerprint(source.status)
        if _fingerprint(now) != was or time.time_ns() - newest < AT_REST_NS:
            return
        rows.append([os.path.realpath(source.path), *was])
    part = request.note.with_name(f".{secrets.token_hex(8)}.part")
    part.write_text(json.dumps({"program": program, "files": rows}), encoding="ascii")
    part.replace(request.note)


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the cache folder cannot be made ({error.strerror})",
            where=os.fspath(place),
            hint="set PELEMAY_CACHE to a folder that you may write to",
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process is in here; on a system without such locks, do not."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("wb") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def compiler() -> str:
    """A text that changes when the compiler does: its version, and the state of its files."""
    root = Path(__file__).parent
    files = [path for room in ROOMS for path in sorted((root / room).rglob("*.py"))]
    files += sorted(root.glob("_native*"))
    state = [
        (p.relative_to(root).as_posix(), (s := p.stat()).st_size, s.st_mtime_ns) for p in files
    ]
    return f"{__version__}+{_digest(repr(state))[:12]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


@dataclass(frozen=True)
class Entry:
    """A program of the cache.

    Attributes
    ----------
    path : Path
        Its file.
    nbytes : int
        Its size.
    used : float
        When it was used last, in seconds of the epoch.
    """

    path: Path
    nbytes: int
    used: float


def entries() -> list[Entry]:
    """All programs, the one used last first."""
    found = []
    for path in folder().glob("*.plm"):
        with suppress(OSError):
            status = path.stat()
            found.append(Entry(path, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: entry.used, reverse=True)


def prune(limit: int, keep: Path | None = None) -> int:
    """Remove programs, the least recently used first, until the rest takes at most ``limit`` bytes.

    Parameters
    ----------
    limit : int
        In bytes.
    keep : Path, optional
        A program that stays, even if it alone takes more.

    Returns
    -------
    int
        Bytes of the files removed.
    """
    listed = entries()
    total = sum(entry.nbytes for entry in listed)
    removed = 0
    for entry in reversed(listed):
        if total - removed <= limit:
            break
        if entry.path != keep:
            entry.path.unlink(missing_ok=True)
            removed += entry.nbytes
    _sweep()
    return removed


def clear() -> int:
    """Remove all programs; the bytes that they took."""
    return prune(-1)


def _sweep() -> None:
    """Remove notes of programs that are gone, and what killed processes left."""
    oldest = time.time() - LEFT_OVER_SECONDS
    for part in (*folder().glob(".*.part"), *folder().glob("notes/.*.part")):
        with suppress(OSError):
            if part.stat().st_mtime < oldest:
                part.unlink()
    for note in folder().glob("notes/*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if not (folder() / json.loads(note.read_text(encoding="ascii"))["program"]).is_file():
                note.unlink()
