"""Building blocks of models: activations, losses, metrics and layers."""

from graphc.frontend.arguments import check_all
from graphc.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    prelu,
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
from graphc.nn.augment import ColorJitter, RandomCrop, RandomFlip, RandomRotation
from graphc.nn.cells import gru_cell, lstm_cell, rnn_cell, through_time
from graphc.nn.convolution import conv, conv_transpose
from graphc.nn.ctc import ctc
from graphc.nn.freezing import freeze, unfreeze
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
from graphc.nn.losses import kl_divergence, sigmoid_cross_entropy, softmax_cross_entropy
from graphc.nn.margins import (
    categorical_hinge,
    contrastive,
    hinge,
    info_nce,
    nce,
    squared_hinge,
    triplet,
)  # fmt: skip
from graphc.nn.masking import dropconnect, dropout
from graphc.nn.mixing import cutmix, mixup
from graphc.nn.model import Sequential, layer
from graphc.nn.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from graphc.nn.normalize import batch_norm, group_norm, layer_norm, rms_norm
from graphc.nn.pooling import (
    avg_pool,
    global_avg_pool,
    global_lp_pool,
    global_max_pool,
    lp_pool,
    max_pool,
)  # fmt: skip
from graphc.nn.pooling_layers import (
    AveragePooling1D as AveragePooling1D,
)
from graphc.nn.pooling_layers import (
    AveragePooling2D as AveragePooling2D,
)
from graphc.nn.pooling_layers import (
    AveragePooling3D as AveragePooling3D,
)
from graphc.nn.pooling_layers import (
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
)
from graphc.nn.pooling_layers import (
    GlobalAveragePooling1D as GlobalAveragePooling1D,
)
from graphc.nn.pooling_layers import (
    GlobalAveragePooling2D as GlobalAveragePooling2D,
)
from graphc.nn.pooling_layers import (
    GlobalMaxPooling1D as GlobalMaxPooling1D,
)
from graphc.nn.pooling_layers import (
    GlobalMaxPooling2D as GlobalMaxPooling2D,
)
from graphc.nn.pooling_layers import (
    MaxPooling1D as MaxPooling1D,
)
from graphc.nn.pooling_layers import (
    MaxPooling2D as MaxPooling2D,
)
from graphc.nn.pooling_layers import (
    MaxPooling3D as MaxPooling3D,
)
from graphc.nn.probabilities import (
    binary_crossentropy,
    categorical_crossentropy,
    sigmoid_focal,
    softmax_focal,
    sparse_categorical_crossentropy,
)  # fmt: skip
from graphc.nn.recurrent import GRU, LSTM, Bidirectional, SimpleRNN
from graphc.nn.regression import gaussian_nll, huber, log_cosh, mae, mse, poisson, quantile
from graphc.nn.resize import resize
from graphc.nn.sampling import sampled_softmax
from graphc.nn.scores import accuracy, top_k_accuracy
from graphc.nn.shaping import (
    Add,
    Concatenate,
    Inception,
    Input,
    LeakyReLU,
    LocalResponseNorm,
    Multiply,
    Permute,
    PReLU,
    RepeatVector,
    Rescaling,
    TimeDistributed,
    UpSampling,
)
from graphc.nn.similarity import cosine_distance, cosine_similarity, l2_normalize
from graphc.nn.spatial import (
    Conv1D,
    Conv2D,
    Conv3D,
    ConvTranspose1D,
    ConvTranspose2D,
    DepthwiseConv2D,
    SeparableConv2D,
)  # fmt: skip
from graphc.nn.standardize import Standardize

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNorm",
    "Bidirectional",
    "ColorJitter",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "Dense",
    "DepthwiseConv2D",
    "DropConnect",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GroupNorm",
    "Inception",
    "Input",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LocalResponseNorm",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MultiHeadAttention",
    "Multiply",
    "PReLU",
    "Permute",
    "RMSNorm",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "SeparableConv2D",
    "Sequential",
    "SimpleRNN",
    "Standardize",
    "TimeDistributed",
    "UpSampling",
    "accuracy",
    "avg_pool",
    "batch_norm",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "celu",
    "contrastive",
    "conv",
    "conv_transpose",
    "cosine_distance",
    "cosine_similarity",
    "ctc",
    "cutmix",
    "dropconnect",
    "dropout",
    "elu",
    "freeze",
    "gaussian_nll",
    "gelu",
    "global_avg_pool",
    "global_lp_pool",
    "global_max_pool",
    "glu",
    "group_norm",
    "gru_cell",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "hinge",
    "huber",
    "identity",
    "info_nce",
    "kl_divergence",
    "l2_normalize",
    "layer",
    "layer_norm",
    "leaky_relu",
    "log_cosh",
    "log_sigmoid",
    "log_softmax",
    "lp_pool",
    "lstm_cell",
    "mae",
    "max_pool",
    "mish",
    "mixup",
    "mse",
    "nce",
    "poisson",
    "prelu",
    "quantile",
    "relu",
    "resize",
    "rms_norm",
    "rnn_cell",
    "sampled_softmax",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sigmoid_focal",
    "silu",
    "softmax",
    "softmax_cross_entropy",
    "softmax_focal",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tanh",
    "through_time",
    "top_k_accuracy",
    "triplet",
    "unfreeze",
]

check_all(globals(), __all__)
