"""Where model files lie, and whether they are still what they were.

In: file names. Out: paths below the cache folder, and digests. Beside each file lies its
record, ``<file>.json``: SHA-256, size and time of the last change. A file that has not changed
since is not read again; one that has is read and compared.

The folder is ``$PELEMAY_CACHE``, else the operating system's place for caches.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from pelemay.cache import home
from pelemay.errors import DownloadError


def folder() -> Path:
    """The cache folder; it need not exist yet."""
    return home()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` when the block ends well.

    The name is unique, so that two processes cannot write to the same file, and it begins
    with a dot and ends in ``.part``. When the block fails, the file is removed; what a killed
    process left is removed by the next one on this machine that writes ``path``.
    """
    _make_folder(path.parent)
    _sweep(path)
    part = path.with_name(f"{_part_stem(path)}{os.getpid()}.{uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def record(path: Path, sha256: str) -> None:
    """Note the digest of a finished file."""
    status = path.stat()
    note = {"sha256": sha256, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    with replacing(_record_of(path)) as part:
        part.write_text(json.dumps(note) + "\n", encoding="utf-8")


def digest(path: Path) -> str | None:
    """SHA-256 of a file of the cache, or None if it is not there or not what was recorded."""
    try:
        status = path.stat()
        note = json.loads(_record_of(path).read_text(encoding="utf-8"))
        recorded = str(note["sha256"])
        unchanged = (note["size_bytes"], note["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if unchanged:
        return recorded
    return recorded if sha256_of(path) == recorded else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read through a buffer of fixed size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(path: Path) -> None:
    """Remove a file and its record."""
    path.unlink(missing_ok=True)
    _record_of(path).unlink(missing_ok=True)


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _make_folder(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"the cache folder cannot be made ({error.strerror})",
            where=str(place),
            hint="Set PELEMAY_CACHE to a folder that you may write to.",
        ) from error


def _sweep(path: Path) -> None:
    # A cache may be shared between machines: only this one's processes can be asked after.
    stem = _part_stem(path)
    for part in path.parent.iterdir():
        process = part.name.removeprefix(stem).split(".")[0]
        ours = part.name.startswith(stem) and part.name.endswith(".part")
        if ours and process.isdigit() and not _is_running(int(process)):
            part.unlink(missing_ok=True)


def _part_stem(path: Path) -> str:
    return f".{path.name}.{platform.node()}."


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
