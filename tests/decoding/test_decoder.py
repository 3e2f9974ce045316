"""Language models token by token: as onnxruntime says them, with the cache written in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx.helper
import pytest

import pelemay
from pelemay.decoding import Context, Decoder
from pelemay.decoding.attention_pasts import with_pasts_apart
from pelemay.decoding.buffers import with_buffers
from pelemay.decoding.compiling import compile_decoder
from pelemay.decoding.positions import with_counts
from pelemay.decoding.roles import roles_of
from pelemay.errors import InputError, UnsupportedError
from pelemay.graph import Graph, check
from pelemay.importers import from_proto
from pelemay.models.standins.decoders import Sizes, genai, opset23, opset24, optimum

ort = pytest.importorskip("onnxruntime")

SIZES, QWEN = Sizes(), Sizes(heads=4, shared=1, bias=True)
CONTEXT = Context(128, 16)
PROMPT = [1, 5, 9, 100, 37, 42, 200]
LONG = [*range(3, 40), *PROMPT]

FORMS: dict[str, Callable[[], Any]] = {
    "optimum": lambda: optimum(SIZES),
    "optimum like Qwen2": lambda: optimum(QWEN, seed=1),
    "optimum, positions counted": lambda: optimum(SIZES, counted=True),
    "optimum, a window": lambda: optimum(SIZES, window=24),
    "optimum like Gemma3": lambda: optimum(SIZES, counted=True, window=24),
    "genai": lambda: genai(SIZES),
    "genai of float32": lambda: genai(SIZES, bits=32),
    "opset 23": lambda: opset23(SIZES),
    "opset 23, no mask": lambda: opset23(SIZES, masked=False),
    "opset 24": lambda: opset24(SIZES),
}


class Spoken:
    """A model in onnxruntime, whose past grows by the token."""

    def __init__(self, model: Any) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        data, providers = model.SerializeToString(), ["CPUExecutionProvider"]
        self.session = ort.InferenceSession(data, options, providers=providers)
        self.inputs = {end.name: end for end in self.session.get_inputs()}
        self.outputs = [end.name for end in self.session.get_outputs()]

    def generate(self, prompt: list[int], count: int) -> Iterator[int]:
        past = {
            name: np.zeros((1, end.shape[1], 0, SIZES.size), np.float32)
            for name, end in self.inputs.items()
            if name.startswith("past")
        }
        tokens, new = list(prompt), list(prompt)
        for _ in range(count):
            whole, used = len(tokens), len(tokens) - len(new)
            feeds = {
                "input_ids": np.array([new]),
                "attention_mask": np.ones((1, whole), np.int64),
                "position_ids": np.arange(used, whole)[None],
            }
            given = {n: v for n, v in feeds.items() if n in self.inputs}
            results = self.session.run(None, {**given, **past})
            found = dict(zip(self.outputs, results, strict=True))
            past = {n: found[n.replace("past_key_values", "present")] for n in past}
            new = [int(found["logits"][0, -1].argmax())]
            tokens += new
            yield new[0]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A form, compiled once."""
    folder = tmp_path_factory.mktemp("decoders")

    def path_of(form: str) -> Path:
        path = folder / f"{form.replace(' ', '_')}.plm"
        if not path.exists():
            model = from_proto(FORMS[form]())
            compile_decoder(model, path, CONTEXT, allow_fallback=False)
        return path

    return path_of


def _oracle(form: str) -> Any:
    """What onnxruntime runs with a past that grows: for a buffer, the same network in that form."""
    return FORMS["optimum" if form.startswith("opset") else form]()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prompt", [PROMPT, LONG], ids=["short", "in pieces"])
def test_each_token_is_that_of_onnxruntime(
    compiled: Callable[[str], Path], form: str, prompt: list[int]
) -> None:
    expected = list(Spoken(_oracle(form)).generate(prompt, 64))
    decoder = Decoder(compiled(form))
    assert list(decoder.generate(prompt, 64)) == expected
    assert len(set(expected)) > 8
    decoder.reset()
    assert list(decoder.generate(prompt, 8)) == expected[:8]


@pytest.mark.parametrize("form", ["optimum", "genai", "opset 24"])
def test_a_prompt_in_pieces_is_what_its_tokens_are(
    compiled: Callable[[str], Path], form: str
) -> None:
    whole, single = Decoder(compiled(form)), Decoder(compiled(form))
    scores = whole.read(LONG)
    for token in LONG:
        one = single.read([token])
    np.testing.assert_allclose(scores, one, rtol=1e-4, atol=1e-5)


def test_a_context_can_be_filled(compiled: Callable[[str], Path]) -> None:
    """Where a piece has no room any more, tokens are read one by one."""
    tokens = (LONG * 3)[: CONTEXT.tokens]
    decoder, single = Decoder(compiled("optimum")), Decoder(compiled("optimum"))
    scores = decoder.read(tokens)
    for token in tokens:
        one = single.read([token])
    np.testing.assert_allclose(scores, one, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="1 tokens behind 128 in a context of 128"):
        decoder.read([1])


@pytest.mark.parametrize("form", ["optimum", "genai", "opset 24"])
def test_a_token_writes_its_own_rows_and_no_others(
    compiled: Callable[[str], Path], form: str
) -> None:
    decoder = Decoder(compiled(form))
    decoder.read(PROMPT)
    before = {name: cache.copy() for name, cache in decoder._caches.items()}
    decoder.read([3])
    for name, cache in decoder._caches.items():
        changed = np.flatnonzero((cache != before[name]).any(axis=(0, 1, 3)))
        assert changed.tolist() == [len(PROMPT)]


def test_one_file_holds_the_weights_once(compiled: Callable[[str], Path]) -> None:
    count = sum(int(np.prod(t.dims)) for t in optimum(SIZES).graph.initializer)
    assert compiled("optimum").stat().st_size < 4 * count + 150_000


def test_a_session_writes_into_what_it_is_given(compiled: Callable[[str], Path]) -> None:
    session = pelemay.InferenceSession(compiled("opset 24"))
    shape = (1, SIZES.shared, CONTEXT.tokens, SIZES.size)
    names = [end.name for end in session.get_inputs()]
    feeds = {name: np.array([0]) for name in names if not name.startswith("past")}
    feeds |= {"input_ids": np.array([[7]]), "position_ids": np.array([[0]])}
    feeds["nonpad_kv_seqlen"] = np.array([1])
    past = {name: np.zeros(shape, np.float32) for name in names if name.startswith("past")}
    plain = session.run(None, {**feeds, **past})
    into = {name.replace("past_key_values", "present"): array for name, array in past.items()}
    logits, *presents = session.run(None, {**feeds, **past}, into=into)
    np.testing.assert_array_equal(logits, plain[0])
    for array, present, expected in zip(past.values(), presents, plain[1:], strict=True):
        assert present is array
        np.testing.assert_array_equal(array, expected)
    swapped = dict(zip(into, reversed(past.values()), strict=True))
    with pytest.raises(InputError, match="while it is read"):
        session.run(None, {**feeds, **past}, into=swapped)
    with pytest.raises(InputError, match="cannot be written into"):
        session.run(None, {**feeds, **past}, into={"logits": np.zeros(3, np.float32)})
    with pytest.raises(InputError, match="there is no output"):
        session.run(None, {**feeds, **past}, into={"nothing": np.zeros(3, np.float32)})


def test_from_an_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELEMAY_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    path.write_bytes(genai(SIZES).SerializeToString())
    decoder = Decoder(path, context=64, prompt=8)
    expected = list(Spoken(genai(SIZES)).generate(PROMPT, 8))
    assert list(decoder.generate(PROMPT, 8)) == expected
    assert decoder.context == 64
    assert decoder.cache_bytes == 2 * SIZES.layers * SIZES.shared * SIZES.size * 64 * 4
    stop = expected[3]
    decoder.reset()
    assert list(decoder.generate(PROMPT, 8, stop=[stop])) == expected[: expected.index(stop) + 1]
    with pytest.raises(InputError, match="none is given"):
        Decoder(path)


def test_a_program_is_for_its_context(compiled: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="room for 128 tokens, not 64"):
        Decoder(compiled("genai"), context=64)


def test_buffers_leave_a_graph_whole() -> None:
    model = from_proto(optimum(SIZES))
    roles = roles_of(model.graph.inputs, model.graph.outputs)
    graph, changed = with_buffers(model.graph, roles)
    check(graph)
    assert changed.has_rows
    assert sum(node.op == "TensorScatter" for node in graph.nodes) == 2 * SIZES.layers
    other = from_proto(genai(SIZES)).graph
    found = roles_of(other.inputs, other.outputs)
    assert with_buffers(other, found) == (other, found)


def test_a_past_may_be_handed_on_before_it_is_joined() -> None:
    """PyTorch's exporter joins the first past with nothing, by a Concat of one input."""
    model = optimum(SIZES)
    (join,) = (node for node in model.graph.node if node.output[0] == "present.0.key")
    first = onnx.helper.make_node("Concat", [join.input[0]], ["same"], axis=-2)
    join.input[0] = "same"
    model.graph.node.insert(0, first)
    graph = from_proto(model).graph
    buffered, _ = with_buffers(graph, roles_of(graph.inputs, graph.outputs))
    check(buffered)
    assert sum(node.op == "TensorScatter" for node in buffered.nodes) == 2 * SIZES.layers


def test_attention_of_several_kinds_is_refused() -> None:
    graph = from_proto(opset23(SIZES)).graph
    roles = roles_of(graph.inputs, graph.outputs)
    *_, last = (node for node in graph.nodes if node.op == "Attention")
    for bare in (
        replace(last, inputs=(*last.inputs[:3], "", *last.inputs[4:])),
        replace(last, attributes={**last.attributes, "left_window_size": 3}),
    ):
        nodes = tuple(bare if node == last else node for node in graph.nodes)
        with pytest.raises(UnsupportedError, match="of several kinds, of a window"):
            with_pasts_apart(replace(graph, nodes=nodes), roles)


def test_models_that_are_no_decoders_are_refused() -> None:
    with pytest.raises(InputError, match="no past keys"):
        roles_of(("input_ids",), ("logits",))
    with pytest.raises(InputError, match="no output goes with"):
        roles_of(("input_ids", "past_key_values.0.key"), ("logits",))
    graph = from_proto(optimum(SIZES)).graph
    others = [name for name in graph.inputs if name != "attention_mask"]
    with pytest.raises(UnsupportedError, match="no input 'attention_mask'"):
        with_buffers(graph, roles_of(others, graph.outputs))
    graph, roles = with_buffers(graph, roles_of(graph.inputs, graph.outputs))
    hidden = replace(roles, inputs=tuple(n for n in roles.inputs if n != "position_ids"))
    with pytest.raises(UnsupportedError, match="no input 'position_ids'"):
        with_counts(graph, hidden)


def test_what_counts_no_tokens_is_left_as_it_is() -> None:
    graph = from_proto(optimum(SIZES)).graph
    found = with_buffers(graph, roles_of(graph.inputs, graph.outputs))
    assert with_counts(*found) == found
    graph = from_proto(optimum(SIZES, counted=True, window=8)).graph
    graph, roles = with_counts(*with_buffers(graph, roles_of(graph.inputs, graph.outputs)))
    check(graph)
    assert roles.inputs[-1] == "tokens_read"


def test_caches_of_two_kinds_are_refused() -> None:
    graph = from_proto(optimum(SIZES)).graph
    nodes = tuple(_other_way(node) for node in graph.nodes)
    mixed = Graph(graph.name, graph.inputs, graph.outputs, nodes, graph.constants, graph.types)
    with pytest.raises(UnsupportedError, match="not joined"):
        with_buffers(mixed, roles_of(graph.inputs, graph.outputs))


def _other_way(node: Any) -> Any:
    if node.outputs != ("present.0.key",):
        return node
    return replace(node, inputs=node.inputs[::-1])


@pytest.mark.parametrize("sizes", [(1, 1), (16, 16), (64, 0)])
def test_a_piece_of_a_prompt_needs_room(sizes: tuple[int, int]) -> None:
    if sizes == (1, 1):
        assert Context(*sizes).steps == (1,)
        return
    with pytest.raises(InputError, match="at a time in a context"):
        Context(*sizes)
