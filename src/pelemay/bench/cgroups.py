"""Memory cgroups: a limit that the kernel enforces on a whole process, page cache included.

In: a number of bytes. Out: a :class:`Group` whose ``launcher`` starts a command inside it. The
group is removed afterwards whatever happens. Where no way is open, :func:`find_controller`
says which were tried and what would open one.

Sources: the kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pelemay.errors import UnsupportedError

ROOT = Path("/sys/fs/cgroup")
_ENTER = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"'
_HOW_TO = (
    "Run as root (sudo pelemay bench --fit), in a login session with systemd, or in a container "
    "that owns its cgroup (docker run --privileged)"
)
_NO_LIMIT = 1 << 62
_numbers = itertools.count()


@dataclass(frozen=True)
class Group:
    """A cgroup that exists: what to put before a command, and its folder if it has one."""

    launcher: tuple[str, ...]
    folder: Path | None = None

    def charged_bytes(self) -> int | None:
        """The most that the kernel charged to the group, None if it does not say."""
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            with suppress(OSError, ValueError, TypeError):
                return int((self.folder / name).read_text())  # type: ignore[operator]
        return None


@dataclass(frozen=True)
class Controller:
    """One way to limit memory."""

    method: str
    group: Callable[[int], AbstractContextManager[Group]]


def find_controller(root: Path = ROOT) -> Controller:
    """The first way that works here: cgroup v1, v2, then a scope of systemd.

    Parameters
    ----------
    root : Path
        Where the cgroup file systems are mounted.

    Raises
    ------
    UnsupportedError
        If none may be used, with the reason for each and what to do.
    """
    own = _groups_of("self")
    ways = [Controller("cgroup v1", _maker(root / "memory", own.get("memory", "/"), _V1_LIMITS))]
    unified = own.get("", "/")
    ways += [
        Controller("cgroup v2", _maker(root, str(parent), _V2_LIMITS))
        for parent in (Path(unified), *Path(unified).parents)
    ]
    ways.append(Controller("systemd-run --user --scope", _systemd_scope))
    reasons: dict[str, str] = {}
    for way in ways:
        if not (reason := _why_not(way)):
            return way
        reasons.setdefault(way.method, reason)
    tried = "; ".join(f"{method}: {reason}" for method, reason in reasons.items())
    raise UnsupportedError(f"no memory cgroup may be used here ({tried})", hint=_HOW_TO)


def limit_of(pid: int, root: Path = ROOT) -> int | None:
    """The least memory limit of a process' cgroup and of all above it, None if there is none.

    Parameters
    ----------
    pid : int
        Of the process.
    root : Path
        Where the cgroup file systems are mounted.
    """
    groups = _groups_of(pid)
    places = [(root / "memory", groups.get("memory"), "memory.limit_in_bytes")]
    places += [(mount, groups.get(""), "memory.max") for mount in (root, root / "unified")]
    found = []
    for mount, path, name in places:
        own = Path("/" if path is None else path)
        for group in (own, *own.parents):
            with suppress(OSError, ValueError):
                found.append(int((mount / str(group).lstrip("/") / name).read_text()))
    return min((limit for limit in found if limit < _NO_LIMIT), default=None)


def _groups_of(pid: int | str) -> dict[str, str]:
    """Controller to the path of a process' group; the key of cgroup v2 is empty."""
    groups: dict[str, str] = {}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _why_not(way: Controller) -> str:
    """Start a command in a group of its own; empty if that works."""
    try:
        with way.group(1 << 28) as group:
            done = subprocess.run([*group.launcher, "true"], capture_output=True, check=False)
    except OSError as error:
        return error.strerror or str(error)
    return done.stderr.decode(errors="replace").strip() if done.returncode else ""


# Files that hold the limit, in the order in which they have to be written, and what to write.
_Limits = tuple[tuple[str, Callable[[int], str], bool], ...]
_V1_LIMITS: _Limits = (
    ("memory.limit_in_bytes", str, True),
    ("memory.memsw.limit_in_bytes", str, False),
)
_V2_LIMITS: _Limits = (
    ("memory.max", str, True),
    ("memory.swap.max", lambda _: "0", False),
)


def _maker(
    mount: Path, own: str, limits: _Limits
) -> Callable[[int], AbstractContextManager[Group]]:
    parent = mount / own.lstrip("/")
    if not parent.is_dir():  # In a container the path can be one of the host.
        parent = mount

    @contextmanager
    def group(limit_bytes: int) -> Iterator[Group]:
        if not (parent / "cgroup.procs").exists():
            raise OSError(0, "it is not mounted")
        folder = parent / f"pelemay-fit-{os.getpid()}-{next(_numbers)}"
        folder.mkdir()
        try:
            _limit(folder, limits, limit_bytes)
            yield Group(("sh", "-c", _ENTER, "sh", str(folder)), folder)
        finally:
            _remove(folder)

    return group


def _limit(folder: Path, limits: _Limits, limit_bytes: int) -> None:
    for name, text, is_needed in limits:
        if (folder / name).exists():
            (folder / name).write_text(text(limit_bytes))
        elif is_needed:
            raise OSError(0, f"the memory controller is not given to {folder.parent}")


def _remove(folder: Path) -> None:
    """Remove a group; the kernel needs a moment to let the last process go."""
    for _ in range(200):
        with suppress(FileNotFoundError):
            try:
                folder.rmdir()
            except OSError:
                time.sleep(0.01)
                continue
        return


@contextmanager
def _systemd_scope(limit_bytes: int) -> Iterator[Group]:
    command = shutil.which("systemd-run")
    if command is None:
        raise OSError(0, "systemd-run is not installed")
    options = ("--user", "--scope", "--quiet", "--collect")
    limits = ("-p", f"MemoryMax={limit_bytes}", "-p", "MemorySwapMax=0")
    yield Group((command, *options, *limits, "--"))
