"""Searches hyper-parameters of a network with scikit-learn: a grid, then random draws; the winner meets new digits.

    python3 -m examples.sklearn_search                     1,797 digits of 8x8 pixels, no file and no network needed
    python3 -m examples.sklearn_search --jobs 2            the same in two processes

A pipeline scales the pixels, a multi-layer perceptron classifies them. The tables of both searches and a picture of
what they found are left in out/.
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
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import tensorgraph as tg
from tensorgraph.nn.sklearn import NeuralNetClassifier

GRID = {"net__module__hidden": [(32,), (128,), (128, 128)], "net__lr": [3e-4, 1e-3, 3e-3]}
DRAWN = {
    "net__module__hidden": [(64,), (128,), (256,), (128, 128)],
    "net__module__dropout": [0.0, 0.2, 0.5],
    "net__lr": loguniform(1e-4, 3e-2),
    "net__optimizer__weight_decay": loguniform(1e-6, 1e-1),
    "net__batch_size": [16, 32, 64, 128],
}


def pipeline(options: argparse.Namespace) -> Pipeline:
    """What is searched: the steps, with the parameters that stay as they are."""
    net = NeuralNetClassifier(optimizer="AdamW", max_epochs=options.epochs, random_state=options.seed)
    return Pipeline([("scale", StandardScaler()), ("net", net)])


def search(kind: str, options: argparse.Namespace, images: Any, labels: Any) -> Any:
    """Cross-validates every candidate and trains the best one on everything; returns scikit-learn's search."""
    folds = StratifiedKFold(options.folds, shuffle=True, random_state=options.seed)
    common: dict[str, Any] = dict(cv=folds, n_jobs=options.jobs, verbose=options.verbose)
    if kind == "grid":
        found = GridSearchCV(pipeline(options), GRID, **common)
    else:
        draws = dict(n_iter=options.draws, random_state=options.seed)
        found = RandomizedSearchCV(pipeline(options), DRAWN, **draws, **common)
    start = time.perf_counter()
    found.fit(images, labels)
    fits, seconds = len(found.cv_results_["params"]) * options.folds, time.perf_counter() - start
    print(f"{kind}: {fits} trainings in {seconds:.0f} s, best {found.best_score_:.2%} in cross-validation")
    return found


def table(found: Any, rows: int = 10) -> str:
    """The best candidates, as a table that Markdown understands."""
    results = found.cv_results_
    names = [name for name in results if name.startswith("param_")]
    heads = [name.removeprefix("param_net__").replace("module__", "").replace("optimizer__", "") for name in names]
    lines = [f"| rank | accuracy | {' | '.join(heads)} | seconds |", "|---" * (len(names) + 3) + "|"]
    for i in np.argsort(results["rank_test_score"], kind="stable")[:rows]:
        shown = [_shown(results[name][i]) for name in names]
        accuracy = f"{results['mean_test_score'][i]:.2%} ± {results['std_test_score'][i]:.2%}"
        seconds = f"{results['mean_fit_time'][i]:.1f}"
        lines.append(f"| {results['rank_test_score'][i]} | {accuracy} | {' | '.join(shown)} | {seconds} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def draw(grid: Any, drawn: Any, path: Path) -> None:
    """The grid as a map of colours; the draws over their learning rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    hidden, rates = GRID["net__module__hidden"], GRID["net__lr"]
    scores = np.zeros((len(hidden), len(rates)))
    for params, score in zip(grid.cv_results_["params"], grid.cv_results_["mean_test_score"]):
        scores[hidden.index(params["net__module__hidden"]), rates.index(params["net__lr"])] = 100 * score
    left.imshow(scores, cmap="Blues", aspect="auto", vmin=scores.min() - 1)
    for (i, j), score in np.ndenumerate(scores):
        light = score > (scores.min() + scores.max()) / 2
        left.text(j, i, f"{score:.1f}", ha="center", va="center", color="white" if light else "black")
    left.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    left.set_yticks(range(len(hidden)), ["-".join(map(str, sizes)) for sizes in hidden])
    left.set(xlabel="learning rate", ylabel="hidden units", title="grid: accuracy in %")
    results = drawn.cv_results_
    rates = np.array([params["net__lr"] for params in results["params"]])
    decays = np.array([params["net__optimizer__weight_decay"] for params in results["params"]])
    accuracies = 100 * np.array(results["mean_test_score"])
    points = right.scatter(rates, accuracies, c=np.log10(decays), cmap="viridis", s=28)
    right.errorbar(rates, accuracies, 100 * np.array(results["std_test_score"]), fmt="none", ecolor="#c7d3e0", zorder=0)
    right.set(xscale="log", xlabel="learning rate", ylabel="accuracy in %", title="random draws")
    figure.colorbar(points, ax=right, label="log10 of weight decay")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=12, help="candidates of the random search (default: 12)")
    parser.add_argument("--epochs", type=int, default=15, help="of every training (default: 15)")
    parser.add_argument("--folds", type=int, default=3, help="of the cross-validation (default: 3)")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time (default: 1)")
    parser.add_argument("--samples", type=int, default=0, help="digits to search with (default: 0, all)")
    parser.add_argument("--seed", type=int, default=0, help="of splits, draws, weights and shuffling (default: 0)")
    parser.add_argument("--verbose", type=int, default=1, help="how much scikit-learn says on its way (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the results (default: out)")
    options = parser.parse_args(arguments)
    for name, least in (("draws", 1), ("epochs", 1), ("folds", 2), ("samples", 0), ("seed", 0)):
        if getattr(options, name) < least:
            parser.error(f"--{name} is a whole number from {least} on")
    return options


def main(arguments: list[str] | None = None) -> float:
    """Runs both searches; returns the accuracy of the better winner on the held-out digits."""
    options = parse(arguments)
    images, labels = load_digits(return_X_y=True)
    images, held_out, labels, truth = train_test_split(
        images.astype(np.float32), labels, test_size=0.2, stratify=labels, random_state=options.seed
    )
    if options.samples:
        images, labels = images[: options.samples], labels[: options.samples]
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"{len(labels):,} digits to search with, {len(truth):,} held out; seed {options.seed}", flush=True)
    grid = search("grid", options, images, labels)
    drawn = search("random", options, images, labels)

    best = max(grid, drawn, key=lambda found: found.best_score_)
    accuracy = float(best.score(held_out, truth))
    chosen = ", ".join(f"{name.removeprefix('net__')} {_shown(value)}" for name, value in best.best_params_.items())
    report = f"## Grid\n\n{table(grid)}\n\n## Random draws\n\n{table(drawn)}\n\n"
    report += f"Best: {chosen}. Trained on all {len(labels):,}, it is right on {accuracy:.2%} of the held-out digits."
    print(f"\n{report}\n")
    (options.out / "sklearn_search.md").write_text(report + "\n", encoding="utf-8")
    draw(grid, drawn, options.out / "sklearn_search.png")
    print(f"results in {options.out}: sklearn_search.md, sklearn_search.png")
    return accuracy


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted")
    except (tg.TensorgraphError, OSError) as error:
        sys.exit(f"sklearn_search: {error}")
