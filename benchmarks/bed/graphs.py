"""Graph networks, whose sums over neighbours are scatters."""

from __future__ import annotations

from typing import Any

from entry import Entry
from from_torch import Network, image, tokens

NODES, EDGES, WIDTH = 60, 240, 32
OPEN = {0: {0: "nodes"}, 1: {1: "edges"}}


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        Network("gcn", "GNN", _convolution, OPEN),
        # The other exporter refuses a mean of scattered values, and index_add of several axes.
        Network("graphsage", "GNN", _sage, exporters=["dynamo"]),
        Network("gat", "GNN", _attention, exporters=["dynamo"]),
        Network("edge_conv", "GNN", _edges),
    ]
    return [entry for network in networks for entry in network.entries()]


def _arguments() -> tuple[Any, Any]:
    return image(NODES, 16), tokens(2, EDGES, below=NODES)


def _convolution() -> tuple[Any, tuple[Any, ...]]:
    """Sums scaled by degrees (Kipf and Welling 2017)."""
    import torch
    from torch import nn

    class Gcn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(i, WIDTH) for i in (16, WIDTH))
            self.head = nn.Linear(WIDTH, 4)

        def forward(self, x: Any, edges: Any) -> Any:
            source, target = edges[0], edges[1]
            ones = torch.ones_like(target, dtype=torch.float32)
            degree = torch.zeros_like(x[:, 0]).scatter_add(0, target, ones) + 1
            scale = degree.rsqrt()
            for layer in self.layers:
                y = layer(x)
                sent = (y * scale[:, None])[source]
                index = target[:, None].expand(-1, sent.shape[1])
                x = ((torch.zeros_like(y).scatter_add(0, index, sent) + y) * scale[:, None]).relu()
            return self.head(x)

    return Gcn(), _arguments()


def _sage() -> tuple[Any, tuple[Any, ...]]:
    """Means and maxima of neighbours (Hamilton et al. 2017)."""
    import torch
    from torch import nn

    class Sage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own, self.others = nn.Linear(16, WIDTH), nn.Linear(32, WIDTH)
            self.head = nn.Linear(WIDTH, 4)

        def forward(self, x: Any, edges: Any) -> Any:
            index = edges[1][:, None].expand(-1, 16)
            zeros, sent = torch.zeros_like(x), x[edges[0]]
            mean = zeros.scatter_reduce(0, index, sent, "mean", include_self=True)
            most = zeros.scatter_reduce(0, index, sent, "amax", include_self=True)
            return self.head((self.own(x) + self.others(torch.cat((mean, most), 1))).relu())

    return Sage(), _arguments()


def _attention() -> tuple[Any, tuple[Any, ...]]:
    """Softmax over the neighbours of each node (Velickovic et al. 2018)."""
    import torch
    from torch import nn

    class Gat(nn.Module):
        def __init__(self, heads: int = 4) -> None:
            super().__init__()
            self.heads, self.values = heads, nn.Linear(16, heads * 8)
            self.left, self.right = (nn.Parameter(torch.randn(heads, 8)) for _ in range(2))
            self.head = nn.Linear(heads * 8, 4)

        def forward(self, x: Any, edges: Any) -> Any:
            source, target = edges[0], edges[1]
            y = self.values(x).view(-1, self.heads, 8)
            scores = (y * self.left).sum(-1)[source] + (y * self.right).sum(-1)[target]
            weights = nn.functional.leaky_relu(scores, 0.2).exp()
            index = target[:, None].expand(-1, self.heads)
            total = torch.zeros_like(y[:, :, 0]).index_add(0, target, weights)
            weights = weights / total.gather(0, index)
            sent = y[source] * weights[:, :, None]
            return self.head(torch.zeros_like(y).index_add(0, target, sent).flatten(1).relu())

    return Gat(), _arguments()


def _edges() -> tuple[Any, tuple[Any, ...]]:
    """Points with their nearest neighbours, found in the network (Wang et al. 2019)."""
    import torch
    from torch import nn

    class EdgeConv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32))
            self.head = nn.Linear(32, 4)

        def forward(self, points: Any) -> Any:
            gaps = torch.cdist(points, points)
            near = points[gaps.topk(8, largest=False).indices]
            own = points[:, None].expand(-1, 8, -1)
            return self.head(self.net(torch.cat((own, near - own), -1)).amax(1).amax(0))

    return EdgeConv(), (image(64, 3),)
