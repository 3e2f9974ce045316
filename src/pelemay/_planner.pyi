from typing import Any

def pack(
    lower: Any,
    upper: Any,
    size: Any,
    rank: Any,
    sections: int,
    capacity: int,
    nodes: int,
    /,
) -> tuple[bool | None, bytes, bytes]: ...
