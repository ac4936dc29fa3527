"""Data sets: one that ships with the package, made-up ones, and readers of files that users have.

No reader unpickles anything. What needs more than NumPy says so: `mat` (SciPy), `image` and
`image_folder` (Pillow: `pip install 'graphc-compiler[data]'`).
"""

from graphc.data import synthetic as synthetic
from graphc.data.arrays import mat, npz
from graphc.data.audio import log_mel, wav
from graphc.data.checks import Problem, Report, check
from graphc.data.cifar import CIFAR10_CLASSES, cifar10
from graphc.data.digests import verify
from graphc.data.digits import digits
from graphc.data.folders import image, image_folder
from graphc.data.idx import fashion_mnist, idx, mnist
from graphc.data.sequences import Buckets, pad
from graphc.data.split import k_fold, split, three_way
from graphc.data.tables import Table, csv
from graphc.data.texts import Vocabulary, aligned, captions, text
from graphc.data.unpaired import Unpaired

__all__ = [
    "CIFAR10_CLASSES", "Buckets", "Problem", "Report", "Table", "Unpaired", "Vocabulary",
    "aligned", "captions", "check", "cifar10", "csv", "digits", "fashion_mnist", "idx", "image",
    "image_folder", "k_fold", "log_mel", "mat", "mnist", "npz", "pad", "split", "text",
    "three_way", "verify", "wav",
]  # fmt: skip
