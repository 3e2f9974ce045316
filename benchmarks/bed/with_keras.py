"""Networks that Keras defines, with channels last, as tf2onnx writes them."""

from __future__ import annotations

from functools import partial
from typing import Any

from entry import Entry
from from_keras import keras_entry

APPLICATIONS = {
    "ResNet50V2": ("ResNet", 224),
    "MobileNetV2": ("MobileNet", 224),
    "MobileNetV3Small": ("MobileNetV3", 224),
    "DenseNet121": ("DenseNet", 224),
    "NASNetMobile": ("NASNet", 224),
    "Xception": ("Inception", 299),
}


def entries() -> list[Entry]:
    """All of this module."""
    named = APPLICATIONS.items()
    return [
        *(keras_entry(n.lower(), f, partial(_application, n, size)) for n, (f, size) in named),
        keras_entry("lstm_tagger", "LSTM tagger", partial(_tagger, "LSTM")),
        keras_entry("gru_tagger", "GRU tagger", partial(_tagger, "GRU")),
        keras_entry("conv_lstm", "ConvLSTM", _conv_lstm),
        keras_entry("unet", "U-Net", _unet),
        keras_entry("transformer", "Transformer", _transformer),
        keras_entry("tcn", "TCN", _tcn),
    ]


def _application(name: str, size: int) -> Any:
    import keras

    make = getattr(keras.applications, name)
    return make(weights=None, input_shape=(size, size, 3), classes=10)


def _tagger(kind: str) -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((24,), dtype="int32")
    x = layers.Embedding(100, 32)(inputs)
    x = layers.Bidirectional(getattr(layers, kind)(48, return_sequences=True))(x)
    return keras.Model(inputs, layers.Dense(9, activation="softmax")(x))


def _conv_lstm() -> Any:
    import keras
    from keras import layers

    inputs = keras.Input((4, 16, 16, 2))
    x = layers.ConvLSTM2D(8, 3, padding="same")(inputs)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


def _unet() -> Any:
    import keras
    from keras import layers

    inputs = x = keras.Input((64, 64, 3))
    kept = []
    for width in (8, 16, 32):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        kept.append(x)
        x = layers.MaxPool2D(2)(x)
    for width in (32, 16, 8):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = layers.Concatenate()([x, kept.pop()])
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(2, 3, 2, "same")(x))


def _transformer() -> Any:
    import keras
    from keras import layers

    inputs = x = keras.Input((20, 64))
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 16)(y, y)
        y = layers.Dense(128, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(64)(y)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAveragePooling1D()(x)))


def _tcn() -> Any:
    import keras
    from keras import layers

    inputs = x = keras.Input((100, 8))
    for step in (1, 2, 4, 8):
        x = layers.Conv1D(16, 3, padding="causal", dilation_rate=step, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(x))
