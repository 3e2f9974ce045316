"""Memory that common devices have, to hold figures against.

>>> [mark.name for mark in DEVICES if mark.memory_bytes < 10**7]
['microcontroller with PSRAM', 'microcontroller']
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device: its name, all of its memory, and that in words."""

    name: str
    memory_bytes: int
    size: str


DEVICES = (
    Device("Raspberry Pi Zero 2 W", 512 << 20, "512 MB"),
    Device("router", 64 << 20, "64 MB"),
    Device("microcontroller with PSRAM", 8 << 20, "8 MB"),
    Device("microcontroller", 512 << 10, "512 KB"),
)
