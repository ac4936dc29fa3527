"""Generators that share, grow or have a style: CoGAN, progressive GAN and StyleGAN, on digits.

    python examples/gans.py --model cogan --out DIR    # digits and outlines of the same
    python examples/gans.py --model progressive        # 4, 8, then 16 pixels
    python examples/gans.py --model stylegan
    python examples/gans.py --data DIR --epochs 20     # MNIST's four files

Generator and discriminator learn in one compiled step, each with an optimiser of its own. dcgan.py
is the plain one, on larger pictures.
"""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

NOISE = 24
SIZES = {"cogan": (16,), "progressive": (4, 8, 16), "stylegan": (16,)}


def digits(options: Namespace) -> Any:
    """Pictures (n, 16, 16, 1) between -1 and 1."""
    if options.data is None:
        (x, _), _ = gx.data.digits(flatten=False)
    else:
        (x, _), _ = gx.data.mnist(options.data)
        x = x[..., None]
    given = gx.input("given", ("n", *x.shape[1:]), dtype=x.dtype)
    sized = nn.resize(given.astype("float32") * (2.0 / float(x.max())), (16, 16)) - 1.0
    return gx.compile([given], sized, name="sized")(x)


def outlines(x: gx.Tensor) -> gx.Tensor:
    """Where a picture changes, between -1 and 1."""
    wide = gx.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)], value=-1.0)
    down, right = wide[:, 1:, :-1] - x, wide[:, :-1, 1:] - x
    return 2.0 * gx.tanh(gx.sqrt(down**2 + right**2 + 1e-4)) - 1.0


def generator(model: str, filters: int) -> Any:
    """One of the three, for pictures of 16 by 16 pixels of one channel."""
    if model == "cogan":
        return gx.models.cogan_generator(16, 1, filters)
    if model == "progressive":
        return gx.models.progressive_generator(16, 1, 2 * filters)
    return gx.models.stylegan_generator(16, 1, 2 * filters)


def kinds(
    model: str, net: Any, x: gx.Tensor, z: gx.Tensor, fade: gx.Tensor, size: int
) -> list[tuple[gx.Tensor, gx.Tensor]]:
    """Pairs of real and made pictures, for which there is a judge each."""
    if model == "cogan":
        return list(zip((x, outlines(x)), net(z)))
    if model == "stylegan":
        return [(x, gx.tanh(net(z)))]
    real = nn.avg_pool(x, 16 // size) if size < 16 else x
    return [(real, gx.tanh(net(z, fade, size)))]


def build(
    options: Namespace, net: Any, size: int
) -> tuple[gx.CompiledFunction, gx.CompiledFunction]:
    """A step of both networks for pictures of a size, and what draws."""
    x, fade = gx.input("x", ("batch", 16, 16, 1)), gx.input("fade", ())
    z = gx.random.normal((x.shape[0], NOISE), name="z")
    pairs = kinds(options.model, net, x, z, fade, size)
    told: Any = 0.0
    fooled: Any = 0.0
    judges: list[Any] = []
    for i, (real, made) in enumerate(pairs):
        with gx.name_scope(f"judge_{i}"):
            judge = gx.models.dcgan_discriminator(max(size, 8), options.filters)
            right, wrong = (judge(nn.resize(p, max(size, 8))) for p in (real, made))
        told = told + nn.sigmoid_cross_entropy(right, 0.9).mean()
        told = told + nn.sigmoid_cross_entropy(wrong, 0.0).mean()
        fooled = fooled + nn.sigmoid_cross_entropy(wrong, 1.0).mean()
        judges += judge.parameters
    adam = partial(gx.optim.Adam, beta1=0.5)
    judging = adam(1e-3).minimize(told, parameters=judges)
    makers = [p for p in net.parameters if f"/picture_{size // 4}/" not in p.name]  # now unused
    rates = [("*/mapping_*", adam(1e-5)), ("*", adam(1e-3))]
    making = (gx.optim.groups(rates) if options.model == "stylegan" else adam(1e-3)).minimize(
        fooled, parameters=makers
    )
    step = gx.compile(
        [x, fade], {"told": told, "fooled": fooled}, [judging, making],
        threads=options.threads, name=f"{options.model}_{size}",
    )  # fmt: skip
    given = gx.input("given", ("n", NOISE))
    drawn = [made for _, made in kinds(options.model, net, x, given, 1.0, size)]
    return step, gx.compile([given], drawn, mode="train", name="draw")


def nearest(made: Any, real: Any) -> float:
    """How far the made pictures are from the real one that is nearest."""
    flat, known = made.reshape(len(made), -1), real.reshape(len(real), -1)
    squares = (flat**2).sum(1)[:, None] + (known**2).sum(1) - 2.0 * flat @ known.T
    return float((squares.min(axis=1) / flat.shape[1]).mean())


def main() -> None:
    """Train, size after size, and compare what is made with what is real."""
    options = parser(__doc__, epochs=12, batch_size=32)
    options.add_argument("--model", choices=list(SIZES), default="cogan")
    options.add_argument("--filters", type=int, default=16)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    x = digits(chosen)
    net = generator(chosen.model, chosen.filters)
    noise = np.random.default_rng(chosen.seed).normal(size=(20, NOISE)).astype("float32")
    for size in SIZES[chosen.model]:
        step, draw = build(chosen, net, size)
        before = draw(noise)[0]
        for epoch in range(chosen.epochs):
            share = np.float32(min(1.0, 2.0 * (epoch + 1) / chosen.epochs))
            order = np.random.default_rng(epoch).permutation(len(x))
            for start in range(0, len(x) - chosen.batch_size + 1, chosen.batch_size):
                losses = step(x[order[start : start + chosen.batch_size]], share)
        print(f"{size} pixels: told {losses['told']:.3f}, fooled {losses['fooled']:.3f}")
    made = draw(noise)
    print(f"from a made digit to the nearest real one {nearest(made[0], x):.4f}")
    print(f"before it was {nearest(before, x):.4f}")
    print(
        f"variety {float(made[0].std(axis=0).mean()):.4f}, of real ones {x.std(axis=0).mean():.4f}"
    )
    show(step, chosen.out, made=partial(gx.plot.images, np.concatenate(made), columns=10))


if __name__ == "__main__":
    main()
