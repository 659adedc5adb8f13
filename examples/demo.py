"""Trains a LeNet on real handwritten digits and leaves weights, a picture of the graph and a training curve in out/.

    python3 dev.py demo                                       1,797 digits of 8x8 pixels, no file and no network needed
    python3 dev.py demo --data mnist --root FOLDER            LeNet-5 on MNIST, from FOLDER/MNIST/raw
    python3 dev.py demo --data mnist --root FOLDER --download the same, fetched when it is not there

The same in a page, without the comfort: lenet.py beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed
    for library in ("OMP", "OPENBLAS", "MKL"):  # matrices as small as these lose time when cores have to agree
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches, load_digits, mnist

try:
    import matplotlib
    from tqdm import tqdm

    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError as error:
    sys.exit(f"The demo needs {error.name}: `python3 dev.py demo` sets everything up (or pip install .[demo])")


class SmallLeNet(nn.Module):
    """LeNet's plan for images of 8x8 pixels: convolutions, pooling, fully connected layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.25), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, images):
        return self.classifier(self.features(images))


class LeNet5(nn.Module):
    """LeNet-5 for 28x28 pixels, with ReLU and max pooling in place of the original's sigmoids and averages."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    def forward(self, images):
        return self.classifier(self.features(images))


class Job(NamedTuple):
    """A data set, the network for it, and how it is trained."""

    title: str
    model: type[nn.Module]
    epochs: int
    batch_size: int
    lr: float = 0.05


JOBS = {
    "digits": Job("handwritten digits of 8x8 pixels (scikit-learn)", SmallLeNet, epochs=15, batch_size=32),
    "mnist": Job("handwritten digits of 28x28 pixels (MNIST)", LeNet5, epochs=3, batch_size=64),
}


class Trained(NamedTuple):
    """What training leaves: the picture of one step, the loss of every step, held-out accuracy after every epoch."""

    graph: tg.Graph
    losses: list[float]
    accuracies: list[float]
    seconds: float


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """The fraction of images that the model classifies correctly."""
    model.eval()
    with tg.no_grad():
        right = sum(int((model(x).argmax(axis=1) == y).sum()) for x, y in batches(images, labels, batch_size=500))
    model.train()
    return right / len(labels)


def train(model: nn.Module, job: Job, epochs: int, train_set: tuple, held_out: tuple) -> Trained:
    """Stochastic gradient descent with momentum; the learning rate falls linearly to zero."""
    loader = batches(*train_set, batch_size=job.batch_size, shuffle=True)
    criterion = nn.CrossEntropyLoss()
    optimizer = nn.optim.SGD(model.parameters(), lr=job.lr, momentum=0.9, weight_decay=5e-4)
    graph, losses, accuracies = None, [], []
    start, steps = time.perf_counter(), epochs * len(loader)
    with tqdm(total=steps, unit="step", mininterval=0.1 if sys.stderr.isatty() else 5.0) as bar:
        for epoch in range(epochs):
            bar.set_description(f"epoch {epoch + 1}/{epochs}")
            for images, labels in loader:
                loss = criterion(model(images), labels)
                graph = graph or loss.graph(names={"images": images, "labels": labels, "loss": loss})
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                optimizer.param_groups[0]["lr"] = job.lr * (1 - len(losses) / steps)
                bar.update()
            accuracies.append(accuracy(model, *held_out))
            bar.set_postfix_str(f"loss {np.mean(losses[-len(loader) :]):.3f}, held-out accuracy {accuracies[-1]:.1%}")
    assert graph is not None
    return Trained(graph, losses, accuracies, time.perf_counter() - start)


def draw_curve(trained: Trained, path: Path) -> None:
    """Loss and held-out accuracy over the epochs, as a picture."""
    epochs = len(trained.accuracies)
    losses = np.array(trained.losses)
    at = (np.arange(len(losses)) + 1) * epochs / len(losses)
    width = max(1, len(losses) // 50)
    smooth = np.convolve(losses, np.ones(width) / width, "valid")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(at, losses, color="#c7d3e0", linewidth=0.8, label="every step")
    left.plot(at[width - 1 :], smooth, color="#1f4e79", label=f"mean of {width} steps")
    left.set(xlabel="epoch", ylabel="training loss", yscale="log")
    left.legend(frameon=False)
    right.plot(range(1, epochs + 1), [100 * a for a in trained.accuracies], color="#1f4e79", marker="o", markersize=4)
    right.set(xlabel="epoch", ylabel="held-out accuracy in %")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.text(0.97, 0.06, f"{trained.accuracies[-1]:.1%} in the end", transform=right.transAxes, ha="right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def write_results(out: Path, model: nn.Module, trained: Trained) -> dict[str, str]:
    """Writes all files aside, then moves them to where they belong. Returns what each is, by name."""
    with tempfile.TemporaryDirectory(prefix=".demo.", dir=out) as folder:
        aside = Path(folder)
        nn.save(model, aside / "weights.npz")
        files = {"weights.npz": 'the trained weights: model.load_state_dict(nn.load("weights.npz"))'}
        trained.graph.save(aside / "graph.html")
        files["graph.html"] = "the graph of one training step; open it in a browser, hover for source lines"
        trained.graph.save(aside / "graph.svg")
        files["graph.svg"] = "the same as a still picture"
        draw_curve(trained, aside / "curve.png")
        files["curve.png"] = "loss and held-out accuracy over the epochs"
        for name in files:
            os.replace(aside / name, out / name)
    return files


def load(name: str, root: str | None, download: bool) -> tuple[tuple, tuple]:
    """The images and labels to train with, and those held out."""
    if name == "digits":
        return load_digits(train=True), load_digits(train=False)
    return mnist(root, train=True, download=download), mnist(root, train=False, download=download)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    def at_least(low: int):
        def whole(text: str) -> int:
            if not text.isdecimal() or int(text) < low:
                raise argparse.ArgumentTypeError(f"a whole number from {low} on, not {text!r}")
            return int(text)

        return whole

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=JOBS, default="digits", help="what to learn from (default: digits)")
    parser.add_argument("--root", help="where MNIST/raw is (default: $TENSORGRAPH_DATA or ~/.cache/tensorgraph)")
    parser.add_argument("--download", action="store_true", help="fetch MNIST when it is not there")
    parser.add_argument("--epochs", type=at_least(1), help="passes over the data (default: 15 for digits, 3 for mnist)")
    parser.add_argument("--seed", type=at_least(0), default=0, help="of weights, dropout and shuffling (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (default: out)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> float:
    """Runs the demo; returns the held-out accuracy."""
    options: Any = parse(arguments)
    job = JOBS[options.data]
    epochs = options.epochs or job.epochs
    train_set, held_out = load(options.data, options.root, options.download)
    options.out.mkdir(parents=True, exist_ok=True)

    tg.manual_seed(options.seed)
    model = job.model()
    numbers = sum(p.array.size for p in model.parameters())
    print(f"{len(train_set[1]):,} {job.title}, {len(held_out[1]):,} held out; seed {options.seed}")
    print(f"{model}\n{numbers:,} parameters\n", flush=True)
    trained = train(model, job, epochs, train_set, held_out)
    final, many = trained.accuracies[-1], len(held_out[1])
    right = f"{round(final * many):,} of {many:,}"
    print(f"\nheld-out accuracy {final:.2%} ({right}) after {epochs} epochs, {trained.seconds:.1f} s\n")
    for name, what in write_results(options.out, model, trained).items():
        print(f"  {options.out / name}  {what}")
    return final


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; nothing was written")
    except (tg.TensorgraphError, OSError) as error:
        sys.exit(f"demo: {error}")
