"""Convolution alone against PyTorch: forward, gradient of the input, gradient of the weight, over a table of layers.

    python benchmarks/convolution.py [--table shapes.csv] [--threads 2] [--repeats 10] [--clock wall|cpu] [--batch N]

Every layer is run in turn by PyTorch (contiguous and channels-last) and by tensorgraph, in one process and interleaved;
the shortest time of each counts, and the last column divides ours by PyTorch's better layout. `--clock cpu` measures
processor time with one thread, which a busy machine disturbs less. The table is convnet-benchmarks' and DeepBench's
(columns N C H W K R S stride_h ... cpu_pick cpu_N, of which the picked rows are run); the layers of LeNet, a small CNN
and ResNet-20 come first.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np


class Layer(NamedTuple):
    """One convolution: batch, channels, image, outputs, kernel, stride and padding along both axes."""

    name: str
    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)


NETS = [
    Layer("lenet conv1", 128, 1, 28, 28, 6, 5, 5, padding=(2, 2)),
    Layer("lenet conv2", 128, 6, 14, 14, 16, 5, 5),
    Layer("cnn3 conv1", 128, 1, 28, 28, 32, 3, 3, padding=(1, 1)),
    Layer("cnn3 conv2", 128, 32, 14, 14, 64, 3, 3, padding=(1, 1)),
    Layer("cnn3 conv3", 128, 64, 7, 7, 128, 3, 3, padding=(1, 1)),
    Layer("resnet20 conv1", 128, 3, 32, 32, 16, 3, 3, padding=(1, 1)),
    Layer("resnet20 stage1", 128, 16, 32, 32, 16, 3, 3, padding=(1, 1)),
    Layer("resnet20 down2", 128, 16, 32, 32, 32, 3, 3, (2, 2), (1, 1)),
    Layer("resnet20 stage2", 128, 32, 16, 16, 32, 3, 3, padding=(1, 1)),
    Layer("resnet20 down3", 128, 32, 16, 16, 64, 3, 3, (2, 2), (1, 1)),
    Layer("resnet20 stage3", 128, 64, 8, 8, 64, 3, 3, padding=(1, 1)),
]


def layers(table: Path) -> Iterator[Layer]:
    """The layers of NETS, then the picked rows of the table if it is there."""
    yield from NETS
    if not table.is_file():
        print(f"# no {table}: give --table to run more layers")
        return
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["cpu_pick"] == "1":
                N, C, H, W, K, R, S = (int(row[name]) for name in ("cpu_N", "C", "H", "W", "K", "R", "S"))
                stride, padding = (int(row["stride_h"]), int(row["stride_w"])), (int(row["pad_h"]), int(row["pad_w"]))
                yield Layer(f"{row['net']} {row['layer']}", N, C, H, W, K, R, S, stride, padding)


def ours(layer: Layer, x: np.ndarray, w: np.ndarray, b: np.ndarray, g: np.ndarray) -> list[Callable[[], Any]]:
    """Forward, input gradient and weight gradient of the CPU backend, on channels-last arrays."""
    from tensorgraph.backends import cpu
    from tensorgraph.backends.convolution import Geometry

    (top, left), last = layer.padding, (0, 2, 3, 1)
    x, g = (np.ascontiguousarray(a.transpose(last)).transpose(0, 3, 1, 2) for a in (x, g))
    geometry = Geometry(layer.stride, ((top, top), (left, left)), (1, 1))
    return [
        lambda: cpu.correlate(x, w, geometry, b),
        lambda: cpu.correlate_input(g, w, (layer.H, layer.W), geometry),
        lambda: cpu.correlate_weight(g, x, (layer.R, layer.S), geometry),
    ]


def theirs(layer: Layer, layout: str, *arrays: np.ndarray) -> list[Callable[[], Any]]:
    """The same by PyTorch."""
    import torch

    x, w, b, g = (torch.from_numpy(a) for a in arrays)
    if layout == "channels_last":
        x, w, g = (t.to(memory_format=torch.channels_last) for t in (x, w, g))
    stride, padding = list(layer.stride), list(layer.padding)

    def backward(*mask: bool) -> Any:
        return torch.ops.aten.convolution_backward(
            g, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, [*mask, False]
        )

    return [
        lambda: torch.conv2d(x, w, b, stride, padding),
        lambda: backward(True, False),
        lambda: backward(False, True),
    ]


def shortest(runs: list[Callable[[], Any]], repeats: int, clock: Callable[[], float]) -> list[float]:
    """The shortest time of each, in milliseconds; they take turns."""
    best = [math.inf] * len(runs)
    for repeat in range(repeats + 1):
        for i, run in enumerate(runs):
            start = clock()
            run()
            if repeat:
                best[i] = min(best[i], 1e3 * (clock() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("TENSORGRAPH_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))
    parser.add_argument("--table", type=Path, default=data / "conv_shapes.csv")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--batch", type=int, help="images in every layer, instead of the layer's own number")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    threads = 1 if options.clock == "cpu" else options.threads
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(threads):  # it counts before NumPy is imported
        os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    try:
        import torch
    except ImportError:
        sys.exit("PyTorch is what this compares with: pip install torch")

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    rng = np.random.default_rng(0)
    print(
        f"# milliseconds ({options.clock}), {threads} threads, shortest of {options.repeats}; torch {torch.__version__}"
    )
    print(f"{'layer':22} {'GFLOP':>6} {'':8} {'NCHW':>8} {'NHWC':>8} {'ours':>8} {'ratio':>6}")
    ratios: list[float] = []
    for layer in layers(options.table):
        layer = layer._replace(N=options.batch or layer.N)
        (top, left), (down, right) = layer.padding, layer.stride
        out = ((layer.H + 2 * top - layer.R) // down + 1, (layer.W + 2 * left - layer.S) // right + 1)
        shapes = [(layer.N, layer.C, layer.H, layer.W), (layer.K, layer.C, layer.R, layer.S), (layer.K,)]
        arrays = [rng.standard_normal(shape, dtype=np.float32) for shape in (*shapes, (layer.N, layer.K, *out))]
        flops = 2 * layer.N * layer.K * layer.C * layer.R * layer.S * math.prod(out)
        three = zip(
            theirs(layer, "", *arrays), theirs(layer, "channels_last", *arrays), ours(layer, *arrays), strict=True
        )
        for what, runs in zip(("forward", "input", "weight"), three, strict=True):
            if what == "input" and layer.C <= 3:
                continue  # the first layer of a network
            nchw, nhwc, mine = shortest(list(runs), options.repeats, clock)
            ratios.append(mine / min(nchw, nhwc))
            name, size = (layer.name, f"{flops / 1e9:.3f}") if what == "forward" else ("", "")
            print(f"{name:22} {size:>6} {what:8} {nchw:8.2f} {nhwc:8.2f} {mine:8.2f} {ratios[-1]:6.2f}", flush=True)
    mean = np.exp(np.mean(np.log(ratios)))
    print(f"# ratio: median {np.median(ratios):.2f}, geometric mean {mean:.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
