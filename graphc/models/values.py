"""Networks that value actions."""

from __future__ import annotations

from graphc.nn import Conv2D, Dense, Flatten, Sequential


def dqn(actions: int) -> Sequential:
    """The deep Q-network (Mnih et al. 2015): four frames (batch, 84, 84, 4) between 0 and 1 -> the
    value of every action (batch, actions); 1,686,180 parameters for 4 actions."""
    return Sequential(
        [
            Conv2D(32, 8, 4, activation="relu"),
            Conv2D(64, 4, 2, activation="relu"),
            Conv2D(64, 3, 1, activation="relu"),
            Flatten(),
            Dense(512, "relu"),
            Dense(actions),
        ],
        name="dqn",
    )
