"""Find faces in a large picture: a classifier of patches, slid over it as one convolution.

    python examples/detection.py --out DIR
    python examples/detection.py --data DIR    # lfw_subset.npy, see faces.py

A dense layer on a patch is a convolution on a picture, so the classifier compiled for pictures of
any size scores every patch at once. The scores are those of patch by patch; the overlap of patches
is computed once. What is wrongly found in pictures without faces is learnt, too (Sung and Poggio
1998).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from common import parser, show
from faces import patches

import graphc as gx
from graphc import nn

PATCH, STEP = 25, 4  # the pools halve twice


def network() -> nn.Sequential:
    """(batch, 25, 25, 1) -> (batch, 1, 1, 1), and larger pictures to maps of scores."""
    return nn.Sequential(
        [
            nn.Conv2D(8, 6, activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(16, 3, activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(32, 4, activation="relu"),
            nn.Conv2D(1, 1),
        ]
    )


def mosaic(others: Any, rng: np.random.Generator) -> Any:
    """A picture of 6 by 8 patches."""
    chosen = others[rng.integers(0, len(others), 48)].reshape(6, 8, PATCH, PATCH)
    return chosen.swapaxes(1, 2).reshape(6 * PATCH, 8 * PATCH)


def windows(picture: Any) -> Any:
    """All patches of a picture, (rows, columns, 25, 25)."""
    return np.lib.stride_tricks.sliding_window_view(picture, (PATCH, PATCH))[::STEP, ::STEP]


def scene(x: Any, y: Any, rng: np.random.Generator) -> tuple[Any, list[tuple[int, int]]]:
    """A picture with faces in it, and where they are."""
    picture, places = mosaic(x[y == 0], rng), []
    for i in range(3):
        for j in range(4):
            place = 50 * i + int(rng.integers(0, 24)), 50 * j + int(rng.integers(0, 24))
            face = x[y == 1][rng.integers(0, (y == 1).sum())]
            picture[place[0] : place[0] + PATCH, place[1] : place[1] + PATCH] = face
            places.append(place)
    return picture, places


def peaks(scores: Any) -> list[tuple[int, int]]:
    """Where a score is above 0 and the highest nearby: corners of patches."""
    wide = np.pad(scores, 2, constant_values=-np.inf)
    near = np.lib.stride_tricks.sliding_window_view(wide, (5, 5)).max(axis=(2, 3))
    return [(STEP * int(i), STEP * int(j)) for i, j in np.argwhere((scores >= near) & (scores > 0))]


def boxed(picture: Any, places: list[tuple[int, int]]) -> Any:
    """The picture in colour, a red frame around each place."""
    colour = np.repeat(picture[..., None], 3, axis=-1)
    for i, j in places:
        frame = np.zeros(picture.shape, bool)
        frame[i : i + PATCH, j : j + PATCH] = True
        frame[i + 1 : i + PATCH - 1, j + 1 : j + PATCH - 1] = False
        colour[frame] = (1.0, 0.1, 0.1)
    return colour


def main() -> None:
    """Train on patches, then find faces in a scene in two ways."""
    options = parser(__doc__, epochs=6, batch_size=32).parse_args()
    gx.seed(options.seed)
    rng = np.random.default_rng(options.seed)
    training, (x_test, y_test) = patches(options.data)
    net = network()
    x = gx.input("x", ("batch", PATCH, PATCH))
    y = gx.input("y", ("batch",), dtype="int32")
    shifted = nn.RandomCrop(PATCH, PATCH, padding=1)(x[..., None])
    score = net(shifted)[:, 0, 0, 0]
    loss = nn.sigmoid_cross_entropy(score, y.astype("float32")).mean()
    updates = gx.optim.Adam(2e-3).minimize(loss)
    step = gx.compile([x, y], {"loss": loss}, updates, threads=options.threads, name="detection")
    whole = gx.input("picture", ("height", "width"))
    slide = gx.compile([whole], net(whole[None, ..., None])[0, ..., 0], name="slide")
    single = gx.compile([x], score, name="patch")  # cropped at random in training alone
    known, labels = training
    for _ in range(4):
        gx.fit(step, [known, labels], options.epochs, options.batch_size, verbose=False)
        picture = mosaic(training[0][training[1] == 0], rng)
        wrong = windows(picture)[slide(picture) > 0.0]
        known = np.concatenate([known, wrong])
        labels = np.concatenate([labels, np.zeros(len(wrong), "int32")])
    picture, places = scene(x_test, y_test, rng)
    flat = np.ascontiguousarray(windows(picture).reshape(-1, PATCH, PATCH))
    seconds = []
    for f, given in ((slide, picture), (single, flat)):
        f(given)
        start = time.perf_counter()
        f(given)
        seconds.append(time.perf_counter() - start)
    scores, alone = slide(picture), single(flat).reshape(slide(picture).shape)
    print(f"{alone.size} patches, largest difference {np.abs(scores - alone).max():.1e}")
    print(f"one convolution takes {1e3 * seconds[0]:.2f} ms, patches {1e3 * seconds[1]:.2f} ms")
    found = peaks(scores)
    near = [any(abs(a - i) + abs(b - j) <= 8 for a, b in found) for i, j in places]
    print(f"faces in the scene {len(places)}, found {sum(near)}, boxes {len(found)}")
    print(f"recall {np.mean(near):.4f}")
    show(step, options.out, scene=boxed(picture, found)[None], scores=scores[None])


if __name__ == "__main__":
    main()
