"""Encoders and decoders of text, as transformers defines them, small and random."""

from __future__ import annotations

from functools import partial
from typing import Any

from entry import Entry
from from_torch import Network, image, tokens
from torch_operations import with_operations

SIZES = {
    "vocab_size": 1000,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
}
OPEN = {0: {0: "batch", 1: "tokens"}, 1: {0: "batch", 1: "tokens"}}
ENCODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BERT", "Bert", SIZES),
    "minilm": ("MiniLM", "Bert", {**SIZES, "hidden_size": 96, "num_attention_heads": 12}),
    "distilbert": (
        "DistilBERT",
        "DistilBert",
        {"vocab_size": 1000, "dim": 128, "n_layers": 2, "n_heads": 4, "hidden_dim": 256},
    ),
    "roberta": ("RoBERTa", "Roberta", SIZES),
    "albert": ("ALBERT", "Albert", {**SIZES, "embedding_size": 32}),
    "electra": ("ELECTRA", "Electra", {**SIZES, "embedding_size": 32}),
    "mpnet": ("MPNet", "MPNet", SIZES),
    "deberta_v2": (
        "DeBERTa",
        "DebertaV2",
        {
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
        },
    ),
    "modernbert": (
        "ModernBERT",
        "ModernBert",
        {**SIZES, "pad_token_id": 0, "global_attn_every_n_layers": 2},
    ),
}
DECODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("GPT", "GPT2", {"vocab_size": 1000, "n_embd": 128, "n_layer": 2, "n_head": 4}),
    "llama": ("Llama", "Llama", {**SIZES, "num_key_value_heads": 2}),
    "qwen2": ("Qwen", "Qwen2", {**SIZES, "num_key_value_heads": 2}),
    "gemma2": ("Gemma", "Gemma2", {**SIZES, "num_key_value_heads": 2, "head_dim": 32}),
    "phi": ("Phi", "Phi", SIZES),
    "opt": ("OPT", "OPT", {**SIZES, "ffn_dim": 256, "word_embed_proj_dim": 128}),
}


def entries() -> list[Entry]:
    """All of this module."""
    networks = [
        *(
            Network(n, f, partial(_text, kind, sizes), OPEN)
            for n, (f, kind, sizes) in ENCODERS.items()
        ),
        *(Network(n, f, partial(_text, kind, sizes)) for n, (f, kind, sizes) in DECODERS.items()),
        Network("t5_encoder", "T5", _t5),
        Network("clip", "CLIP", _clip),
        Network("segformer", "SegFormer", _segformer),
        Network("dinov2", "DINOv2", _dinov2),
    ]
    return [entry for network in networks for entry in network.entries()]


def _wrapped(module: Any, output: str = "last_hidden_state") -> Any:
    """A module of transformers that takes ids and a mask in order, and gives one output."""
    from torch import nn

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.whole(input_ids=ids, attention_mask=mask)[output]

    return Wrapped()


def _text(kind: str, sizes: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    import torch
    import transformers

    config = getattr(transformers, f"{kind}Config")(**sizes)
    config.use_cache = False
    module = getattr(transformers, f"{kind}Model")(config)
    mask = torch.ones(2, 32, dtype=torch.int64)
    mask[1, 24:] = 0
    return _wrapped(module), (tokens(2, 32, below=1000), mask)


def _t5() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    import torch
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=1000, d_model=128, d_ff=256, num_layers=2, num_heads=4, d_kv=32)
    mask = torch.ones(1, 32, dtype=torch.int64)
    return _wrapped(T5EncoderModel(config)), (tokens(1, 32, below=1000), mask)


def _clip() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    import torch
    from torch import nn
    from transformers import CLIPConfig, CLIPModel

    sizes = {k: v for k, v in SIZES.items() if k != "vocab_size"}
    text = {**SIZES, "max_position_embeddings": 16, "eos_token_id": 999, "bos_token_id": 998}
    config = CLIPConfig(
        text_config=text, vision_config={**sizes, "image_size": 64, "patch_size": 16}
    )

    class Clip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = CLIPModel(config)

        def forward(self, ids: Any, mask: Any, pixels: Any) -> Any:
            return self.whole(
                input_ids=ids, attention_mask=mask, pixel_values=pixels
            ).logits_per_image

    ids = tokens(3, 16, below=990)
    ids[:, -1] = 999
    return Clip(), (ids, torch.ones_like(ids), image(2, 3, 64, 64))


def _segformer() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 80, 128], decoder_hidden_size=64
    )
    return _of_pixels(SegformerForSemanticSegmentation(config), "logits"), (image(1, 3, 128, 128),)


def _dinov2() -> tuple[Any, tuple[Any, ...]]:
    with_operations()
    from transformers import Dinov2Config, Dinov2Model

    sizes = {k: v for k, v in SIZES.items() if k not in ("vocab_size", "intermediate_size")}
    config = Dinov2Config(**sizes, image_size=112, patch_size=14)
    return _of_pixels(Dinov2Model(config), "last_hidden_state"), (image(1, 3, 112, 112),)


def _of_pixels(module: Any, output: str) -> Any:
    from torch import nn

    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = module

        def forward(self, x: Any) -> Any:
            return self.whole(x)[output]

    return Pixels()
