"""`Kernel`: a piece of CUDA C, how its text is put together, and how it is launched on arrays.

A kernel is written in what C and C++ share, over a few types: `real`, an element of the arrays (float16, float32,
float64); `wide`, what is computed in (float32 for half precision); `whole`, an index, of 32 bits where these suffice;
those that it adds itself. `get(real)` and `put(wide)` go from one to the other, `THREADS` is the size of a block. Text
and parameters say all that a launch has to know: so the same text runs on the host in the tests. Imported by the other
files of this folder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["EACH", "LARGEST", "REALS", "TOTAL", "WARP", "Kernel", "threads_for", "wide_dtype"]

HALF, SINGLE, DOUBLE = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
REALS = {HALF: ("unsigned short", "float"), SINGLE: ("float", "float"), DOUBLE: ("double", "double")}
"""dtype of the arrays -> `real` and `wide`"""

NUMBERS = {
    "int": np.int32, "unsigned int": np.uint32, "long long": np.int64, "unsigned long long": np.uint64,
    "float": np.float32, "double": np.float64,
}  # fmt: skip
"""types of C -> those of NumPy"""

WORD = 1 << 30
"""Elements of the largest array from which an index has 64 bits: below it no sum of an index and a step overflows."""
THREADS, WARP = 256, 32
NULL = np.uint64(0)
"""an array that is left out, as a pointer"""

CONVERT = {
    HALF: """
__device__ wide get(real x) { wide y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
__device__ real put(wide x) { real y; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x)); return y; }
""",
    SINGLE: "__device__ wide get(real x) { return x; }\n__device__ real put(wide x) { return x; }\n",
}
CONVERT[DOUBLE] = CONVERT[SINGLE]
MATHS = "".join(f"#define {name.upper()} {name}%s\n" for name in ("erfc", "exp", "log", "sqrt"))

EACH = """
    whole i = (whole)blockIdx.x * THREADS + threadIdx.x;
    if (i >= size) return;
"""
"""How the body of a kernel begins that has one thread for each element."""

TOTAL = """
__device__ wide total(wide value)  /* the sum over all threads whose number is the same but for multiples of TILE */
{
    __shared__ wide part[THREADS];
    int t = threadIdx.x;
    part[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half >= TILE; half /= 2) {
        if (t < half) part[t] += part[t + half];
        __syncthreads();
    }
    value = part[t % TILE];
    __syncthreads();
    return value;
}
"""
LARGEST = """
__device__ wide largest(wide value)  /* as total */
{
    __shared__ wide part[THREADS];
    int t = threadIdx.x;
    part[t] = value;
    __syncthreads();
    for (int half = THREADS / 2; half >= TILE; half /= 2) {
        if (t < half && part[t + half] > part[t]) part[t] = part[t + half];
        __syncthreads();
    }
    value = part[t % TILE];
    __syncthreads();
    return value;
}
"""
"""Every thread of a block calls them. The order of a sum is fixed, so results are the same in every run."""


class Kernel:
    """`parameters` are those of the function, `body` what stands in it, `before` other functions that it calls."""

    def __init__(self, name: str, parameters: str, body: str, before: str = ""):
        self.name, self.parameters, self.body, self.before = name, parameters, body.strip("\n"), before
        kinds = [part.strip().removeprefix("const ").rpartition(" ")[0] for part in parameters.split(",")]
        self._arrays = [k for k, kind in enumerate(kinds) if kind.endswith("*")]
        self._numbers = [(k, kind) for k, kind in enumerate(kinds) if not kind.endswith("*")]

    def source(self, dtype: np.dtype = SINGLE, whole: str = "int", **names: Any) -> str:
        """The text for elements of a dtype. `names` are further constants, and types by their names in C."""
        real, wide = REALS[dtype]
        defined = {"THREADS": THREADS} | names
        return (
            f"typedef {real} real;\ntypedef {wide} wide;\ntypedef {whole} whole;\n"
            + "".join(f"#define {name} {value}\n" for name, value in defined.items())
            + MATHS.replace("%s", "f" if wide == "float" else "")
            + CONVERT[dtype]
            + self.before
            + f'extern "C" __global__ void {self.name}({self.parameters})\n{{\n{self.body}\n}}\n'
        )

    def over(self, be: Any, size: int, *arguments: Any, dtype: np.dtype = SINGLE, **names: Any) -> None:
        """One thread for each of `size` elements; the last parameter of the kernel is `size`."""
        self.blocks(be, -(-size // THREADS), *arguments, size, dtype=dtype, **names)

    def blocks(self, be: Any, number: int, *arguments: Any, dtype: np.dtype = SINGLE, **names: Any) -> None:
        """So many blocks; nothing where that is none. None among the arguments stands for an array that is left out."""
        if not number:
            return
        given = list(arguments)
        size = number * THREADS
        for k in self._arrays:
            if given[k] is None:
                given[k] = NULL
            elif given[k].size > size:
                size = given[k].size
        form = dtype, "int" if size < WORD else "long long", *names.items()
        ready = be.ready.get((self, form))
        if ready is None:  # CuPy compiles it when it is first launched on a device, and keeps it in a file
            raw = be.xp.RawKernel(self.source(*form[:2], **names), self.name)
            types = NUMBERS | {"wide": NUMBERS[REALS[dtype][1]], "whole": NUMBERS[form[1]]}
            ready = be.ready[self, form] = raw, [(k, types[kind]) for k, kind in self._numbers]
        raw, numbers = ready
        for k, kind in numbers:
            if type(given[k]) is not kind:
                given[k] = kind(given[k])
        raw((number,), (names.get("THREADS", THREADS),), tuple(given))


def wide_dtype(array: Any) -> np.dtype:
    """What the numbers of an array are computed in."""
    return SINGLE if array.dtype == HALF else array.dtype


def threads_for(width: int) -> int:
    """A block for a row: no more threads than the row has numbers, from a warp on."""
    return min(256, max(WARP, 1 << (width - 1).bit_length()))
