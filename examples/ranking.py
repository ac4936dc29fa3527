"""Rank pages for a query: learn from pairs which of two is the better answer (RankNet).

    python examples/ranking.py
    python examples/ranking.py --data DIR

DIR holds train.txt and test.txt in the form of LETOR, a page a line: `2 qid:10 1:0.03 2:0.5 ...`
says grade, query and features. A network gives every page a score; the loss of a pair is the
cross-entropy of the difference of scores (Burges et al. 2005). All pairs of a query are one matrix,
so a query is one example. Compared by NDCG with a regression of the grades and with chance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

PAGES = 12  # of a query


def made_up(queries: int, seed: int) -> tuple[Any, Any]:
    """Features (queries, pages, 8) and grades (queries, pages) from 0 to 4.

    Some features are those of the query alone, the same for its pages: easy and hard queries, which
    a regression of grades spends itself on.
    """
    rng = np.random.default_rng(seed)
    page = rng.normal(size=(queries, PAGES, 6))
    query = np.repeat(rng.normal(size=(queries, 1, 2)), PAGES, axis=1)
    worth = page[..., 0] * page[..., 1] + np.tanh(page[..., 2]) + 3.0 * query[..., 0]
    grades = np.clip(np.round(2.0 + worth + 0.2 * rng.normal(size=worth.shape)), 0, 4)
    return np.concatenate([page, query], axis=-1).astype("float32"), grades.astype("float32")


def letor(path: Path) -> tuple[Any, Any]:
    """The same of a file, queries cut or filled up with pages of grade -1 to as many."""
    by_query: dict[str, list[tuple[float, list[float]]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        grade, query, *features = line.split("#")[0].split()
        row = [float(feature.split(":")[1]) for feature in features]
        by_query.setdefault(query, []).append((float(grade), row))
    width = len(next(iter(by_query.values()))[0][1])
    x = np.zeros((len(by_query), PAGES, width), "float32")
    grades = np.full(x.shape[:2], -1.0, "float32")
    for i, pages in enumerate(by_query.values()):
        for j, (grade, row) in enumerate(pages[:PAGES]):
            grades[i, j], x[i, j] = grade, row
    return x, grades


def pairwise(scores: gx.Tensor, grades: gx.Tensor) -> gx.Tensor:
    """The mean over pairs of pages of which the first has the higher grade."""
    difference = scores[:, :, None] - scores[:, None, :]
    better = (grades[:, :, None] > grades[:, None, :]) & (grades[:, None, :] >= 0.0)
    each = gx.where(better, nn.softplus(-difference), 0.0)
    return gx.sum(each) / gx.maximum(gx.sum(better.astype("float32")), 1.0)


def pointwise(scores: gx.Tensor, grades: gx.Tensor) -> gx.Tensor:
    """The mean squared error of the grades."""
    return gx.where(grades >= 0.0, nn.mse(scores, grades), 0.0).mean()


def ndcg(scores: Any, grades: Any, k: int = 5) -> float:
    """Normalised discounted cumulative gain of the first k."""
    discount = 1.0 / np.log2(np.arange(k) + 2.0)
    gain = 2.0 ** np.maximum(grades, 0.0) - 1.0
    order = np.argsort(-np.where(grades < 0, -np.inf, scores), axis=1)[:, :k]
    best = -np.sort(-gain, axis=1)[:, :k] @ discount
    reached = np.take_along_axis(gain, order, axis=1) @ discount
    return float((reached[best > 0] / best[best > 0]).mean())


def main() -> None:
    """Train with both losses."""
    options = parser(__doc__, epochs=40, batch_size=16).parse_args()
    if options.data is None:
        training, (x_test, grades_test) = made_up(300, 0), made_up(100, 1)
    else:
        training, (x_test, grades_test) = (
            letor(options.data / f"{n}.txt") for n in ("train", "test")
        )
    chance = np.random.default_rng(0).random(grades_test.shape)
    print(f"NDCG@5 of chance {ndcg(chance, grades_test):.4f}")
    x = gx.input("x", ("queries", *training[0].shape[1:]))
    grades = gx.input("grades", ("queries", PAGES))
    for name, loss_of in (("grades", pointwise), ("pairs", pairwise)):
        gx.seed(options.seed)
        scores = nn.Sequential([nn.Dense(16, "tanh"), nn.Dense(1)], name=name)(x)[..., 0]
        loss = loss_of(scores, grades)
        step = gx.compile(
            [x, grades], {"loss": loss}, gx.optim.Adam(5e-3).minimize(loss),
            threads=options.threads, name=name,
        )  # fmt: skip
        gx.fit(step, training, options.epochs, options.batch_size, verbose=False)
        found = gx.compile([x], scores, name="scores")(x_test)
        print(f"NDCG@5 learnt from {name} {ndcg(found, grades_test):.4f}")
    show(step, options.out)


if __name__ == "__main__":
    main()
