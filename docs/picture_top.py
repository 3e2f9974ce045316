"""What ``pelemay top`` shows of a command, as a picture: ``picture_top.py top.svg -- COMMAND``.

The command is started, watched for some seconds while its engine runs, and ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

from rich.console import Console

from pelemay.bench.live import look
from pelemay.bench.reports.live import panel
from pelemay.progress import VARIABLE

WIDTH = 96
LEAST_S = 6.0
MOST_S = 120.0


def main() -> None:
    target, _, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, env={**os.environ, VARIABLE: folder})
        began, held = time.monotonic(), []
        while process.poll() is None:
            view, elapsed_s = look([process.pid], folder), time.monotonic() - began
            held.append(view.rss)
            engine = view.running
            is_within = engine is not None and 0.3 < engine.done / len(engine.names) < 0.9
            if elapsed_s > MOST_S or (elapsed_s > LEAST_S and is_within):
                break
            time.sleep(0.1)
        process.terminate()
        process.wait()
    page = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    page.print(panel(view, held, elapsed_s, WIDTH))
    Path(target).write_text(page.export_svg(title="pelemay top"))


if __name__ == "__main__":
    main()
