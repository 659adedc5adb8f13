"""tensorgraph.nn.models: the named networks, one file per family, from a perceptron to ResNet-152.

    from tensorgraph import nn
    model = nn.models.resnet18(num_classes=10)

A lower-case name is a function that builds a network, a class is what it builds. Where torchvision has the network,
the names in the state dict are torchvision's, so that its files load; the others follow the file or paper that the
docstring names. Weights are drawn as published; `nn.init.skip()` around the call leaves that out when they are loaded
from a file anyway. `replace_head` and `freeze` prepare a trained network for other data, `fully_convolutional` for
images of other sizes.
"""

from tensorgraph.nn.models import (
    adapt,
    alex,
    char_rnn,
    cifar_resnet,
    dense,
    google,
    maxouts,
    network_in_network,
    preactivation,
    residual,
    small,
    vgg,
)
from tensorgraph.nn.models.adapt import *
from tensorgraph.nn.models.alex import *
from tensorgraph.nn.models.char_rnn import *
from tensorgraph.nn.models.cifar_resnet import *
from tensorgraph.nn.models.dense import *
from tensorgraph.nn.models.google import *
from tensorgraph.nn.models.maxouts import *
from tensorgraph.nn.models.network_in_network import *
from tensorgraph.nn.models.preactivation import *
from tensorgraph.nn.models.residual import *
from tensorgraph.nn.models.small import *
from tensorgraph.nn.models.vgg import *

__all__: list[str] = []
__all__ += adapt.__all__
__all__ += alex.__all__
__all__ += char_rnn.__all__
__all__ += cifar_resnet.__all__
__all__ += dense.__all__
__all__ += google.__all__
__all__ += maxouts.__all__
__all__ += network_in_network.__all__
__all__ += preactivation.__all__
__all__ += residual.__all__
__all__ += small.__all__
__all__ += vgg.__all__
