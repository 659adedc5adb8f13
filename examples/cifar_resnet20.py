"""ResNet-20 on CIFAR-10: augmentation, a learning rate that falls, checkpoints; or the published weights, tried out.

    python3 -m examples.cifar_resnet20 --root FOLDER                trains on what FOLDER/cifar-10-batches-bin holds
    python3 -m examples.cifar_resnet20 --root FOLDER --resume       goes on where an interrupted run stopped
    python3 -m examples.cifar_resnet20 --root FOLDER --pretrained   tries FOLDER/weights/resnet20-12fca82f.npz

Training images are padded by 4 pixels, cut out at random, and mirrored half of the time, as in the paper (He et al.,
CVPR 2016, section 4.2). Of the five published training files those are used that are there. A checkpoint is written
after every epoch; the curve, the table of epochs and the weights are left in out/.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import augment, batches, cifar10

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MEAN, STD = (np.array(v, np.float32)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


def load(options: argparse.Namespace, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) with the mean and spread that the published weights expect, and labels."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] if train else ["test_batch.bin", "test_batch_first1000.bin"]
    there = [name for name in names if (Path(options.root or ".") / "cifar-10-batches-bin" / name).is_file()]
    files = (there if train else there[:1]) or None  # None: the whole set, fetched or missed
    images, labels = cifar10(options.root, train=train, download=options.download, files=files)
    n = (options.images if train else options.test) or len(labels)
    return (images[:n] - MEAN) / STD, labels[:n]


def train(options: argparse.Namespace, test_set: tuple[np.ndarray, np.ndarray]) -> nn.Module:
    """Stochastic gradient descent with momentum; the rate rises for a while, then falls along a cosine."""
    images, labels = load(options, train=True)
    model = nn.models.cifar_resnet20()
    optimizer = nn.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    change = augment.Compose([augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()])
    loader = batches(images, labels, batch_size=options.batch_size, shuffle=True, seed=options.seed, transform=change)
    schedule = nn.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.lr, total_steps=options.epochs * len(loader) + 1, pct_start=0.2
    )
    numbers = sum(p.size for p in model.parameters())
    print(f"{len(labels):,} images, {numbers:,} parameters, seed {options.seed}", flush=True)
    trainer = nn.train.Trainer(
        model, nn.CrossEntropyLoss(), optimizer,
        metrics={"accuracy": nn.train.Accuracy()},
        callbacks=[
            nn.train.LRSchedule(schedule, every="batch"),
            nn.train.Checkpoint(options.out / "cifar_resnet20", "val_accuracy"),
            nn.train.CSVLog(options.out / "cifar_resnet20.csv"),
        ],
    )  # fmt: skip
    history = trainer.fit(loader, options.epochs, validation=batches(*test_set, batch_size=250), resume=options.resume)
    history.plot(options.out / "cifar_resnet20.png")
    nn.save(model, options.out / "cifar_resnet20.npz")
    return model


def try_out(model: nn.Module, test_set: tuple[np.ndarray, np.ndarray]) -> float:
    """Prints what was taken for what; returns the accuracy."""
    matrix = nn.train.ConfusionMatrix(len(CLASSES), names=CLASSES)
    model.eval()
    with tg.no_grad():
        for images, labels in nn.train.progress(batches(*test_set, batch_size=250), "testing"):
            matrix.update(model(images), labels)
    counts = matrix.compute()
    print(f"\n{matrix}\n\naccuracy {matrix.accuracy():.2%} ({np.trace(counts):,} of {counts.sum():,} test images)")
    return matrix.accuracy()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.environ.get("TENSORGRAPH_DATA")
    parser.add_argument("--root", default=root, help="folder of cifar-10-batches-bin (default: $TENSORGRAPH_DATA)")
    parser.add_argument("--download", action="store_true", help="fetch CIFAR-10 (170 MB) when none of it is there")
    parser.add_argument("--images", type=int, default=0, help="so many of the training images (default: 0, all)")
    parser.add_argument("--test", type=int, default=0, help="so many of the test images (default: 0, all)")
    parser.add_argument("--epochs", type=int, default=15, help="passes over them (default: 15)")
    parser.add_argument("--batch-size", type=int, default=128, help="images in a step (default: 128)")
    parser.add_argument("--lr", type=float, default=0.2, help="highest learning rate (default: 0.2)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: 0)")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run, given the same --epochs")
    parser.add_argument("--pretrained", action="store_true", help="train nothing, try published weights")
    parser.add_argument("--weights", type=Path, help="of --pretrained (default: ROOT/weights/resnet20-12fca82f.npz)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (default: out)")
    options = parser.parse_args(arguments)
    if options.weights is None:
        options.weights = Path(options.root or ".") / "weights" / "resnet20-12fca82f.npz"
    for name, least in (("images", 0), ("test", 0), ("epochs", 1), ("batch_size", 1), ("seed", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name.replace('_', '-')} is a whole number from {least} on")
    return options


def main(arguments: list[str] | None = None) -> float:
    """Trains, or loads, and tests; returns the accuracy on the test images."""
    options = parse(arguments)
    test_set = load(options, train=False)
    if options.pretrained:
        model = nn.models.cifar_resnet20()
        model.load_state_dict(nn.load(options.weights))
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        tg.manual_seed(options.seed)
        model = train(options, test_set)
        print(f"results in {options.out}: cifar_resnet20.png, .csv, .npz (weights), and a folder of checkpoints")
    return try_out(model, test_set)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; --resume goes on from the last checkpoint")
    except (tg.TensorgraphError, OSError) as error:
        sys.exit(f"cifar_resnet20: {error}")
