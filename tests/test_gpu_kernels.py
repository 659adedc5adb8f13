"""The text of every GPU kernel is compiled by NVRTC, in all its forms, on a machine without a GPU.

NVRTC is a wheel of its own (extra `gpu-compile`) and needs neither driver nor GPU. That the kernels compute what they
should is in test_gpu_launch.py.
"""

from __future__ import annotations

import ast
import ctypes
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tensorgraph import backends
from tensorgraph.backends.cuda_kernels import KERNELS
from tensorgraph.backends.cuda_kernels.pooling import TAP


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


def forms(name: str) -> list[str]:
    """The texts of a kernel with every choice of types and of blocks, one after the other."""
    kernel = KERNELS[name]
    usual: dict = dict(dtype=np.dtype("float32"), whole="int")
    others: list[dict] = [dict(dtype=np.dtype("float16")), dict(dtype=np.dtype("float64")), dict(whole="long long")]
    if "tap*" in kernel.parameters:
        usual["tap"] = "unsigned char"
        others += [dict(tap=tap) for tap in TAP.values()]
    if "TILE" in kernel.source():
        usual["TILE"] = 1
        others += [dict(THREADS=32), dict(TILE=32)]
    return [kernel.source(**(usual | other)) for other in [{}, *others]]


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_compiles(name, architecture):
    for source in forms(name):
        code = cubin(source, architecture)
        assert code[:4] == b"\x7fELF" and name.encode() in code


@pytest.mark.peers
def test_the_compiler_refuses_what_is_wrong():
    with pytest.raises(AssertionError, match="threadId"):
        cubin(KERNELS["philox"].source().replace("threadIdx", "threadId"), "sm_90")


def test_every_kernel_is_in_the_list():
    """No other file makes kernels, and none of the folder keeps one back."""
    folder = Path(backends.__file__).parent
    found = {"RawKernel": [], "Kernel": []}
    for path in folder.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(call, "func", None), "attr", getattr(getattr(call, "func", None), "id", ""))
            assert name not in ("ElementwiseKernel", "RawModule", "ReductionKernel")
            if name in found:
                found[name].append(path.parent.name)
    assert found["RawKernel"] == ["cuda_kernels"]
    assert found["Kernel"].count("cuda_kernels") == len(KERNELS)
