"""Draws the pictures of docs/visualization.md from real programs: `PYTHONPATH=. python docs/pictures.py`.

With names behind it, draws only those.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import tensorgraph as tg
from tensorgraph import nn

FOLDER = Path(__file__).parent / "pictures"


def lenet() -> tg.Graph:
    """A network and its loss."""
    images, labels = tg.randn(8, 1, 28, 28), tg.arange(8)
    loss = nn.functional.cross_entropy(nn.models.LeNet5()(images), labels)
    return loss.graph(names={"images": images, "labels": labels})


def resnet50() -> tg.Graph:
    """Folded, with the multiply-adds of every block."""
    images = tg.randn(1, 3, 224, 224)
    return nn.models.resnet50().eval()(images).graph(depth=2, show="macs", names={"images": images})


class Reader(nn.Module):
    """Reads a sequence step by step."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTMCell(8, 16), nn.Linear(16, 3)

    def forward(self, sequence):
        h = c = tg.zeros(sequence.shape[1], 16)
        for x in sequence:
            h, c = self.cell(x, (h, c))
        return self.head(h)


def steps() -> tg.Graph:
    """64 steps of a loop."""
    labels = tg.tensor([0, 1, 2, 0])
    return nn.functional.cross_entropy(Reader()(tg.randn(64, 4, 8)), labels).graph(names={"labels": labels})


def gradients() -> tg.Graph:
    """The way of the gradients through a small network, after they went it."""
    x = tg.name(tg.randn(4, 3), "x")
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
    loss = (model(x) ** 2).mean()
    loss.backward()
    return loss.graph(backward=True)


def norms() -> tg.Graph:
    """Norms of the gradients: a deep network of sigmoids."""
    tg.manual_seed(0)
    layers = [layer for _ in range(4) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    loss = nn.functional.mse_loss(nn.Sequential(*layers)(tg.randn(32, 16)), tg.ones(32, 16))
    loss.backward()
    return loss.graph(show="grad", repeats=False)


def second_order() -> tg.Graph:
    """A gradient penalty."""
    x = tg.name(tg.tensor([1.0, 2.0], requires_grad=True), "x")
    y = (tg.sin(x) * x).sum()
    g = tg.grad(y, x, create_graph=True)
    return (g**2).sum().graph()


def failure() -> tg.Graph:
    """A layer that does not fit."""
    model = nn.Sequential({
        "conv": nn.Conv2d(1, 4, 3), "act": nn.ReLU(), "pool": nn.MaxPool2d(2), "flatten": nn.Flatten(),
        "fc": nn.Linear(100, 10),
    })  # fmt: skip
    try:
        model(tg.randn(2, 1, 14, 14))
    except tg.ShapeError as error:
        assert error.graph is not None
        return error.graph
    raise AssertionError("the network was meant not to fit")


PICTURES: dict[str, Callable[[], tg.Graph]] = {
    draw.__name__: draw for draw in (lenet, resnet50, steps, gradients, norms, second_order, failure)
}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PICTURES:
        print(PICTURES[name]().save(FOLDER / f"{name}.svg"))
