"""Catch: a deep Q-network learns a small game from what it sees and what it wins.

    python examples/catch_dqn.py --out DIR

A ball falls down a board of 7 by 7 squares, a bar at the bottom moves left, right or not; catching
the ball wins 1, missing it costs 1. The network sees the board and values each move; it learns from
moves drawn from its memory, against a copy of itself that follows slowly (Mnih et al. 2015). The
copy, the best next value and the update are one compiled step. `gx.models.dqn` is the network for
real screens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import parser, show

import graphc as gx
from graphc import nn

SIZE, MOVES = 7, 3
SHARE = 0.95  # what a win is worth one move later


class Catch:
    """Many games at once; all end at the same time, and begin anew."""

    def __init__(self, games: int, rng: np.random.Generator) -> None:
        self.games, self.rng = games, rng
        self.restart()

    def restart(self) -> None:
        """Balls at the top, bars anywhere."""
        self.row = 0
        self.ball, self.bar = self.rng.integers(0, SIZE, (2, self.games))

    def board(self) -> Any:
        """What is seen: (games, rows, columns), 1 at the ball and at the bar."""
        seen = np.zeros((self.games, SIZE, SIZE), "float32")
        every = np.arange(self.games)
        seen[every, self.row, self.ball] = 1.0
        seen[every, SIZE - 1, self.bar] = 1.0
        return seen

    def move(self, moves: Any) -> tuple[Any, bool]:
        """Go on by one row; what was won (games,), and whether the games are over."""
        self.bar = np.clip(self.bar + moves - 1, 0, SIZE - 1)
        self.row += 1
        over = self.row == SIZE - 1
        won = np.where(self.bar == self.ball, 1.0, -1.0) * over
        return won.astype("float32"), over


def network() -> nn.Sequential:
    """(batch, rows, columns) -> the value of every move (batch, 3)."""
    return nn.Sequential([nn.Flatten(), nn.Dense(64, "relu"), nn.Dense(MOVES)])


def build(options: Any) -> tuple[gx.CompiledFunction, gx.CompiledFunction]:
    """The step that learns from moves that were made, and the values of a board."""
    before, after = (gx.input(name, ("batch", SIZE, SIZE)) for name in ("before", "after"))
    move = gx.input("move", ("batch",), dtype="int32")
    won, over = gx.input("won", ("batch",)), gx.input("over", ("batch",))
    net, copy = network(), network()
    values = net(before)
    made = gx.take_along_axis(values, move[:, None], axis=1)[:, 0]
    best = gx.max(copy(after), axis=1)
    target = gx.stop_gradient(won + SHARE * (1.0 - over) * best)
    loss = nn.huber(made, target).mean()
    updates = gx.optim.Adam(2e-3).minimize(loss, parameters=net.parameters)
    follow = {c: c + 0.02 * (p - c) for c, p in zip(copy.parameters, net.parameters)}
    inputs = [before, move, won, after, over]
    step = gx.compile(
        inputs, {"loss": loss}, [updates, follow], threads=options.threads, name="dqn"
    )
    return step, gx.compile([before], values, name="values")


def played(values: gx.CompiledFunction, games: int, seed: int) -> tuple[float, Any]:
    """The share of games won by the moves of the highest value, and one game as pictures."""
    game, film = Catch(games, np.random.default_rng(seed)), []
    over = False
    while not over:
        film.append(game.board()[:4])
        won, over = game.move(values(game.board()).argmax(axis=1))
    film.append(game.board()[:4])
    return float((won > 0).mean()), np.stack(film, axis=1).reshape(-1, SIZE, SIZE)


def main() -> None:
    """Play, remember, learn."""
    options = parser(__doc__, epochs=150, batch_size=128, data=None)
    options.add_argument("--games", type=int, default=32, help="played side by side")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    step, values = build(chosen)
    print(f"share of games won before {played(values, 500, 1)[0]:.4f}")
    game, memory = Catch(chosen.games, rng), []
    for epoch in range(chosen.epochs):
        daring = max(0.05, 1.0 - 2.0 * epoch / chosen.epochs)
        game.restart()
        over = False
        while not over:
            seen = game.board()
            best = values(seen).argmax(axis=1)
            anything = rng.integers(0, MOVES, chosen.games)
            moves = np.where(rng.random(chosen.games) < daring, anything, best).astype("int32")
            won, over = game.move(moves)
            ended = np.full(chosen.games, float(over), "float32")
            memory += list(zip(seen, moves, won, game.board(), ended))
            drawn = [memory[i] for i in rng.integers(0, len(memory), chosen.batch_size)]
            step(*(np.stack(part) for part in zip(*drawn)))
        memory = memory[-20_000:]
    share, film = played(values, 500, 1)
    print(f"share of games won {share:.4f}")
    show(step, chosen.out, games=lambda: gx.plot.images(film, columns=SIZE))


if __name__ == "__main__":
    main()
