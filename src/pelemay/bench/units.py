"""Numbers as people read them: three digits and a unit.

In: bytes, nanoseconds, ratios. Out: short text. Bytes are decimal (1 MB = 1,000,000 bytes).

>>> as_bytes(178_914_043), as_time(21_963_000), as_ratio(7234.0)
('179 MB', '22.0 ms', '7,200x')
"""

from __future__ import annotations

import math

_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_COUNTS = ((1e6, "M"), (1e3, "K"), (1.0, ""))


def three_digits(value: float) -> str:
    """A number with three digits that count, without an exponent.

    >>> three_digits(1.2345), three_digits(99.96), three_digits(1234.5), three_digits(0.0)
    ('1.23', '100', '1,234', '0')
    """
    if not value or not math.isfinite(value):
        return f"{value:g}"
    digits = 2 - math.floor(math.log10(abs(float(f"{value:.3g}"))))
    return f"{value:,.{max(0, digits)}f}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    size, unit = next((u for u in units if abs(float(f"{value:.3g}")) >= u[0]), units[-1])
    return f"{three_digits(value / size)} {unit}".rstrip()


def as_bytes(value: float) -> str:
    """Bytes, in B, kB, MB or GB."""
    return f"{value:.0f} B" if abs(value) < 999.5 else _scaled(value, _BYTES)


def as_mib(value: float) -> str:
    """Bytes that are a whole number of MiB, such as limits of cgroups."""
    return f"{value / 2**20:,.0f} MiB"


def as_time(value: float) -> str:
    """Nanoseconds, in ns, µs, ms or s."""
    return _scaled(value, _TIMES)


def as_seconds(value: float) -> str:
    """Seconds of an option or an estimate.

    >>> as_seconds(0.25), as_seconds(75), as_seconds(180.0)
    ('0.25 s', '1 min 15 s', '3 min')
    """
    if value < 60:
        return f"{value:.3g} s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def as_rate(value: float) -> str:
    """Times a second, in thousands (K) or millions (M) where that is shorter."""
    return _scaled(value, _COUNTS) if math.isfinite(value) else "∞"


def as_ratio(value: float) -> str:
    """How many times as much; no more than two digits count above a hundred."""
    if not math.isfinite(value):
        return "∞x"
    if value < 100:
        return f"{value:.2f}x" if value < 10 else f"{value:.1f}x"
    step = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{round(value / step) * step:,}x"


def as_percent(value: float) -> str:
    """A ratio as a deviation in percent.

    >>> as_percent(0.1234)
    '±12.34%'
    """
    return f"±{100 * value:.2f}%"
