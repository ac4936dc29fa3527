"""The backend of the target "cuda-simulate": the same kernels as on a GPU, run without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphc_cuda import CudaBackend

if TYPE_CHECKING:
    from graphc.runtime.backend import Backend

backend: Backend = CudaBackend("cuda-simulate")
