"""What was measured: frozen values that tables, JSON and comparisons read.

In: what workers answered. Out: :class:`Result` of a scenario, with its :class:`Memory`,
:class:`Heap` and :class:`Fit`; bytes and nanoseconds throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pelemay.bench.scenario import Scenario
from pelemay.bench.watch import Reading


@dataclass(frozen=True)
class Memory:
    """Resident memory of the first sample of a fresh process, in bytes.

    All but ``baseline``, ``runtime_import`` and ``pss_end`` are over the baseline, which is what
    the process held after the backend's packages were imported and the inputs were read.
    """

    runtime_import: int
    baseline: int
    peak_rss: int
    anonymous: int
    file_backed: int
    peak_anonymous: int
    end_anonymous: int
    end_file_backed: int
    pss_end: int | None
    is_exact: bool

    @classmethod
    def of(cls, answer: Mapping[str, Any], sampled: list[Reading]) -> Memory:
        """Relate a worker's answer and the parent's samples to the baseline.

        ``anonymous`` and ``file_backed`` are those of the highest sample, the end included.
        """
        base_rss, _, base_anonymous, base_file = answer["baseline"]
        _, peak, end_anonymous, end_file = answer["end"]
        readings = [*sampled, Reading(end_anonymous, end_file)]
        highest = max(readings, key=lambda reading: reading.rss)
        is_exact = bool(answer["is_reset"])
        top = max(peak, highest.rss) if is_exact else highest.rss
        return cls(
            runtime_import=answer["runtime_import"],
            baseline=base_rss,
            peak_rss=max(0, top - base_rss),
            anonymous=max(0, highest.anonymous - base_anonymous),
            file_backed=max(0, highest.file_backed - base_file),
            peak_anonymous=max(0, max(r.anonymous for r in readings) - base_anonymous),
            end_anonymous=end_anonymous - base_anonymous,
            end_file_backed=end_file - base_file,
            pss_end=answer["pss"],
            is_exact=is_exact,
        )


@dataclass(frozen=True)
class Heap:
    """Bytes of heap, one pair of numbers for each sample under memray."""

    allocated: tuple[int, ...]
    peak: tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """The smallest memory cgroup that a job ended well in, and its time there."""

    limit_bytes: int
    latency_ns: float
    charged_bytes: int | None
    method: str


@dataclass(frozen=True)
class Step:
    """A stretch of a timeline, up to the next one: "packages", "load", "first run", "steady"."""

    name: str
    begin_us: int


@dataclass(frozen=True)
class Timeline:
    """What a process held from its first step on, sampled from outside: bytes at microseconds."""

    at_us: tuple[int, ...]
    anonymous: tuple[int, ...]
    file_backed: tuple[int, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Result:
    """A measured scenario; ``status`` is "ok" or says why there is nothing to see.

    ``notes`` maps a group of figures ("heap", "fit", "timeline") to the reason why it is absent.
    """

    scenario: Scenario
    status: str = "ok"
    reason: str = ""
    samples_ns: tuple[int, ...] = ()
    memory: Memory | None = None
    heap: Heap | None = None
    fit: Fit | None = None
    timeline: Timeline | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Whether it ended well."""
        return self.status == "ok"


@dataclass(frozen=True)
class Check:
    """What the comparison before any timing found for one model and backend.

    ``part`` is "outputs" or "parameters"; ``status`` "ok", "wrong" or a kind of failure;
    ``deviation`` the largest difference from the reference relative to its largest value.
    ``is_compared`` is False for parameters that do not have the names of ONNX.
    """

    model: str
    backend: str
    part: str
    status: str
    message: str = ""
    deviation: float | None = None
    is_compared: bool = True
