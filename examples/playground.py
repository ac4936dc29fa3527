"""A small network learns points in the plane, as in TensorFlow's playground.

    python examples/playground.py --kind spiral
    python examples/playground.py --kind circle --hidden 0 --features x1 x2 x1^2 x2^2

With squares for features a network without hidden layers parts a disc from its ring; with the
coordinates alone it takes a hidden layer. --out DIR draws what it makes of the plane.
"""

from __future__ import annotations

from typing import Any

from common import parser, show

import graphc as gx

FEATURES: dict[str, Any] = {
    "x1": lambda a, b: a, "x2": lambda a, b: b, "x1^2": lambda a, b: a * a,
    "x2^2": lambda a, b: b * b, "x1x2": lambda a, b: a * b,
    "sin(x1)": lambda a, b: gx.sin(gx.pi * a), "sin(x2)": lambda a, b: gx.sin(gx.pi * b),
}  # fmt: skip


def main() -> None:
    """Make the points, train, and tell how many of new points are classified."""
    options = parser(__doc__, epochs=150, batch_size=20, data=None)
    options.add_argument("--kind", choices=["spiral", "circle", "xor", "gauss"], default="spiral")
    options.add_argument("--features", nargs="+", choices=FEATURES, default=["x1", "x2"])
    options.add_argument("--hidden", type=int, default=2, help="layers; 0 is a logistic regression")
    options.add_argument("--units", type=int, default=16, help="of each hidden layer")
    options.add_argument("--activation", default="relu")
    options.add_argument("--noise", type=float, default=0.03)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    make = gx.data.synthetic.playground
    training = make(chosen.kind, 400, chosen.noise, chosen.seed)
    testing = make(chosen.kind, 400, chosen.noise, chosen.seed + 1)

    x = gx.input("x", ("batch", 2))
    labels = gx.input("labels", ("batch",), dtype="int32")
    seen = gx.stack([FEATURES[name](x[:, 0], x[:, 1]) for name in chosen.features], axis=1)
    net = gx.models.mlp([chosen.units] * chosen.hidden, 2, chosen.activation)
    logits = net(seen)
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    outputs = {"loss": loss, "accuracy": gx.nn.accuracy(logits, labels)}
    updates = gx.optim.Adam(0.01).minimize(loss)
    step = gx.compile([x, labels], outputs, updates, threads=chosen.threads, name="playground")
    evaluate = gx.compile([x, labels], outputs, mode="inference", name="evaluate")
    predict = gx.compile([x], gx.nn.softmax(logits), name="predict")

    gx.fit(step, training, chosen.epochs, chosen.batch_size, verbose=False)
    print(f"parameters {sum(p.size for p in net.parameters)}")
    for name, points in (("training", training), ("test", testing)):
        print(f"{name} accuracy {float(evaluate(*points)['accuracy']):.4f}")
    regions = lambda: gx.plot.decision_regions(predict, *training)  # noqa: E731
    show(step, chosen.out, regions=regions)


if __name__ == "__main__":
    main()
