"""A network that learns its filters without labels: cells that compare, and cells that pool.

    python examples/neocognitron.py
    python examples/neocognitron.py --data DIR --count 10000    # MNIST's four files

After Fukushima's neocognitron (1980), with the k-means of Coates, Ng and Lee (2011): the filters of
a layer are the centres of clusters of small pieces of what the layer below gives. Simple cells
compare a piece with each centre; complex cells take the largest nearby, so that it matters less
where something is. A bank of Gabor filters, made by formula, does for the first layer, too. Labels
are used at the end alone, by a linear classifier on top.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn


def normalised(pieces: gx.Tensor) -> gx.Tensor:
    """Pieces (n, size) without their mean, of length 1, or of less where there is no contrast."""
    centred = pieces - pieces.mean(axis=-1, keepdims=True)
    return centred / gx.sqrt(gx.sum(centred**2, axis=-1, keepdims=True) + 0.1)


def clusters(pieces: Any, count: int, steps: int) -> Any:
    """The centres (count, size) of k-means on rows (n, size): a loop in one program."""
    x = gx.input("pieces", pieces.shape)
    rows = normalised(x)
    start = nn.l2_normalize(rows[:count])

    def step(centres: gx.Tensor, _: None) -> tuple[gx.Tensor, None]:
        own = gx.one_hot(gx.argmax(rows @ centres.T, axis=1), count)
        return nn.l2_normalize(own.T @ rows + 1e-3 * centres), None

    centres, _ = gx.scan(step, start, length=steps)
    return gx.compile([x], centres, name="clusters")(pieces)


def gabor(size: int, angles: int) -> Any:
    """Waves at some angles under a bell, (2 angles, size * size): even and odd."""
    down, right = np.mgrid[:size, :size] - (size - 1) / 2.0
    turns = np.pi * np.arange(angles)[:, None, None] / angles
    along = right * np.cos(turns) + down * np.sin(turns)
    bell = np.exp(-(down**2 + right**2) / (0.18 * size**2))
    waves = [bell * f(2.0 * np.pi * along / size) for f in (np.cos, np.sin)]
    bank = np.concatenate(waves).reshape(2 * angles, -1)
    bank -= bank.mean(axis=1, keepdims=True)
    return (bank / np.linalg.norm(bank, axis=1, keepdims=True)).astype("float32")


def windows(x: Any, size: int) -> Any:
    """All pieces (n, rows, columns, size * size * channels) of pictures (n, h, w, channels)."""
    found = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return np.moveaxis(found, 3, 5).reshape(*found.shape[:3], -1)


def layer(shape: Any, filters: Any, size: int) -> gx.CompiledFunction:
    """Simple cells, then complex cells, for pictures (n, h, w, channels) of a shape."""
    h, w, channels = shape[1:]
    given = gx.input("x", ("batch", h, w, channels))
    kernel = gx.constant(filters.reshape(-1, size, size, channels).transpose(1, 2, 3, 0))
    ones = gx.ones((size, size, channels, 1))
    count = size * size * channels
    total, squares = (nn.conv(part, ones) for part in (given, given * given))
    length = gx.sqrt(nn.relu(squares - total * total / count) + 0.1)
    simple = nn.relu(nn.conv(given, kernel) / length - 0.2)  # the filters have mean 0
    return gx.compile([given], nn.avg_pool(nn.max_pool(simple, 2), 2), name="cells")


def linear(train: Any, y: Any, test: Any, y_test: Any, options: Any) -> float:
    """The test accuracy of a logistic regression on features."""
    net = gx.models.logistic()
    net.compile(gx.optim.Adam(5e-3), loss="softmax_cross_entropy", metrics=["accuracy"])
    net.fit(train, y, options.epochs, options.batch_size, verbose=False, seed=0)
    return float(net.evaluate(test, y_test)["accuracy"])


def main() -> None:
    """Learn filters layer by layer, then compare what a linear classifier makes of them."""
    options = parser(__doc__, epochs=30, batch_size=50).parse_args()
    gx.seed(options.seed)
    rng = np.random.default_rng(options.seed)
    made = gx.data.synthetic.digits_28x28(600)
    train, test = made if options.data is None else gx.data.mnist(options.data)
    x, x_test = (part[0][..., None].astype("float32") / 255.0 for part in (train, test))

    def learnt(below: Any, size: int, count: int) -> Any:
        pieces = windows(below[:300], size).reshape(-1, size * size * below.shape[-1])
        varied = pieces[pieces.std(axis=1) > 0.1]
        return clusters(varied[rng.permutation(len(varied))[:4000]], count, 12)

    first = learnt(x, 5, 24)
    found: dict[str, tuple[Any, ...]] = {"pixels": (x, x_test)}
    waves, cells = layer(x.shape, gabor(5, 8), 5), layer(x.shape, first, 5)
    found["Gabor filters"] = waves(x), waves(x_test)
    found["clusters"] = below = cells(x), cells(x_test)
    above = layer(below[0].shape, learnt(below[0], 3, 64), 3)
    found["both layers of clusters"] = tuple(
        np.concatenate([b.reshape(len(b), -1), above(b).reshape(len(b), -1)], axis=1) for b in below
    )
    for name, (seen, seen_test) in found.items():
        print(f"{name}: accuracy {linear(seen, train[1], seen_test, test[1], options):.4f}")
    show(cells, options.out, clusters=first.reshape(-1, 5, 5), gabor=gabor(5, 8).reshape(-1, 5, 5))


if __name__ == "__main__":
    main()
