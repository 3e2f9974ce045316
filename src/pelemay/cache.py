"""Compiled programs, kept in the user's cache folder.

In: the path of a model. Out: the path of its ``.plm`` file, compiled once, in a child process that
is gone when this returns: what compiling takes is never added to what a run takes.

A program's name is a hash of the content of the model's files, of the compiler, and of the shapes
and values that it is compiled for. So that a large model is not read at each start, a note says
which program a path led to, with size, inode and times of each file; the time of the last change
of the inode is among them, which no program can set back. A note is believed while all of these
are the same, and written only if the files had been at rest for two seconds when they were read: a
file that is changed within one tick of the file system's clock keeps its times. Files that were
written just now are hashed again after they were compiled, and the next time.

>>> Request(Path("model.onnx"), {"x": (1, 8)}).arguments
['--shape=x=1x8', '--', 'model.onnx']
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import platform
import secrets
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pelemay import __version__, errors
from pelemay.errors import InputError, MemoryLimitError, ModelError, PelemayError
from pelemay.target import Target, size_of

if TYPE_CHECKING:
    from pelemay.importers import Model
    from pelemay.importers.source import Source

DEFAULT_LIMIT = 4 << 30
AT_REST_NS = 2_000_000_000
LEFT_OVER_SECONDS = 3600
ROOMS = ("graph", "importers", "passes", "plan", "program")
"""What a program depends on beside its model: a change in these is another compiler."""

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
    target : Target
        What the program is made for.
    context : (int, int, int), optional
        For a decoder: tokens that it has room for, and those of a prompt that are read at once.
    """

    path: Path
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    target: Target = field(default_factory=Target)
    context: tuple[int, int, int] | None = None

    @property
    def options(self) -> str:
        """Shapes, values and target as text that is the same for the same ones."""
        shapes = {name: [int(n) for n in shape] for name, shape in self.shapes.items()}
        values = {name: plain(value) for name, value in self.values.items()}
        return json.dumps([shapes, values, self._more], sort_keys=True)

    @property
    def _more(self) -> list[str]:
        """The options that are plain words."""
        context = self.context
        names = ("--context", "--prompt", "--batch")
        sizes = [f"{name}={size}" for name, size in zip(names, context or (), strict=False)]
        return [*self.target.arguments, *sizes]

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
        return [*shapes, *values, *self._more, "--", os.fspath(self.path)]


def plain(value: Any) -> Any:
    """An array, or numbers, as JSON has them."""
    return value.tolist() if hasattr(value, "tolist") else value


def compiled(
    path: str | os.PathLike[str],
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, Any] | None = None,
    target: Target | None = None,
    context: tuple[int, int, int] | None = None,
) -> Path:
    """The compiled program of a model.

    Parameters
    ----------
    path : str or path
        An ONNX file.
    shapes, values : mapping, optional
        As for :func:`pelemay.pipeline.compile`.
    target : Target, optional
        What the program is made for.
    context : (int, int, int), optional
        As for :class:`Request`.

    Returns
    -------
    Path
        A file of the cache. It may go when others are compiled; one that is open stays usable.

    Raises
    ------
    PelemayError
        As compiling does.
    """
    request = Request(Path(path), shapes or {}, values or {}, target or Target(), context)
    found = _noted(request)
    if found is None:
        log.info("%s: compiling, once, into %s", request.path, folder())
        found = _compile_in_child(request)
    with suppress(OSError):
        os.utime(found)
    return found


def _noted(request: Request) -> Path | None:
    try:
        if not _is_own(folder()) or not request.note.is_file():
            return None
        note = json.loads(request.note.read_text(encoding="ascii"))
        program = folder() / Path(note["program"]).name
        same = all(_fingerprint(Path(f[0]).stat()) == f[1:] for f in note["files"])
        found = program if same and program.is_file() else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return found


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
        if done.returncode == -signal.SIGKILL:
            raise MemoryLimitError(
                "compiling was killed, most likely because there is too little memory for it",
                where=os.fspath(request.path),
                hint="compile it on a larger machine, with 'pelemay compile', and run the .plm",
            ) from None
        tail = (done.stderr or "").strip()[-500:]
        what = f"compiling ended with code {done.returncode} {tail}".strip()
        raise ModelError(what, where=os.fspath(request.path)) from None
    if "error" in answer:
        raise _error(answer["error"])
    return Path(answer["path"])


def _python_path() -> str:
    package = os.fspath(Path(__file__).parents[1])
    return os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))


def error_as_data(error: PelemayError) -> dict[str, Any]:
    """An error so that the process that asked can raise it again."""
    return {"kind": type(error).__name__, **vars(error)}


def _error(found: Mapping[str, Any]) -> PelemayError:
    more = dict(found)
    kind = getattr(errors, more.pop("kind"), PelemayError)
    made: PelemayError = kind(more.pop("what"), **more)
    return made


def fill(
    request: Request, load: Callable[[Path], Model], compile_to: Callable[[Model, Path], object]
) -> Path:
    """Compile into the cache what is not there yet; the child process calls this.

    Two processes that ask for the same program wait for each other; where they cannot, both
    compile it, and the last one's file, which is the same, stays.

    Parameters
    ----------
    request : Request
        What is asked for.
    load : callable
        Gives the model of a path.
    compile_to : callable
        Writes the program of a model to a path.

    Raises
    ------
    ModelError
        If a file of the model is changed while it is compiled.
    """
    _make(folder() / "notes")
    files = _Files(request.path)
    model = load(request.path)
    files.read(model.sources)
    name = f"{_digest(chr(0).join((*files.hashes, request.options, compiler())))}.plm"
    program = folder() / name
    with _locked(program.with_suffix(".lock")):
        if not program.is_file():
            with _part(program) as part:
                compile_to(model, part)
                files.compare()
    _note(request, files, name)
    prune(limit_bytes(), keep=program)
    return program


class _Files:
    """The files of a model: whether they stayed the same from before they were loaded."""

    def __init__(self, path: Path) -> None:
        self.since = time.time_ns()
        self.first = _hash(path) if path.is_file() and not self.is_at_rest(path) else None
        self.sources: list[Source] = []
        self.hashes: list[str] = []

    def is_at_rest(self, path: Path) -> bool:
        status = path.stat()
        return self.since - max(status.st_mtime_ns, status.st_ctime_ns) >= AT_REST_NS

    def read(self, sources: Iterable[Source]) -> None:
        self.sources = list(sources)
        self.hashes = [source.sha256 for source in self.sources]

    def compare(self) -> None:
        if self.first not in (None, self.hashes[0]):
            raise self._changed(self.sources[0])
        for source, sha256 in zip(self.sources, self.hashes, strict=True):
            if not self.is_same(source):
                raise self._changed(source)
            if source.path and not self.is_at_rest(source.path) and _hash(source.path) != sha256:
                raise self._changed(source)

    def is_same(self, source: Source) -> bool:
        if source.path is None or source.status is None:
            return False
        return _fingerprint(source.path.stat()) == _fingerprint(source.status)

    def _changed(self, source: Source) -> ModelError:
        what = "the file was changed while it was compiled"
        return ModelError(what, where=str(source.path), hint="run it again")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note(request: Request, files: _Files, program: str) -> None:
    rows: list[list[Any]] = []
    for source in files.sources:
        if source.path is None or source.status is None:
            return
        if not files.is_same(source) or not files.is_at_rest(source.path):
            return
        rows.append([os.path.realpath(source.path), *_fingerprint(source.status)])
    with _part(request.note) as part:
        part.write_text(json.dumps({"program": program, "files": rows}), encoding="ascii")


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    """Another name, whose file takes the place of ``path`` when the block ends well."""
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _make(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the cache folder cannot be made ({error.strerror})",
            where=os.fspath(place),
            hint="set PELEMAY_CACHE to a folder that you may write to",
        ) from error
    if not all(map(_is_own, (folder(), place))):
        raise InputError(
            "the cache folder is another user's, or anybody may write to it",
            where=os.fspath(place),
            hint="set PELEMAY_CACHE to a folder of your own",
        )


def _is_own(place: Path) -> bool:
    """Whether nobody else decides what lies in a folder: root may, and whoever the user lets."""
    if not hasattr(os, "geteuid"):
        return True
    status = place.stat()
    anybody = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    return status.st_uid in (0, os.geteuid()) and not anybody


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process is in here; on a system without such locks, do not."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    # A link is not followed, nothing is cut off, and a pipe is not waited for.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        what = f"the lock cannot be opened ({error.strerror})"
        raise InputError(what, where=os.fspath(path), hint="remove it") from error
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
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
    state = [(p.relative_to(root).as_posix(), *_size_and_time(p)) for p in files]
    spec = importlib.util.find_spec("pelemay._native")
    engine = os.environ.get("PELEMAY_NATIVE") or (spec.origin if spec else None)
    if engine and Path(engine).is_file():
        state.append(("engine", *_size_and_time(Path(engine))))
    return f"{__version__}+{_digest(repr(state))[:12]}"


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


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
