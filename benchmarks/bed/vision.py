"""Networks for images, as torchvision and timm define them."""

from __future__ import annotations

from functools import partial
from typing import Any

from entry import Entry
from from_torch import Network, image
from torch_operations import with_operations

BATCH = {0: {0: "batch"}}
BATCH_AND_SIZE = {0: {0: "batch", 2: "height", 3: "width"}}

TORCHVISION = {
    "resnet18": "ResNet",
    "resnet50": "ResNet",
    "resnext50_32x4d": "ResNeXt",
    "densenet121": "DenseNet",
    "googlenet": "Inception",
    "inception_v3": "Inception",
    "vgg11_bn": "VGG",
    "squeezenet1_1": "SqueezeNet",
    "efficientnet_b0": "EfficientNet",
    "mobilenet_v2": "MobileNet",
    "mobilenet_v3_large": "MobileNetV3",
    "shufflenet_v2_x1_0": "ShuffleNet",
    "regnet_y_400mf": "RegNet",
    "convnext_tiny": "ConvNeXt",
    "swin_t": "Swin",
}
SCRIPT = ("torchscript",)
SIZES = {"inception_v3": 299}
OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False},
    "inception_v3": {"aux_logits": False, "init_weights": False},
}
OPEN = {"resnet18": BATCH_AND_SIZE, "mobilenet_v3_large": BATCH}

TIMM = {
    "vit_tiny_patch16_224": "ViT",
    "deit_tiny_distilled_patch16_224": "DeiT",
}
OTHERS = {
    "mixer_s32_224": "MLP-Mixer",
    "ghostnet_100": "GhostNet",
    "mobilevit_s": "MobileViT",
    "mobilenetv4_conv_small": "MobileNetV4",
    "levit_128s": "LeViT",
    "res2net50_14w_8s": "Res2Net",
    "repvgg_a0": "RepVGG",
    "nf_resnet26": "NF-ResNet",
    "edgenext_xx_small": "EdgeNeXt",
    "fastvit_t8": "FastViT",
    "xcit_nano_12_p16_224": "XCiT",
    "pvt_v2_b0": "PVT",
    "skresnet18": "SKNet",
    "rexnet_100": "ReXNet",
    "eva02_tiny_patch14_224": "EVA",
}


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        *(Network(n, f, partial(_torchvision, n), OPEN.get(n, {})) for n, f in TORCHVISION.items()),
        *(Network(n, f, partial(_timm, n)) for n, f in TIMM.items()),
        *(Network(n, f, partial(_timm, n), exporters=SCRIPT) for n, f in OTHERS.items()),
    ]
    return [entry for network in networks for entry in network.entries()]


def _torchvision(name: str) -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from torchvision import models

    size = SIZES.get(name, 224)
    return models.get_model(name, weights=None, **OPTIONS.get(name, {})), (image(1, 3, size, size),)


def _timm(name: str) -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    import timm

    module = timm.create_model(name, pretrained=False, exportable=True)
    return module, (image(1, *module.default_cfg["input_size"]),)
