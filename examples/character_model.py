"""A recurrent network that learns a rhyme letter by letter, then tells it.

    python examples/character_model.py [FILE]

Reads a text FILE, or "The House That Jack Built". The text is a stream: the network's state stays
in the compiled function from one piece to the next, gradients end where a piece begins.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx

ROWS, PIECE, UNITS = 8, 32, 96

PEOPLE = (
    ("house", "Jack built"), ("malt", "lay in"), ("rat", "ate"), ("cat", "killed"),
    ("dog", "worried"), ("cow with the crumpled horn", "tossed"),
    ("maiden all forlorn", "milked"), ("man all tattered and torn", "kissed"),
    ("priest all shaven and shorn", "married"), ("cock that crowed in the morn", "waked"),
    ("farmer sowing his corn", "kept"),
)  # fmt: skip


def rhyme() -> str:
    """Every verse is the one before with something in front."""
    verses, rest = [], ""
    for who, did in PEOPLE:
        rest = f"the {who} that {did} {rest}".strip()
        verses.append(f"This is {rest}.\n")
    return "".join(verses)


class Model:
    """Letters in, scores of the next letter out."""

    def __init__(self, letters: int) -> None:
        self.embedding = gx.nn.Embedding(letters, 16)
        self.lstm = gx.nn.LSTM(UNITS, return_sequences=True, return_state=True)
        self.scores = gx.nn.Dense(letters)

    def training_step(self) -> gx.CompiledFunction:
        """Learn from a piece of the stream; the state goes on from the piece before."""
        x = gx.input("x", (ROWS, PIECE), dtype="int32")
        y = gx.input("y", (ROWS, PIECE), dtype="int32")
        state = [gx.parameter(name, (ROWS, UNITS), trainable=False) for name in ("h", "c")]
        outputs, *new = self.lstm(self.embedding(x), initial_state=state)
        loss = gx.nn.softmax_cross_entropy(self.scores(outputs), y).mean()
        updates = gx.optim.Adam(5e-3).minimize(loss, clip_norm=1.0)
        return gx.compile([x, y], loss, updates=updates | dict(zip(state, new)))

    def next(self, letter: gx.Tensor, h: gx.Tensor, c: gx.Tensor) -> tuple[gx.Tensor, ...]:
        """One step of the same network, for decoding."""
        h, c = gx.nn.lstm_cell(self.embedding(letter), (h, c), *self.lstm.parameters)
        return self.scores(h), h, c

    def teller(self, length: int) -> gx.CompiledFunction:
        """Letters drawn one after the other, and the most likely ones: a loop in one program."""
        first = gx.input("first", ("rows",), dtype="int32")
        state = [gx.zeros((first.shape[0], UNITS))] * 2
        drawn = gx.decode.sample(self.next, first, state, length=length, temperature=0.7)
        best = gx.decode.beam_search(self.next, first, state, length=length, beams=4)
        return gx.compile([first], {"drawn": drawn, "best": best}, name="teller")


def train(model: Model, ids: Any, steps: int) -> float:
    """Go through the text in several places at once, round and round; the last bits a letter."""
    step, bits = model.training_step(), []
    starts = np.arange(ROWS)[:, None] * (len(ids) // ROWS) + np.arange(PIECE)
    for i in range(steps):
        at = starts + i * PIECE
        loss = step(ids[at % len(ids)], ids[(at + 1) % len(ids)])
        bits.append(float(loss) / math.log(2))
    return float(np.mean(bits[-50:]))


def main() -> None:
    """Train on the text, then draw from the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="a text in UTF-8")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--length", type=int, default=200)
    options = parser.parse_args()
    text = Path(options.file).read_text(encoding="utf-8") if options.file else rhyme()
    letters = sorted(set(text))
    ids = np.array([letters.index(letter) for letter in text], "int32")

    gx.seed(0)
    model = Model(len(letters))
    print(f"bits a letter {train(model, ids, options.steps):.3f}")
    told = model.teller(options.length)(ids[:1])
    for name, tokens in (("drawn", told["drawn"][0][0]), ("best", told["best"][0][0, 0])):
        print(f"{name}: {text[0]}{''.join(letters[t] for t in tokens)}")
    print(f"log-probability of the best {told['best'][1][0, 0]:.2f}")


if __name__ == "__main__":
    main()
