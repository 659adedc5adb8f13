"""tensorgraph and PyTorch: the same program for both, since their layers have the same names.

Only a rectifier is written as each of the two computes it fastest: PyTorch's in place, ours as the `activation` of the
layer before it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from engines.workloads import HIDDEN, LETTERS, WORKLOADS, batch_of, weights_of

__all__ = ["tensorgraph", "torch_channels_last", "torch_compiled", "torch_contiguous"]


def rectified(layer: Callable, *args: Any, **settings: Any) -> list[Any]:
    """A layer with a rectifier behind it."""
    if layer.__module__.startswith("tensorgraph"):
        return [layer(*args, activation="relu", **settings)]
    import torch

    return [layer(*args, **settings), torch.nn.ReLU(inplace=True)]


def build(name: str, nn: Any) -> Any:
    """The network of a workload, in the layers of `nn`."""
    if name == "mlp":
        sizes = [*rectified(nn.Linear, 784, 256), *rectified(nn.Linear, 256, 128), nn.Linear(128, 10)]
        return nn.Sequential(nn.Flatten(), *sizes)
    if name == "lenet":
        return nn.Sequential(
            *(*rectified(nn.Conv2d, 1, 6, 5, padding=2), nn.MaxPool2d(2)),
            *(*rectified(nn.Conv2d, 6, 16, 5), nn.MaxPool2d(2)),
            *(nn.Flatten(), *rectified(nn.Linear, 400, 120), *rectified(nn.Linear, 120, 84), nn.Linear(84, 10)),
        )
    if name == "cnn3":
        blocks: list[Any] = []
        for c, k in ((1, 32), (32, 64), (64, 128)):
            blocks += [*rectified(nn.Conv2d, c, k, 3, padding=1), nn.MaxPool2d(2), nn.Dropout(0.2)]
        head = [nn.Flatten(), *rectified(nn.Linear, 1152, 625), nn.Dropout(0.5), nn.Linear(625, 10)]
        return nn.Sequential(*blocks, *head)
    return {"resnet20": resnet20, "charlstm": character_lstm}[name](nn)


def resnet20(nn: Any) -> Any:
    """He et al. 2016, section 4.2, shortcuts of option A."""

    class Rectified(nn.BatchNorm2d):
        def forward(self, input: Any, residual: Any = None) -> Any:
            y = super().forward(input)
            return nn.functional.relu(y if residual is None else y + residual, inplace=True)

    ours = nn.__name__.startswith("tensorgraph")
    Norm = functools.partial(nn.BatchNorm2d, activation="relu") if ours else Rectified

    class Block(nn.Module):
        def __init__(self, inner: int, outer: int):
            super().__init__()
            self.stride = outer // inner
            self.extra = (outer - inner) // 2
            self.conv1 = nn.Conv2d(inner, outer, 3, self.stride, padding=1, bias=False)
            self.bn1 = Norm(outer)
            self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
            self.bn2 = Norm(outer)

        def forward(self, x: Any) -> Any:
            shortcut = x
            if self.extra:
                shortcut = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
            return self.bn2(self.conv2(self.bn1(self.conv1(x))), shortcut)

    class ResNet20(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
            self.bn1 = Norm(16)
            self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
            self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
            self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
            self.linear = nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            x = self.bn1(self.conv1(x))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.linear(x.mean((2, 3)))

    return ResNet20()


def character_lstm(nn: Any) -> Any:
    """Embedding, one LSTM, a linear layer: the next character at every step."""

    class CharacterLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(LETTERS, HIDDEN)
            self.lstm = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
            self.linear = nn.Linear(HIDDEN, LETTERS)

        def forward(self, text: Any) -> Any:
            return self.linear(self.lstm(self.embedding(text))[0]).reshape(-1, LETTERS)

    return CharacterLSTM()


def chain(x: Any, w: Any, tanh: Callable) -> Callable[[], float]:
    """400 operations on 4 floats, forward and backward."""

    def step() -> float:
        x.grad = None
        y = x
        for _ in range(100):
            y = y * w
            y = y + w
            y = tanh(y)
            y = y * x
        loss = y.sum()
        loss.backward()
        return loss.item()

    return step


def train(
    nn: Any,
    optim: Any,
    tensor: Callable,
    name: str,
    n: int,
    change: Callable = lambda model, x: (model, x),
    device: str = "cpu",
    **settings: Any,
) -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """The step of a workload, from images and labels to the loss, and both. `change(model, x)` may give another layout.

    `settings` are further ones of the optimiser.
    """
    workload = WORKLOADS[name]
    model = build(name, nn)
    names = [name for name, _ in model.named_parameters()]
    given = dict(zip(names, map(tensor, weights_of(workload).values()), strict=True))
    missing = model.load_state_dict(given, strict=False)
    assert all(key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked") for key in missing[0])
    x, labels = (tensor(a).to(device=device) for a in batch_of(workload, n))
    model, x = change(model.to(device=device), x)
    labels = labels.reshape(-1)
    optimizer = getattr(optim, workload.optimizer)(model.parameters(), **workload.settings, **settings)

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step, x, labels


def waited(step: Callable[[Any, Any], Any], x: Any, labels: Any) -> Callable[[], float]:
    """A step that ends when its loss is known."""
    return lambda: step(x, labels).item()


def tensorgraph(name: str, n: int) -> Callable[[], float]:
    """Ours."""
    import tensorgraph as tg
    from tensorgraph import nn

    if name == "chain":
        return chain(tg.full((4,), 0.5, requires_grad=True), tg.full((4,), 0.999), tg.tanh)
    tg.manual_seed(0)
    return waited(*train(nn, nn.optim, tg.tensor, name, n))


def torch_contiguous(name: str, n: int, change: Callable = lambda model, x: (model, x)) -> Callable[[], float]:
    """PyTorch, arrays as they come."""
    import os

    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if name == "chain":
        return chain(torch.full((4,), 0.5, requires_grad=True), torch.full((4,), 0.999), torch.tanh)
    torch.manual_seed(0)
    return waited(*train(torch.nn, torch.optim, from_numpy(), name, n, change))


def from_numpy() -> Callable:
    """What makes a tensor of PyTorch of an array."""
    import torch

    return lambda a: torch.from_numpy(np.array(a))


def torch_channels_last(name: str, n: int) -> Callable[[], float] | None:
    """PyTorch, images with their channels innermost; None where there are no images."""
    if name not in ("lenet", "cnn3", "resnet20"):
        return None
    import torch

    layout = {"memory_format": torch.channels_last}
    return torch_contiguous(name, n, lambda model, x: (model.to(**layout), x.to(**layout)))


def torch_compiled(name: str, n: int) -> Callable[[], float] | None:
    """PyTorch's compiler; the loop of a chain of 400 operations is not what it is for."""
    if name == "chain":
        return None
    import torch

    return torch_contiguous(name, n, lambda model, x: (torch.compile(model), x))
