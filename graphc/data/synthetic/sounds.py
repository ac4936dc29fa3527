"""Made-up speech: digits as pairs of tones."""

from __future__ import annotations

import numpy as np

from graphc.data.synthetic.draws import generator
from graphc.ir.types import Array

# Two tones in Hz for every digit, as the formants of a vowel.
LOW = (350.0, 450.0, 550.0, 650.0, 750.0)
HIGH = (1400.0, 2200.0)
RATE = 8000


def speech(count: int = 200, seed: int = 0) -> tuple[list[Array], list[Array], int]:
    """Return (sounds, labels, rate): spoken numbers of one to five digits.

    Sounds are float32 in [-1, 1] of different lengths, labels int32 digits, the rate is 8000
    samples a second. A digit is two tones, a tenth of a second long or a little more, with a
    voice's pitch of its own, silence around it and noise on it all.
    """
    rng = generator("speech", count, seed)
    labels = [rng.integers(0, 10, rng.integers(1, 6), dtype=np.int32) for _ in range(count)]
    return [_spoken(digits, rng) for digits in labels], labels, RATE


def _spoken(digits: Array, rng: np.random.Generator) -> Array:
    voice = rng.uniform(0.94, 1.06)
    parts = [_silence(rng)]
    for digit in digits:
        time = np.arange(int(RATE * rng.uniform(0.10, 0.16))) / RATE
        turns = 2.0 * np.pi * voice * time
        tone = np.sin(LOW[digit % 5] * turns) + 0.7 * np.sin(HIGH[digit // 5] * turns)
        parts += [tone * np.hanning(len(time)) * rng.uniform(0.25, 0.5), _silence(rng)]
    sound = np.concatenate(parts)
    return np.clip(sound + rng.normal(0.0, 0.01, len(sound)), -1.0, 1.0).astype(np.float32)


def _silence(rng: np.random.Generator) -> Array:
    return np.zeros(int(RATE * rng.uniform(0.03, 0.08)))
