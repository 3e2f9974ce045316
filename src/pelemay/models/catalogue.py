"""The catalogue: one row per network, nothing else.

In: nothing. Out: frozen rows that say where a file comes from, how large it is, what its
SHA-256 is, and which architecture stands in for it where there is no network.

Sizes and checksums are those of the Git LFS pointers of the original repositories (for the
model zoo also its ONNX_HUB_MANIFEST.json). A row whose checksum is not known has ``None``:
then the size is checked, the digest of the first download is recorded beside the file, and
later uses are checked against it.

>>> [entry.name for entry in ENTRIES if entry.original]
['cats_v_dogs', 'cat_dog_breeds', 'resnet101-v1-7']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_HUGGING_FACE = "https://huggingface.co"
# The zoo's own repository stopped serving its large files in July 2025 and names this one.
_ZOO = f"{_HUGGING_FACE}/onnxmodelzoo/legacy_models/resolve/main/validated/vision/classification"
_ZOO_BEFORE = (
    "https://media.githubusercontent.com/media/onnx/models/main/validated/vision/classification"
)
_ZOO_NOTE = "ONNX model zoo, Apache-2.0; exported from MXNet's Gluon model zoo, ImageNet."
_PETS_NOTE = (
    "Scott Mueller on Hugging Face, MIT; fastai, trained on Oxford-IIIT Pet. "
    "Exported with a fixed batch of 10."
)
_STAND_IN_NOTE = "Exists only as a stand-in, built locally with random weights."


@dataclass(frozen=True)
class CatalogueEntry:
    """One network.

    Attributes
    ----------
    name : str
        What the user types.
    file_name : str
        Name of the original file; a stand-in is called ``*.stand-in.onnx``.
    urls : tuple of str
        Where the file can be had, tried in this order; empty if only the stand-in exists.
    sha256 : str or None
        Of the original file; None if it is not known.
    size_bytes : int
        Of the original file, or of the stand-in if there is no original.
    task : str
        What the network was trained for.
    input_name : str
        The first input.
    input_shape : tuple of (int or str)
        Its dimensions; a string is a symbolic one.
    encoding : {"raw_data", "float_data"}
        The field of TensorProto that holds the weights.
    opset : int
        Version of the default operator set.
    note : str
        Origin and licence.
    architecture : str
        Key of :data:`pelemay.models.standins.ARCHITECTURES`.
    original : bool
        Whether it is one of the three networks of OnnxToAxonBench.
    """

    name: str
    file_name: str
    urls: tuple[str, ...]
    sha256: str | None
    size_bytes: int
    task: str
    input_name: str
    input_shape: tuple[int | str, ...]
    encoding: Literal["raw_data", "float_data"]
    opset: int
    note: str
    architecture: str
    original: bool = False

    @property
    def url(self) -> str | None:
        """The first address, or None if only the stand-in exists."""
        return self.urls[0] if self.urls else None

    @property
    def stand_in_file_name(self) -> str:
        """Name of the locally built file, which cannot be taken for the original."""
        return self.file_name.removesuffix(".onnx") + ".stand-in.onnx"


def _zoo(path: str) -> tuple[str, ...]:
    return f"{_ZOO}/{path}", f"{_ZOO_BEFORE}/{path}"


ENTRIES: tuple[CatalogueEntry, ...] = (
    CatalogueEntry(
        name="cats_v_dogs",
        file_name="cats_v_dogs.onnx",
        urls=(f"{_HUGGING_FACE}/ScottMueller/Cats_v_Dogs.ONNX/resolve/main/cats_v_dogs.onnx",),
        sha256="abfdac479fd80b1b7c54d7145eb4f43617cc4129737ef9fb45049de9b19093df",
        size_bytes=47_090_548,
        task="image classification, 2 classes",
        input_name="actual_input_1",
        input_shape=(10, 3, 224, 224),
        encoding="raw_data",
        opset=13,
        note=_PETS_NOTE,
        architecture="resnet18_fastai_2",
        original=True,
    ),
    CatalogueEntry(
        name="cat_dog_breeds",
        file_name="cat_dog_breeds.onnx",
        urls=(
            f"{_HUGGING_FACE}/ScottMueller/Cat_Dog_Breeds.ONNX/resolve/main/cat_dog_breeds.onnx",
        ),
        sha256="9ddd710ce44d04b7ba763eb393e74d5988728d4fcccfcdc99a12603dccce1014",
        size_bytes=47_162_250,
        task="image classification, 37 classes",
        input_name="actual_input_1",
        input_shape=(10, 3, 224, 224),
        encoding="raw_data",
        opset=13,
        note=_PETS_NOTE,
        architecture="resnet18_fastai_37",
        original=True,
    ),
    CatalogueEntry(
        name="resnet101-v1-7",
        file_name="resnet101-v1-7.onnx",
        urls=_zoo("resnet/model/resnet101-v1-7.onnx"),
        sha256="760702f6ec0138f71ebac66f4e95d1c72dc9267a8544f4d4667a53075fd0497c",
        size_bytes=178_914_043,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=("N", 3, 224, 224),
        encoding="float_data",
        opset=8,
        note=_ZOO_NOTE,
        architecture="resnet101_v1",
        original=True,
    ),
    CatalogueEntry(
        name="resnet18-v1-7",
        file_name="resnet18-v1-7.onnx",
        urls=_zoo("resnet/model/resnet18-v1-7.onnx"),
        sha256="4e8f8653e7a2222b3904cc3fe8e304cd8b339ce1d05fd24688162f86fb6df52c",
        size_bytes=46_820_737,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=("N", 3, 224, 224),
        encoding="float_data",
        opset=8,
        note=_ZOO_NOTE,
        architecture="resnet18_v1",
    ),
    CatalogueEntry(
        name="resnet34-v1-7",
        file_name="resnet34-v1-7.onnx",
        urls=_zoo("resnet/model/resnet34-v1-7.onnx"),
        sha256="883a41b2e30ddc2e422c108b091b5e70b92d37dc5c345a2c563dcae27971e2cc",
        size_bytes=87_302_588,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=("N", 3, 224, 224),
        encoding="float_data",
        opset=8,
        note=_ZOO_NOTE,
        architecture="resnet34_v1",
    ),
    CatalogueEntry(
        name="resnet50-v1-7",
        file_name="resnet50-v1-7.onnx",
        urls=_zoo("resnet/model/resnet50-v1-7.onnx"),
        sha256="af16a04a6ec48ac494065d4439fe9dea590d337b9ca6dc328160ccf04a217b9c",
        size_bytes=102_583_340,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=("N", 3, 224, 224),
        encoding="float_data",
        opset=8,
        note=_ZOO_NOTE,
        architecture="resnet50_v1",
    ),
    CatalogueEntry(
        name="resnet152-v1-7",
        file_name="resnet152-v1-7.onnx",
        urls=_zoo("resnet/model/resnet152-v1-7.onnx"),
        sha256="b0ec92437bf8c9d0739bf9bafdea9638e13f9e3c1e2fb766ad546cc182fd3f6d",
        size_bytes=241_816_206,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=("N", 3, 224, 224),
        encoding="float_data",
        opset=8,
        note=_ZOO_NOTE,
        architecture="resnet152_v1",
    ),
    CatalogueEntry(
        name="mobilenetv2-7",
        file_name="mobilenetv2-7.onnx",
        urls=_zoo("mobilenet/model/mobilenetv2-7.onnx"),
        sha256="c1c513582d56afceff8516c73804e484c81c6a830712ab6d682253f4a3cd042f",
        size_bytes=14_246_826,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=(1, 3, 224, 224),
        encoding="float_data",
        opset=7,
        note=_ZOO_NOTE,
        architecture="mobilenetv2_7",
    ),
    CatalogueEntry(
        name="mobilenetv2-12",
        file_name="mobilenetv2-12.onnx",
        urls=_zoo("mobilenet/model/mobilenetv2-12.onnx"),
        sha256="c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5",
        size_bytes=13_964_571,
        task="image classification, 1000 classes",
        input_name="input",
        input_shape=("batch_size", 3, 224, 224),
        encoding="raw_data",
        opset=12,
        note="ONNX model zoo, Apache-2.0; exported from PyTorch's torchvision, ImageNet.",
        architecture="mobilenetv2_12",
    ),
    CatalogueEntry(
        name="squeezenet1.1-7",
        file_name="squeezenet1.1-7.onnx",
        urls=_zoo("squeezenet/model/squeezenet1.1-7.onnx"),
        sha256="1eeff551a67ae8d565ca33b572fc4b66e3ef357b0eb2863bb9ff47a918cc4088",
        size_bytes=4_956_208,
        task="image classification, 1000 classes",
        input_name="data",
        input_shape=(1, 3, 224, 224),
        encoding="float_data",
        opset=7,
        note=_ZOO_NOTE,
        architecture="squeezenet1_1",
    ),
    CatalogueEntry(
        name="efficientnet_lite0",
        file_name="efficientnet_lite0.onnx",
        urls=(),
        sha256=None,
        size_bytes=18_537_852,
        task="image classification, 1000 classes",
        input_name="input",
        input_shape=(1, 3, 224, 224),
        encoding="raw_data",
        opset=13,
        note=_STAND_IN_NOTE,
        architecture="efficientnet_lite0",
    ),
    CatalogueEntry(
        name="densenet121",
        file_name="densenet121.onnx",
        urls=(),
        sha256=None,
        size_bytes=32_235_572,
        task="image classification, 1000 classes",
        input_name="input",
        input_shape=(1, 3, 224, 224),
        encoding="raw_data",
        opset=12,
        note=_STAND_IN_NOTE,
        architecture="densenet121",
    ),
    CatalogueEntry(
        name="inception_v1",
        file_name="inception_v1.onnx",
        urls=(),
        sha256=None,
        size_bytes=28_023_341,
        task="image classification, 1000 classes",
        input_name="data_0",
        input_shape=(1, 3, 224, 224),
        encoding="raw_data",
        opset=9,
        note=_STAND_IN_NOTE,
        architecture="inception_v1",
    ),
    CatalogueEntry(
        name="yolov8n",
        file_name="yolov8n.onnx",
        urls=(),
        sha256=None,
        size_bytes=12_747_315,
        task="object detection, 80 classes",
        input_name="images",
        input_shape=(1, 3, 640, 640),
        encoding="raw_data",
        opset=17,
        note=_STAND_IN_NOTE,
        architecture="yolov8n",
    ),
    CatalogueEntry(
        name="vit_tiny",
        file_name="vit_tiny.onnx",
        urls=(),
        sha256=None,
        size_bytes=22_914_463,
        task="image classification, 1000 classes",
        input_name="pixel_values",
        input_shape=(1, 3, 224, 224),
        encoding="raw_data",
        opset=17,
        note=_STAND_IN_NOTE,
        architecture="vit_tiny",
    ),
    CatalogueEntry(
        name="vit_base",
        file_name="vit_base.onnx",
        urls=(),
        sha256=None,
        size_bytes=346_315_524,
        task="image classification, 1000 classes",
        input_name="pixel_values",
        input_shape=(1, 3, 224, 224),
        encoding="raw_data",
        opset=17,
        note=_STAND_IN_NOTE,
        architecture="vit_base",
    ),
    CatalogueEntry(
        name="bert_mini",
        file_name="bert_mini.onnx",
        urls=(),
        sha256=None,
        size_bytes=44_712_365,
        task="text encoding, 128 tokens",
        input_name="input_ids",
        input_shape=(1, 128),
        encoding="raw_data",
        opset=17,
        note=_STAND_IN_NOTE,
        architecture="bert_mini",
    ),
)
