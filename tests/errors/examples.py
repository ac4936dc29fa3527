"""One right call of every public function, with all its arguments; what is done wrong to it.

`EXAMPLES[name]` is a function that returns the positional and the named arguments. A public
function without an example, or an argument that no example gives, fails `test_everything.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import graphc as gx

MODULES = ("nn", "linalg", "fft", "random", "optim", "init", "schedules", "regularizers")

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def given(*args: Any, **named: Any) -> Arguments:
    """The arguments of a call."""
    return args, named


X = gx.input("x", (3, 4))
Y = gx.input("y", (3, 4))
I = gx.input("i", (3, 4), "int32")  # noqa: E741
L = gx.input("labels", (3,), "int32")
V = gx.input("v", (4,))
P = gx.input("p", (3, 4), "bool")
Q = gx.input("q", (3, 3))
S = gx.input("s", (), "float32")
IMAGE = gx.input("image", (2, 8, 8, 4))
KERNEL = gx.input("kernel", (3, 3, 4, 4))
SERIES = gx.input("series", (2, 5, 4))
H = gx.input("h", (3, 3))
RECURRENT, GATED, LSTM = (
    (gx.input("kernel", (4, 3 * n)), gx.input("recurrent", (3, 3 * n))) for n in (1, 3, 4)
)
W = gx.parameter("w", (4, 2), trainable=True)
LOSS = gx.mean((X @ W) ** 2)
BITS = gx.input("bits", (3, 4), "int8")
STEP = gx.compile([X], {"loss": LOSS}, {W: W * 1.0}, target="interpret")
OPTIMIZED = gx.compile([X], {"loss": LOSS}, gx.optim.SGD(0.1).minimize(LOSS), target="interpret")
CLASSES = (
    "Tensor", "Parameter", "Dim", "CompiledFunction", "Evaluation", "History", "RateSweep",
    "name_scope", "Complex", "Layer", "Optimizer", "Transform", "Updates",
)  # fmt: skip

UNARY = """
abs acos acosh asin asinh atan atanh ceil cos cosh digamma erf erfc erfinv exp exp2 expm1 floor
gamma lgamma log log10 log1p log2 negative positive reciprocal round sigmoid sign signbit sin sinh
softplus sqrt square tan tanh trunc isfinite isinf isnan logical_not stop_gradient
matrix_transpose nn.hard_sigmoid nn.identity nn.mish nn.relu nn.selu nn.sigmoid
nn.silu nn.softplus nn.softsign nn.tanh nn.log_sigmoid nn.hard_silu linalg.matrix_transpose
i0 i0e i1 i1e
"""
BINARY = """
add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp
maximum minimum multiply nextafter not_equal pow remainder subtract nn.mae nn.mse nn.hinge

"""
LOGICAL = ("logical_and", "logical_or", "logical_xor")
BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift")
REDUCE = ["all", "any", "count_nonzero", "logsumexp", "max", "mean", "min"]
MATRICES = ["cholesky", "det", "eigh", "eigvalsh", "inv", "slogdet", "svdvals"]
TRANSFORMS = ["fft", "hfft", "ifft", "ihfft", "irfft", "rfft"]
TRANSFORMS_N = ["fft2", "fftn", "ifft2", "ifftn", "irfft2", "irfftn", "rfft2", "rfftn"]
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "Adadelta": {"decay": 0.9, "epsilon": 1e-6},
    "Adagrad": {"initial_accumulator": 0.0, "epsilon": 1e-10},
    "RMSprop": {"decay": 0.9, "epsilon": 1e-8, "momentum": 0.1},
    "SGD": {"momentum": 0.9, "nesterov": True},
    "AdamW": {
        "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weight_decay": 0.1,
        "mask": lambda p: True, "amsgrad": True, "bias_correction": True,
    },
    "Adam": {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "amsgrad": True,
             "bias_correction": True},
    "Adamax": {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8},
    "Nadam": {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "momentum_decay": 0.004},
    "LAMB": {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-6, "weight_decay": 0.1, "mask": "*"},
    "Lion": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1, "mask": "*"},
    "Adafactor": {"decay_power": 0.8, "clip_threshold": 1.0, "weight_decay": 0.1, "mask": "*"},
    "Muon": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "iterations": 5,
             "mask": "*"},
    "Rprop": {"decrease": 0.5, "increase": 1.2, "min_step": 1e-6, "max_step": 50.0},
    "BFGS": {"c1": 1e-4, "c2": 0.9, "max_evaluations": 20},
    "LBFGS": {"history": 5, "c1": 1e-4, "c2": 0.9, "max_evaluations": 20},
    "Newton": {"damping": 0.1, "c1": 1e-4, "c2": 0.9, "max_evaluations": 20},
}  # fmt: skip
CONV = {
    "filters": 4, "kernel_size": 3, "strides": 1, "padding": "same", "dilation": 1, "groups": 1,
    "activation": "relu", "use_bias": True, "layout": "channels_last", "kernel_init": None,
    "bias_init": None, "name": "conv",
}  # fmt: skip
RNN = {
    "activation": "tanh", "use_bias": True, "kernel_init": None, "recurrent_init": None,
    "bias_init": None, "dropout": 0.0, "return_sequences": False, "return_state": False,
    "reverse": False, "truncate": None, "checkpoint": None, "num_layers": 2, "name": "rnn",
}  # fmt: skip
POOL = {
    "window": 2, "strides": 2, "padding": "valid", "layout": "channels_last", "name": "pool",
    "pool_size": 2,
}  # fmt: skip
POOLS = [f"nn.{name}{n}D" for name in ("AvgPool", "MaxPool") for n in (1, 2, 3)]
GLOBAL_POOLS = [f"nn.Global{name}{n}D" for name in ("AvgPool", "MaxPool") for n in (1, 2)]

EXAMPLES: dict[str, Callable[[], Arguments]] = {
    **dict.fromkeys(UNARY.split(), lambda: given(X)),
    **dict.fromkeys(("trace", "linalg.trace"), lambda: given(Q)),
    **dict.fromkeys(BINARY.split(), lambda: given(X, Y)),
    **dict.fromkeys(LOGICAL, lambda: given(P, P)),
    **dict.fromkeys(BITWISE, lambda: given(I, I)),
    **dict.fromkeys(REDUCE, lambda: given(P, axis=0, keepdims=True)),
    **dict.fromkeys(("logsumexp", "max", "mean", "min"), lambda: given(X, axis=0, keepdims=True)),
    **dict.fromkeys(("argmax", "argmin"), lambda: given(X, axis=0, keepdims=True)),
    **dict.fromkeys(("sum", "prod"), lambda: given(X, axis=0, dtype="float64", keepdims=True)),
    **dict.fromkeys(("std", "var"), lambda: given(X, axis=0, correction=1.0, keepdims=True)),
    **dict.fromkeys(("sort", "argsort"), lambda: given(X, axis=0, descending=True, stable=True)),
    **dict.fromkeys(("cumulative_max", "cumulative_min"), lambda: given(X, axis=0)),
    **dict.fromkeys(("cumulative_sum", "cumulative_prod"),
                    lambda: given(X, axis=0, dtype="float64", include_initial=True)),
    **dict.fromkeys(("unique_counts", "unique_inverse", "unique_values"),
                    lambda: given(L, size=3, fill_value=0)),
    **dict.fromkeys(("tril", "triu"), lambda: given(X, k=1)),
    **dict.fromkeys(("ones", "zeros"), lambda: given((2, 3), dtype="int32")),
    **dict.fromkeys(("ones_like", "zeros_like"), lambda: given(X, dtype="int32")),
    **dict.fromkeys(("take",), lambda: given(X, L, axis=0)),
    **dict.fromkeys(("scatter_add", "scatter_set"), lambda: given(X, L, X, axis=0)),
    **dict.fromkeys(("matmul", "linalg.matmul"), lambda: given(X, W)),
    **dict.fromkeys(("outer", "linalg.outer"), lambda: given(V, V)),
    **dict.fromkeys(("vecdot", "linalg.vecdot"), lambda: given(X, V, axis=-1)),
    **dict.fromkeys(("tensordot", "linalg.tensordot"), lambda: given(X, W, axes=1)),
    **dict.fromkeys([f"linalg.{name}" for name in MATRICES], lambda: given(Q)),
    **dict.fromkeys([f"fft.{name}" for name in TRANSFORMS],
                    lambda: given(X, n=4, axis=-1, norm="ortho")),
    **dict.fromkeys([f"fft.{name}" for name in TRANSFORMS_N],
                    lambda: given(X, s=(4, 4), axes=(0, 1), norm="ortho")),
    **dict.fromkeys(("fft.fftfreq", "fft.rfftfreq"), lambda: given(4, d=1.0, dtype="float32")),
    **dict.fromkeys(("fft.fftshift", "fft.ifftshift"), lambda: given(X, axes=0)),
    **dict.fromkeys(("fft.hann", "fft.hamming", "fft.blackman"),
                    lambda: given(4, periodic=True, dtype="float32")),
    **{f"optim.{name}": lambda name=name: given(learning_rate=0.1, name="o", **OPTIMIZERS[name])
       for name in OPTIMIZERS},
    "optim.ScheduleFree": lambda: given(gx.optim.SGD(0.1), beta=0.9, name="o"),
    "optim.chain": lambda: given(gx.optim.SGD(0.1), gx.optim.momentum(0.9), name="o"),
    "optim.groups": lambda: given([("*", gx.optim.SGD(0.1))], name="o"),
    "optim.accumulate": lambda: given(gx.optim.SGD(0.1), 4, name="o"),
    "optim.clip_by_global_norm": lambda: given(1.0),
    "optim.clip_by_norm": lambda: given(1.0),
    "optim.clip_by_value": lambda: given(1.0),
    "optim.weight_decay": lambda: given(0.1, mask="*"),
    "optim.momentum": lambda: given(0.9, nesterov=True),
    "optim.scale": lambda: given(0.5),
    "can_cast": lambda: given("int8", "float32"),
    "empty": lambda: given((2, 3), dtype="int32"),
    "empty_like": lambda: given(X, dtype="int32"),
    "finfo": lambda: given("float32"),
    "iinfo": lambda: given("int32"),
    "isdtype": lambda: given("int32", "integral"),
    "result_type": lambda: given(X, "float64"),
    "unique_all": lambda: given(L, size=3, fill_value=0),
    "load_library": lambda: given("/nonexistent/file"),
    "arange": lambda: given(0, stop=5, step=2, dtype="int32"),
    "asarray": lambda: given([1, 2], dtype="float32"),
    "astype": lambda: given(X, "int32"),
    "bitwise_invert": lambda: given(I),
    "broadcast_arrays": lambda: given(X, V),
    "broadcast_shapes": lambda: given((3, 4), (4,)),
    "broadcast_to": lambda: given(V, (3, 4)),
    "check": lambda: given(X, P, "a message"),
    "check_gradients": lambda: given(
        LOSS, wrt=W, feeds={X: np.ones((3, 4), "f4")}, samples=1, tolerance=1.0, step=1e-3,
        rng=(0, 0)),
    "clip": lambda: given(X, min=0.0, max=1.0),
    "compile": lambda: given(
        [X], {"loss": LOSS}, updates={W: W * 1.0}, mode="train", target="interpret", threads=1,
        memory="1GB", precise=False, cast="no", microbatches=1, name="a", precision="fp32",
        gpu_compiler="nvptx", gpu_libraries="off"),
    "concat": lambda: given([X, Y], axis=0),
    "cond": lambda: given(gx.any(P), lambda x: x, lambda x: x * 2.0, X),
    "constant": lambda: given([1, 2], dtype="int32", name="c"),
    "custom_gradient": lambda: given(lambda x: (x, lambda dy: dy), apart=0),
    "dequantize": lambda: given(BITS, 0.5, zero_point=0, axis=None),
    "diagonal": lambda: given(Q, offset=0, axis1=0, axis2=1),
    "diff": lambda: given(X, axis=0, n=1),
    "dim": lambda: given("n", max=5, min=1),
    "diff_graphs": lambda: given(STEP, SYMBOLIC),
    "explain": lambda: given(LOSS, STEP),
    "explain_grad": lambda: given(LOSS, [W]),
    "compensated_sum": lambda: given(X, axis=0, keepdims=True),
    "dot": lambda: given(X, path=None),
    "einsum": lambda: given("ij,j->i", X, V),
    "expand_dims": lambda: given(X, axis=0),
    "eye": lambda: given(3, m=4, k=1, dtype="float32"),
    "fake_quantize": lambda: given(X, 0.5, zero_point=0, dtype="int8", axis=None),
    "ema": lambda: given({W: W * 1.0}, 0.9, name="average"),
    "average_checkpoints": lambda: given(["/nonexistent/file"], into=None),
    "ensemble": lambda: given(lambda: gx.nn.Dense(2), 3, name="several"),
    "fit": lambda: given(
        STEP, [np.ones((3, 4), "f4")], epochs=1, batch_size=3, validation=None, callbacks=(),
        shuffle=True, drop_last=False, seed=0, verbose=False, steps_per_epoch=None, prefetch=2),
    "taps": lambda: given(
        LOSS, parameters=True, gradients=True, activations=False, match="*"),
    "lr_find": lambda: given(
        OPTIMIZED, [np.ones((6, 4), "f4")], batch_size=3, low=1e-6, high=1.0, steps=10,
        monitor="loss", seed=0),
    "flatten": lambda: given(X, start=0),
    "flip": lambda: given(X, axis=0),
    "full": lambda: given((2, 3), 1.5, dtype="float32"),
    "full_like": lambda: given(X, 1.5, dtype="float32"),
    "gather_nd": lambda: given(X, gx.constant([[0, 1], [1, 2]])),
    "getitem": lambda: given(X, (0, slice(1, 2))),
    "grad": lambda: given(LOSS, W, unreachable="zero"),
    "hessian": lambda: given(LOSS, W),
    "hvp": lambda: given(LOSS, W, W),
    "input": lambda: given("x", shape=(3,), dtype="int32"),
    "isin": lambda: given(L, gx.constant([1, 2]), invert=True),
    "jacobian": lambda: given(V * 2.0, V),
    "jvp": lambda: given(V * 2.0, V, V),
    "linspace": lambda: given(0.0, 1.0, 5, dtype="float32"),
    "load": lambda: given("/nonexistent/file", into=None),
    "meshgrid": lambda: given(V, V, indexing="ij"),
    "moveaxis": lambda: given(X, 0, 1),
    "nonzero": lambda: given(X, size=5, fill_value=0),
    "one_hot": lambda: given(L, 5, dtype="float32"),
    "pad": lambda: given(X, ((1, 1), (0, 2)), value=0.0, mode="constant"),
    "parameter": lambda: given(
        "w", shape=(2, 3), init=gx.init.zeros(), dtype="float32", trainable=True, value=None),
    "permute_dims": lambda: given(X, (1, 0)),
    "polygamma": lambda: given(1, X),
    "put_along_axis": lambda: given(X, I, X, axis=0, mode="add"),
    "quantize": lambda: given(X, 0.5, zero_point=0, dtype="int8", axis=None),
    "repeat": lambda: given(X, 2, axis=0),
    "reshape": lambda: given(X, (4, 3)),
    "roll": lambda: given(X, 1, axis=0),
    "save": lambda: given("/nonexistent/file", [W]),
    "scan": lambda: given(
        lambda c, x: (c + x, c), gx.zeros((4,)), xs=X, length=3, reverse=False, truncate=None,
        checkpoint=None),
    "searchsorted": lambda: given(V, V, side="left", sorter=None),
    "seed": lambda: given(0),
    "precision": lambda: given("bf16", loss_scale=1.0, growth_steps=5),
    "split": lambda: given(X, 2, axis=1),
    "squeeze": lambda: given(gx.expand_dims(X, 0), axis=0),
    "stack": lambda: given([X, Y], axis=0),
    "substitute": lambda: given(LOSS, {X: Y}),
    "summary": lambda: given(LOSS),
    "swapaxes": lambda: given(X, 0, 1),
    "take_along_axis": lambda: given(X, I, axis=0),
    "tile": lambda: given(X, (2, 1)),
    "topk": lambda: given(X, 2, axis=-1, largest=True),
    "unstack": lambda: given(X, axis=0),
    "vjp": lambda: given(V * 2.0, V, V, unreachable="zero"),
    "vmap": lambda: given(lambda x: x * 2.0, in_axes=0, out_axes=0, size=3),
    "where": lambda: given(P, X, Y),
    "while_loop": lambda: given(lambda c: c < 3.0, lambda c: c + 1.0, gx.constant(0.0), 5),
    # -- nn --
    "nn.Activation": lambda: given("relu", name="a"),
    **dict.fromkeys(POOLS, lambda: given(**POOL)),
    **dict.fromkeys(GLOBAL_POOLS,
                    lambda: given(layout="channels_last", keepdims=True, name="g")),
    "nn.Add": lambda: given(name="j"),
    "nn.Multiply": lambda: given(name="j"),
    "nn.Concatenate": lambda: given(axis=-1, name="j"),
    "nn.Inception": lambda: given((2, (3, 4), (1, 2), 2), activation="relu", name="i"),
    "nn.Input": lambda: given((4,), name="i"),
    "nn.InstanceNorm": lambda: given(
        epsilon=1e-5, use_scale=True, use_bias=True, layout="channels_last", name="n"),
    "nn.LeakyReLU": lambda: given(slope=0.1, name="a"),
    "nn.PReLU": lambda: given(slope_init=None, name="a"),
    "nn.LocalResponseNorm": lambda: given(size=5, alpha=1e-4, beta=0.75, k=2.0, name="n"),
    "nn.Permute": lambda: given((2, 1), name="p"),
    "nn.RandomFlip": lambda: given("vertical", name="r"),
    "nn.RandomCrop": lambda: given(4, 4, padding=1, name="r"),
    "nn.RandomRotation": lambda: given(0.1, fill_value=0.0, name="r"),
    "nn.ColorJitter": lambda: given(
        0.1, contrast=0.1, saturation=0.1, value_range=(0.0, 1.0), name="c"),
    "nn.mixup": lambda: given(X, Y, alpha=0.2, name="m"),
    "nn.cutmix": lambda: given(IMAGE, gx.input("targets", (2, 3)), alpha=1.0, name="c"),
    "nn.RepeatVector": lambda: given(3, name="r"),
    "nn.Rescaling": lambda: given(0.5, offset=1.0, name="s"),
    "nn.Standardize": lambda: given(invert=True, name="s"),
    "nn.TimeDistributed": lambda: given(gx.nn.Dense(2), name="t"),
    "nn.UpSampling": lambda: given(
        size=2, method="nearest", layout="channels_last", name="u"),
    "nn.DepthwiseConv2D": lambda: given(3, depth_multiplier=2, padding="same"),
    "nn.SeparableConv2D": lambda: given(4, 3, depth_multiplier=2, padding="same"),
    "nn.freeze": lambda: given([W], pattern="*"),
    "nn.unfreeze": lambda: given([W], pattern="*"),
    "evaluate": lambda: given(
        gx.compile([X], {"loss": LOSS}, target="interpret"), [np.ones((3, 4), "f4")],
        batch_size=3, prefetch=2),
    "predict": lambda: given(
        gx.compile([X], X * 2.0, target="interpret"), [np.ones((3, 4), "f4")], batch_size=3,
        prefetch=2),
    "optim.ProximalL1": lambda: given(gx.optim.SGD(0.1), 0.1, mask="*", name="o"),
    **dict.fromkeys(("nn.Conv1D", "nn.Conv2D", "nn.Conv3D"), lambda: given(**CONV)),
    **dict.fromkeys(("nn.ConvTranspose1D", "nn.ConvTranspose2D"),
                    lambda: given(**CONV, output_padding=0)),
    "nn.Dense": lambda: given(
        3, activation="relu", use_bias=True, kernel_init=gx.init.zeros(), bias_init=None, name="d"),
    "nn.Dropout": lambda: given(0.5, always=True, name="d"),
    "nn.Embedding": lambda: given(5, 3, table_init=None, dtype="float32", name="e"),
    "nn.Flatten": lambda: given(name="f"),
    "nn.LayerNorm": lambda: given(epsilon=1e-5, use_scale=True, use_bias=True, name="n"),
    "nn.Reshape": lambda: given((2, 6), name="r"),
    "nn.Sequential": lambda: given([gx.nn.Dense(2)], name="s"),
    "nn.layer": lambda: given(lambda x: gx.nn.Dense(2)(x), name="f"),
    "nn.accuracy": lambda: given(X, L),
    "nn.top_k_accuracy": lambda: given(X, L, k=2),
    **dict.fromkeys(("nn.conv",), lambda: given(
        IMAGE, KERNEL, strides=1, padding="same", dilation=1, groups=1, layout="channels_last")),
    "nn.conv_transpose": lambda: given(
        IMAGE, KERNEL, strides=1, padding="same", dilation=1, groups=1, layout="channels_last",
        output_padding=0),
    "nn.max_pool": lambda: given(
        IMAGE, 2, strides=2, padding="valid", dilation=1, layout="channels_last", ceil_mode=False),
    "nn.avg_pool": lambda: given(
        IMAGE, 2, strides=2, padding="valid", dilation=1, layout="channels_last", ceil_mode=False,
        count_include_pad=True),
    "nn.lp_pool": lambda: given(
        IMAGE, 2, p=2.0, strides=2, padding="valid", dilation=1, layout="channels_last",
        ceil_mode=False),
    **dict.fromkeys(("nn.global_avg_pool", "nn.global_max_pool"),
                    lambda: given(IMAGE, layout="channels_last", keepdims=True)),
    "nn.global_lp_pool": lambda: given(IMAGE, p=2.0, layout="channels_last", keepdims=True),
    "nn.dropout": lambda: given(X, 0.5, always=True, name="d"),
    "nn.elu": lambda: given(X, alpha=1.0),
    "nn.gelu": lambda: given(X, approximate=True),
    "nn.huber": lambda: given(X, Y, delta=1.0),
    "nn.sigmoid_cross_entropy": lambda: given(X, Y, label_smoothing=0.1),
    "nn.log_cosh": lambda: given(X, Y),
    "nn.quantile": lambda: given(X, Y, q=0.3),
    "nn.poisson": lambda: given(X, Y, log_input=False),
    "nn.gaussian_nll": lambda: given(X, Y, Y, epsilon=1e-6),
    "nn.squared_hinge": lambda: given(X, Y),
    "nn.categorical_hinge": lambda: given(X, L),
    "nn.contrastive": lambda: given(X, Y, L, margin=1.0),
    "nn.triplet": lambda: given(X, Y, Y, margin=1.0),
    "nn.info_nce": lambda: given(X, Y, temperature=0.1, symmetric=True),
    "nn.nce": lambda: given(V, gx.expand_dims(V, 1), V, gx.expand_dims(V, 1)),
    "nn.sigmoid_focal": lambda: given(X, Y, gamma=2.0, alpha=0.25),
    "nn.softmax_focal": lambda: given(X, L, gamma=2.0),
    "nn.binary_crossentropy": lambda: given(X, Y, label_smoothing=0.1, epsilon=1e-7),
    "nn.categorical_crossentropy": lambda: given(X, L, label_smoothing=0.1, epsilon=1e-7),
    "nn.sparse_categorical_crossentropy": lambda: given(X, L, epsilon=1e-7),
    "nn.kl_divergence": lambda: given(X, Y, axis=-1),
    "nn.layer_norm": lambda: given(X, scale=V, bias=V, axis=-1, epsilon=1e-5),
    "nn.rms_norm": lambda: given(X, scale=V, axis=-1, epsilon=1e-5),
    "nn.leaky_relu": lambda: given(X, slope=0.1),
    **dict.fromkeys(("nn.softmax", "nn.log_softmax"), lambda: given(X, axis=-1)),
    "nn.softmax_cross_entropy": lambda: given(X, L, label_smoothing=0.1),
    "nn.celu": lambda: given(X, alpha=1.0),
    "nn.glu": lambda: given(X, axis=-1),
    "nn.prelu": lambda: given(X, V),
    "nn.hard_tanh": lambda: given(X, low=-1.0, high=1.0),
    "nn.l2_normalize": lambda: given(X, axis=-1, epsilon=1e-12),
    **dict.fromkeys(("nn.cosine_distance", "nn.cosine_similarity"),
                    lambda: given(X, Y, axis=-1, epsilon=1e-12)),
    "nn.dropconnect": lambda: given(W, 0.5, name="d"),
    "nn.batch_norm": lambda: given(
        X, scale=V, bias=V, axis=-1, epsilon=1e-5, mean=V, variance=V),
    "nn.group_norm": lambda: given(X, 2, scale=V, bias=V, axis=-1, epsilon=1e-5),
    "nn.resize": lambda: given(
        IMAGE, (4, 4), method="linear", align_corners=True, antialias=False,
        layout="channels_last"),
    "nn.scaled_dot_product_attention": lambda: given(
        SERIES, SERIES, SERIES, mask=None, is_causal=True, scale=0.5, store_weights=True),
    "nn.rnn_cell": lambda: given(X, H, RECURRENT[0], RECURRENT[1], bias=None, activation="tanh"),
    "nn.gru_cell": lambda: given(
        X, H, GATED[0], GATED[1], bias=None, activation="tanh", recurrent_activation="sigmoid",
        reset_after=True),
    "nn.lstm_cell": lambda: given(
        X, (H, H), LSTM[0], LSTM[1], bias=None, activation="tanh",
        recurrent_activation="sigmoid"),
    "nn.through_time": lambda: given(
        lambda x, state: state, SERIES, (gx.zeros((2, 3)),), mask=None, reverse=True,
        truncate=None, checkpoint=None),
    "nn.BatchNorm": lambda: given(
        momentum=0.9, epsilon=1e-5, use_scale=True, use_bias=True, layout="channels_last",
        name="b"),
    "nn.GroupNorm": lambda: given(
        groups=2, epsilon=1e-5, use_scale=True, use_bias=True, layout="channels_last", name="g"),
    "nn.RMSNorm": lambda: given(epsilon=1e-6, use_scale=True, name="r"),
    "nn.DropConnect": lambda: given(3, 0.5, name="d"),
    "nn.SimpleRNN": lambda: given(3, **RNN),
    "nn.GRU": lambda: given(3, **RNN, recurrent_activation="sigmoid", reset_after=True),
    "nn.LSTM": lambda: given(3, **RNN, recurrent_activation="sigmoid", unit_forget_bias=True),
    "nn.Bidirectional": lambda: given(gx.nn.GRU(3), merge_mode="concat", name="b"),
    "nn.MultiHeadAttention": lambda: given(
        2, key_dim=4, value_dim=4, dropout=0.1, use_bias=True, name="m", store_weights=True),
    "nn.ctc": lambda: given(
        SERIES, gx.input("targets", (2, 2), "int32"), logit_lengths=None, label_lengths=None,
        blank=0),
    "nn.sampled_softmax": lambda: given(
        X, gx.input("table", (9, 4)), L, 3, bias=None, distribution="uniform", name="s"),
    # -- linalg --
    "linalg.cholesky": lambda: given(Q, upper=True, check=False),
    "linalg.cross": lambda: given(Q, Q, axis=-1),
    "linalg.diagonal": lambda: given(Q, offset=0),
    "linalg.lstsq": lambda: given(Q, Q, rtol=1e-3),
    "linalg.matrix_norm": lambda: given(X, keepdims=True, ord="fro"),
    "linalg.matrix_power": lambda: given(Q, 2),
    **dict.fromkeys(("linalg.matrix_rank", "linalg.pinv"), lambda: given(Q, rtol=1e-3)),
    "linalg.multi_dot": lambda: given([Q, Q, Q]),
    "linalg.norm": lambda: given(X, ord=2, axis=1, keepdims=True),
    "linalg.vector_norm": lambda: given(X, axis=1, keepdims=True, ord=2),
    "linalg.qr": lambda: given(Q, mode="reduced"),
    "linalg.solve": lambda: given(Q, Q),
    "linalg.solve_triangular": lambda: given(
        Q, Q, lower=True, transpose=True, unit_diagonal=True),
    "linalg.svd": lambda: given(Q, full_matrices=True),
    # -- fft --
    "fft.stft": lambda: given(gx.input("t", (32,)), 8, 4, window="hann", center=True),
    "fft.istft": lambda: given(
        gx.fft.stft(gx.input("t", (32,)), 8, 4), 8, 4, window="hann", center=True, length=None),
    # -- random --
    "random.bernoulli": lambda: given((3,), p=0.5, name="b"),
    "random.bits": lambda: given((3,), name="b", kind="bits"),
    "random.categorical": lambda: given(X, axis=-1, shape=None, name="c"),
    "random.exponential": lambda: given((3,), scale=1.0, name="e", dtype="float32"),
    "random.gamma": lambda: given((3,), 1.0, scale=1.0, name="g", dtype="float32"),
    "random.gumbel": lambda: given((3,), loc=0.0, scale=1.0, name="g", dtype="float32"),
    "random.normal": lambda: given((3,), mean=0.0, std=1.0, name="n", dtype="float32"),
    "random.permutation": lambda: given(X, axis=0, name="p"),
    "random.randint": lambda: given((3,), 0, high=5, name="r", dtype="int32"),
    "random.stream_of": lambda: given("name"),
    "random.truncated_normal": lambda: given(
        (3,), lower=-2.0, upper=2.0, mean=0.0, std=1.0, name="t", dtype="float32"),
    "random.uniform": lambda: given((3,), low=0.0, high=1.0, name="u", dtype="float32"),
    # -- initial values, schedules, regularisers --
    "init.constant": lambda: given(1.0),
    **dict.fromkeys(("init.glorot_normal", "init.glorot_uniform", "init.identity",
                     "init.inverse_fan", "init.orthogonal"),
                    lambda: given(gain=1.0)),
    **dict.fromkeys(("init.he_normal", "init.he_uniform", "init.lecun_normal",
                     "init.lecun_uniform", "init.ones", "init.zeros"), lambda: given()),
    **dict.fromkeys(("init.normal", "init.truncated_normal"), lambda: given(mean=0.0, std=1.0)),
    "init.uniform": lambda: given(low=0.0, high=1.0),
    "init.fans": lambda: given((3, 4)),
    "schedules.constant": lambda: given(0.1),
    "schedules.cosine": lambda: given(0.1, 10, end=0.0, warmup=2),
    "schedules.cyclical": lambda: given(0.1, 0.5, 10, decay=0.5),
    "schedules.one_cycle": lambda: given(0.1, 100, rise=0.3, start=25.0, end=1e4),
    "schedules.polynomial": lambda: given(0.1, 0.0, 10, power=2.0),
    "schedules.warmup": lambda: given(0.1, 10, start=0.01),
    "schedules.exponential": lambda: given(0.1, 0.9, steps=2),
    "schedules.inverse_time": lambda: given(0.1, 0.9, steps=2),
    "schedules.linear": lambda: given(0.1, 0.0, 10),
    "schedules.piecewise": lambda: given([10, 20], [0.1, 0.05, 0.01]),
    "schedules.staircase": lambda: given(0.1, 0.9, 10),
    "regularizers.l1": lambda: given([W], weight=0.1),
    "regularizers.l2": lambda: given([W], weight=0.1),
    "regularizers.lp": lambda: given([W], 3.0, weight=0.1),
}  # fmt: skip


def operators() -> dict[str, Callable[..., Any]]:
    """Operators, indexing and methods as functions of what can be given to them."""
    signs = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lt", "le", "gt",
             "ge", "eq", "ne", "and_", "or_", "xor", "lshift", "rshift")  # fmt: skip
    places = ("set", "add", "multiply", "min", "max")
    return {
        **{f"x {s} y": getattr(operator, s) for s in signs},
        "x[key]": lambda key: X[key],
        **{f"x.at[key].{m}": lambda key, value, m=m: getattr(X.at[key], m)(value) for m in places},
        "x.reshape": lambda *shape: X.reshape(*shape),
        "x.astype": lambda dtype: X.astype(dtype),
        "x.sum": lambda axis, keepdims: X.sum(axis=axis, keepdims=keepdims),
        "x.mean": lambda axis, keepdims: X.mean(axis=axis, keepdims=keepdims),
        "x.max": lambda axis, keepdims: X.max(axis=axis, keepdims=keepdims),
        "x.min": lambda axis, keepdims: X.min(axis=axis, keepdims=keepdims),
        "x.eval": lambda feeds: X.eval(feeds),
        "w.value": lambda value: setattr(W, "value", value),
        "minimize": gx.optim.SGD(0.1).minimize,
        "maximize": gx.optim.SGD(0.1).maximize,
        "apply": gx.optim.SGD(0.1).apply,
        "step": lambda x: STEP(x),
        "step(x=)": lambda x: STEP(x=x),
        "step.run_epoch": STEP.run_epoch,
        "step.specialize": lambda **dims: SYMBOLIC.specialize(**dims),
        "step.text": STEP.text,
        "step.dot": STEP.dot,
        "step.source": SYMBOLIC.source,
        "step.profile": lambda x: SYMBOLIC.profile(x),
        **{f"{kind}(x)": lambda x, kind=kind: LAYERS[kind]()(x) for kind in LAYERS},
    }


LAYERS: dict[str, Callable[[], Any]] = {
    "Dense": lambda: gx.nn.Dense(2), "Conv2D": lambda: gx.nn.Conv2D(2, 3),
    "MaxPool2D": lambda: gx.nn.MaxPool2D(), "AvgPool2D": lambda: gx.nn.AvgPool2D(),
    "Embedding": lambda: gx.nn.Embedding(5, 2), "LayerNorm": lambda: gx.nn.LayerNorm(),
    "Flatten": lambda: gx.nn.Flatten(), "Dropout": lambda: gx.nn.Dropout(0.5),
    "Reshape": lambda: gx.nn.Reshape((4,)), "Activation": lambda: gx.nn.Activation("relu"),
    "GlobalAvgPool2D": lambda: gx.nn.GlobalAvgPool2D(),
    "ConvTranspose2D": lambda: gx.nn.ConvTranspose2D(2, 3), "Conv1D": lambda: gx.nn.Conv1D(2, 3),
    "Conv3D": lambda: gx.nn.Conv3D(2, 3),
    "Sequential": lambda: gx.nn.Sequential([gx.nn.Dense(2)]),
}  # fmt: skip
LAYER_INPUTS = {
    "Embedding": L, "Conv1D": gx.input("row", (2, 8, 4)), "Conv3D": gx.input("c", (2, 4, 4, 4, 4)),
}  # fmt: skip
OPERATIONS: dict[str, Callable[[], Arguments]] = {
    **{f"x {s} y": lambda: given(X, Y) for s in (
        "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "le", "gt", "ge", "eq",
        "ne")},
    **{f"x {s} y": lambda: given(I, I) for s in ("and_", "or_", "xor", "lshift", "rshift")},
    "x matmul y": lambda: given(X, W),
    "x[key]": lambda: given((0, slice(1, 2))),
    **{f"x.at[key].{m}": lambda: given(0, 1.0) for m in ("set", "add", "multiply", "min", "max")},
    "x.reshape": lambda: given(4, 3),
    "x.astype": lambda: given("int32"),
    **{f"x.{m}": lambda: given(axis=0, keepdims=True) for m in ("sum", "mean", "max", "min")},
    "x.eval": lambda: given({X: np.ones((3, 4), "f4")}),
    "w.value": lambda: given(np.ones((4, 2), "f4")),
    "minimize": lambda: given(
        LOSS, parameters=[W], clip_norm=1.0, clip_value=1.0, sparse="exact"),
    "maximize": lambda: given(LOSS, parameters=[W]),
    "apply": lambda: given({W: W * 0.1}, clip_norm=1.0, clip_value=1.0, sparse="exact"),
    "step": lambda: given(np.ones((3, 4), "f4")),
    "step(x=)": lambda: given(x=np.ones((3, 4), "f4")),
    "step.run_epoch": lambda: given(
        [np.ones((3, 4), "f4")], 3, shuffle=False, drop_last=True, seed=0),
    "step.specialize": lambda: given(n=3),
    "step.text": lambda: given("fused"),
    "step.dot": lambda: given(path=None, stage="fused"),
    "step.source": lambda: given("llvm"),
    "step.profile": lambda: given(np.ones((3, 4), "f4")),
    **{f"{kind}(x)": lambda kind=kind: given(
        LAYER_INPUTS.get(kind, IMAGE if "2D" in kind else X)) for kind in LAYERS},
}  # fmt: skip
SYMBOLIC = gx.compile([N := gx.input("z", ("n", 4))], N * 2.0)
SYMBOLIC.specialize(n=2)


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and class by its name after `gx.`."""
    homes = [("", gx), *((f"{name}.", getattr(gx, name)) for name in MODULES)]
    for prefix, home in homes:
        for name in getattr(home, "__all__", dir(home)):
            value = getattr(home, name)
            mine = getattr(value, "__module__", "").startswith("graphc")
            if mine and callable(value) and name not in CLASSES:
                yield prefix + name, value
    yield from operators().items()


EXAMPLES |= OPERATIONS
