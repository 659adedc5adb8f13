"""Sources of GPU kernels on a machine without a GPU: NVRTC compiles them, and their body runs on the host.

NVRTC is a wheel of its own (extra `gpu-compile`) and needs neither driver nor GPU.
"""

from __future__ import annotations

import ast
import ctypes
import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tensorgraph.backends import cupy as backend
from tensorgraph.backends.philox import KERNEL, philox

SOURCES = {"philox": KERNEL}
"""name of a kernel -> its source in CUDA C"""


def nvrtc() -> ctypes.CDLL:
    """The compiler of the wheel."""
    spec = importlib.util.find_spec("nvidia")
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    found = [
        path
        for place in places
        for pattern in ("*/lib/libnvrtc.so.*[0-9]", "*/bin/**/nvrtc64_*.dll")
        for path in sorted(place.glob(pattern))
        if "builtins" not in path.name and ".alt." not in path.name
    ]
    if not found:
        pytest.skip("NVRTC is not installed (extra `gpu-compile`)")
    return ctypes.CDLL(str(found[0]))


def cubin(source: str, architecture: str) -> bytes:
    """The machine code for one kind of GPU; fails with the compiler's own words."""
    library, program = nvrtc(), ctypes.c_void_p()
    text = source.encode()
    assert library.nvrtcCreateProgram(ctypes.byref(program), text, b"kernel.cu", 0, None, None) == 0
    options = (ctypes.c_char_p * 1)(f"--gpu-architecture={architecture}".encode())
    status = library.nvrtcCompileProgram(program, 1, options)
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    assert library.nvrtcGetCUBINSize(program, ctypes.byref(size)) == 0
    code = ctypes.create_string_buffer(size.value)
    assert library.nvrtcGetCUBIN(program, code) == 0
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw


@pytest.mark.peers
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_kernel_compiles(name, architecture):
    code = cubin(SOURCES[name], architecture)
    assert code[:4] == b"\x7fELF" and name.encode() in code


@pytest.mark.peers
def test_the_compiler_refuses_what_is_wrong():
    with pytest.raises(AssertionError, match="threadId"):
        cubin(KERNEL.replace("threadIdx", "threadId"), "sm_90")


def test_every_kernel_is_in_the_list():
    """The CuPy backend names its kernels where it makes them."""
    tree = ast.parse(Path(backend.__file__).read_text(encoding="utf-8"))
    made = [
        call.args[1].value
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "RawKernel"
    ]
    assert sorted(made) == sorted(SOURCES)
    assert not any(
        isinstance(n, ast.Attribute) and n.attr in ("ElementwiseKernel", "RawModule") for n in ast.walk(tree)
    )


HOST = """
struct { unsigned int x; } blockIdx, blockDim, threadIdx;
#define __global__
%s
"""
LOOP = """
void run(unsigned int blocks, unsigned int threads, unsigned long long key, unsigned long long start,
         unsigned long long* start_there, unsigned long long n, unsigned int* y)
{
    blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) philox(key, start, start_there, n, y);
}
"""


def test_philox_on_the_host(tmp_path):
    """The kernel itself, thread by thread, against the definition; what lies behind its last word stays as it is."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "philox.c").write_text(HOST % KERNEL.replace('extern "C" ', "") + LOOP)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", "philox.so", "philox.c"], cwd=tmp_path, check=True)
    library = ctypes.CDLL(str(tmp_path / "philox.so"))
    rng = np.random.default_rng(0)
    for blocks in (1, 2, 255, 256, 257, *map(int, rng.integers(1, 2000, 10))):
        key, start = (int(n) for n in rng.integers(0, 2**63, 2))
        start = start if blocks % 2 else 2**32 - blocks // 2  # counters that pass 32 bits
        y = np.full(4 * blocks + 4, 7, np.uint32)
        wide = [ctypes.c_ulonglong(n) for n in (key, start, blocks)]
        if blocks % 3 == 0:  # the start is read where it lies
            there, wide[1] = wide[1], ctypes.c_ulonglong(99)
            wide.insert(2, ctypes.byref(there))
        else:
            wide.insert(2, None)
        library.run(-(-blocks // 256), 256, *wide, y.ctypes.data_as(ctypes.c_void_p))
        np.testing.assert_array_equal(y[: 4 * blocks], philox(np, key, start, blocks))
        assert (y[4 * blocks :] == 7).all()
