"""Made-up data sets: small, offline, the same for the same seed; stand-ins for the large real ones.

They have the shapes and types of what they stand in for, and are learnable, but far easier.
"""

from graphc.data.synthetic.images import cifar_like, digits_28x28, letters
from graphc.data.synthetic.language import aligned, captions, text
from graphc.data.synthetic.sounds import speech
from graphc.data.synthetic.tables import houses, people, playground

__all__ = [
    "aligned", "captions", "cifar_like", "digits_28x28", "houses", "letters", "people",
    "playground", "speech", "text",
]  # fmt: skip
