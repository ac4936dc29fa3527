"""The networks that are measured on a GPU, in PyTorch: each maps the inputs to the loss."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tests.benchmarks.gpu.settings import Setting


class Images(nn.Module):
    """A classifier of images; images come channels last and are seen so without a copy."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Any, labels: Any) -> Any:
        if x.ndim == 4:
            x = x.permute(0, 3, 1, 2)
        return F.cross_entropy(self.body(x).float(), labels)


def mlp(setting: Setting) -> nn.Module:
    modules: list[nn.Module] = []
    for a, b in zip(setting.layers, setting.layers[1:]):
        modules += [nn.Linear(a, b), nn.ReLU()]
    return Images(nn.Sequential(*modules[:-1]))


def cnn(setting: Setting) -> nn.Module:
    side = (setting.side - 4) // 2
    return Images(nn.Sequential(
        nn.Conv2d(setting.channels, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * side * side, 128), nn.ReLU(),
        nn.Linear(128, setting.classes),
    ))  # fmt: skip


def _convolution(a: int, b: int, size: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(a, b, size, stride, (size - 1) // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(b))


class Block(nn.Module):
    """A residual block."""

    def __init__(self, inside: int, filters: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        self.outside = outside = 4 * filters if bottleneck else filters
        if bottleneck:
            parts = [_convolution(inside, filters, 1), nn.ReLU()]
            parts += [_convolution(filters, filters, 3, stride), nn.ReLU()]
            parts += [_convolution(filters, outside, 1)]
        else:
            parts = [_convolution(inside, filters, 3, stride), nn.ReLU()]
            parts += [_convolution(filters, filters, 3)]
        self.inner = nn.Sequential(*parts)
        same = stride == 1 and inside == outside
        self.short = nn.Identity() if same else _convolution(inside, outside, 1, stride)

    def forward(self, x: Any) -> Any:
        return F.relu(self.inner(x) + self.short(x))


def resnet(setting: Setting) -> nn.Module:
    first = 64 if setting.bottleneck else 16
    if setting.bottleneck:
        parts = [_convolution(3, first, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    else:
        parts = [_convolution(3, first, 3), nn.ReLU()]
    inside = first
    for stage, count in enumerate(setting.layers):
        for i in range(count):
            stride = 2 if stage and not i else 1
            block = Block(inside, first << stage, stride, setting.bottleneck)
            parts.append(block)
            inside = block.outside
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, setting.classes)]
    return Images(nn.Sequential(*parts)).to(memory_format=torch.channels_last)


class Characters(nn.Module):
    """A language model by an LSTM."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.embedding = nn.Embedding(setting.classes, 64)
        self.lstm = nn.LSTM(64, setting.width, batch_first=True)
        self.out = nn.Linear(setting.width, setting.classes)

    def forward(self, tokens: Any, targets: Any) -> Any:
        y, _ = self.lstm(self.embedding(tokens))
        return F.cross_entropy(self.out(y).float().flatten(0, 1), targets.flatten())


class Attention(nn.Module):
    """A block of a GPT."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, y: Any) -> Any:
        n, steps, width = y.shape
        parts = self.qkv(self.first(y)).view(n, steps, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y + self.out(seen.transpose(1, 2).reshape(n, steps, width))
        return y + self.dense(self.second(y))


class Gpt(nn.Module):
    """A language model by attention."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        width = setting.width
        self.words = nn.Embedding(setting.classes, width)
        self.places = nn.Embedding(setting.steps, width)
        blocks = [Attention(width, setting.heads) for _ in range(setting.layers[0])]
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width)
        self.out = nn.Linear(width, setting.classes, bias=False)

    def forward(self, tokens: Any, targets: Any) -> Any:
        y = self.blocks(self.words(tokens) + self.places.weight)
        logits = self.out(self.norm(y))
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


class Word2Vec(nn.Module):
    """Sampled softmax; sparse gradients unless it is compiled."""

    def __init__(self, setting: Setting, sparse: bool) -> None:
        super().__init__()
        rows, width = setting.classes, setting.width
        self.words, self.contexts = (nn.Embedding(rows, width, sparse=sparse) for _ in range(2))

    def forward(self, center: Any, context: Any, negatives: Any) -> Any:
        e = self.words(center)
        true = (e * self.contexts(context)).sum(1, keepdim=True)
        logits = torch.cat([true, e @ self.contexts(negatives).t()], 1)
        return F.cross_entropy(logits.float(), torch.zeros_like(center))


def model_of(setting: Setting, compiled: bool) -> nn.Module:
    """The network of a setting."""
    if setting.network == "word2vec":
        return Word2Vec(setting, sparse=not compiled)
    makers = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "lstm": Characters, "gpt": Gpt}
    found: nn.Module = makers[setting.network](setting)
    return found
