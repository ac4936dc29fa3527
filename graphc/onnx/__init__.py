"""Models of the ONNX format as ordinary tensors.

    model = gx.onnx.load("detector.onnx", shapes={"x": (1, 3, 320, 320)})
    detect = gx.compile(list(model.inputs.values()), dict(model.outputs))
    gx.onnx.save("classifier.onnx", {"probabilities": gx.nn.softmax(logits)})

Needs the onnx package: pip install 'graphc-compiler[onnx]'.
"""

from graphc.errors import UnsupportedError
from graphc.installed import install_hint

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise UnsupportedError(
        f"gx.onnx needs the onnx package: {error}", hint=install_hint("onnx", "onnx")
    ) from error

from graphc.onnx.model import Model, load
from graphc.onnx.save import save

__all__ = ["Model", "load", "save"]
