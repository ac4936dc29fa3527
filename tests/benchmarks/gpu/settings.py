"""What is measured on a GPU: networks, sizes, precisions, minibatches. numpy only.

Every setting has a tiny one beside it, with which the programs themselves are tried on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Batch = tuple[Any, ...]
FP32, TF32, BF16 = "fp32", "tf32", "bf16"


@dataclass(frozen=True)
class Setting:
    """A training step: `network` says which of the fields below count.

    `layers` are dense layers, residual blocks of each stage, or blocks of attention.
    """

    network: str
    batch: int
    optimizer: str
    precision: str = FP32
    layers: tuple[int, ...] = ()
    side: int = 0  # of images
    channels: int = 3
    classes: int = 10
    bottleneck: bool = False
    steps: int = 0  # of sequences
    width: int = 0
    heads: int = 0
    negatives: int = 0

    def batches(self, count: int = 2) -> list[Batch]:
        """Inputs of the step, as arrays."""
        rng = np.random.RandomState(7)
        return [self._draw(rng) for _ in range(count)]

    def _draw(self, rng: np.random.RandomState) -> Batch:
        n = self.batch
        if self.network in ("mlp", "cnn", "resnet"):
            inside = (self.layers[0],) if self.network == "mlp" else (self.side,) * 2
            inside += (self.channels,) if self.network != "mlp" else ()
            images = rng.rand(n, *inside).astype(np.float32)
            return images, rng.randint(0, self.classes, n).astype(np.int32)
        if self.network == "word2vec":
            counts = (n, n, self.negatives)
            return tuple(self._frequent(rng, count) for count in counts)
        tokens, targets = (rng.randint(0, self.classes, (n, self.steps)) for _ in range(2))
        return tokens.astype(np.int32), targets.astype(np.int32)

    def _frequent(self, rng: np.random.RandomState, count: int) -> Any:
        """Words with the frequencies that words have."""
        rank = np.exp(rng.rand(count) * np.log(self.classes + 1)) - 1
        return np.minimum(rank, self.classes - 1).astype(np.int32)


RESNET50 = Setting(
    "resnet", 64, "momentum", layers=(3, 4, 6, 3), side=224, classes=1000, bottleneck=True
)
GPT_12 = Setting(
    "gpt", 8, "adamw", BF16, layers=(12,), steps=1024, width=768, heads=12, classes=50_304
)
SETTINGS = {
    "mlp": Setting("mlp", 128, "momentum", layers=(784, 512, 512, 10)),
    "cnn_mlvu": Setting("cnn", 32, "adam", side=28, channels=1),
    "resnet20": Setting("resnet", 64, "momentum", layers=(3, 3, 3), side=32),
    "lstm": Setting("lstm", 32, "adam", steps=64, width=256, classes=64),
    "gpt": Setting("gpt", 8, "adamw", layers=(4,), steps=128, width=256, heads=8, classes=256),
    "word2vec": Setting("word2vec", 128, "adagrad", width=128, classes=50_000, negatives=64),
    "resnet50_bf16": replace(RESNET50, precision=BF16),
    "resnet50_tf32": replace(RESNET50, precision=TF32),
    "gpt_12x768_bf16": GPT_12,
}


def tiny(setting: Setting) -> Setting:
    """The same network so small that the simulator runs it."""
    small = {
        "mlp": {"layers": (8, 6, 4), "classes": 4},
        "cnn": {"side": 8, "classes": 3},
        "resnet": {"side": 32 if setting.bottleneck else 8, "layers": (1, 1), "classes": 3},
        "lstm": {"steps": 3, "width": 8, "classes": 5},
        "gpt": {"steps": 8, "width": 16, "heads": 2, "layers": (1,), "classes": 7},
        "word2vec": {"width": 8, "classes": 20, "negatives": 4},
    }
    return replace(setting, batch=2, **small[setting.network])
