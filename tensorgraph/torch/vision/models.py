"""`torchvision.models`: the networks of tensorgraph.nn.models that torchvision has too, under its names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tensorgraph.errors import ArgumentError
from tensorgraph.nn import models as _models
from tensorgraph.nn.models import VGG, AlexNet, GoogLeNet, ResNet
from tensorgraph.torch.doorway import doorway

__all__ = ["AlexNet", "GoogLeNet", "ResNet", "VGG"]

_BUILDERS = """
alexnet googlenet resnet18 resnet34 resnet50 resnet101 resnet152
vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn
""".split()
__all__ += _BUILDERS


def _builder(name: str) -> Callable[..., Any]:
    build = getattr(_models, name)

    @functools.wraps(build)
    def make(*, weights: Any = None, pretrained: Any = False, progress: bool = True, **settings: Any) -> Any:
        if weights is not None or pretrained:
            raise ArgumentError(
                f"models.{name}: trained weights are not fetched from here",
                hint=f"model = models.{name}(); model.load_state_dict(torch.load(file)), with torchvision's file",
            )
        return build(**settings)

    make.__module__ = __name__
    return make


globals().update({name: _builder(name) for name in _BUILDERS})

__getattr__ = doorway(
    __name__,
    {
        "mobilenet_v2": "models.resnet18 is the smallest network here",
        "densenet121": "models.resnet50",
        "inception_v3": "models.googlenet",
        "squeezenet1_0": "models.resnet18 is the smallest network here",
    },
)
