"""What a training run was like, epoch by epoch."""

from __future__ import annotations

from graphc.train.show import history_html


class History(dict[str, list[float]]):
    """Lists with one number per finished epoch: the outputs' means, `val_` ones,
    `learning_rate`, `seconds`, `steps_per_second`.

    `epochs` counts the finished epochs, `steps` the updates. `interrupted` says that Ctrl-C ended
    the run, `note` why it ended early (empty if it did not).
    """

    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0
        self.steps = 0
        self.interrupted = False
        self.note = ""

    @property
    def history(self) -> dict[str, list[float]]:
        """The lists as a plain dict, under Keras' name."""
        return dict(self)

    def add(self, logs: dict[str, float]) -> None:
        """Append one epoch; a name that is new starts with NaN for the epochs before."""
        for name, value in logs.items():
            self.setdefault(name, [float("nan")] * self.epochs).append(value)
        self.epochs += 1
        for values in self.values():
            values.extend([float("nan")] * (self.epochs - len(values)))

    def last(self, name: str) -> float:
        """The latest number of a name; raises KeyError with the names there are."""
        if name not in self:
            raise KeyError(f"{name}: the history has {', '.join(self) or 'nothing'}")
        return self[name][-1]

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.items() if values)
        return f"<History of {self.epochs} epochs: {last}>"

    def _repr_html_(self) -> str:
        return history_html(self, self.note)
