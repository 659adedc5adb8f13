"""Fine-tuning: a network that knows photographs learns clothes from a few images of each kind.

    python3 -m examples.fine_tune --root FOLDER

ResNet-20 comes with the weights that akamaster trained on CIFAR-10 (FOLDER/weights/resnet20-12fca82f.npz, or
--weights) and learns Fashion-MNIST (FOLDER/FashionMNIST/raw). Its pictures are grey and 28x28, so they are padded to
32x32 and shown to all three colours. Three ways, with the same images, the same epochs and the same schedule:

    from scratch          fresh weights; nothing is known before
    head alone            the trained weights are frozen; a new last layer learns
    two learning rates    the new last layer learns fast, the trained weights ten times slower

The table, the curves and the weights of the last way are left in out/.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches, fashion_mnist

WAYS = ("from scratch", "head alone", "two learning rates")
MEAN, STD = (np.array(v, np.float32)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def like_cifar(images: np.ndarray) -> np.ndarray:
    """Grey (N, 1, 28, 28) as the network knows its input: (N, 3, 32, 32), scaled as for its training."""
    return ((np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))) - MEAN) / STD).astype(np.float32)


def a_few(labels: np.ndarray, per_class: int, rng: np.random.Generator) -> np.ndarray:
    """The indices of `per_class` samples of every class."""
    return np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)])


def prepare(way: str, weights: dict[str, tg.Tensor], lr: float) -> tuple[nn.Module, nn.optim.Optimizer]:
    """The network and its optimiser. What sets the three ways apart is here."""
    model = nn.models.cifar_resnet20()
    if way != "from scratch":
        model.load_state_dict(weights)
    head = nn.models.replace_head(model, num_classes=10)
    body = [p for name, p in model.named_parameters() if not name.startswith("linear.")]
    groups: list[dict[str, Any]] = [{"params": list(head.parameters()), "lr": lr}]
    if way == "head alone":
        nn.models.freeze(model, but="linear")
    else:
        groups.append({"params": body, "lr": lr if way == "from scratch" else lr / 10})
    return model, nn.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, weight_decay=5e-4)


def learn(way: str, options: argparse.Namespace, train_set: tuple, test_set: tuple) -> dict[str, Any]:
    """Trains in one way; returns the model, the accuracy after every epoch and the seconds."""
    tg.manual_seed(options.seed)
    model, optimizer = prepare(way, nn.load(options.weights), options.lr)
    loader = batches(*train_set, batch_size=32, shuffle=True, seed=options.seed)
    schedule = nn.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * len(loader))
    trainer = nn.train.Trainer(
        model, nn.CrossEntropyLoss(), optimizer,
        metrics={"accuracy": nn.train.Accuracy()},
        callbacks=[nn.train.LRSchedule(schedule, every="batch")],
    )  # fmt: skip
    start = time.perf_counter()
    history = trainer.fit(loader, options.epochs, validation=batches(*test_set, batch_size=250))
    learned = sum(p.size for p in model.parameters() if p.requires_grad)
    seconds = time.perf_counter() - start
    return {"model": model, "accuracies": history["val_accuracy"], "seconds": seconds, "learned": learned}


def table(results: dict[str, dict[str, Any]], options: argparse.Namespace, tested: int) -> str:
    """What came out, as a table that Markdown understands."""
    images = 10 * options.per_class
    lines = [
        f"{images} images, {options.epochs} epochs, seed {options.seed}; accuracy on {tested:,} test images",
        "",
        "| way | parameters that learn | accuracy after 1 epoch | after all | seconds |",
        "|---|---|---|---|---|",
    ]
    for way, found in results.items():
        first, last = found["accuracies"][0], found["accuracies"][-1]
        lines.append(f"| {way} | {found['learned']:,} | {first:.1%} | {last:.1%} | {found['seconds']:.0f} |")
    return "\n".join(lines)


def draw(results: dict[str, dict[str, Any]], path: Path) -> None:
    """The accuracy of all three over the epochs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes: Any = figure.subplots()
    for (way, found), colour in zip(results.items(), ("#9aa5b1", "#d08c3f", "#1f4e79")):
        percent = [100 * a for a in found["accuracies"]]
        axes.plot(range(1, len(percent) + 1), percent, color=colour, marker="o", markersize=3, label=way)
    axes.set(xlabel="epoch", ylabel="accuracy on test images in %")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("TENSORGRAPH_DATA")
    parser.add_argument("--root", default=root, help="folder of the data (default: $TENSORGRAPH_DATA)")
    parser.add_argument(
        "--weights", type=Path, help="of CIFAR's ResNet-20 (default: ROOT/weights/resnet20-12fca82f.npz)"
    )
    parser.add_argument("--download", action="store_true", help="fetch Fashion-MNIST when it is not there")
    parser.add_argument("--per-class", type=int, default=10, help="training images of each kind (default: 10)")
    parser.add_argument("--test", type=int, default=1000, help="test images to look at (default: 1000; 0: all 10,000)")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training images (default: 20)")
    parser.add_argument("--lr", type=float, default=0.05, help="learning rate at the start (default: 0.05)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice, weights and shuffling (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (default: out)")
    options = parser.parse_args(arguments)
    if options.weights is None:
        options.weights = Path(options.root or ".") / "weights" / "resnet20-12fca82f.npz"
    for name, least in (("per_class", 1), ("test", 0), ("epochs", 1), ("seed", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name.replace('_', '-')} is a whole number from {least} on")
    return options


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the three ways; returns the last accuracy of each."""
    options = parse(arguments)
    images, labels = fashion_mnist(options.root, train=True, download=options.download)
    chosen = a_few(labels, options.per_class, np.random.default_rng(options.seed))
    train_set = like_cifar(images[chosen]), labels[chosen]
    images, labels = fashion_mnist(options.root, train=False, download=options.download)
    tested = options.test or len(labels)
    test_set = like_cifar(images[:tested]), labels[:tested]
    options.out.mkdir(parents=True, exist_ok=True)

    results = {}
    for way in WAYS:
        print(f"\n{way}", flush=True)
        results[way] = learn(way, options, train_set, test_set)
    report = table(results, options, len(test_set[1]))
    print(f"\n{report}\n")
    (options.out / "fine_tune.md").write_text(report + "\n", encoding="utf-8")
    nn.save(results[WAYS[-1]]["model"], options.out / "fine_tune.npz")
    draw(results, options.out / "fine_tune.png")
    print(f"results in {options.out}: fine_tune.md, fine_tune.png, fine_tune.npz (weights)")
    return {way: found["accuracies"][-1] for way, found in results.items()}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
    except (tg.TensorgraphError, OSError) as error:
        sys.exit(f"fine_tune: {error}")
