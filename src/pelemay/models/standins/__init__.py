"""Stand-ins: the networks of the catalogue, built here with random weights.

In: the name of an architecture. Out: a file with the shapes, names, size and encoding of the
original, for machines that cannot download it. Its answers mean nothing, and it says so: in
its file name, producer, doc string and metadata.

>>> blueprint("squeezenet1_1", stand_in_for="squeezenet1.1-7").model.producer_name
'pelemay stand-in'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pelemay.models.standins.builder import Blueprint

# Part of the cache's folder name: raised when a stand-in's bytes change.
GENERATION = 1
SEED = 20231018


def blueprint(architecture: str, *, stand_in_for: str) -> Blueprint:
    """Describe a stand-in; nothing is drawn or written yet.

    Parameters
    ----------
    architecture : str
        A key of :data:`ARCHITECTURES`.
    stand_in_for : str
        Name of the original in the catalogue.

    Returns
    -------
    Blueprint
        To be handed to :func:`pelemay.models.standins.writer.write`.
    """
    made = ARCHITECTURES[architecture]()
    model = made.model
    model.producer_name = "pelemay stand-in"
    model.doc_string = (
        f"Stand-in for {stand_in_for}: the original's architecture, shapes, names and encoding "
        "with seeded random weights. Its answers mean nothing."
    )
    model.metadata_props.add(key="pelemay.stand_in_for", value=stand_in_for)
    model.metadata_props.add(key="pelemay.stand_in_seed", value=str(SEED))
    return made


def _resnet_zoo(depth: int, prefix: str) -> Blueprint:
    from pelemay.models.standins.resnet import BLOCKS, resnet_zoo

    return resnet_zoo(prefix, BLOCKS[depth], bottleneck=depth >= 50)


def _resnet_fastai(classes: int) -> Blueprint:
    from pelemay.models.standins.resnet import resnet18_fastai

    return resnet18_fastai(classes)


def _mobilenet(exporter: str) -> Blueprint:
    from pelemay.models.standins.mobilenet import mobilenet_mxnet, mobilenet_torch

    return mobilenet_mxnet() if exporter == "mxnet" else mobilenet_torch()


def _squeezenet() -> Blueprint:
    from pelemay.models.standins.squeezenet import squeezenet1_1

    return squeezenet1_1()


def _efficientnet() -> Blueprint:
    from pelemay.models.standins.efficientnet import efficientnet_lite0

    return efficientnet_lite0()


def _densenet() -> Blueprint:
    from pelemay.models.standins.densenet import densenet121

    return densenet121()


def _inception() -> Blueprint:
    from pelemay.models.standins.inception import inception_v1

    return inception_v1()


def _yolo() -> Blueprint:
    from pelemay.models.standins.yolo import yolov8n

    return yolov8n()


def _vit(width: int, heads: int) -> Blueprint:
    from pelemay.models.standins.transformers import vit

    return vit(width, heads)


def _bert(layers: int, width: int, heads: int) -> Blueprint:
    from pelemay.models.standins.transformers import bert

    return bert(layers, width, heads)


ARCHITECTURES: dict[str, Callable[[], Blueprint]] = {
    "resnet18_fastai_2": lambda: _resnet_fastai(2),
    "resnet18_fastai_37": lambda: _resnet_fastai(37),
    "resnet18_v1": lambda: _resnet_zoo(18, "resnetv15"),
    "resnet34_v1": lambda: _resnet_zoo(34, "resnetv16"),
    "resnet50_v1": lambda: _resnet_zoo(50, "resnetv17"),
    "resnet101_v1": lambda: _resnet_zoo(101, "resnetv18"),
    "resnet152_v1": lambda: _resnet_zoo(152, "resnetv19"),
    "mobilenetv2_7": lambda: _mobilenet("mxnet"),
    "mobilenetv2_12": lambda: _mobilenet("torch"),
    "squeezenet1_1": _squeezenet,
    "efficientnet_lite0": _efficientnet,
    "densenet121": _densenet,
    "inception_v1": _inception,
    "yolov8n": _yolo,
    "vit_tiny": lambda: _vit(192, 3),
    "vit_base": lambda: _vit(768, 12),
    "bert_mini": lambda: _bert(4, 256, 4),
}
