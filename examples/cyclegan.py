"""Horses to zebras and back, learnt from two piles of pictures, none of which has a partner.

    python examples/cyclegan.py --out DIR
    python examples/cyclegan.py --data DIR --size 128 --filters 32 --blocks 6

DIR holds the folders trainA and trainB, as the data sets of the paper have them (Zhu et al. 2017).
Each generator must fool the judge of the other pile, and what goes there and back must come out as
it was: that is what keeps the horse where it stands.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import models, nn


def piles(options: Namespace) -> tuple[Any, Any]:
    """Two arrays of bytes (n, size, size, 3), as many of each."""
    if options.data is None:
        return gx.data.synthetic.unpaired(options.count, options.size)
    size = (options.size, options.size)

    def read(folder: Path) -> Any:
        return np.stack([gx.data.image(path, size) for path in sorted(folder.iterdir())])

    a, b = read(options.data / "trainA"), read(options.data / "trainB")
    count = min(len(a), len(b))
    return a[:count], b[:count]


def judged(judge: Any, real: gx.Tensor, made: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
    """Squared errors of a judge, and of what it should take for real (Mao et al. 2017)."""
    said = judge(made)
    return ((judge(real) - 1.0) ** 2).mean() + (said**2).mean(), ((said - 1.0) ** 2).mean()


def main() -> None:
    """Train all four networks in one step, and see how striped the horses have become."""
    options = parser(__doc__, epochs=12, batch_size=4)
    options.add_argument("--size", type=int, default=32)
    options.add_argument("--count", type=int, default=100, help="made-up pictures of each kind")
    options.add_argument("--filters", type=int, default=8)
    options.add_argument("--blocks", type=int, default=2)
    options.add_argument("--rate", type=float, default=1e-3)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    horses, zebras = piles(chosen)

    shape = ("batch", chosen.size, chosen.size, 3)
    first, second = (gx.input(name, shape, dtype="uint8") for name in ("horses", "zebras"))
    a, b = (t.astype("float32") / 127.5 - 1.0 for t in (first, second))
    with gx.name_scope("zebras"):
        there = models.cyclegan_generator(3, chosen.filters, chosen.blocks)
        judge_b = models.patch_discriminator(2 * chosen.filters, 1)
        striped = there(a)
        told_b, fooled_b = judged(judge_b, b, striped)
    with gx.name_scope("horses"):
        back = models.cyclegan_generator(3, chosen.filters, chosen.blocks)
        judge_a = models.patch_discriminator(2 * chosen.filters, 1)
        brown = back(b)
        told_a, fooled_a = judged(judge_a, a, brown)
    cycle = nn.mae(back(striped), a).mean() + nn.mae(there(brown), b).mean()
    told, fooled = told_a + told_b, fooled_a + fooled_b
    judges = [*judge_a.parameters, *judge_b.parameters]
    makers = [*there.parameters, *back.parameters]
    adam = partial(gx.optim.Adam, chosen.rate, beta1=0.5)
    step = gx.compile(
        [first, second],
        {"told": told, "fooled": fooled, "cycle": cycle},
        [
            adam().minimize(told, parameters=judges),
            adam().minimize(fooled + 10.0 * cycle, parameters=makers),
        ],
        threads=chosen.threads,
        name="cyclegan",
    )
    history = gx.fit(step, [horses, zebras], chosen.epochs, chosen.batch_size, verbose=False)
    print(f"error of there and back {history['cycle'][0]:.4f}, at last {history.last('cycle'):.4f}")
    change = gx.compile([first], [striped, back(striped)], name="change")
    made, again = change(horses[:8])
    for name, some in (("horses", horses), ("zebras", zebras), ("made", (made + 1.0) * 127.5)):
        print(f"contrast of {name} {some.std(axis=(1, 2)).mean():.1f}")
    rows = [horses[:8] / np.float32(127.5) - 1.0, made, again]
    show(step, chosen.out, horses=partial(gx.plot.images, np.concatenate(rows), columns=8))


if __name__ == "__main__":
    main()
