"""A DCGAN (Radford, Metz and Chintala 2016) that draws emoji, or made-up shapes.

    python examples/dcgan.py --out shapes
    python examples/dcgan.py --data DIR --epochs 60 --out emoji

DIR holds pictures in any folders, of any size; transparent ones are put on white. Both networks
learn in one compiled step, each from its own loss; --out leaves pictures drawn from the same noise
after every tenth of the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

NOISE, SIDE = 64, 32


class Gan:
    """Generator and discriminator, and the functions of them."""

    def __init__(self, filters: int, threads: int | None) -> None:
        self.generator = gx.models.dcgan_generator(SIDE, filters=filters)
        self.discriminator = gx.models.dcgan_discriminator(SIDE, filters=filters)
        self.threads = threads

    def training_step(self) -> gx.CompiledFunction:
        """Both networks one step down their losses."""
        images = gx.input("images", ("batch", SIDE, SIDE, 3), dtype="uint8")
        real = nn.RandomFlip()(images.astype("float32") / 127.5 - 1.0)
        noise = gx.random.normal((images.shape[0], NOISE), name="noise")
        fake = self.generator(noise)
        told, fooled = self.discriminator(real), self.discriminator(fake)
        seen = self.discriminator(gx.stop_gradient(fake))
        # Targets of 0.9 keep the judge from being too sure (Salimans et al. 2016).
        judge = nn.sigmoid_cross_entropy(told, gx.full_like(told, 0.9)).mean()
        judge = judge + nn.sigmoid_cross_entropy(seen, gx.zeros_like(seen)).mean()
        draw = nn.sigmoid_cross_entropy(fooled, gx.ones_like(fooled)).mean()
        updates = [
            gx.optim.Adam(2e-4, beta1=0.5).minimize(judge, self.discriminator.parameters),
            gx.optim.Adam(2e-4, beta1=0.5).minimize(draw, self.generator.parameters),
        ]
        outputs = {"judge": judge, "draw": draw, "told": nn.sigmoid(told).mean()}
        outputs["fooled"] = nn.sigmoid(seen).mean()
        return gx.compile([images], outputs, updates, threads=self.threads, name="train")

    def drawing(self) -> gx.CompiledFunction:
        """Pictures (batch, 32, 32, 3) between -1 and 1 for noise."""
        noise = gx.input("noise", ("batch", NOISE))
        images = self.generator(noise)
        return gx.compile([noise], images, mode="inference", threads=self.threads, name="draw")


def pictures(directory: Path | None) -> Any:
    """Bytes (n, 32, 32, 3)."""
    if directory is None:
        return gx.data.synthetic.cifar_like(600)[0]
    paths = sorted(directory.rglob("*.png"))
    found = np.stack([gx.data.image(p, (SIDE, SIDE), channels=4) for p in paths]).astype("float32")
    opaque = found[..., 3:] / 255.0
    return np.uint8(np.rint(found[..., :3] * opaque + 255.0 * (1.0 - opaque)))


def main() -> None:
    """Train, and leave pictures."""
    options = parser(__doc__, epochs=3)
    options.add_argument("--filters", type=int, default=32)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    images = pictures(chosen.data)
    gan = Gan(chosen.filters, chosen.threads)
    step, draw = gan.training_step(), gan.drawing()
    noise = np.random.default_rng(chosen.seed).normal(size=(40, NOISE)).astype("float32")
    part = max(chosen.epochs // 10, 1)
    for done in range(0, chosen.epochs, part):
        history = gx.fit(step, [images], min(part, chosen.epochs - done), chosen.batch_size)
        if chosen.out is not None:
            chosen.out.mkdir(parents=True, exist_ok=True)
            path = chosen.out / f"drawn{done + part:04}.png"
            gx.plot.images(draw(noise), columns=8, path=path)
    print(f"told {history.last('told'):.3f}, fooled {history.last('fooled'):.3f}")
    show(step, chosen.out)


if __name__ == "__main__":
    main()
