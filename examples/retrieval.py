"""Find the digits that look most like a digit: nearest neighbours by cosine, and their vote.

    python examples/retrieval.py

The graph normalises, multiplies with all that is known, and keeps the best (top-k). A memory of the
training data knows all of it, and does well on the rest, too.
"""

from __future__ import annotations

import numpy as np
from common import parser, show

import graphc as gx


def nearest(queries: gx.Tensor, known: gx.Tensor, k: int) -> tuple[gx.Tensor, gx.Tensor]:
    """Similarities and rows of the k in `known` (n, features) nearest to each query, best first."""
    similar = gx.nn.l2_normalize(queries) @ gx.matrix_transpose(gx.nn.l2_normalize(known))
    return gx.topk(similar, k)


def vote(rows: gx.Tensor, labels: gx.Tensor, classes: int) -> gx.Tensor:
    """The label that most neighbours have."""
    return gx.argmax(gx.sum(gx.one_hot(gx.take(labels, rows), classes), axis=1), axis=-1)


def main() -> None:
    """Retrieve, and classify by it."""
    options = parser(__doc__, epochs=1, data=None).parse_args()
    (x_train, y_train), (x_test, y_test) = gx.data.digits()
    queries = gx.input("queries", ("batch", 64))
    _, rows = nearest(queries, gx.constant(x_train), 5)
    labels = gx.constant(y_train)
    votes = [vote(rows, labels, 10), vote(rows[:, :1], labels, 10)]
    find = gx.compile([queries], [rows, *votes])
    found, voted, _ = find(x_test)
    print(f"a {y_test[0]} finds {y_train[found[0]]}")
    print(f"test accuracy of 5 neighbours {(voted == y_test).mean():.4f}")
    print(f"training accuracy of the nearest {(find(x_train)[2] == y_train).mean():.4f}")
    rows = np.concatenate([x_test[:10, None], x_train[found[:10]]], axis=1)
    show(find, options.out, neighbours=rows.reshape(-1, 8, 8))


if __name__ == "__main__":
    main()
