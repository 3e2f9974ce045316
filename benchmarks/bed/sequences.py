"""Networks over time: taggers, dilated convolutions, audio encoders."""

from __future__ import annotations

from functools import partial
from typing import Any

from entry import Entry
from from_torch import Network, image, tokens
from torch_operations import with_operations

OPEN = {0: {0: "batch", 1: "time"}}


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        Network("lstm_tagger", "LSTM tagger", partial(_tagger, "LSTM"), OPEN, ["torchscript"]),
        Network("gru_tagger", "GRU tagger", partial(_tagger, "GRU"), OPEN, ["torchscript"]),
        Network("rnn_tagger", "RNN tagger", partial(_tagger, "RNN")),
        Network("lstm_tagger_fixed", "LSTM tagger", partial(_tagger, "LSTM")),
        Network("gru_tagger_fixed", "GRU tagger", partial(_tagger, "GRU")),
        Network("crnn", "CRNN", _crnn),
        Network("tcn", "TCN", _tcn, {0: {0: "batch"}}),
        Network("wavenet_like", "WaveNet", _wavenet),
        Network("conv_tasnet_like", "Conv-TasNet", _tasnet),
        Network("conformer", "Conformer", _conformer),
        Network("whisper_encoder", "Whisper", _whisper),
        Network("wav2vec2", "wav2vec 2.0", _wav2vec2),
        Network("transformer_encoder", "Transformer", _transformer, {0: {0: "batch"}}),
    ]
    return [entry for network in networks for entry in network.entries()]


def _tagger(kind: str) -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    class Tagger(nn.Module):
        def __init__(self, words: int = 1000, width: int = 64, hidden: int = 96) -> None:
            super().__init__()
            self.embed = nn.Embedding(words, width)
            options = {"bidirectional": True, "batch_first": True, "num_layers": 2}
            self.cells = getattr(nn, kind)(width, hidden, **options)
            self.tags = nn.Linear(2 * hidden, 17)

        def forward(self, x: Any) -> Any:
            return self.tags(self.cells(self.embed(x))[0]).log_softmax(-1)

    return Tagger(), (tokens(1, 32, below=1000),)


def _crnn() -> tuple[Any, tuple[Any, ...]]:
    """Text in images: convolutions, then a recurrent network over the columns."""
    from torch import nn

    class Crnn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for i, o, pool in ((1, 32, 2), (32, 64, 2), (64, 128, (2, 1)), (128, 128, (4, 1))):
                layers += [
                    nn.Conv2d(i, o, 3, padding=1),
                    nn.BatchNorm2d(o),
                    nn.ReLU(),
                    nn.MaxPool2d(pool),
                ]
            self.body = nn.Sequential(*layers)
            self.cells, self.head = nn.LSTM(128, 64, bidirectional=True), nn.Linear(128, 37)

        def forward(self, x: Any) -> Any:
            return self.head(self.cells(self.body(x).squeeze(2).permute(2, 0, 1))[0])

    return Crnn(), (image(1, 1, 32, 128),)


def _tcn() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn
    from torch.nn.utils.parametrizations import weight_norm

    class Block(nn.Module):
        def __init__(self, i: int, o: int, step: int) -> None:
            super().__init__()
            self.pad, self.skip = nn.ConstantPad1d((2 * step, 0), 0.0), nn.Conv1d(i, o, 1)
            self.convs = nn.ModuleList(
                weight_norm(nn.Conv1d(c, o, 3, dilation=step)) for c in (i, o)
            )

        def forward(self, x: Any) -> Any:
            y = x
            for conv in self.convs:
                y = conv(self.pad(y)).relu()
            return (y + self.skip(x)).relu()

    blocks = [Block(i, 64, 1 << n) for n, i in enumerate((8, 64, 64, 64))]
    return nn.Sequential(*blocks, nn.Conv1d(64, 10, 1)), (image(1, 8, 400),)


def _wavenet() -> tuple[Any, tuple[Any, ...]]:
    """Gated, dilated, causal convolutions with residuals and skips (van den Oord et al. 2016)."""
    from torch import nn

    class WaveNet(nn.Module):
        def __init__(self, width: int = 32, layers: int = 8) -> None:
            super().__init__()
            self.first = nn.Conv1d(1, width, 1)
            self.both = nn.ModuleList(
                nn.Conv1d(width, 2 * width, 2, dilation=1 << i) for i in range(layers)
            )
            self.out = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(layers))
            self.last = nn.Sequential(
                nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(), nn.Conv1d(width, 256, 1)
            )

        def forward(self, x: Any) -> Any:
            x, total = self.first(x), 0.0
            for i, (both, out) in enumerate(zip(self.both, self.out, strict=True)):
                value, gate = both(nn.functional.pad(x, (1 << i, 0))).chunk(2, 1)
                more, skip = out(value.tanh() * gate.sigmoid()).chunk(2, 1)
                x, total = x + more, total + skip
            return self.last(total)

    return WaveNet(), (image(1, 1, 2000),)


def _tasnet() -> tuple[Any, tuple[Any, ...]]:
    """Speech separated: a learned filter bank, depthwise blocks, masks, and back."""
    from torch import nn

    class TasNet(nn.Module):
        def __init__(self, width: int = 64) -> None:
            super().__init__()
            self.analysis = nn.Conv1d(1, width, 16, 8, bias=False)
            self.synthesis = nn.ConvTranspose1d(width, 1, 16, 8, bias=False)
            self.blocks = nn.ModuleList(
                nn.Sequential(
                    *(nn.Conv1d(width, 128, 1), nn.PReLU(), nn.GroupNorm(1, 128)),
                    nn.Conv1d(128, 128, 3, padding=1 << i, dilation=1 << i, groups=128),
                    *(nn.PReLU(), nn.GroupNorm(1, 128), nn.Conv1d(128, width, 1)),
                )
                for i in range(4)
            )
            self.mask = nn.Conv1d(width, 2 * width, 1)

        def forward(self, x: Any) -> Any:
            x = y = self.analysis(x).relu()
            for block in self.blocks:
                y = y + block(y)
            masks = self.mask(y).view(2, *x.shape[1:]).sigmoid()
            return self.synthesis(x * masks)

    return TasNet(), (image(1, 1, 4000),)


def _conformer() -> tuple[Any, tuple[Any, ...]]:
    """Two blocks of the Conformer (Gulati et al. 2020), on frames that are thinned by four."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width: int = 96) -> None:
            super().__init__()
            feed = [
                nn.LayerNorm(width),
                nn.Linear(width, 4 * width),
                nn.SiLU(),
                nn.Linear(4 * width, width),
            ]
            self.before, self.after = nn.Sequential(*feed), nn.Sequential(*feed)
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
            self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
            self.conv = nn.Sequential(
                *(nn.Conv1d(width, 2 * width, 1), nn.GLU(1)),
                nn.Conv1d(width, width, 15, padding=7, groups=width),
                *(nn.BatchNorm1d(width), nn.SiLU(), nn.Conv1d(width, width, 1)),
            )

        def forward(self, x: Any) -> Any:
            x = x + 0.5 * self.before(x)
            y = self.norms[0](x)
            x = x + self.attention(y, y, y, need_weights=False)[0]
            x = x + self.conv(self.norms[1](x).transpose(1, 2)).transpose(1, 2)
            return self.norms[2](x + 0.5 * self.after(x))

    class Conformer(nn.Module):
        def __init__(self, width: int = 96) -> None:
            super().__init__()
            self.thin = nn.Sequential(
                *(nn.Conv2d(1, 32, 3, 2), nn.ReLU(), nn.Conv2d(32, 32, 3, 2), nn.ReLU())
            )
            self.into, self.blocks = nn.Linear(32 * 19, width), nn.Sequential(Block(), Block())

        def forward(self, x: Any) -> Any:
            x = self.thin(x.unsqueeze(1))
            return self.blocks(self.into(x.transpose(1, 2).flatten(2)))

    return Conformer(), (image(1, 200, 80),)


def _whisper() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from transformers import WhisperConfig, WhisperModel

    sizes = {
        "d_model": 128,
        "encoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 256,
    }
    config = WhisperConfig(
        **sizes,
        decoder_layers=1,
        max_source_positions=300,
        vocab_size=500,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return _first_output(WhisperModel(config).encoder), (image(1, 80, 600),)


def _wav2vec2() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    sizes = {
        "hidden_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 192,
    }
    config = Wav2Vec2Config(
        **sizes, conv_dim=(64,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4
    )
    return _first_output(Wav2Vec2Model(config)), (image(1, 8000),)


def _first_output(module: Any) -> Any:
    """A module of transformers that gives its last hidden state only."""
    from torch import nn

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, x: Any) -> Any:
            return self.whole(x).last_hidden_state

    return First()


def _transformer() -> tuple[Any, tuple[Any, ...]]:
    from torch import nn

    layer = nn.TransformerEncoderLayer(
        96, 4, 192, batch_first=True, norm_first=True, activation="gelu"
    )
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), (image(1, 50, 96),)
