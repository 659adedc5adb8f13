"""tensorgraph and PyTorch on a GPU: eager, with images channels last, as one CUDA graph, compiled.

A step returns without waiting, as in a training loop; `wait` waits, and the clock is read behind it. Whether products
and convolutions of float32 may use TF32 is the same for both: `BENCHMARK_TF32` in the environment, 0 or 1. Written
without a GPU at hand; docs/gpu.md says what of it has run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from engines.layers import from_numpy, train

__all__ = [
    "Step", "captured", "eager", "missing", "torch_channels_last", "torch_compiled", "torch_eager", "torch_graphs",
]  # fmt: skip

DEVICE = "cuda"
LAUNCH_BOUND = "chain"  # has no layers, and is not what a GPU is for
IMAGES = ("lenet", "cnn3", "resnet20")


class Step:
    """One training step on a GPU. Called it waits and returns the loss; `launch()` only queues the work."""

    def __init__(self, launch: Callable[[], Any], wait: Callable[[], Any], peak: Callable[[], int]):
        self.launch, self.wait, self._peak = launch, wait, peak

    def __call__(self) -> float:
        return self.launch().item()

    def peak(self) -> float:
        """MiB that the engine has taken from the device."""
        return self._peak() / 2**20


def missing(engine: str) -> str | None:
    """Why an engine cannot use a GPU here, None when it can."""
    if engine.startswith("tensorgraph"):
        import tensorgraph as tg

        try:
            tg.backends.get(DEVICE)
        except tg.BackendError as error:
            return str(error)
        return None
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    return None if torch.cuda.is_available() else f"PyTorch {torch.__version__} finds no CUDA device"


def allowed() -> bool:
    """Whether TF32 may be used."""
    return os.environ.get("BENCHMARK_TF32", "0") == "1"


# ---- tensorgraph -----------------------------------------------------------------------------------------------------
def eager(name: str, n: int, wrap: Callable = lambda step: step) -> Step | None:
    """Ours, operation by operation."""
    if name == LAUNCH_BOUND:
        return None
    import tensorgraph as tg
    from tensorgraph import nn

    tg.backends.cuda.allow_tf32(allowed())
    tg.manual_seed(0)
    step, x, labels = train(nn, nn.optim, tg.tensor, name, n, device=DEVICE)
    step = wrap(step)
    return Step(lambda: step(x, labels), tg.cuda.synchronize, tg.cuda.memory_reserved)


def captured(name: str, n: int) -> Step | None:
    """Ours, captured; an error where the step cannot be."""
    import tensorgraph as tg

    return eager(name, n, lambda step: tg.capture(step, strict=True))


# ---- PyTorch ---------------------------------------------------------------------------------------------------------
def torch_eager(name: str, n: int, change: Callable = lambda model, x: (model, x), graph: bool = False) -> Step | None:
    """PyTorch, operation by operation."""
    if name == LAUNCH_BOUND:
        return None
    import torch

    from engines.workloads import WORKLOADS

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed()
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    settings = {"capturable": True} if graph and WORKLOADS[name].optimizer.startswith("Adam") else {}
    step, x, labels = train(torch.nn, torch.optim, from_numpy(), name, n, change, DEVICE, **settings)
    launch = as_graph(step, x, labels) if graph else lambda: step(x, labels)
    return Step(launch, torch.cuda.synchronize, torch.cuda.max_memory_reserved)


def torch_channels_last(name: str, n: int) -> Step | None:
    """PyTorch, images with their channels innermost; None where there are no images."""
    if name not in IMAGES:
        return None
    import torch

    layout = {"memory_format": torch.channels_last}
    return torch_eager(name, n, lambda model, x: (model.to(**layout), x.to(**layout)))


def torch_compiled(name: str, n: int) -> Step | None:
    """PyTorch's compiler."""
    if name == LAUNCH_BOUND:
        return None
    import torch

    return torch_eager(name, n, lambda model, x: (torch.compile(model), x))


def torch_graphs(name: str, n: int) -> Step | None:
    """PyTorch, the whole step as one CUDA graph."""
    return torch_eager(name, n, graph=True)


def as_graph(step: Callable[[Any, Any], Any], x: Any, labels: Any) -> Callable[[], Any]:
    """The first calls run eagerly, so that they are the first steps of training here too; the third is captured."""
    import torch

    graph, calls, loss = torch.cuda.CUDAGraph(), 0, None
    side = torch.cuda.Stream()

    def launch() -> Any:
        nonlocal calls, loss
        calls += 1
        if calls <= 3:
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                eager = step(x, labels)
            torch.cuda.current_stream().wait_stream(side)
            return eager
        if loss is None:
            with torch.cuda.graph(graph):
                loss = step(x, labels)
        graph.replay()
        return loss

    return launch
