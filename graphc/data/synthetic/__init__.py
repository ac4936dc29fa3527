"""Made-up data sets: small, offline, the same for the same seed; stand-ins for the large real ones.

They have the shapes and types of what they stand in for, and are learnable, but far easier.
"""

from graphc.data.synthetic.faces import cats, faces
from graphc.data.synthetic.images import cifar_like, digits_28x28, letters
from graphc.data.synthetic.language import aligned, captions, text
from graphc.data.synthetic.scenes import maps, roads, tissue, unpaired
from graphc.data.synthetic.sounds import speech
from graphc.data.synthetic.tables import collisions, houses, people, playground
from graphc.data.synthetic.writing import cheques, house_numbers, scans

__all__ = [
    "aligned", "captions", "cats", "cheques", "cifar_like", "collisions", "digits_28x28", "faces",
    "house_numbers", "houses", "letters", "maps", "people", "playground", "roads", "scans",
    "speech", "text", "tissue", "unpaired",
]  # fmt: skip
