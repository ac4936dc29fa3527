"""Pictures from above to maps, learnt from pairs: a U-Net against a judge of patches (pix2pix).

    python examples/pix2pix.py --out DIR
    python examples/pix2pix.py --data DIR --size 256 --filters 64 --levels 8 --depth 3

DIR holds pictures with both halves side by side, the one to make on the right, as the data sets of
the paper have them (Isola et al. 2017). The loss is how far a picture is from the right one plus
how well it fools a judge, which sees patches, beside the picture they were made from.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn


def pairs(options: Namespace) -> tuple[Any, Any]:
    """Two arrays of bytes (n, size, size, 3)."""
    if options.data is None:
        return gx.data.synthetic.maps(options.count, options.size)
    paths = sorted(p for p in options.data.iterdir() if p.suffix in (".jpg", ".png"))
    both = [gx.data.image(path, size=(options.size, 2 * options.size)) for path in paths]
    halves = np.stack(both)
    return halves[:, :, : options.size].copy(), halves[:, :, options.size :].copy()


def main() -> None:
    """Train both networks in one step; compare with the best that knows no picture."""
    options = parser(__doc__, epochs=12, batch_size=4)
    options.add_argument("--size", type=int, default=32)
    options.add_argument("--count", type=int, default=160, help="made-up pairs")
    options.add_argument("--filters", type=int, default=16)
    options.add_argument("--levels", type=int, default=4)
    options.add_argument("--depth", type=int, default=1, help="of the judge: size of its patches")
    options.add_argument("--rate", type=float, default=1e-3)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    photos, maps = pairs(chosen)
    held = max(4, len(photos) // 8)

    shape = ("batch", chosen.size, chosen.size, 3)
    photo, wanted = (gx.input(n, shape, dtype="uint8") for n in ("photo", "map"))
    x, y = (t.astype("float32") / 127.5 - 1.0 for t in (photo, wanted))
    generator = gx.models.pix2pix_generator(3, chosen.filters, chosen.levels)
    judge = gx.models.patch_discriminator(chosen.filters, chosen.depth)
    made = generator(x)
    right, wrong = (judge(gx.concat([x, picture], axis=-1)) for picture in (y, made))
    told = nn.sigmoid_cross_entropy(right, 1.0).mean() + nn.sigmoid_cross_entropy(wrong, 0.0).mean()
    away = nn.mae(made, y).mean()
    fooled = nn.sigmoid_cross_entropy(wrong, 1.0).mean()
    adam = partial(gx.optim.Adam, chosen.rate, beta1=0.5)
    step = gx.compile(
        [photo, wanted],
        {"told": told, "fooled": fooled, "away": away},
        [
            adam().minimize(0.5 * told, parameters=judge.parameters),
            adam().minimize(fooled + 100.0 * away, parameters=generator.parameters),
        ],
        threads=chosen.threads,
        name="pix2pix",
    )
    gx.fit(step, [photos[held:], maps[held:]], chosen.epochs, chosen.batch_size, verbose=False)
    draw = gx.compile([photo], made, mode="train", name="draw")  # normalised by its batch
    drawn, truth = draw(photos[:held]), maps[:held] / np.float32(127.5) - 1.0
    constant = np.median(maps[held:] / np.float32(127.5) - 1.0, axis=(0, 1, 2))
    print(f"mean error of one colour for all {abs(truth - constant).mean():.4f}")
    print(f"mean error of the maps drawn {abs(truth - drawn).mean():.4f}")
    rows = [photos[:8] / np.float32(127.5) - 1.0, drawn[:8], truth[:8]]
    show(step, chosen.out, maps=partial(gx.plot.images, np.concatenate(rows), columns=8))


if __name__ == "__main__":
    main()
