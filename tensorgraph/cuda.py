"""`tensorgraph.cuda`: is there a GPU, wait for it, what is in its memory. May import: backends, diagnostics.

Computing on a GPU needs none of this: `device="cuda"`, `model.to("cuda")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorgraph import backends
from tensorgraph.diagnostics import memory
from tensorgraph.diagnostics.memory import MemoryReport

__all__ = [
    "device", "device_count", "empty_cache", "is_available", "memory_allocated", "memory_report", "memory_reserved",
    "synchronize",
]  # fmt: skip


def device_count() -> int:
    """How many GPUs can be used; 0 where CuPy, a driver or a device is missing (`show_config()` says which)."""
    return len(backends.devices()) - 1


def is_available() -> bool:
    """Whether a GPU can be used."""
    return device_count() > 0


class device:
    """Inside the block a GPU is the default device, and the one on which this thread computes.

        with tg.cuda.device(1):
            y = model(x)  # model and x are on "cuda:1"

    index: its number, or "cuda:1". Raises BackendError, when the block is entered: there is no such GPU.
    """

    def __init__(self, index: int | str):
        self.name = f"cuda:{index}" if isinstance(index, int) else str(index)
        self._before: list[tuple[str, Any]] = []

    def __enter__(self) -> device:
        before = backends.get_default_device()
        block = backends.get(self.name).on(self.name)  # pyright: ignore[reportAttributeAccessIssue]
        block.__enter__()
        backends.set_default_device(self.name)
        self._before.append((before, block))
        return self

    def __exit__(self, *exc_info: object) -> None:
        before, block = self._before.pop()
        backends.set_default_device(before)
        block.__exit__(*exc_info)


def synchronize(device: str = "cuda") -> None:
    """Waits until everything that was queued on a GPU is done; clocks are read behind it.

    Operations return before they have run: what is timed without waiting is the queueing. Raises BackendError: there is
    no such GPU.
    """
    with _on(device) as cupy:
        cupy.cuda.runtime.deviceSynchronize()


def memory_allocated(device: str = "cuda") -> int:
    """Bytes of a GPU that arrays hold now. Raises BackendError: there is no such GPU."""
    with _on(device) as cupy:
        return cupy.get_default_memory_pool().used_bytes()


def memory_reserved(device: str = "cuda") -> int:
    """Bytes of a GPU that CuPy's pool has taken from the driver; what arrays let go stays there for the next ones."""
    with _on(device) as cupy:
        return cupy.get_default_memory_pool().total_bytes()


def empty_cache(device: str = "cuda") -> None:
    """Gives what no array uses back to the driver, for other programs. Raises BackendError: there is no such GPU."""
    with _on(device) as cupy:
        cupy.get_default_memory_pool().free_all_blocks()


def memory_report(rows: int = 20) -> MemoryReport:
    """`tensorgraph.memory_report()` of what lies on GPUs: which arrays hold how much, by module and source line."""
    found = memory.memory_report(rows).rows
    return MemoryReport([row for row in found if row.device.startswith("cuda")], rows)


@contextmanager
def _on(device: str) -> Iterator[Any]:
    """CuPy, with a device as the current one inside the block."""
    cuda: Any = backends.get(device)
    with cuda.on(device):
        yield cuda.xp
