"""Detectors: heads of the YOLO kinds, SSD with its non-maximum suppression, DETR."""

from __future__ import annotations

from typing import Any

from entry import Entry
from from_torch import Network, image
from torch_operations import with_operations


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        Network("yolov5_like", "YOLO", _yolov5),
        Network("yolov8_like", "YOLO", _yolov8, {0: {0: "batch"}}),
        Network("yolov10_like", "YOLO", _yolov10),
        # The other exporter stops at sizes that depend on how many boxes are kept.
        Network("ssdlite320_mobilenet_v3_large", "SSD", _ssd, exporters=["torchscript"]),
        Network("retinanet_resnet18", "RetinaNet", _retina, exporters=["torchscript"]),
        Network("detr_like", "DETR", _detr),
    ]
    return [entry for network in networks for entry in network.entries()]


def _yolov5() -> tuple[Any, tuple[Any, ...]]:
    """Anchors: three boxes a cell, decoded by sigmoids."""
    import torch
    from torch import nn
    from yolo_blocks import Body

    class Head(nn.Module):
        def __init__(self, classes: int = 80) -> None:
            super().__init__()
            self.body, self.width = Body(), classes + 5
            self.heads = nn.ModuleList(nn.Conv2d(64, 3 * self.width, 1) for _ in range(3))
            self.register_buffer("anchors", torch.rand(3, 1, 3, 1, 1, 2) * 100)

        def forward(self, x: Any) -> Any:
            found = []
            for i, (y, head) in enumerate(zip(self.body(x), self.heads, strict=True)):
                y = head(y)
                n, _, h, w = y.shape
                y = y.view(n, 3, self.width, h, w).permute(0, 1, 3, 4, 2).contiguous()
                rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
                grid = torch.stack((columns, rows), 2).expand(1, 3, h, w, 2).float() - 0.5
                xy, wh, scores = y.sigmoid().split((2, 2, self.width - 4), 4)
                xy, wh = (xy * 2 + grid) * (8 << i), (wh * 2) ** 2 * self.anchors[i]
                found.append(torch.cat((xy, wh, scores), 4).view(n, -1, self.width))
            return torch.cat(found, 1)

    return Head(), (image(1, 3, 320, 320),)


def _free_of_anchors(tail: Any) -> Any:
    """The head of v8: distances as distributions, scores apart; ``tail`` takes the result."""
    import torch
    from torch import nn
    from yolo_blocks import Body, Conv

    class Head(nn.Module):
        def __init__(self, classes: int = 80, bins: int = 16) -> None:
            super().__init__()
            self.body, self.bins, self.classes = Body(), bins, classes
            self.boxes = nn.ModuleList(
                nn.Sequential(Conv(64, 64, 3), nn.Conv2d(64, 4 * bins, 1)) for _ in range(3)
            )
            self.scores = nn.ModuleList(
                nn.Sequential(Conv(64, 80, 3), nn.Conv2d(80, classes, 1)) for _ in range(3)
            )

        def forward(self, x: Any) -> Any:
            found, points, strides = [], [], []
            for i, y in enumerate(self.body(x)):
                n, _, h, w = y.shape
                both = torch.cat((self.boxes[i](y), self.scores[i](y)), 1)
                found.append(both.view(n, 4 * self.bins + self.classes, -1))
                rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
                points.append(torch.stack((columns, rows), -1).view(-1, 2) + 0.5)
                strides.append(torch.full((h * w, 1), float(8 << i)))
            boxes, scores = torch.cat(found, 2).split((4 * self.bins, self.classes), 1)
            n, _, cells = boxes.shape
            parts = boxes.view(n, 4, self.bins, cells).transpose(2, 1).softmax(1)
            steps = torch.arange(self.bins, dtype=torch.float32).view(1, self.bins, 1, 1)
            low, high = (parts * steps).sum(1).chunk(2, 1)
            anchors = torch.cat(points).T.unsqueeze(0)
            low, high = anchors - low, anchors + high
            boxes = torch.cat(((low + high) / 2, high - low), 1) * torch.cat(strides).T
            return tail(torch.cat((boxes, scores.sigmoid()), 1))

    return Head()


def _yolov8() -> tuple[Any, tuple[Any, ...]]:
    return _free_of_anchors(lambda y: y), (image(1, 3, 320, 320),)


def _yolov10() -> tuple[Any, tuple[Any, ...]]:
    """No suppression: the best cells are taken, then the best of their scores."""
    import torch

    def best(y: Any, count: int = 100) -> Any:
        boxes, scores = y.transpose(1, 2).split((4, 80), 2)
        index = scores.amax(2).topk(count, 1).indices.unsqueeze(2)
        boxes, scores = (
            torch.gather(v, 1, index.expand(-1, -1, v.shape[2])) for v in (boxes, scores)
        )
        scores, index = scores.flatten(1).topk(count, 1)
        boxes = torch.gather(boxes, 1, (index // 80).unsqueeze(2).expand(-1, -1, 4))
        return torch.cat((boxes, scores.unsqueeze(2), (index % 80).float().unsqueeze(2)), 2)

    return _free_of_anchors(best), (image(1, 3, 320, 320),)


def _ssd() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from torchvision.models import detection

    options = {"weights": None, "weights_backbone": None, "num_classes": 21, "score_thresh": 0.2}
    return _of_images(detection.ssdlite320_mobilenet_v3_large(**options)), (image(3, 320, 320),)


def _retina() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    body = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    whole = RetinaNet(body, num_classes=21, min_size=224, max_size=224, score_thresh=0.005)
    return _of_images(whole), (image(3, 224, 224),)


def _of_images(whole: Any) -> Any:
    """A detector of torchvision's, which takes a list of images and gives dictionaries."""
    from torch import nn

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = whole

        def forward(self, x: Any) -> Any:
            found = self.whole([x])[0]
            return found["boxes"], found["scores"], found["labels"]

    return Detector()


def _detr() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    import torch
    from torch import nn
    from torchvision.models import resnet18

    class Detr(nn.Module):
        def __init__(self, width: int = 128) -> None:
            super().__init__()
            self.body = nn.Sequential(*list(resnet18(weights=None).children())[:-2])
            self.narrow = nn.Conv2d(512, width, 1)
            self.pairs = nn.Transformer(width, 4, 2, 2, 256, batch_first=True)
            self.queries, self.places = (nn.Parameter(torch.randn(1, n, width)) for n in (20, 49))
            self.classes, self.boxes = nn.Linear(width, 92), nn.Linear(width, 4)

        def forward(self, x: Any) -> Any:
            x = self.narrow(self.body(x)).flatten(2).transpose(1, 2) + self.places
            x = self.pairs(x, self.queries)
            return self.classes(x), self.boxes(x).sigmoid()

    return Detr(), (image(1, 3, 224, 224),)
