"""Fourier transforms under the names of the Python array API standard.

There is no complex dtype: complex numbers are pairs (real, imaginary) of tensors.
"""

from graphc.fft.frames import (
    blackman,
    fftfreq,
    fftshift,
    hamming,
    hann,
    ifftshift,
    istft,
    rfftfreq,
    stft,
)
from graphc.fft.stages import Complex
from graphc.fft.transforms import (
    fft,
    fft2,
    fftn,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)
from graphc.frontend.arguments import check_all

__all__ = [
    "Complex", "blackman", "fft", "fft2", "fftfreq", "fftn", "fftshift", "hamming", "hann", "hfft",
    "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2", "irfftn", "istft", "rfft",
    "rfft2", "rfftfreq", "rfftn", "stft",
]  # fmt: skip

check_all(globals(), __all__)
