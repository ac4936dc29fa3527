"""How a leaderboard is climbed without learning anything: many guesses, and their public scores.

    python examples/leaderboard.py
    python examples/leaderboard.py --submissions 1000 --out pictures

Every submission is a coin for each example. Those that the public half of the test set likes are
kept, and vote (Hardt 2015 calls it boosting by attack). The public score climbs with the number of
submissions; the private half, which decides, stays at what coins are worth.
"""

from __future__ import annotations

import numpy as np
from common import parser, show

import graphc as gx


def board(submissions: int, examples: int, threads: int | None = None) -> gx.CompiledFunction:
    """The public and the private score of the vote, for a number of submissions so far."""
    truth, made = gx.input("truth", (examples,)), gx.input("made", ())
    coins = gx.random.bernoulli((submissions, examples), 0.5, name="coins").astype("float32")
    right = (coins == truth).astype("float32")
    half = examples // 2
    public = right[:, :half].mean(axis=1)
    kept = (public > 0.5) & (gx.arange(submissions).astype("float32") < made)
    votes = kept.astype("float32") @ (2.0 * coins - 1.0)
    answers = gx.where(votes == 0.0, coins[0], (votes > 0.0).astype("float32"))
    score = (answers == truth).astype("float32")
    outputs = (score[:half].mean(), score[half:].mean())
    return gx.compile([truth, made], outputs, threads=threads, name="leaderboard")


def main() -> None:
    """Submit, and compare the halves."""
    options = parser(__doc__, epochs=1, data=None)
    options.add_argument("--submissions", type=int, default=500)
    options.add_argument("--examples", type=int, default=2000, help="of the test set, both halves")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    score = board(chosen.submissions, chosen.examples, chosen.threads)
    truth = np.random.default_rng(chosen.seed).integers(0, 2, chosen.examples).astype("float32")
    counts = np.unique(np.geomspace(1, chosen.submissions, 8).astype("int64"))
    scores = []
    for count in counts:
        score.rng[1] = 0  # the same submissions, and more of them
        public, private = score(truth, np.float32(count))
        scores.append((float(public), float(private)))
        print(f"{count:>5} submissions: public {public:.3f}, private {private:.3f}")
    noise = 30 / (chosen.examples // 2)
    print(f"public {scores[-1][0]:.3f}")
    print(f"private {scores[-1][1]:.3f}, and less than {noise:.3f} from a half is noise")
    runs = dict(zip(("public", "private"), zip(*scores)))
    runs = {name: list(curve) for name, curve in runs.items()}
    show(score, chosen.out, scores=lambda: gx.plot.compare(runs, "score"))


if __name__ == "__main__":
    main()
