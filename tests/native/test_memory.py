"""What the engine says that this process holds and may hold, against /proc and real cgroups."""

from __future__ import annotations

import json
import mmap
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pelemay.bench.cgroups import Controller, find_controller
from pelemay.engine import native
from pelemay.errors import UnsupportedError

MIB = 1 << 20

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells so much"
)


def status_bytes(key: str) -> int:
    """A figure of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def test_it_counts_as_the_kernel_does() -> None:
    found = native().memory()
    parts = ("anonymous", "file", "shared", "page_tables")
    assert found["held"] == sum(found[part] for part in parts)
    for name, key in [("anonymous", "RssAnon"), ("file", "RssFile"), ("shared", "RssShmem")]:
        assert abs(found[name] - status_bytes(key)) <= MIB, name
    assert abs(found["page_tables"] - status_bytes("VmPTE")) <= 64 << 10
    assert found["peak"] >= found["held"] - found["page_tables"]


def test_memory_that_is_touched_is_counted() -> None:
    before = native().memory()
    pages = mmap.mmap(-1, 32 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    assert native().memory()["anonymous"] - before["anonymous"] < MIB
    for offset in range(0, 8 * MIB, mmap.PAGESIZE):
        pages[offset] = 1
    now = native().memory()["anonymous"]
    assert 8 * MIB <= now - before["anonymous"] <= 9 * MIB
    pages.close()
    assert native().memory()["anonymous"] - before["anonymous"] < MIB


def test_pages_of_a_mapped_file_are_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8 * MIB))
    before = native().memory()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
        assert sum(view[i] for i in range(0, len(view), 4096)) == 0
        now = native().memory()
    assert 7 * MIB <= now["file"] - before["file"] <= 9 * MIB
    assert now["anonymous"] - before["anonymous"] < MIB


def ask(before: str = "", launcher: tuple[str, ...] = ()) -> dict[str, Any]:
    """What another process says of itself, after some statements."""
    code = "import json, resource\nfrom pelemay.engine import native\n"
    code += f"native()\n{textwrap.dedent(before)}\nprint(json.dumps(native().memory()))"
    command = [*launcher, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("which", ["address_space", "data"])
def test_resource_limits(which: str) -> None:
    number = resource.RLIMIT_AS if which == "address_space" else resource.RLIMIT_DATA
    counted = "VmSize" if which == "address_space" else "VmData"
    found = ask(
        f"""
        text = open("/proc/self/status").read().split("{counted}:")[1]
        limit = int(text.split()[0]) * 1024 + {64 * MIB}
        resource.setrlimit({number}, (limit, limit))
        """
    )
    more = found[f"limit_{which}"] - found["held"]
    assert 62 * MIB <= more <= 64 * MIB
    assert found["limit"] == found[f"limit_{which}"]
    assert found["limit_by"] == ("RLIMIT_AS" if which == "address_space" else "RLIMIT_DATA")


def test_the_machine_limits_where_nothing_else_does() -> None:
    found = native().memory()
    with Path("/proc/meminfo").open() as lines:
        total = int(next(line.split()[1] for line in lines if line.startswith("MemTotal:"))) * 1024
    assert found["held"] < found["limit_available"] <= total
    limits = [found[key] for key in found if key.startswith("limit_") and key != "limit_by"]
    assert found["limit"] == min(limit for limit in limits if limit is not None)


@pytest.fixture(scope="module")
def controller() -> Controller:
    try:
        return find_controller()
    except UnsupportedError as error:
        pytest.skip(str(error))


def test_the_cgroup_limits(controller: Controller) -> None:
    with controller.group(200 * MIB) as group:
        found = ask(launcher=group.launcher)
    assert 196 * MIB <= found["limit_cgroup"] <= 200 * MIB
    assert found["limit"] == found["limit_cgroup"]
    assert found["limit_by"] == "the memory cgroup"


@contextmanager
def neighbour(launcher: tuple[str, ...], nbytes: int) -> Iterator[None]:
    """Another process that holds so much memory."""
    code = f"held = bytearray(b'x') * {nbytes}\nprint(len(held), flush=True)\ninput()"
    command = [*launcher, sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == nbytes
        yield
        process.communicate("\n", timeout=60)


def test_what_others_in_the_cgroup_hold_is_not_there(controller: Controller) -> None:
    with controller.group(200 * MIB) as group, neighbour(group.launcher, 50 * MIB):
        found = ask(launcher=group.launcher)
    assert 130 * MIB <= found["limit_cgroup"] <= 150 * MIB


def test_files_that_were_only_read_do_not_count(controller: Controller, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100 * MIB))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with controller.group(200 * MIB) as group:
        read = f"file = open({str(path)!r}, 'rb')\nwhile file.read(1 << 20): pass"
        found = ask(read, group.launcher)
    assert found["limit_cgroup"] >= 196 * MIB


def test_groups_above_count(controller: Controller) -> None:
    with controller.group(150 * MIB) as group:
        if group.folder is None:
            pytest.skip("the group's folder is not known")
        inner = group.folder / "inner"
        try:
            inner.mkdir()
        except OSError as error:
            pytest.skip(str(error))
        enter = ("sh", "-c", f'echo $$ > {inner}/cgroup.procs && exec "$@"', "sh")
        try:
            found = ask(launcher=enter)
        finally:
            inner.rmdir()
    assert 146 * MIB <= found["limit_cgroup"] <= 150 * MIB


PRETEND = """
set -e
mount --bind {0}/cgroup /proc/$$/cgroup
mount --bind {0}/mountinfo /proc/$$/mountinfo
exec "$@"
"""


@pytest.fixture
def pretend(tmp_path: Path) -> tuple[str, ...]:
    """Starts a process for which the files in ``tmp_path`` take the place of the kernel's."""
    (tmp_path / "cgroup").write_text("")
    (tmp_path / "mountinfo").write_text("")
    launcher = ("unshare", "-m", "sh", "-c", PRETEND.format(tmp_path), "sh")
    if not shutil.which("unshare") or subprocess.run([*launcher, "true"], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    return launcher


def lay_out(folder: Path, files: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


STAT = "anon 1\nfile 999999999\ninactive_file {0}\nactive_file 0\nfile_mapped 0\nslab_reclaimable 0"


def mountinfo(root: str, point: Path) -> str:
    return (
        "23 29 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
        f"30 23 0:26 {root} {point} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    )


def test_version_2(tmp_path: Path, pretend: tuple[str, ...]) -> None:
    top = tmp_path / "fs"
    (tmp_path / "cgroup").write_text("0::/outer/inner\n")
    (tmp_path / "mountinfo").write_text(mountinfo("/", top))
    held = {"memory.current": 400 * MIB, "memory.stat": STAT.format(0)}
    lay_out(top, {"memory.stat": STAT.format(0)})  # the root has no limit
    lay_out(top / "outer", {"memory.max": 1000 * MIB, "memory.high": "max", **held})
    inner = {"memory.current": 100 * MIB, "memory.stat": STAT.format(100 * MIB)}
    lay_out(top / "outer/inner", {"memory.max": "max", "memory.high": 700 * MIB, **inner})
    found = ask(launcher=pretend)
    own = found["anonymous"] + found["page_tables"]
    assert found["limit_cgroup"] == 600 * MIB + own  # 400 of others in the outer group
    lay_out(top / "outer", {"memory.max": "max"})
    assert (
        ask(launcher=pretend)["limit_cgroup"] == 700 * MIB
    )  # only pages of files in the inner one
    lay_out(top / "outer/inner", {"memory.high": "max"})
    assert ask(launcher=pretend)["limit_cgroup"] is None


@pytest.mark.parametrize("group", ["/system/docker/abc", "/", "/elsewhere"])
def test_a_container_sees_its_own_group_as_the_root(
    group: str, tmp_path: Path, pretend: tuple[str, ...]
) -> None:
    (tmp_path / "cgroup").write_text(f"1:name=systemd:/x\n0::{group}\n")
    root = "/system/docker/abc" if group != "/" else "/"
    (tmp_path / "mountinfo").write_text(mountinfo(root, tmp_path / "fs"))
    lay_out(tmp_path / "fs", {"memory.max": 300 * MIB, "memory.current": 0})
    assert ask(launcher=pretend)["limit_cgroup"] == 300 * MIB


@pytest.mark.parametrize(
    ("cgroup", "mounts"),
    [
        ("", ""),
        ("0::/a", ""),
        ("::::\n0:\n\n0", "1 2 3\n- - -\n   \n1 2 3 4 5 6 - cgroup2"),
        ("0::" + "/a" * 3000, "30 23 0:26 / /fs rw - cgroup2 cgroup2 rw"),
        ("0::/" + "a" * 900, "30 23 0:26 / /" + "b" * 900 + " rw - cgroup2 cgroup2 rw"),
        ("4:cpu,memory:/a", "30 23 0:26 / /nowhere rw - cgroup cgroup rw,cpu,memory"),
    ],
)
def test_odd_files_limit_nothing(
    cgroup: str, mounts: str, tmp_path: Path, pretend: tuple[str, ...]
) -> None:
    (tmp_path / "cgroup").write_text(cgroup)
    (tmp_path / "mountinfo").write_text(mounts)
    assert ask(launcher=pretend)["limit_cgroup"] is None


def test_asking_leaves_nothing_behind() -> None:
    files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(100):
        native().memory()
    grown = []
    for _ in range(3):  # other threads of the tests may come and go in one of them
        before = native().memory()["anonymous"]
        for _ in range(200):
            native().memory()
        grown.append(native().memory()["anonymous"] - before)
    assert min(grown) <= 64 << 10
    assert len(list(Path("/proc/self/fd").iterdir())) == files
