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
from graphc.nn.attention import MultiHeadAttention, scaled_dot_product_attention
from graphc.nn.cells import gru_cell, lstm_cell, rnn_cell, through_time
from graphc.nn.convolution import conv, conv_transpose
from graphc.nn.layers import (
    Activation,
    Dense,
    DropConnect,
    Dropout,
    Embedding,
    Flatten,
    Layer,
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
from graphc.nn.masking import dropconnect, dropout
from graphc.nn.model import Sequential
from graphc.nn.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from graphc.nn.normalize import batch_norm, group_norm, layer_norm, rms_norm
from graphc.nn.pooling import (
    avg_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    lp_pool,
    max_pool,
)  # fmt: skip
from graphc.nn.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from graphc.nn.spatial import (
    AvgPool2D,
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose2D,
    GlobalAvgPool2D,
    MaxPool2D,
)  # fmt: skip

__all__ = [
    "GRU", "LSTM", "Activation", "AvgPool2D", "BatchNorm", "Bidirectional", "Conv1D", "Conv2D",
    "Conv3D", "ConvTranspose2D", "Dense", "DropConnect", "Dropout", "Embedding", "Flatten",
    "GlobalAvgPool2D", "GroupNorm", "Layer", "LayerNorm", "MaxPool2D", "MultiHeadAttention",
    "RMSNorm", "Reshape", "Sequential", "SimpleRNN", "accuracy", "avg_pool", "batch_norm", "conv",
    "conv_transpose", "dropconnect", "dropout", "elu", "gelu", "global_avg_pool", "global_lp_pool",
    "global_max_pool", "group_norm", "gru_cell", "hard_sigmoid", "hinge", "huber", "identity",
    "kl_divergence", "layer_norm", "leaky_relu", "log_softmax", "lp_pool", "lstm_cell", "mae",
    "max_pool", "mish", "mse", "relu", "rms_norm", "rnn_cell", "scaled_dot_product_attention",
    "selu", "sigmoid", "sigmoid_cross_entropy", "silu", "softmax", "softmax_cross_entropy",
    "softplus", "softsign", "tanh", "through_time", "top_k_accuracy",
]  # fmt: skip
