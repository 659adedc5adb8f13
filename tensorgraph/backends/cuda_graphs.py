"""CUDA graphs by CuPy's stream capture, for capture.py. Imported by backends/cupy.py.

While a stream captures, what is queued on it becomes a node of a graph and does not run. CuPy refuses cuBLAS, cuRAND,
cuSOLVER and cuSPARSE there, and CUDA every copy to or from the host. A graph keeps addresses: what is allocated
meanwhile comes from a pool of its own, which lives as long as the graphs that use it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

__all__ = ["CudaGraphs"]


class CudaGraphs:
    """The graphs of one captured step. `device` is a block in which its device is the current one."""

    def __init__(self, cupy: Any, device: Any):
        self._cupy, self._device = cupy, device
        self._pool = cupy.cuda.MemoryPool()
        with device:
            # of those streams that do not wait for the default one: a copy that another thread queues there meanwhile
            # would otherwise break the capture
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._open = ExitStack()

    def begin(self) -> None:
        """From here on this thread's work is recorded."""
        with ExitStack() as stack:
            stack.enter_context(self._device)
            stack.enter_context(self._stream)
            stack.enter_context(self._cupy.cuda.using_allocator(self._pool.malloc))
            self._stream.begin_capture()
            self._open = stack.pop_all()

    def end(self) -> Callable[[], None]:
        """A function that launches what was recorded, on the stream that is current then."""
        with self._open:
            graph = self._stream.end_capture()

        def launch() -> None:  # it holds on to the pool through self
            with self._device:
                graph.launch()

        return launch

    def abandon(self) -> None:
        """Forgets what was recorded; CUDA may have broken the capture off already."""
        with self._open:
            try:
                self._stream.end_capture()
            except Exception:
                if self._stream.is_capturing():
                    raise
