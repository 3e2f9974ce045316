"""The fuzzers' targets take what they begin with, and some damage."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest

from fuzz.targets import TARGETS, mended
from pelemay.engine import open_program
from pelemay.graph.text import to_text
from pelemay.importers import from_proto
from support.run_tool import MODELS, compiled
from support.texts import parsed


def seed(target: str) -> bytes:
    if target == "npy":
        file = io.BytesIO()
        np.savez_compressed(file, x=np.arange(6).reshape(2, 3))
        return file.getvalue()
    if target == "plm":
        return compiled("transformer")
    model = parsed(MODELS["two of each"])
    return (
        to_text(from_proto(model).graph).encode() if target == "text" else model.SerializeToString()
    )


@pytest.mark.parametrize("target", TARGETS)
def test_damage_is_refused(target: str) -> None:
    whole = seed(target)
    TARGETS[target](whole)
    chance = random.Random(0)
    for _ in range(40):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        TARGETS[target](bytes(data))


def test_what_is_mended_opens() -> None:
    whole = compiled("scalar")
    assert open_program(mended(b"?" * 8 + whole[8:])).inputs == open_program(whole).inputs
