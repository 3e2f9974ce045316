"""Networks that answer for every pixel: segmentation, feature pyramids, U-Net."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from entry import Entry
from from_torch import Network, image
from torch_operations import with_operations

OPEN = {0: {0: "batch"}}


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        Network(
            "deeplabv3_mobilenet_v3_large",
            "DeepLab",
            partial(_segmentation, "deeplabv3_mobilenet_v3_large"),
        ),
        Network(
            "lraspp_mobilenet_v3_large",
            "LR-ASPP",
            partial(_segmentation, "lraspp_mobilenet_v3_large"),
        ),
        Network("unet", "U-Net", _unet, OPEN),
        Network("fpn_resnet18", "FPN", _pyramid),
        Network("espcn", "super resolution", _super_resolution),
        Network("convolutional_autoencoder", "autoencoder", _autoencoder),
        Network("dcgan_generator", "GAN", _generator),
    ]
    return [entry for network in networks for entry in network.entries()]


def _segmentation(name: str) -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from torch import nn
    from torchvision.models import segmentation

    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = segmentation.__dict__[name](weights=None, weights_backbone=None)

        def forward(self, x: Any) -> Any:
            return self.whole(x)["out"]

    return Scores(), (image(1, 3, 224, 224),)


def _unet() -> tuple[Any, tuple[Any, ...]]:
    import torch
    from torch import nn

    def double(inside: int, outside: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for width in (inside, outside):
            layers += [
                nn.Conv2d(width, outside, 3, padding=1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            ]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256)) -> None:
            super().__init__()
            self.down = nn.ModuleList(
                double(i, o) for i, o in zip((3, *widths), widths, strict=False)
            )
            pairs = list(zip(widths[1:], widths[:-1], strict=True))[::-1]
            self.grow = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, 2) for i, o in pairs)
            self.up = nn.ModuleList(double(2 * o, o) for _, o in pairs)
            self.head = nn.Conv2d(widths[0], 2, 1)

        def forward(self, x: Any) -> Any:
            kept = []
            for layer in self.down:
                x = layer(x)
                kept.append(x)
                x = nn.functional.max_pool2d(x, 2)
            x = kept.pop()
            for grow, layer in zip(self.grow, self.up, strict=True):
                x = layer(torch.cat([kept.pop(), grow(x)], 1))
            return self.head(x)

    return UNet(), (image(1, 3, 256, 256),)


def _pyramid() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from torch import nn
    from torchvision.models import resnet18
    from torchvision.models.feature_extraction import create_feature_extractor
    from torchvision.ops import FeaturePyramidNetwork

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            names = {f"layer{i}": str(i) for i in range(1, 5)}
            self.body = create_feature_extractor(resnet18(weights=None), names)
            self.pyramid = FeaturePyramidNetwork([64, 128, 256, 512], 64)

        def forward(self, x: Any) -> Any:
            return tuple(self.pyramid(self.body(x)).values())

    return Pyramid(), (image(1, 3, 224, 224),)


def _super_resolution() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    layers = nn.Sequential(
        *(nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh()),
        *(nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3)),
    )
    return layers, (image(1, 1, 224, 224),)


def _autoencoder() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    widths = (3, 16, 32, 64)
    pairs = list(pairwise(widths))
    down = [m for i, o in pairs for m in (nn.Conv2d(i, o, 3, 2, 1), nn.ELU())]
    up = [m for i, o in pairs[::-1] for m in (nn.ConvTranspose2d(o, i, 3, 2, 1, 1), nn.ELU())]
    return nn.Sequential(*down, *up[:-1], nn.Sigmoid()), (image(1, 3, 128, 128),)


def _generator() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    layers: list[nn.Module] = []
    for i, o, stride, padding in (
        (100, 256, 1, 0),
        (256, 128, 2, 1),
        (128, 64, 2, 1),
        (64, 32, 2, 1),
    ):
        layers += [
            nn.ConvTranspose2d(i, o, 4, stride, padding, bias=False),
            nn.BatchNorm2d(o),
            nn.ReLU(),
        ]
    layers += [nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False), nn.Tanh()]
    return nn.Sequential(*layers), (image(1, 100, 1, 1),)
