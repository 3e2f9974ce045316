"""Who reads streamed weights: the kernel, or threads where it may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.streams import budgets, write_network

SETUP = {"x86_64": 206, "aarch64": 0}.get(os.uname().machine)
"""The number of the system call that asked for asynchronous reads has to begin with."""

FORBID = f"""
import ctypes, struct
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
FAIL, ALLOW = (RETURN, 0, 0, 0x50001), (RETURN, 0, 0, 0x7FFF0000)
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, {SETUP}), FAIL, ALLOW]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
assert not libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
assert not libc.prctl(SECCOMP, FILTER, program, 0, 0)
"""
"""As a container that forbids them does: the call is answered with EPERM."""

RUN = """
import json, os, sys
import numpy as np
from pelemay.engine import Engine, open_program

x = np.random.default_rng(6).standard_normal((1, 16, 7, 7)).astype(np.float32)
mapped = Engine(open_program(sys.argv[1]), threads=2).run([x])[0]
before, more, same = len(os.listdir("/proc/self/task")), [], []
for budget in json.loads(sys.argv[2]):
    engine = Engine(open_program(sys.argv[1], streamed=True), threads=1, weights_bytes=budget)
    for _ in range(3):
        same.append(bool(np.array_equal(engine.run([x])[0], mapped)))
    more.append(len(os.listdir("/proc/self/task")) - before)
    del engine
print(json.dumps({"same": same, "more": more}))
"""


def ran(code: str, plm: Path) -> Any:
    argv = [sys.executable, "-c", code, str(plm), json.dumps(budgets(plm, 4))]
    return json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(SETUP is None, reason="the number of the system call is not known here")
def test_threads_read_where_the_kernel_may_not(tmp_path: Path) -> None:
    found = ran(FORBID + RUN, write_network(tmp_path))
    assert all(found["same"])
    assert set(found["more"]) == {2}


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="there are no reads past the cache here")
def test_the_kernel_reads_without_threads(tmp_path: Path) -> None:
    plm = write_network(tmp_path)
    found = ran(RUN, plm)
    assert all(found["same"])
    assert set(found["more"]) == ({0} if reads_past_the_cache(plm) else {2})


def reads_past_the_cache(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return sys.maxsize > 1 << 32
