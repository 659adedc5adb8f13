"""The three-convolution network of the tutorials on MNIST, with a checkpoint after every epoch that it can go on from.

    python3 -m examples.three_convolutions --root FOLDER             from FOLDER/MNIST/raw
    python3 -m examples.three_convolutions --download                the same, fetched when it is not there
    python3 -m examples.three_convolutions --resume                  goes on where the last run ended, or was killed
    python3 -m examples.three_convolutions --resume FILE --epochs 9  goes on from any epoch's checkpoint

Three 3x3 convolutions of 32, 64 and 128 channels, 625 units, dropout, RMSprop: 1,379,557 parameters (Radford,
Theano-Tutorials, 2014). The checkpoints of all epochs are left in out/three_convolutions/, beside it the table of
epochs, the curves and the weights of the best epoch.
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

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches, mnist
from tensorgraph.nn import train


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="where MNIST/raw is (default: $TENSORGRAPH_DATA or ~/.cache/tensorgraph)")
    parser.add_argument("--download", action="store_true", help="fetch MNIST when it is not there")
    parser.add_argument("--images", type=int, default=0, help="so many of the training images (default: 0, all)")
    parser.add_argument("--test", type=int, default=0, help="so many of the test images (default: 0, all)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them, a resumed run's included (default: 3)")
    parser.add_argument("--batch-size", type=int, default=128, help="images in a step (default: 128)")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate of RMSprop (default: 0.001)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, dropout and order (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (default: out)")
    parser.add_argument(
        "--resume", nargs="?", const=True, metavar="FILE", help="go on from the last checkpoint, or from FILE"
    )
    options = parser.parse_args(arguments)
    for name, least in (("images", 0), ("test", 0), ("epochs", 1), ("batch_size", 1), ("seed", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name.replace('_', '-')} is a whole number from {least} on")
    return options


def main(arguments: list[str] | None = None) -> float:
    """Trains, then tries the best epoch's network; returns its accuracy on the test images."""
    options = parse(arguments)
    images, labels = (a[: options.images or None] for a in mnist(options.root, download=options.download))
    held_out = [a[: options.test or None] for a in mnist(options.root, train=False, download=options.download)]

    tg.manual_seed(options.seed)
    model = nn.models.ThreeConvolutions()
    optimizer = nn.optim.RMSprop(model.parameters(), lr=options.lr, alpha=0.9, eps=1e-6)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = train.Checkpoint(options.out / "three_convolutions", "val_accuracy", every=1)
    trainer = train.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        metrics={"accuracy": train.Accuracy()},
        callbacks=[checkpoint, train.CSVLog(options.out / "three_convolutions.csv"), train.StabilityGuard(model)],
    )
    loader = batches(images, labels, batch_size=options.batch_size, shuffle=True)
    validation = batches(*held_out, batch_size=500)

    numbers = sum(p.array.size for p in model.parameters())
    print(f"{len(labels):,} images to learn from, {len(held_out[1]):,} held out; {numbers:,} parameters", flush=True)
    history = trainer.fit(loader, options.epochs, validation=validation, resume=options.resume)

    train.load_checkpoint(checkpoint.best, random_states=False, model=model)
    matrix = train.ConfusionMatrix(10)
    model.eval()
    with tg.no_grad():
        for x, y in validation:
            matrix.update(model(x), y)
    best = history.best("val_accuracy")["epoch"]
    print(f"\n{matrix}\n\nheld-out accuracy {matrix.accuracy():.2%}, after epoch {best} of {trainer.epoch}")
    nn.save(model, options.out / "three_convolutions.npz")
    try:
        history.plot(options.out / "three_convolutions.png")
    except tg.MissingPackageError as error:
        print(f"no curves: {error.hint}")
    return matrix.accuracy()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; --resume goes on from there")
    except (tg.TensorgraphError, OSError) as error:
        sys.exit(f"three_convolutions: {error}")
