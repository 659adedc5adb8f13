"""How a launch is counted, and what the stand-in for a GPU notices: see host_cuda.py."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tensorgraph.backends.cuda_kernels import KERNELS, channels, launch
from tests import host_cuda
from tests.fence import FenceArray
from tests.host_cuda import HostCuda, HostKernel

cuda = HostCuda()
runs = pytest.mark.skipif(host_cuda.compiler() is None, reason="no C compiler that knows _Float16 and ucontext.h")


def on_device(array: np.ndarray) -> FenceArray:
    return cuda.from_host(array)


class Noted(dict):
    """Stands for `ready`: no kernel is made, and its form is remembered."""

    def get(self, key):
        self.form = key[1]
        return lambda grid, block, arguments: None, []


@pytest.mark.parametrize("size, blocks, whole", [(9, 1, "int"), (2**30 - 1, 1, "int"), (2**30, 1, "long long"),
                                                 (10, 2**22 - 1, "int"), (10, 2**22, "long long")])  # fmt: skip
def test_indices_are_long_where_they_must_be(size, blocks, whole):
    device, array = SimpleNamespace(ready=Noted()), SimpleNamespace(size=size)
    KERNELS["add_bias"].blocks(device, blocks, array, SimpleNamespace(size=3), 3, size)
    assert device.ready.form == (np.dtype("float32"), whole)


def test_layouts_of_pieces():
    for size, groups, inner in ((10, 5, 1), (2**33, 64, 12544), (2**20, 2**20, 1), (4096 * 768, 768, 1), (1, 1, 1)):
        plan = channels.layout(size, groups, inner)
        assert plan.members * groups == size
        assert 0 <= plan.pieces * plan.piece - plan.members < plan.piece and plan.pieces <= channels.PIECES
        assert plan.blocks * plan.tile >= groups * plan.pieces and plan.blocks < 2**31
    assert [launch.threads_for(n) for n in (1, 32, 33, 100, 255, 256, 10**6)] == [32, 32, 64, 128, 256, 256, 256]


# ---- the harness notices ---------------------------------------------------------------------------------------------
def summed(body: str, n: int = 100, **more) -> np.ndarray:
    """What a kernel with this body makes of 1, 2, 3, ...; it shall add them up."""
    kernel = launch.Kernel("probe", "const real* x, real* y, whole size", body, **more)
    x, y = on_device(np.arange(1, n + 1, dtype=np.float32)), on_device(np.zeros(1, np.float32))
    for _ in range(2):  # in both orders
        kernel.blocks(cuda, 1, x, y, n, THREADS=128, TILE=1)
    return cuda.to_host(y)


ADD = """
    wide s = threadIdx.x < size ? get(x[threadIdx.x]) : 0;
    s = total(s);
    if (threadIdx.x == 0) y[0] += put(s);
"""


@runs
def test_the_harness_runs_a_sum():
    assert summed(ADD, before=launch.TOTAL)[0] == 2 * 5050


@runs
@pytest.mark.parametrize("barrier", [0, 1, 2])
def test_the_harness_notices_a_missing_barrier(barrier):
    parts = launch.TOTAL.split("__syncthreads();")
    before = "__syncthreads();".join(parts[: barrier + 1]) + "__syncthreads();".join(parts[barrier + 1 :])
    twice = ADD.replace("s = total(s);", "s = total(s); s = total(threadIdx.x == 1 ? s : 0);")
    assert summed(twice, before=launch.TOTAL)[0] == 2 * 5050
    assert summed(twice, before=before)[0] != 2 * 5050


@runs
def test_the_harness_notices_threads_that_stay_away():
    with pytest.raises(AssertionError, match="barrier"):
        summed("    if (threadIdx.x == 3) return;\n" + ADD, before=launch.TOTAL)


@runs
def test_the_harness_notices_writes_outside():
    with pytest.raises(AssertionError, match="writes outside"):
        summed("    y[1] = 0;")
    assert np.isnan(summed("    y[0] = x[size];")[0])


@runs
def test_the_harness_holds_a_launch_to_the_signature(rng):
    x = on_device(np.ones(4, np.float32))
    with pytest.raises(AssertionError, match="float32 for const real"):
        KERNELS["silu"].over(cuda, 4, x, x, dtype=np.dtype("float64"))
    with pytest.raises(AssertionError, match="gaps"):
        KERNELS["silu"].over(cuda, 2, x[::2], x[::2])
    kernel = HostKernel(KERNELS["silu"].source(), "silu")
    with pytest.raises(AssertionError, match="int"):
        kernel((1,), (256,), (x, x, np.int64(4)))
    with pytest.raises(AssertionError, match="arguments"):
        kernel((1,), (256,), (x, x))
    for grid in (0, 2**31):
        with pytest.raises(AssertionError, match="grid"):
            kernel((grid,), (256,), (x, x, np.int32(4)))
