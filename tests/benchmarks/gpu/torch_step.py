"""Steps of PyTorch: eager, or torch.compile with CUDA graphs, with its fused optimizers."""

from __future__ import annotations

from typing import Any

import torch

from tests.benchmarks.gpu.settings import BF16, TF32, Setting
from tests.benchmarks.gpu.timing import Timed
from tests.benchmarks.gpu.torch_models import model_of


def make(setting: Setting, variant: str, device: str) -> Timed:
    """The step in both of its forms."""
    torch.manual_seed(0)
    allowed = setting.precision == TF32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cudnn.benchmark = True
    compiled = variant == "compile"
    model = model_of(setting, compiled).to(device).train()
    optimizer = _optimizer(setting, list(model.parameters()), device)
    forward = torch.compile(model, mode="reduce-overhead") if compiled else model
    low = torch.autocast(device, torch.bfloat16, enabled=setting.precision == BF16)

    def step(*batch: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        with low:
            loss = forward(*batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def put(*batch: Any) -> tuple[Any, ...]:
        return tuple(_tensor(a).to(device, non_blocking=True) for a in batch)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    count = sum(p.numel() for p in model.parameters())
    return Timed(lambda *batch: step(*put(*batch)).item(), step, put, wait, count)


def _tensor(array: Any) -> torch.Tensor:
    """An input; indices have torch's own type."""
    found = torch.from_numpy(array)
    return found if found.is_floating_point() else found.long()


def _optimizer(setting: Setting, parameters: list[Any], device: str) -> Any:
    if setting.optimizer == "momentum":
        return torch.optim.SGD(parameters, 0.01, momentum=0.9, fused=True)
    if setting.optimizer == "adagrad":
        return torch.optim.Adagrad(parameters, 0.01)
    kind = torch.optim.Adam if setting.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, 1e-3, fused=True, capturable=device == "cuda")
