"""Blocks that the YOLO kinds share; imported where a network is made."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Conv(nn.Sequential):
    def __init__(self, i: int, o: int, k: int = 1, s: int = 1, g: int = 1) -> None:
        conv = nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False)
        super().__init__(conv, nn.BatchNorm2d(o), nn.SiLU())


class C2f(nn.Module):
    def __init__(self, i: int, o: int, n: int = 1) -> None:
        super().__init__()
        self.half = o // 2
        self.first, self.last = Conv(i, o), Conv((2 + n) * self.half, o)
        pair = (Conv(self.half, self.half, 3), Conv(self.half, self.half, 3))
        self.steps = nn.ModuleList(nn.Sequential(*pair) for _ in range(n))

    def forward(self, x: Any) -> Any:
        parts = list(self.first(x).split((self.half, self.half), 1))
        for step in self.steps:
            parts.append(parts[-1] + step(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Pool(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.first, self.last, self.pool = (
            Conv(c, c // 2),
            Conv(2 * c, c),
            nn.MaxPool2d(5, 1, 2),
        )

    def forward(self, x: Any) -> Any:
        parts = [self.first(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.last(torch.cat(parts, 1))


class Body(nn.Module):
    """Features at strides 8, 16 and 32, of 64 channels each, as the neck gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Conv(3, 16, 3, 2), Conv(16, 32, 3, 2), C2f(32, 32))
        self.down = nn.ModuleList(
            nn.Sequential(Conv(i, 64, 3, 2), C2f(64, 64)) for i in (32, 64, 64)
        )
        self.pool, self.grow = Pool(64), nn.Upsample(None, 2, "nearest")
        self.up = nn.ModuleList(C2f(128, 64) for _ in range(2))

    def forward(self, x: Any) -> Any:
        x, kept = self.stem(x), []
        for layer in self.down:
            x = layer(x)
            kept.append(x)
        low = self.pool(kept[2])
        middle = self.up[0](torch.cat([self.grow(low), kept[1]], 1))
        high = self.up[1](torch.cat([self.grow(middle), kept[0]], 1))
        return high, middle, low
