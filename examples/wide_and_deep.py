"""Wide against deep: networks of about as many parameters on two spirals, several of each at once.

    python examples/wide_and_deep.py

One program trains all members of a kind (gx.ensemble); the mean accuracy over them says more than
one run with one seed. Deep networks fold the plane where wide ones need a unit for each bend.
"""

from __future__ import annotations

import numpy as np
from common import parser, show

import graphc as gx

SHAPES = {"wide": (133,), "2 layers": (21, 21), "3 layers": (15, 15, 15), "4 layers": (12,) * 4}


def compiled(
    units: tuple[int, ...], members: int, rate: float, threads: int | None
) -> tuple[int, list[gx.CompiledFunction]]:
    """The parameters of one network; training and evaluation of some, which say each one's."""
    x = gx.input("x", ("batch", 2))
    labels = gx.input("labels", ("batch",), dtype="int32")
    committee = gx.ensemble(lambda: gx.models.mlp(units, 2), members)
    logits = committee(x)
    each = gx.broadcast_to(labels, (members, labels.shape[0]))
    loss = gx.nn.softmax_cross_entropy(logits, each).mean(axis=1)
    right = (gx.argmax(logits, axis=-1) == each).astype("float32").mean(axis=1)
    updates = gx.optim.Adam(rate).minimize(gx.sum(loss))
    step = gx.compile([x, labels], {"losses": loss}, updates, threads=threads, name="members")
    evaluate = gx.compile([x, labels], right, mode="inference", name="evaluate")
    return sum(p.size for p in committee.parameters) // members, [step, evaluate]


def main() -> None:
    """Train each kind, and print what it reaches on new points."""
    options = parser(__doc__, epochs=200, batch_size=40, data=None)
    options.add_argument("--members", type=int, default=8, help="networks of each kind")
    options.add_argument("--rate", type=float, default=0.01)
    chosen = options.parse_args()
    make = gx.data.synthetic.playground
    x, y = make("spiral", 400, 0.02, chosen.seed)
    testing = make("spiral", 1000, 0.02, chosen.seed + 1)
    found = {}
    for name, units in SHAPES.items():
        gx.seed(chosen.seed)
        size, (step, evaluate) = compiled(units, chosen.members, chosen.rate, chosen.threads)
        for epoch in range(chosen.epochs):
            step.run_epoch([x, y], batch_size=chosen.batch_size, seed=epoch)
        found[name] = evaluate(*testing)
        print(
            f"{name:9} {size:4} parameters: test accuracy {found[name].mean():.4f},"
            f" from {found[name].min():.4f} to {found[name].max():.4f}"
        )
    best = max(found, key=lambda name: float(np.mean(found[name])))
    print(f"the best is {best}")
    show(step, chosen.out)


if __name__ == "__main__":
    main()
