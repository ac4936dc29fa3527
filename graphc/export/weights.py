"""Parameters as files."""

from __future__ import annotations

import numpy as np

from graphc.export.interface import Interface


def safetensors(interface: Interface) -> bytes:
    """All parameters, for other programs."""
    from safetensors.numpy import save

    arrays = {p.name: np.array(p.memory, order="C") for p in interface.parameters}
    return bytes(save(arrays, {"format": "graphc"}))
