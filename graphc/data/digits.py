"""The 8x8 handwritten digits that ship with the package."""

from __future__ import annotations

from importlib import resources

import numpy as np

from graphc.data.split import Part, split


def digits(flatten: bool = True, share: float = 0.2, seed: int = 0) -> tuple[Part, Part]:
    """Return ((x_train, y_train), (x_test, y_test)) of the 1,797 handwritten digits.

    x is float32 in [0, 1] of shape (n, 64), or (n, 8, 8, 1) with `flatten=False`; y is int32 in
    0..9. The split is stratified: `share` of every class is for testing, the same for one seed.
    """
    file = resources.files("graphc.data").joinpath("digits.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    x = images.astype(np.float32) / np.float32(16)
    x = x.reshape(-1, 64) if flatten else x.reshape(-1, 8, 8, 1)
    return split(x, labels.astype(np.int32), share, seed)
