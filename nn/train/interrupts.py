"""`Interrupts`: Ctrl-C is noticed at once and obeyed where the state of a training is whole. Used by the trainer."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Inside `with`, the first Ctrl-C only sets `seen`; a second one raises KeyboardInterrupt as usual.

    Only the main thread gets signals, and a handler that somebody else has set stays in charge.
    """

    def __init__(self) -> None:
        self.seen = False
        self._ours = False

    def __enter__(self) -> Interrupts:
        self.seen = False
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._notice)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _notice(self, number: int, frame: Any) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("\ninterrupted: finishing this batch first; once more ends at once\n")
