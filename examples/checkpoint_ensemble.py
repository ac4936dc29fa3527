"""The last checkpoints of one run, together: mean of their answers, mean of their weights.

    python examples/checkpoint_ensemble.py
    python examples/checkpoint_ensemble.py --data DIR --epochs 12    # MNIST's four files

Training at a rate that stays high wanders around a minimum. What its last epochs have in common is
better than any of them: averaging their answers costs as many evaluations, averaging their weights
(Izmailov et al. 2018) costs one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from common import parser, show

import graphc as gx


def main() -> None:
    """Train once, keep the last epochs, and compare."""
    options = parser(__doc__, epochs=16, batch_size=16)
    options.add_argument("--last", type=int, default=8, help="checkpoints that are averaged")
    options.add_argument("--rate", type=float, default=0.01)
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    training, testing = gx.data.digits() if chosen.data is None else gx.data.mnist(chosen.data)
    x = gx.input("x", ("batch", *training[0].shape[1:]), dtype=training[0].dtype)
    labels = gx.input("labels", ("batch",), dtype="int32")
    net = gx.models.mlp((64,), dropout=0.2)
    logits = net(x.astype("float32") / float(training[0].max()))
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    updates = gx.optim.Adam(chosen.rate).minimize(loss)
    step = gx.compile([x, labels], {"loss": loss}, updates, threads=chosen.threads, name="train")
    predict = gx.compile([x], gx.nn.softmax(logits), name="predict")

    with tempfile.TemporaryDirectory() as folder:
        kept = gx.callbacks.Checkpoint(Path(folder) / "{epoch:03}.safetensors")
        gx.fit(step, training, chosen.epochs, chosen.batch_size, callbacks=[kept], verbose=False)
        paths = sorted(Path(folder).glob("*.safetensors"))[-chosen.last :]
        answers = []
        for path in paths:
            gx.load(path, into=step)
            answers.append(predict(testing[0]))
        gx.average_checkpoints(paths, into=step)
        averaged = predict(testing[0])

    alone = [(answer.argmax(axis=1) == testing[1]).mean() for answer in answers]
    print(f"single checkpoints: {' '.join(f'{share:.4f}' for share in alone)}")
    print(f"their mean accuracy {np.mean(alone):.4f}")
    together = (np.mean(answers, axis=0).argmax(axis=1) == testing[1]).mean()
    print(f"accuracy of the mean answer {together:.4f}")
    print(f"accuracy of the mean weights {(averaged.argmax(axis=1) == testing[1]).mean():.4f}")
    show(step, chosen.out)


if __name__ == "__main__":
    main()
