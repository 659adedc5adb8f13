"""Copies to a GPU beside what it computes: page-locked memory, a stream of their own, events. Imported by cupy.py.

A copy out of ordinary memory goes through a buffer of the driver's and in line with everything else. Out of page-locked
memory, on another stream, it runs while kernels run; events say in which order the two may touch the same memory.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

__all__ = ["CudaCopies"]


class CudaCopies:
    """`copy` begins to copy an array up, `mark` ends a group of them, `wait` lets what is queued next wait for it.

    `device` is a block in which the device is the current one. The arrays belong to the stream that is current when
    they are copied, and are to be used on it.
    """

    def __init__(self, cupy: Any, device: Any):
        self._cupy, self._device = cupy, device
        with device:
            self._stream = cupy.cuda.Stream(non_blocking=True)
        self._rooms: list[Any] = []  # page-locked memory of the group that is being copied
        self._held: deque[tuple[Any, list[Any]]] = deque()  # that of groups before it, until their copies are done

    def copy(self, host: np.ndarray) -> Any:
        """An array of the device that will have these values."""
        cuda = self._cupy.cuda
        with self._device:
            made = self._cupy.empty(host.shape, dtype=host.dtype)
            if not host.size:
                return made
            # what had this memory before may still be read by work that is queued: the copy comes behind that
            self._stream.wait_event(self._event(cuda.get_current_stream()))
            room = cuda.alloc_pinned_memory(host.nbytes)
            staged = np.frombuffer(room, host.dtype, host.size).reshape(host.shape)
            staged[...] = host
            made.set(staged, stream=self._stream)
            self._rooms.append(staged)
            return made

    def mark(self) -> Any:
        """What says that the copies since the last mark are done."""
        with self._device:
            event = self._event(self._stream)
        self._held.append((event, self._rooms))
        self._rooms = []
        while self._held and self._held[0][0].done:
            self._held.popleft()
        return event

    def wait(self, event: Any) -> None:
        """Lets the current stream wait for a mark; the program goes on."""
        with self._device:
            self._cupy.cuda.get_current_stream().wait_event(event)

    def _event(self, stream: Any) -> Any:
        return stream.record(self._cupy.cuda.Event(disable_timing=True))
