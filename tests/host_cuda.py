"""The kernels of the CUDA backend on the host: their own text, compiled by a C compiler, run thread by thread.

`HostKernel` stands for `cupy.RawKernel`. It holds a launch to the kernel's signature (number, dtypes, contiguity), and
runs every block with all its threads, which stop at `__syncthreads()` until all have come there: in one launch from the
first to the last, in the next the other way round, so that a missing barrier shows. Shared memory begins as NaN. Around
each array lies a margin of NaN, and a write into it is an error. `HostCuda` is the backend of fence arrays with these
kernels. What was compiled is kept, as the kernels of the processor are.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph import generator
from tensorgraph.backends import compiled
from tensorgraph.backends.cuda_kernels import CudaKernels
from tensorgraph.backends.cuda_kernels.launch import CONVERT, HALF
from tests import fence
from tests.fence import FenceArray, FenceBackend, perform
from tests.playback import Playback

MARGIN = 64
"""Bytes before and behind each array."""
TYPES = {
    "unsigned char": (np.uint8, ctypes.c_ubyte), "unsigned short": (np.uint16, ctypes.c_ushort),
    "int": (np.int32, ctypes.c_int), "unsigned int": (np.uint32, ctypes.c_uint),
    "long long": (np.int64, ctypes.c_longlong), "unsigned long long": (np.uint64, ctypes.c_ulonglong),
    "float": (np.float32, ctypes.c_float), "double": (np.float64, ctypes.c_double),
}  # fmt: skip

BEFORE = """
#include <math.h>
#include <string.h>
#define __global__ static
#define __device__ static inline
#define __shared__ static __attribute__((section("shared")))
static struct { unsigned int x; } blockIdx, threadIdx;
static void barrier(void);
#define __syncthreads() barrier()
"""
HALVES = """
static inline wide get(real x) { _Float16 y; memcpy(&y, &x, 2); return y; }
static inline real put(wide x) { _Float16 y = x; real z; memcpy(&z, &y, 2); return z; }
"""
EACH_THREAD = """
static int block(int backwards)
{
    for (unsigned int t = 0; t < THREADS; ++t) {
        threadIdx.x = backwards ? THREADS - 1 - t : t;
        thread();
    }
    return 0;
}
"""
"""Threads of a block one after the other."""
WITH_BARRIERS = """
#include <ucontext.h>
extern char __start_shared[], __stop_shared[];
static ucontext_t home, contexts[THREADS];
static char stacks[THREADS][16384];
static int ended;

static void barrier(void)
{
    unsigned int t = threadIdx.x;
    ended = 0;
    swapcontext(&contexts[t], &home);
    threadIdx.x = t;
}

static void whole_thread(void)
{
    thread();
    ended = 1;
}

/* 1 where some threads of a block ended while others waited at a barrier */
static int block(int backwards)
{
    memset(__start_shared, 0xFF, __stop_shared - __start_shared);
    for (int t = 0; t < THREADS; ++t) {
        getcontext(&contexts[t]);
        contexts[t].uc_stack.ss_sp = stacks[t];
        contexts[t].uc_stack.ss_size = sizeof stacks[t];
        contexts[t].uc_link = &home;
        makecontext(&contexts[t], whole_thread, 0);
    }
    for (;;) {
        int waiting = 0;
        for (int k = 0; k < THREADS; ++k) {
            threadIdx.x = backwards ? THREADS - 1 - k : k;
            swapcontext(&home, &contexts[threadIdx.x]);
            waiting += !ended;
        }
        if (!waiting) return 0;
        if (waiting < THREADS) return 1;
    }
}
"""
"""Threads of a block that wait for each other."""
AFTER = """
%(kept)s

static void thread(void) { %(name)s(%(names)s); }
%(block)s
int run(unsigned int blocks, int backwards, %(parameters)s)
{
    %(keep)s
    for (unsigned int b = 0; b < blocks; ++b) {
        blockIdx.x = backwards ? blocks - 1 - b : b;
        if (block(backwards)) return 1;
    }
    return 0;
}
"""


@cache
def compiler() -> str | None:
    """A C compiler that makes libraries of half precision and contexts; None where there is none."""
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, subprocess.SubprocessError):
                text = "#include <ucontext.h>\n_Float16 f(_Float16 x) { return x + getcontext(0); }\n"
                (Path(folder) / "probe.c").write_text(text)
                subprocess.run(
                    [found, *OPTIONS, "-o", "probe.so", "probe.c"], cwd=folder, check=True, capture_output=True
                )
                return found
    return None


OPTIONS = ["-shared", "-fPIC", "-O1", "-ffp-contract=off", "-Wall", "-Wno-unused", "-Werror"]


def library(text: str) -> ctypes.CDLL:
    """The text compiled and loaded."""
    name = hashlib.sha256(repr((text, compiler(), OPTIONS)).encode()).hexdigest()[:24]
    folder = Path(compiled.cache_folder()) / "host"
    place = folder / f"{name}.so"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as room:
            (Path(room) / "kernel.c").write_text(text)
            command = [compiler(), *OPTIONS, "-o", "kernel.so", "kernel.c", "-lm"]
            done = subprocess.run(command, cwd=room, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            (Path(room) / "kernel.so").replace(place)
    return ctypes.CDLL(str(place))


class HostKernel:
    """Stands for `cupy.RawKernel`. `launched` counts by name."""

    launched: dict[str, int] = {}
    order = itertools.count()

    def __init__(self, source: str, name: str):
        self.name, self.source = name, source
        (declared,) = re.findall(rf'extern "C" __global__ void {name}\(([^)]*)\)', source)
        self.parameters = [part.strip() for part in declared.split(",")]
        types = {new: old for old, new in re.findall(r"typedef ([\w ]+) (\w+);", source)}
        types |= dict(re.findall(r"#define (tap) ([\w ]+)", source))
        self.types = []
        for part in self.parameters:
            kind = part.removeprefix("const ").rpartition(" ")[0]
            plain = types.get(kind.rstrip("*"), kind.rstrip("*"))
            self.types.append((kind, *TYPES[plain]))
        self.threads = int(re.findall(r"#define THREADS (\d+)", source)[0])
        self.half = "typedef unsigned short real;" in source
        self._library: Any = None

    def compile(self) -> Any:
        kinds = [part.rpartition(" ")[0] for part in self.parameters]
        words = dict(
            name=self.name,
            kept="\n".join(f"static {kind} a{i};" for i, kind in enumerate(kinds)),
            keep=" ".join(f"a{i} = b{i};" for i in range(len(kinds))),
            names=", ".join(f"a{i}" for i in range(len(kinds))),
            parameters=", ".join(f"{kind} b{i}" for i, kind in enumerate(kinds)),
            block=WITH_BARRIERS if "__syncthreads" in self.source else EACH_THREAD,
        )
        text = self.source.replace('extern "C" ', "").replace(CONVERT[HALF], HALVES)
        assert "asm" not in text
        return library(BEFORE + text + AFTER % words)

    def __call__(self, grid: tuple, block: tuple, args: tuple) -> None:
        assert len(grid) == len(block) == 1 and 0 < grid[0] < 2**31, "no such grid"
        assert block[0] == self.threads and 32 <= self.threads <= 1024 and not self.threads & (self.threads - 1)
        assert len(args) == len(self.types), f"{self.name}: {len(args)} arguments for {self.parameters}"
        for value, (kind, dtype, _), part in zip(args, self.types, self.parameters, strict=True):
            if not kind.endswith("*"):
                assert type(value) is dtype, f"{self.name}: {type(value)} for {part}"
            elif isinstance(value, FenceArray):
                expected = np.float16 if self.half and kind == "real*" else dtype
                assert value.dtype == expected, f"{self.name}: {value.dtype} for {part}"
                assert value.flags.c_contiguous, f"{self.name}: gaps in {part}"
            else:
                assert type(value) is np.uint64 and value == 0, f"{self.name}: {value!r} for {part}"
        if self._library is None:
            self._library = self.compile()
        perform(self._run, (grid[0], *args), {}, ())
        self.launched[self.name] = self.launched.get(self.name, 0) + 1

    def _run(self, blocks: int, *args: Any) -> None:
        """The kernel on NumPy's arrays."""
        given, rooms = [], {}
        for value, (kind, _, c) in zip(args, self.types, strict=True):
            if isinstance(value, np.ndarray):
                room = rooms.setdefault(value.ctypes.data, _Room(value))
                assert room.array.shape == value.shape
                given.append(ctypes.c_void_p(room.address))
            else:
                given.append(ctypes.c_void_p(0) if kind.endswith("*") else c(value.item()))
        backwards = next(self.order) % 2
        assert self._library.run(blocks, backwards, *given) == 0, f"{self.name}: not all come to a barrier"
        for room in rooms.values():
            room.back(self.name)


class _Room:
    """A copy of an array with a margin on both sides."""

    def __init__(self, array: np.ndarray):
        self.array = array
        self.bytes = np.full(array.nbytes + 2 * MARGIN, 0xFF, np.uint8)
        self.inside = self.bytes[MARGIN : MARGIN + array.nbytes]
        self.inside[:] = np.frombuffer(array.tobytes(), np.uint8)
        self.address = self.bytes.ctypes.data + MARGIN

    def back(self, who: str) -> None:
        margins = self.bytes[:MARGIN], self.bytes[MARGIN + self.array.nbytes :]
        assert all((margin == 0xFF).all() for margin in margins), f"{who} writes outside of an array"
        if self.array.flags.writeable:
            self.array[...] = self.inside.view(self.array.dtype).reshape(self.array.shape)


@contextlib.contextmanager
def installed(backend: FenceBackend) -> Iterator[FenceBackend]:
    """As `tests.fence.installed`, with a backend that has kernels."""
    drawing = generator._defaults.pop("fence", None)  # another kind of stream
    try:
        with fence.installed(backend):
            yield backend
    finally:
        generator._defaults.pop("fence", None)
        if drawing is not None:
            generator._defaults["fence"] = drawing


class _OnHost(CudaKernels):
    def __init__(self) -> None:
        super().__init__()
        self.xp.RawKernel = HostKernel

    def on(self, device: str) -> Any:
        return contextlib.nullcontext()


class HostCuda(_OnHost, FenceBackend):
    """The fence backend with the kernels of the CUDA backend."""


class HostPlayback(_OnHost, Playback):
    """The fence backend that captures, with the kernels of the CUDA backend."""
