"""The four networks of MLPerf Tiny (Banbury et al. 2021), from PyTorch and from Keras."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from entry import Entry
from from_keras import keras_entry
from from_torch import Network, image

FAMILY = "MLPerf Tiny"


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        Network("tiny_resnet8", FAMILY, _resnet),
        Network("tiny_ds_cnn", FAMILY, _keywords),
        Network("tiny_mobilenet_v1_025", FAMILY, _mobilenet),
        Network("tiny_autoencoder", FAMILY, _anomalies, {0: {0: "batch"}}),
    ]
    return [
        *(entry for network in networks for entry in network.entries()),
        keras_entry("tiny_resnet8", FAMILY, _keras_resnet),
        keras_entry("tiny_ds_cnn", FAMILY, _keras_keywords),
        keras_entry("tiny_mobilenet_v1_025", FAMILY, _keras_mobilenet),
        keras_entry("tiny_autoencoder", FAMILY, _keras_anomalies),
    ]


def _conv(i: int, o: int, k: Any = 3, s: Any = 1, g: int = 1, act: bool = True) -> Any:
    from torch import nn

    pad = tuple(n // 2 for n in k) if isinstance(k, tuple) else k // 2
    conv = nn.Conv2d(i, o, k, s, pad, groups=g)
    return nn.Sequential(conv, nn.BatchNorm2d(o), nn.ReLU() if act else nn.Identity())


def _pooled(*layers: Any, width: int, classes: int) -> Any:
    from torch import nn

    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes), nn.Softmax(-1))
    return nn.Sequential(*layers, *end)


def _resnet() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    class Block(nn.Module):
        def __init__(self, i: int, o: int, s: int) -> None:
            super().__init__()
            self.body = nn.Sequential(_conv(i, o, 3, s), _conv(o, o, act=False))
            self.skip = nn.Identity() if i == o else nn.Conv2d(i, o, 1, s)

        def forward(self, x: Any) -> Any:
            return (self.body(x) + self.skip(x)).relu()

    layers = (_conv(3, 16), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
    return _pooled(*layers, width=64, classes=10), (image(1, 3, 32, 32),)


def _keywords() -> tuple[Any, tuple[Any, ...]]:
    blocks = [m for _ in range(4) for m in (_conv(64, 64, 3, 1, 64), _conv(64, 64, 1))]
    first = _conv(1, 64, (10, 4), (2, 2))
    return _pooled(first, *blocks, width=64, classes=12), (image(1, 1, 49, 10),)


WIDTHS = (8, 16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def _mobilenet() -> tuple[Any, tuple[Any, ...]]:
    steps = zip(WIDTHS, WIDTHS[1:], STRIDES, strict=False)
    blocks = [m for i, o, s in steps for m in (_conv(i, i, 3, s, i), _conv(i, o, 1))]
    return _pooled(_conv(3, 8, 3, 2), *blocks, width=256, classes=2), (image(1, 3, 96, 96),)


def _anomalies() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    layers = [
        m for i, o in pairwise(widths) for m in (nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU())
    ]
    return nn.Sequential(*layers, nn.Linear(128, 640)), (image(32, 640),)


def _keras_conv(x: Any, width: int, k: Any, s: int = 1, act: bool = True) -> Any:
    from keras import layers

    x = layers.BatchNormalization()(layers.Conv2D(width, k, s, "same")(x))
    return layers.ReLU()(x) if act else x


def _keras_depthwise(x: Any, s: int = 1) -> Any:
    from keras import layers

    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, s, "same")(x))
    return layers.ReLU()(x)


def _keras_end(inputs: Any, x: Any, classes: int) -> Any:
    import keras
    from keras import layers

    x = layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def _keras_resnet() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((32, 32, 3))
    x = _keras_conv(inputs, 16, 3)
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        y = _keras_conv(_keras_conv(x, width, 3, stride), width, 3, act=False)
        if stride > 1:
            x = layers.Conv2D(width, 1, stride, "same")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    return _keras_end(inputs, x, 10)


def _keras_keywords() -> Any:
    import keras

    inputs = keras.Input((49, 10, 1))
    x = _keras_conv(inputs, 64, (10, 4), 2)
    for _ in range(4):
        x = _keras_conv(_keras_depthwise(x), 64, 1)
    return _keras_end(inputs, x, 12)


def _keras_mobilenet() -> Any:
    import keras

    inputs = keras.Input((96, 96, 3))
    x = _keras_conv(inputs, 8, 3, 2)
    for width, stride in zip(WIDTHS[1:], STRIDES, strict=True):
        x = _keras_conv(_keras_depthwise(x, stride), width, 1)
    return _keras_end(inputs, x, 2)


def _keras_anomalies() -> Any:
    import keras
    from keras import layers

    inputs = x = keras.Input((640,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(640)(x))
