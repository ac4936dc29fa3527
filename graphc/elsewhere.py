"""What things are called elsewhere, and here: PyTorch, Keras, JAX, NumPy.

One table answers whoever asks for a foreign name, and is a page of the documentation.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache

# (where, what is written there, what is written here). The right column runs, in order, after
# `SETTING`; a method's name stands behind a dot, `t.view(...)`.
ROWS: tuple[tuple[str, str, str], ...] = (
    ("PyTorch", "torch.tensor([1.0, 2.0])", "gx.constant([1.0, 2.0])"),
    ("PyTorch", "nn.Parameter(torch.zeros(3))", 'gx.parameter("w", (3,))'),
    ("PyTorch", "nn.Linear(4, 3)", "gx.nn.Dense(3)"),
    ("PyTorch", "nn.Conv2d(3, 8, 3)", "gx.nn.Conv2D(8, 3)"),
    ("PyTorch", "nn.Conv1d(3, 8, 3)", "gx.nn.Conv1D(8, 3)"),
    ("PyTorch", "nn.ConvTranspose2d(3, 8, 2)", "gx.nn.ConvTranspose2D(8, 2)"),
    ("PyTorch", "nn.MaxPool2d(2)", "gx.nn.MaxPool2D(2)"),
    ("PyTorch", "nn.AvgPool2d(2)", "gx.nn.AvgPool2D(2)"),
    ("PyTorch", "nn.AdaptiveAvgPool2d(1)", "gx.nn.global_avg_pool(images)"),
    ("PyTorch", "nn.BatchNorm2d(8)", "gx.nn.BatchNorm()"),
    ("PyTorch", "nn.BatchNorm1d(8)", "gx.nn.BatchNorm()"),
    ("PyTorch", "nn.ReLU()", 'gx.nn.Activation("relu")'),
    ("PyTorch", "nn.Sigmoid()", 'gx.nn.Activation("sigmoid")'),
    ("PyTorch", "nn.Tanh()", 'gx.nn.Activation("tanh")'),
    ("PyTorch", "nn.GELU()", 'gx.nn.Activation("gelu")'),
    ("PyTorch", "nn.Softmax(dim=1)", "gx.nn.softmax(x, axis=1)"),
    ("PyTorch", "nn.Sequential(nn.Linear(4, 3))", "gx.nn.Sequential([gx.nn.Dense(3)])"),
    ("PyTorch", "nn.Module", "gx.nn.Layer"),
    ("PyTorch", "nn.CrossEntropyLoss()(logits, y)",
     "gx.nn.softmax_cross_entropy(logits, labels).mean()"),
    ("PyTorch", "nn.MSELoss()(x, t)", "gx.nn.mse(x, t).mean()"),
    ("PyTorch", "nn.L1Loss()(x, t)", "gx.abs(x - t).mean()"),
    ("PyTorch", "nn.BCEWithLogitsLoss()(x, t)", "gx.nn.sigmoid_cross_entropy(x, t).mean()"),
    ("PyTorch", "F.cross_entropy(logits, y)", "gx.nn.softmax_cross_entropy(logits, labels).mean()"),
    ("PyTorch", "t.view(2, 6)", "gx.reshape(x, (-1, 2, 2))"),
    ("PyTorch", "t.permute(1, 0)", "gx.permute_dims(x, (1, 0))"),
    ("PyTorch", "t.unsqueeze(0)", "gx.expand_dims(x, 0)"),
    ("PyTorch", "t.detach()", "gx.stop_gradient(x)"),
    ("PyTorch", "t.item()", 'loss.eval({x: ones, labels: zeros})'),
    ("PyTorch", "t.numpy()", 'x.eval({x: ones})'),
    ("PyTorch", "t.backward()", "gx.grad(loss, [x])"),
    ("PyTorch", "t.to('cuda')", 'gx.compile([x], x + 1.0, target="cpu")  # or "cuda"'),
    ("PyTorch", "t.float()", 'x.astype("float32")'),
    ("PyTorch", "t.requires_grad_()", 'gx.parameter("w", (3,))'),
    ("PyTorch", "torch.cat([a, b], dim=1)", "gx.concat([x, x], axis=1)"),
    ("PyTorch", "torch.no_grad()", 'gx.compile([x], x + 1.0, mode="inference")'),
    ("PyTorch", "torch.manual_seed(0)", "gx.seed(0)"),
    ("PyTorch", "torch.randn(2, 3)", 'gx.random.normal((2, 3), name="noise")'),
    ("PyTorch", "torch.rand(2, 3)", 'gx.random.uniform((2, 3), name="noise")'),
    ("PyTorch", "torch.onnx.export(model, ...)", 'gx.onnx.save("model.onnx", {"logits": logits})'),
    ("PyTorch", "optim.Adam(params, lr=1e-3)", "gx.optim.Adam(1e-3).minimize(loss)"),
    ("PyTorch", "optimizer.zero_grad()", "gx.optim.Adam(1e-3).minimize(loss)"),
    ("PyTorch", "lr_scheduler.CosineAnnealingLR(opt, 100)", "gx.schedules.cosine(1e-3, 100)"),
    ("PyTorch", "lr_scheduler.StepLR(opt, 30)", "gx.schedules.staircase(1e-3, 0.1, 30)"),
    ("PyTorch", "lr_scheduler.OneCycleLR(opt, 0.1)", "gx.schedules.one_cycle(0.1, 100)"),
    ("PyTorch", "torch.save(model.state_dict(), f)", 'gx.save("weights.safetensors", step)'),
    ("PyTorch", "torch.compile(model)", "gx.compile([x], x + 1.0)"),
    ("Keras", "layers.Input(shape=(4,))", 'gx.input("x", ("batch", 4))'),
    ("Keras", "layers.Conv2DTranspose(8, 2)", "gx.nn.ConvTranspose2D(8, 2)"),
    ("Keras", "layers.AveragePooling2D(2)", "gx.nn.AvgPool2D(2)"),
    ("Keras", "layers.MaxPooling2D(2)", "gx.nn.MaxPool2D(2)"),
    ("Keras", "layers.GlobalAveragePooling2D()", "gx.nn.GlobalAvgPool2D()"),
    ("Keras", "layers.BatchNormalization()", "gx.nn.BatchNorm()"),
    ("Keras", "layers.LayerNormalization()", "gx.nn.LayerNorm()"),
    ("Keras", "optimizers.SGD(0.1, momentum=0.9)", "gx.optim.SGD(0.1, momentum=0.9)"),
    ("Keras", "optimizers.schedules.CosineDecay(1e-3, 100)", "gx.schedules.cosine(1e-3, 100)"),
    ("Keras", "callbacks.ModelCheckpoint(path)", 'gx.callbacks.Checkpoint("best.safetensors")'),
    ("Keras", "callbacks.ReduceLROnPlateau()", "gx.callbacks.ReduceOnPlateau()"),
    ("Keras", "keras.Model", "gx.nn.Sequential([gx.nn.Dense(3)])"),
    ("TensorFlow", "tf.placeholder(tf.float32, (None, 4))", 'gx.input("x", ("batch", 4))'),
    ("TensorFlow", "tf.Variable(tf.zeros(3))", 'gx.parameter("w", (3,))'),
    ("TensorFlow", "tf.reduce_mean(x)", "gx.mean(x)"),
    ("TensorFlow", "tf.reduce_sum(x)", "gx.sum(x)"),
    ("TensorFlow", "tf.reduce_max(x)", "gx.max(x)"),
    ("TensorFlow", "tf.cast(x, tf.float16)", 'gx.astype(x, "float16")'),
    ("TensorFlow", "tf.gradients(loss, [w])", "gx.grad(loss, [x])"),
    ("TensorFlow", "tf.GradientTape()", "gx.grad(loss, [x])"),
    ("TensorFlow", "tf.function(f)", "gx.compile([x], x + 1.0)"),
    ("JAX", "jax.jit(f)", "gx.compile([x], x + 1.0)"),
    ("JAX", "jnp.asarray(a)", "gx.asarray(ones)"),
    ("JAX", "lax.scan(f, init, xs)", "gx.scan(lambda c, y: (c + y, c), gx.zeros((4,)), x)"),
    ("JAX", "lax.fori_loop(0, 10, f, init)",
     "gx.scan(lambda c, _: (c + 1.0, None), gx.zeros(()), length=10)"),
    ("JAX", "random.PRNGKey(0)", "gx.seed(0)"),
    ("Optax", "optax.adam(1e-3)", "gx.optim.Adam(1e-3)"),
    ("Optax", "optax.sgd(0.1)", "gx.optim.SGD(0.1)"),
    ("Optax", "optax.adamw(1e-3)", "gx.optim.AdamW(1e-3)"),
    ("Optax", "optax.rmsprop(1e-3)", "gx.optim.RMSprop(1e-3)"),
    ("NumPy", "np.concatenate([a, b])", "gx.concat([x, x])"),
    ("NumPy", "np.power(x, 2)", "gx.pow(x, 2)"),
    ("NumPy", "np.arctan2(y, x)", "gx.atan2(x, x)"),
    ("NumPy", "np.arcsin(x)", "gx.asin(x)"),
    ("NumPy", "np.arccos(x)", "gx.acos(x)"),
    ("NumPy", "np.arctan(x)", "gx.atan(x)"),
    ("NumPy", "np.transpose(x)", "gx.permute_dims(x, (1, 0))"),
    ("NumPy", "np.absolute(x)", "gx.abs(x)"),
)  # fmt: skip

SETTING = """\
import numpy as np
import graphc as gx

x, t = gx.input("x", ("batch", 4)), gx.input("t", ("batch", 4))
images = gx.input("images", ("batch", 8, 8, 3))
labels = gx.input("labels", ("batch",), dtype="int32")
logits = gx.nn.Dense(3)(x)
loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
w = gx.parameter("w", (3,))
step = gx.compile([x, labels], {"loss": loss}, gx.optim.SGD(0.1).minimize(loss))
ones, zeros = np.ones((2, 4), "float32"), np.zeros(2, "int32")
"""

# Words for arguments.
ARGUMENTS = {
    "alpha": "decay", "beta_1": "beta1", "beta_2": "beta2", "betas": "beta1", "bias": "use_bias",
    "data_format": "layout", "dim": "axis", "dims": "axis", "eps": "epsilon", "filter": "filters",
    "keepdim": "keepdims", "kernel_initializer": "kernel_init", "lr": "learning_rate",
    "num_epochs": "epochs", "out_channels": "filters", "out_features": "units", "p": "rate",
    "rho": "decay", "size": "shape", "stride": "strides", "validation_data": "validation",
}  # fmt: skip


@cache
def _table(methods: bool) -> dict[str, str]:
    """What is written here, by the last name of what is written elsewhere."""
    found: dict[str, str] = {}
    for _, theirs, ours in ROWS:
        head = theirs.partition("(")[0]
        name = head.rpartition(".")[2]
        if head.startswith("t.") == methods:
            found.setdefault(name, ours)
    return found


def answer(name: str, known: Iterable[str], methods: bool = False) -> str | None:
    """What to write instead of a name that is not there; None where nobody can know."""
    found = _table(methods).get(name)
    if found is not None:
        return found
    by_letters = {other.lower().replace("_", ""): other for other in known}
    word = name.lower().replace("_", "")
    if word in by_letters:
        return by_letters[word]
    close = difflib.get_close_matches(word, by_letters, n=1, cutoff=0.8)
    return by_letters[close[0]] if close else None


def argument(word: str, known: Iterable[str]) -> str | None:
    """The argument that a foreign or misspelt word stands for."""
    names = list(known)
    if ARGUMENTS.get(word) in names:
        return ARGUMENTS[word]
    close = difflib.get_close_matches(word, names, n=1)
    return close[0] if close else None


def missing(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that a module does not have."""
    text = f"module {module!r} has no attribute {name!r}"
    found = None if name.startswith("_") else answer(name, known)
    return AttributeError(text if found is None else f"{text}\n  did you mean   {found}")
