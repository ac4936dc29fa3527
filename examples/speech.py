"""Speech to digits, end to end: sound in, digits out, no alignment given (CTC).

    python examples/speech.py
    python examples/speech.py --data DIR --epochs 60

DIR holds sounds whose names begin with what is said: 7_jackson_32.wav, or 42_x.wav, as the Free
Spoken Digit Dataset has them. Spectra are part of the graph; convolutions along time and recurrent
layers in both directions say for each moment which digit is heard, or nothing; the loss sums over
all ways to write the digits along time (Graves et al. 2006).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

FRAME, HOP, BLANK = 200, 80, 10  # 25 and 10 ms of 8000 samples a second


def sounds(directory: Path | None) -> tuple[list[Any], list[Any], int]:
    """Sounds, their digits, samples a second."""
    if directory is None:
        return gx.data.synthetic.speech(400)
    paths = sorted(directory.glob("*.wav"))
    heard = [gx.data.wav(path) for path in paths]
    said = [np.array([int(d) for d in p.name.split("_")[0]], "int32") for p in paths]
    return [sound for sound, _ in heard], said, heard[0][1]


def collapsed(path: Any) -> list[int]:
    """What an alignment says: equal labels in a row are one, blanks vanish."""
    kept = np.flatnonzero(np.diff(path, prepend=-1))
    return [int(label) for label in path[kept] if label != BLANK]


def distance(a: Any, b: Any) -> int:
    """The fewest insertions, deletions and replacements that make b of a."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            before, row[j + 1] = row[j + 1], min(before + (x != y), row[j] + 1, row[j + 1] + 1)
    return row[-1]


def main() -> None:
    """Train, and count the digits that are wrong."""
    options = parser(__doc__, epochs=25, batch_size=20).parse_args()
    gx.seed(options.seed)
    heard, said, rate = sounds(options.data)
    waves, _ = gx.data.pad(heard)
    labels, _ = gx.data.pad(said)
    lengths = np.array([len(sound) for sound in heard], "int32")
    counts = np.array([len(digits) for digits in said], "int32")
    arrays = [waves, lengths, labels, counts]
    held = len(waves) // 5

    wave = gx.input("wave", ("batch", waves.shape[1]))
    length = gx.input("length", ("batch",), dtype="int32")
    digits = gx.input("digits", ("batch", labels.shape[1]), dtype="int32")
    count = gx.input("count", ("batch",), dtype="int32")
    features = nn.LayerNorm()(gx.data.log_mel(wave, rate, FRAME, HOP, bands=24))
    logits = gx.models.ctc_speech(BLANK, units=32, layers=1)(features)
    moments = gx.minimum((length - FRAME) // HOP // 2 + 1, logits.shape[1])
    loss = nn.ctc(logits, digits, moments, count, blank=BLANK).mean()
    updates = gx.optim.Adam(5e-3).minimize(loss, clip_norm=1.0)
    inputs = [wave, length, digits, count]
    step = gx.compile(inputs, {"loss": loss}, updates, threads=options.threads, name="speech")
    gx.fit(step, [a[held:] for a in arrays], options.epochs, options.batch_size)

    hear = gx.compile([wave, length], [gx.argmax(logits, axis=-1), moments], name="hear")
    paths, ends = hear(waves[:held], lengths[:held])
    found = [collapsed(path[:end]) for path, end in zip(paths, ends)]
    wrong = sum(distance(a, b) for a, b in zip(found, said))
    for a, b in zip(found[:3], said):
        print(f"said {' '.join(map(str, b))}: heard {' '.join(map(str, a))}")
    print(f"digits that are wrong {wrong / counts[:held].sum():.4f}")
    spectrum = gx.compile([wave], features, name="spectrum")(waves[:1])
    show(step, options.out, spectrum=spectrum.swapaxes(1, 2)[:, ::-1])


if __name__ == "__main__":
    main()
