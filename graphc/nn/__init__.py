"""Building blocks of models: activations, losses, metrics and layers."""

from graphc.nn.activations import (
    elu,
    gelu,
    hard_sigmoid,
    identity,
    leaky_relu,
    log_softmax,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)  # fmt: skip
from graphc.nn.layers import (
    Activation,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LayerNorm,
    Reshape,
)  # fmt: skip
from graphc.nn.losses import (
    accuracy,
    hinge,
    huber,
    kl_divergence,
    mae,
    mse,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    top_k_accuracy,
)  # fmt: skip
from graphc.nn.masking import dropout
from graphc.nn.model import Sequential
from graphc.nn.normalize import layer_norm, rms_norm

__all__ = [
    "Activation", "Dense", "Dropout", "Embedding", "Flatten", "Layer", "LayerNorm", "Reshape",
    "Sequential", "accuracy", "dropout", "elu", "gelu", "hard_sigmoid", "hinge", "huber",
    "identity", "kl_divergence", "layer_norm", "leaky_relu", "log_softmax", "mae", "mish", "mse",
    "relu", "rms_norm", "selu", "sigmoid", "sigmoid_cross_entropy", "silu", "softmax",
    "softmax_cross_entropy", "softplus", "softsign", "tanh", "top_k_accuracy",
]  # fmt: skip
