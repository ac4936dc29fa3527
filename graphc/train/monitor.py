"""Watch one number of the logs, and know whether it should fall or grow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.errors import ArgumentError

# Words of a name that tell the direction; the last one in the name decides: accuracy_loss falls.
_FALLS = frozenset((
    "loss", "losses", "error", "errors", "err", "cost", "nll", "bce", "mse", "rmse", "mae", "mape",
    "msle", "huber", "hinge", "entropy", "crossentropy", "perplexity", "ppl", "divergence", "kl",
    "wer", "cer", "bpc", "regret", "penalty",
))  # fmt: skip
_GROWS = frozenset((
    "accuracy", "acc", "auc", "auroc", "auprc", "roc", "pr", "f1", "f2", "fbeta", "precision",
    "recall", "r2", "iou", "jaccard", "dice", "specificity", "sensitivity", "kappa", "mcc", "bleu",
    "rouge", "ndcg", "mrr", "psnr", "ssim", "correlation", "pearson", "spearman", "reward",
))  # fmt: skip


def direction(name: str) -> str | None:
    """ "min" or "max" for a name that tells, else None; val_ and such are looked past."""
    for word in reversed(re.split(r"[^a-z0-9]+", name.lower())):
        if word in _FALLS:
            return "min"
        if word in _GROWS or re.fullmatch(r"top\d+", word):
            return "max"
    return None


def choose_mode(name: Any, mode: str) -> str:
    """ "min" or "max"; raises where mode is "auto" and the name does not tell."""
    if not isinstance(name, str):
        raise ArgumentError(f"monitor must be a name of the logs, got {name!r}")
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f'mode must be "min" or "max", or "auto" (by the name), got {mode!r}')
    found = direction(name) if mode == "auto" else mode
    if found is None:
        raise ArgumentError(
            f"monitor: the name {name} does not tell whether it should fall or grow",
            hint='pass mode="min" or mode="max"',
        )
    return found


def check_number(name: str, word: str, value: Any, low: float, high: float, whole: bool) -> None:
    """Raise unless an argument is a number (an int if `whole`) from low to below high."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    number = isinstance(value, kinds) and not isinstance(value, bool)
    if not number or not low <= value < high:
        what = "an int" if whole else "a number"
        limit = f" and below {high:g}" if high < math.inf else ""
        raise ArgumentError(
            f"{name}: {word} must be {what} of at least {low:g}{limit}, got {value!r}"
        )


class Monitor:
    """Watches one number of the logs for improvement by more than `min_delta`."""

    def __init__(self, name: str, mode: str, min_delta: float) -> None:
        self.name, self.mode = name, choose_mode(name, mode)
        self.sign = 1.0 if self.mode == "min" else -1.0
        check_number("monitor", "min_delta", min_delta, 0.0, math.inf, whole=False)
        self.min_delta = min_delta
        self.reset()

    def reset(self) -> None:
        """Forget everything seen."""
        self.best, self.waited = math.inf, 0

    def improved(self, logs: dict[str, float]) -> bool:
        """Whether the latest number is the best so far; counts the epochs since that."""
        if self.name not in logs:
            raise ArgumentError(f"monitor: no {self.name} among {', '.join(logs)}")
        value = self.sign * logs[self.name]
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
            return True
        self.waited += 1
        return False

    @property
    def key(self) -> str:
        """Name and direction."""
        return f"{self.name} {self.mode}"

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"best": self.best, "waited": self.waited}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.best, self.waited = float(state["best"]), int(state["waited"])
