"""cuBLASLt by ctypes: the only module that knows the library.

It is looked for where the package nvidia-cublas and toolkits put it; nothing here needs it until a
call is made. A call sums every element in one piece, not in pieces that meet in any order, so it
gives the same bits each time on one GPU with one version of the library.

There is no cuDNN here: its front end makes graphs without a driver, but `validate` asks for one,
and so does every later step (algorithm, workspace, capture). Convolutions stay our own kernels.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from graphc.errors import BackendError
from graphc.ir.types import DType, bfloat16, float16, float32, float64
from graphc_cuda.library.epilogue import GELU, NONE, PLAIN, RELU, Epilogue
from graphc_cuda.library.product import (
    ALIGNMENT,
    F32,
    F64,
    TF32,
    WORKSPACE_BYTES,
    Matrix,
    Product,
)

INSTALL = "pip install nvidia-cublas"
NAMES = ("libcublasLt.so.13", "libcublasLt.so.12")
_TYPES: dict[DType, int] = {float32: 0, float64: 1, float16: 2, bfloat16: 14}
_COMPUTE = {F32: 68, TF32: 77, F64: 70}
_TURN_A, _TURN_B, _EPILOGUE, _BIAS = 3, 4, 7, 8  # attributes of a product
_FUNCTIONS = {NONE: 1, RELU: 2, GELU: 32}  # of the sums; 4 adds a bias in front of it
_WITH_BIAS = 4
_BATCH, _STRIDE = 5, 6  # of a layout
_WORKSPACE, _REDUCTION, _FIRST_ALIGNMENT = 1, 3, 5  # of a preference


class _Choice(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t, which begins with the algorithm."""

    _fields_ = (
        ("algorithm", c_uint64 * 8),
        ("workspace", c_size_t),
        ("state", c_int),
        ("waves", ctypes.c_float),
        ("reserved", c_int * 4),
    )


@cache
def find_library() -> str | None:
    """The library's path, or the name that the loader finds it by; None where there is none."""
    spec = find_spec("nvidia")
    for folder in [] if spec is None else list(spec.submodule_search_locations or ()):
        for pattern in ("cu13/lib/libcublasLt.so.1?", "cublas/lib/libcublasLt.so.1?"):
            for path in sorted(Path(folder).glob(pattern), reverse=True):
                return str(path)
    for name in NAMES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    return None


def version(path: str) -> int:
    """What a library says that it is: 130002 for 13.0.2."""
    library = ctypes.CDLL(path)
    library.cublasLtGetVersion.restype = c_size_t
    return int(library.cublasLtGetVersion())


class CublasLt:
    """The library in the context of the thread that makes it."""

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._library = (load or _load)()
        handle = c_void_p()
        self._ask("cublasLtCreate", byref(handle))
        self._handle = handle

    def prepare(self, product: Product) -> PreparedProduct:
        """The descriptions of a product, and the algorithm that the library chooses for it."""
        made = PreparedProduct(self._handle, self._ask, product)
        made.choose()
        return made

    def _ask(self, name: str, *arguments: Any) -> None:
        """Call the library; raises BackendError where it refuses."""
        status = int(getattr(self._library, name)(*arguments))
        if status:
            raise BackendError(
                f"cuda: {name}: status {status} of cuBLASLt",
                hint='gpu_libraries="off" uses graphc\'s own kernels',
            )

    def release(self) -> None:
        """Give the handle back."""
        self._ask("cublasLtDestroy", self._handle)


class PreparedProduct:
    """A product that only lacks addresses; its descriptions live as long as the process."""

    def __init__(self, handle: c_void_p, ask: Callable[..., None], product: Product) -> None:
        self._handle, self._ask, self.product = handle, ask, product
        is_double = product.compute == F64
        number = ctypes.c_double if is_double else ctypes.c_float
        self._one, self._zero = number(1.0), number(0.0)
        scale = _TYPES[float64] if is_double else _TYPES[float32]
        self.description = c_void_p()
        compute = c_int(_COMPUTE[product.compute])
        self._ask("cublasLtMatmulDescCreate", byref(self.description), compute, c_int(scale))
        for word, matrix in ((_TURN_A, product.a), (_TURN_B, product.b)):
            self._set("MatmulDesc", self.description, word, c_int32(int(matrix.transposed)))
        if product.epilogue != PLAIN:
            self._set("MatmulDesc", self.description, _EPILOGUE, c_int32(_number(product.epilogue)))
        if product.epilogue.has_bias:  # any address that is aligned like it will do
            self._set("MatmulDesc", self.description, _BIAS, c_uint64(ALIGNMENT))
        self.layouts = [self._layout(m) for m in product.matrices]
        self.choice = _Choice()

    def _layout(self, matrix: Matrix) -> c_void_p:
        made, kind = c_void_p(), c_int(_TYPES[matrix.dtype])
        sizes = c_uint64(matrix.rows), c_uint64(matrix.columns), c_int64(matrix.leading)
        self._ask("cublasLtMatrixLayoutCreate", byref(made), kind, *sizes)
        self._set("MatrixLayout", made, _BATCH, c_int32(self.product.batch))
        self._set("MatrixLayout", made, _STRIDE, c_int64(matrix.stride))
        return made

    def _set(self, what: str, made: c_void_p, word: int, value: Any) -> None:
        size = c_size_t(ctypes.sizeof(value))
        self._ask(f"cublasLt{what}SetAttribute", made, c_int(word), byref(value), size)

    def choose(self) -> None:
        """Ask for the best algorithm that sums in one piece with the workspace that is planned."""
        preference = c_void_p()
        self._ask("cublasLtMatmulPreferenceCreate", byref(preference))
        wishes = {_WORKSPACE: c_uint64(WORKSPACE_BYTES), _REDUCTION: c_uint32(0)}
        wishes |= {_FIRST_ALIGNMENT + i: c_uint32(ALIGNMENT) for i in range(4)}
        for word, value in wishes.items():
            self._set("MatmulPreference", preference, word, value)
        a, b, c = self.layouts
        found = c_int(0)
        described = self._handle, self.description, a, b, c, c, preference
        self._ask(
            "cublasLtMatmulAlgoGetHeuristic", *described, c_int(1), byref(self.choice), byref(found)
        )
        self._ask("cublasLtMatmulPreferenceDestroy", preference)
        if found.value == 0 or self.choice.state:
            raise BackendError(
                f"cuda: cuBLASLt has no algorithm for {self.product}",
                hint='gpu_libraries="off" uses graphc\'s own kernels',
            )

    def run(self, addresses: tuple[int, ...], stream: int) -> None:
        """Queue the product of what lies at addresses of a and b; to c, with workspace and bias."""
        a, b, c, space = (c_void_p(x) for x in addresses[:4])
        for bias in addresses[4:]:
            self._set("MatmulDesc", self.description, _BIAS, c_uint64(bias))
        la, lb, lc = self.layouts
        self._ask(
            "cublasLtMatmul", self._handle, self.description, byref(self._one), a, la, b, lb,
            byref(self._zero), c, lc, c, lc, byref(self.choice), space,
            c_size_t(WORKSPACE_BYTES), c_void_p(stream),
        )  # fmt: skip


def _number(epilogue: Epilogue) -> int:
    """What the library calls an epilogue."""
    function = _FUNCTIONS[epilogue.function]
    if not epilogue.has_bias:
        return function
    return _WITH_BIAS if epilogue.function == NONE else function | _WITH_BIAS


def _load() -> Any:
    path = find_library()
    if path is None:
        raise missing()
    return ctypes.CDLL(path)


def missing() -> BackendError:
    """The error where there is no library."""
    text = 'cuda: gpu_libraries="require": cuBLASLt (libcublasLt.so) was not found'
    return BackendError(text, hint=INSTALL)
