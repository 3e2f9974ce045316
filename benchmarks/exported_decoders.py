"""Language models from their own exporters, token by token against onnxruntime.

    python benchmarks/exported_decoders.py make optimum|genai FOLDER [NAME...]
    python benchmarks/exported_decoders.py compare [--context N] [--count N] MODEL...

``make`` runs where transformers and an exporter are installed (optimum-onnx, or onnxruntime-genai
with onnx-ir; each wants its own version of transformers, so each its own environment). It writes
models of random weights and their exports: nothing is downloaded. ``compare`` runs where pelemay
is: greedy tokens of both must be the same, and the largest difference of a score is printed.
onnxruntime computes products of 4-bit weights with float32 activations here (``accuracy_level`` 0),
as pelemay does; what the exporter wrote allows 8 bits.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PROMPT = [1, 5, 9, 100, 37, 42, 200, 3]

SIZES: dict[str, Any] = {
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GPT: dict[str, Any] = {"vocab_size": 256, "n_positions": 512, "n_embd": 64, "n_layer": 2}
APART: dict[str, Any] = {"head_dim": 16, "tie_word_embeddings": False}
GEMMA: dict[str, Any] = {**APART, "query_pre_attn_scalar": 16, "sliding_window": 32}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", SIZES),
    "qwen2": ("Qwen2Config", SIZES),
    "qwen3": ("Qwen3Config", {**SIZES, "head_dim": 16}),
    "mistral": ("MistralConfig", {**SIZES, "head_dim": 16, "sliding_window": 32}),
    "phi": ("PhiConfig", {**SIZES, "hidden_size": 128, "num_key_value_heads": 4}),
    "phi3": ("Phi3Config", {**SIZES, "original_max_position_embeddings": 512}),
    "gemma": ("GemmaConfig", {**SIZES, **APART}),
    "gemma2": ("Gemma2Config", {**SIZES, **GEMMA}),
    "gemma3": ("Gemma3TextConfig", {**SIZES, **GEMMA}),
    "smollm3": ("SmolLM3Config", SIZES),
    "olmo2": ("Olmo2Config", SIZES),
    "granite": ("GraniteConfig", SIZES),
    "gpt2": ("GPT2Config", {**GPT, "n_head": 4, "bos_token_id": 1, "eos_token_id": 2}),
    "gpt_neox": ("GPTNeoXConfig", {k: v for k, v in SIZES.items() if "key_value" not in k}),
}
"""Networks by name: the class of their configuration, and its arguments."""


def make(exporter: str, folder: Path, names: list[str]) -> None:
    """Models, and their exports by one exporter."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in names or list(CONFIGS):
        source = folder / "models" / name
        if not source.exists():
            _save(name, source)
        try:
            {"optimum": _by_optimum, "genai": _by_genai}[exporter](source, folder)
        except Exception as error:  # noqa: BLE001 - what an exporter refuses is a finding
            print(f"{name}: {exporter} refuses it: {type(error).__name__}: {error}")


def _save(name: str, folder: Path) -> None:
    """A model of random weights and a tokenizer of bytes, as transformers saves them."""
    import torch
    import transformers

    torch.manual_seed(0)
    kind, options = CONFIGS[name]
    config = getattr(transformers, kind)(**options)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for label, weight in model.named_parameters():
            if weight.ndim >= 2:
                weight.mul_(8 if "embed" in label else 4)
            else:
                weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder, safe_serialization=True)
    _tokenizer().save_pretrained(folder)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[:252]
    numbers = {text: index for index, text in enumerate([*special, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    names = ("pad_token", "bos_token", "eos_token", "unk_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))
    )


def _by_optimum(source: Path, folder: Path) -> None:
    from optimum.exporters.onnx import main_export

    output, task = folder / "optimum" / source.name, "text-generation-with-past"
    main_export(str(source), str(output), task=task, do_validation=False)


def _by_genai(source: Path, folder: Path) -> None:
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    for bits in ("fp32", "int4"):
        output, cache = folder / "genai" / f"{source.name}-{bits}", folder / "cache"
        given = ("", str(source), str(output), bits, "cpu", str(cache))
        create_model(*given, **parse_extra_options(*given, []))


class Peer:
    """A model in onnxruntime, whose past grows, or is a buffer where it is that of a window."""

    def __init__(self, path: Path, caches: dict[str, Any]) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        providers = ["CPUExecutionProvider"]
        self.session = ort.InferenceSession(_exact(path), options, providers=providers)
        self.inputs = {end.name: end for end in self.session.get_inputs()}
        self.bound = any("past_sliding_length" in end.shape for end in self.inputs.values())
        self.value = ort.OrtValue.ortvalue_from_numpy
        rows = slice(None) if self.bound else slice(0)
        self.past = {name: self.value(cache[:, :, rows].copy()) for name, cache in caches.items()}
        self.used = 0

    def read(self, tokens: list[int]) -> Any:
        """Scores behind these tokens."""
        whole = self.used + len(tokens)
        feeds = {
            "input_ids": np.array([tokens]),
            "attention_mask": np.ones((1, whole), np.int64),
            "position_ids": np.arange(self.used, whole)[None],
        }
        self.used = whole
        given = {name: self.value(feeds[name]) for name in feeds if name in self.inputs}
        presents = {name: name.replace("past_key_values", "present") for name in self.past}
        if self.bound:
            return self._in_place(given, presents)
        names = ["logits", *presents.values()]
        logits, *grown = self.session.run_with_ort_values(names, {**given, **self.past})
        self.past = dict(zip(self.past, grown, strict=True))
        return logits.numpy()[0, -1]

    def _in_place(self, given: dict[str, Any], presents: dict[str, str]) -> Any:
        binding = self.session.io_binding()
        for name, value in {**given, **self.past}.items():
            binding.bind_ortvalue_input(name, value)
        for name, present in presents.items():
            binding.bind_ortvalue_output(present, self.past[name])
        binding.bind_output("logits")
        self.session.run_with_iobinding(binding)
        return binding.get_outputs()[-1].numpy()[0, -1]


def _exact(path: Path) -> bytes:
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = 0
    return bytes(model.SerializeToString())


def compare(path: Path, context: int, count: int) -> str:
    """What came out for one model."""
    from pelemay.decoding import Context, Decoder
    from pelemay.decoding.compiling import compile_decoder
    from pelemay.errors import PelemayError
    from pelemay.importers import load

    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "model.plm"
        try:
            compile_decoder(load(path), program, Context(context, 4), allow_fallback=False)
        except PelemayError as error:
            return f"refused: {error}"
        ours = Decoder(program, threads=1)
        peer = Peer(path, ours._caches)
        scores = ours.read(PROMPT), peer.read(PROMPT)
        worst, made = 0.0, set()
        for index in range(count):
            worst = max(worst, float(np.abs(scores[0] - scores[1]).max()))
            token, other = (int(values.argmax()) for values in scores)
            if token != other:
                return f"differs at token {index}: {token} and {other}, scores by {worst:.1e}"
            made.add(token)
            scores = ours.read([token]), peer.read([other])
    return f"{count} tokens the same, {len(made)} different ones, scores by {worst:.1e}"


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("exporter", choices=("optimum", "genai"))
    making.add_argument("folder", type=Path)
    making.add_argument("names", nargs="*")
    comparing = commands.add_parser("compare")
    comparing.add_argument("models", nargs="+", type=Path)
    comparing.add_argument("--context", type=int, default=100)
    comparing.add_argument("--count", type=int, default=64)
    args = parser.parse_args()
    if args.command == "make":
        make(args.exporter, args.folder, args.names)
        return
    for path in args.models:
        label = "/".join(path.parent.parts[-2:])
        print(f"{label}: {compare(path, args.context, args.count)}", flush=True)


if __name__ == "__main__":
    main()
