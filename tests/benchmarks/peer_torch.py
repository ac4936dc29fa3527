"""PyTorch: eager or torch.compile, with its fused optimizers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.benchmarks.measure import arguments, measure, report
from tests.benchmarks.workloads import (
    ADAM_LEARNING_RATE,
    LEARNING_RATE,
    WORKLOADS,
    Workload,
    initial,
    minibatches,
)


def build(workload: Workload) -> nn.Module:
    """The network with the common initial weights."""
    modules: list[nn.Module] = []
    layers = initial(workload)
    for i, (kernel, bias) in enumerate(layers):
        dense = nn.Linear(*kernel.shape)
        with torch.no_grad():
            dense.weight.copy_(torch.from_numpy(kernel.T.copy()))
            dense.bias.copy_(torch.from_numpy(bias))
        modules.append(dense)
        if i < len(layers) - 1:
            modules.append(nn.ReLU())
            if workload.dropout:
                modules.append(nn.Dropout(workload.dropout))
    return nn.Sequential(*modules)


def make_step(workload: Workload, compiled: bool) -> Any:
    """numpy minibatch -> loss as a float, after one update."""
    model = build(workload).train()
    parameters = list(model.parameters())
    kernels = [p for p in parameters if p.ndim > 1]
    if workload.optimizer == "adam":
        optimizer: Any = torch.optim.Adam(parameters, ADAM_LEARNING_RATE, fused=True)
    else:
        optimizer = torch.optim.SGD(
            parameters, LEARNING_RATE, momentum=workload.momentum, fused=True
        )

    def loss_of(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), t)
        if workload.l2:
            loss = loss + workload.l2 * sum(p.square().sum() for p in kernels)
        return loss

    if compiled:
        loss_of = torch.compile(loss_of)

    def step(x: Any, t: Any) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(torch.from_numpy(x), torch.from_numpy(t).long())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    """Measure one workload."""
    name, variant, threads, seconds = arguments()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    workload = WORKLOADS[name]
    report(measure(make_step(workload, variant == "compile"), minibatches(workload), seconds))


if __name__ == "__main__":
    main()
