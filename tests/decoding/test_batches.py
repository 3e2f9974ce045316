"""Several texts side by side say what each says alone, and tokens are drawn by their scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pelemay.decoding import Context, Decoder
from pelemay.decoding.choosing import Choice
from pelemay.decoding.compiling import compile_decoder
from pelemay.errors import InputError
from pelemay.importers import from_proto
from pelemay.models.standins.decoders import Sizes, genai, opset23, opset24, optimum

SIZES = Sizes(layers=1)
TEXTS = [[1, 5, 9, 100, 37, 42], [7, 7, 200, 3, 15, 80], [30, 31, 32, 33, 34, 35]]
FORMS = {
    "optimum": lambda: optimum(SIZES),
    "optimum like Gemma3": lambda: optimum(SIZES, counted=True, window=12),
    "genai": lambda: genai(SIZES),
    "opset 23": lambda: opset23(SIZES),
    "opset 24": lambda: opset24(SIZES),
}


def _decoder(form: str, batch: int, folder: Path) -> Decoder:
    path = folder / f"{batch}.plm"
    compile_decoder(from_proto(FORMS[form]()), path, Context(40, 4, batch), allow_fallback=False)
    return Decoder(path)


def _alone(form: str, texts: list[list[int]], folder: Path) -> list[list[int]]:
    decoder, found = _decoder(form, 1, folder), []
    for text in texts:
        decoder.reset()
        found.append(list(decoder.generate(text, 16)))
    return found


@pytest.mark.parametrize("form", FORMS)
def test_texts_of_one_length(form: str, tmp_path: Path) -> None:
    expected = _alone(form, TEXTS, tmp_path)
    decoder = _decoder(form, 3, tmp_path)
    assert decoder.read(TEXTS).shape == (3, SIZES.vocabulary)
    decoder.reset()
    made = np.array(list(decoder.generate(TEXTS, 16)))
    assert made.T.tolist() == expected
    assert len({tuple(text) for text in expected}) == 3


@pytest.mark.parametrize("form", ["optimum", "optimum like Gemma3", "opset 23"])
def test_texts_of_several_lengths(form: str, tmp_path: Path) -> None:
    texts = [TEXTS[0], TEXTS[1][:1], TEXTS[2][:4]]
    made = np.array(list(_decoder(form, 3, tmp_path).generate(texts, 16)))
    assert made.T.tolist() == _alone(form, texts, tmp_path)


def test_texts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    decoder = _decoder("optimum", 3, tmp_path)
    with pytest.raises(InputError, match="for a batch of 3"):
        decoder.read(TEXTS[:2])
    with pytest.raises(InputError, match="for a batch of 3"):
        decoder.read([*TEXTS[:2], []])
    decoder.read(TEXTS)
    with pytest.raises(InputError, match="of one length"):
        decoder.read([[1], [1, 2], [1]])
    with pytest.raises(InputError, match="of one length"):
        _decoder("genai", 3, tmp_path).read([[1], [1, 2], [1]])
    with pytest.raises(InputError, match="a batch of 0"):
        Context(40, 4, 0)


def test_no_text_ends_before_the_others(tmp_path: Path) -> None:
    decoder = _decoder("optimum", 3, tmp_path)
    made = np.array(list(decoder.generate(TEXTS, 16))).T
    stop = sorted({int(text[5]) for text in made})
    ends = [next(i for i, token in enumerate(text) if token in stop) for text in made]
    decoder.reset()
    assert len(list(decoder.generate(TEXTS, 16, stop=stop))) == max(ends) + 1


def test_tokens_are_drawn_by_the_softmax_of_scores() -> None:
    scores = np.log(np.array([[0.5, 0.3, 0.2, 0.0001]]))
    counts = np.zeros(4)
    for token in Choice(1.0, seed=1)(np.repeat(scores, 40_000, axis=0)):
        counts[token] += 1
    np.testing.assert_allclose(counts / 40_000, np.exp(scores[0]), atol=0.01)
    cold = Choice(0.5, 2, seed=2)(np.repeat(scores, 40_000, axis=0))
    share = np.bincount(cold, minlength=4) / 40_000
    np.testing.assert_allclose(share, [25 / 34, 9 / 34, 0, 0], atol=0.01)


def test_one_seed_draws_the_same_tokens(tmp_path: Path) -> None:
    decoder, made = _decoder("optimum", 1, tmp_path), []
    for seed in (3, 3, 4):
        decoder.reset()
        made.append(list(decoder.generate(TEXTS[0], 16, temperature=3.0, top_k=50, seed=seed)))
    assert made[0] == made[1] != made[2]
    with pytest.raises(InputError, match="temperature of -1"):
        next(decoder.generate([1], 1, temperature=-1.0))
