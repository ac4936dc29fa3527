"""Well-known models, each a short function or layer on the public layers.

What a function returns is a layer: call it on a tensor, or train it as a `Sequential`. Pictures
are channels last; outputs are logits unless a docstring says otherwise; nothing is pretrained.
"""

from graphc.frontend.arguments import check_all
from graphc.models.adversarial import (
    cogan_generator,
    progressive_generator,
    stylegan_generator,
)
from graphc.models.attention import bert, gpt, vit
from graphc.models.classic import alexnet, lenet5, logistic, m19_cnn, mlp, vgg16, zfnet
from graphc.models.generative import VAE, dcgan_discriminator, dcgan_generator, diffusion_unet
from graphc.models.inception import googlenet
from graphc.models.mobile import mobilenet
from graphc.models.pictures import Captioner, content_loss, dream_loss, gram, style_loss
from graphc.models.residual import resnet20, resnet50, resnet152, resnet_cifar
from graphc.models.sequences import Seq2Seq, char_lstm, ctc_speech
from graphc.models.translation import cyclegan_generator, patch_discriminator, pix2pix_generator
from graphc.models.unet import unet
from graphc.models.values import dqn
from graphc.models.words import SkipGram

__all__ = [
    "VAE",
    "Captioner",
    "Seq2Seq",
    "SkipGram",
    "alexnet",
    "bert",
    "char_lstm",
    "cogan_generator",
    "content_loss",
    "ctc_speech",
    "cyclegan_generator",
    "dcgan_discriminator",
    "dcgan_generator",
    "diffusion_unet",
    "dqn",
    "dream_loss",
    "googlenet",
    "gpt",
    "gram",
    "lenet5",
    "logistic",
    "m19_cnn",
    "mlp",
    "mobilenet",
    "patch_discriminator",
    "pix2pix_generator",
    "progressive_generator",
    "resnet20",
    "resnet50",
    "resnet152",
    "resnet_cifar",
    "style_loss",
    "stylegan_generator",
    "unet",
    "vgg16",
    "vit",
    "zfnet",
]

check_all(globals(), __all__)
