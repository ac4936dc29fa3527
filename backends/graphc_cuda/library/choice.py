"""Whether a function calls libraries: one decision, by its options and what is installed."""

from __future__ import annotations

from graphc.compiler.options import Options, device_of
from graphc_cuda.library.cublaslt import find_library, missing, version


def library_of(options: Options) -> str:
    """The library that large products are given to, with its version; "" for none.

    The simulator needs none: numpy says what a call would do.
    """
    if options.gpu_libraries == "off":
        return ""
    path = find_library()
    if path is not None:
        return f"cuBLASLt {version(path)}"
    if options.gpu_libraries == "auto":
        return ""
    if device_of(options.target)[0] == "cuda-simulate":
        return "cuBLASLt simulated"
    raise missing()
