"""Random numbers of a device: the words of Philox, and the mask of dropout, each in one kernel. The same numbers as
philox.py defines. Imported by `cuda_kernels/__init__.py` only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tensorgraph.backends.cuda_kernels.launch import EACH, REALS, Kernel
from tensorgraph.backends.philox import LOW, PhiloxStream
from tensorgraph.mode import kernels_allowed

__all__ = ["KERNELS", "DeviceStream"]

WORDS = """
/* Four words of 32 random bits for a counter. */
__device__ void draw(unsigned long long key, unsigned long long counter, unsigned int* words)
{
    unsigned int a = (unsigned int)counter, b = (unsigned int)(counter >> 32), c = 0, d = 0;
    unsigned int k0 = (unsigned int)key, k1 = (unsigned int)(key >> 32);
    for (int round = 0; round < 10; ++round) {
        unsigned long long p0 = 0xD2511F53ULL * a, p1 = 0xCD9E8D57ULL * c;
        a = (unsigned int)(p1 >> 32) ^ b ^ k0;
        b = (unsigned int)p1;
        c = (unsigned int)(p0 >> 32) ^ d ^ k1;
        d = (unsigned int)p0;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    words[0] = a; words[1] = b; words[2] = c; words[3] = d;
}
"""

philox = Kernel(
    "philox",
    "unsigned int* y, unsigned long long key, const unsigned long long* there, unsigned long long start, whole size",
    EACH
    + """
    unsigned int words[4];
    draw(key, (there ? *there : start) + i, words);
    for (int k = 0; k < 4; ++k) y[4 * i + k] = words[k];
""",
    before=WORDS,
)

mask = Kernel(
    "dropout_mask",
    "real* y, unsigned long long key, const unsigned long long* there, unsigned long long start, unsigned int limit, "
    "wide kept, whole elements, whole size",
    EACH
    + """
    unsigned int words[4];
    draw(key, (there ? *there : start) + i, words);
    for (int k = 0; k < 4; ++k) {
        if (4 * i + k < elements) y[4 * i + k] = put(words[k] < limit ? kept : 0);
    }
""",
    before=WORDS,
)

"""`there`, unless null, is where the start is read on the device."""

KERNELS = philox, mask


class DeviceStream(PhiloxStream):
    """The stream of one device of a backend."""

    def __init__(self, seed: int, be: Any, device: str):
        super().__init__(seed, be.xp, self._drawn)
        self._be, self._device = be, device

    def _drawn(self, key: int, start: Any, blocks: int) -> Any:
        """`philox` in one kernel."""
        with self._be.on(self._device):
            y = self._xp.empty(4 * blocks, dtype=np.uint32)
            philox.over(self._be, blocks, y, key, *self._places(start))
            return y

    def mask(self, shape: tuple[int, ...], keep: float, dtype: np.dtype) -> Any:
        """1 / keep with probability `keep`, else 0: what inverted dropout multiplies by. 0 < keep < 1."""
        if dtype not in REALS or not kernels_allowed():
            return super().mask(shape, keep, dtype)
        elements = math.prod(shape)
        blocks = -(-elements // 4)
        limit, kept = min(round(keep * 2**32), LOW), float(dtype.type(1 / keep))
        start = self._places(self._taken(blocks))
        with self._be.on(self._device):
            y = self._xp.empty(shape, dtype=dtype)
            mask.over(self._be, blocks, y, self._key, *start, limit, kept, elements, dtype=dtype)
            return y

    def _places(self, start: Any) -> tuple[Any, int]:
        """Where the start lies on the device, if it does, and what it is otherwise."""
        return (start, 0) if type(start) is self._be.array_type else (None, start)
