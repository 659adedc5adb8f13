"""The real cuDNN makes a plan for every kind of convolution, for a GPU that is only described.

It needs the packages of the extra `cudnn-plans` and a C compiler, and neither driver nor GPU: the libraries want the
driver's when they are loaded, and a library that refuses everything does. It runs in a process of its own, which that
library cannot leave. A plan says that an engine takes the graph; what it computes is seen on a GPU only.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NO_DRIVER = """
int cuGetErrorString(int error, const char **text) { *text = "there is no driver"; return 0; }
""" + "".join(
    f"int cu{name}(void) {{ return 100; }}\n"
    for name in "ModuleGetFunction ModuleLoadData ModuleUnload TensorMapEncodeIm2col TensorMapEncodeTiled".split()
)

GPUS = {
    "H100": dict(deviceVer=900, multiProcessorCount=132, maxSharedMemoryPerBlockOptin=232448, maxCtasPerSM=32),
    "A100": dict(deviceVer=800, multiProcessorCount=108, maxSharedMemoryPerBlockOptin=166912, maxCtasPerSM=32),
}
REST = dict(
    maxGridSize=[2**31 - 1, 65535, 65535], maxBlockSize=[1024, 1024, 64], regsPerBlock=65536, warpSize=32,
    maxSharedMemoryPerBlock=49152, reservedSharedMemoryPerBlock=1024, oversizedSharedMemoryPerBlock=0,
    maxRegistersPerSM=65536, maxThreadsPerBlock=1024, maxThreadsPerSM=2048, pciDeviceId=0, isTccDriver=0,
    supportCoopLaunch=1, totalGlobalMem=80 * 2**30, smClockRateKHz=1_500_000, memClockRateKHz=1_500_000,
    memoryBusWidth=5120, l2CacheSize=40 * 2**20, cudaDeviceId=0, driverVer=13000, deviceName="a GPU",
)  # fmt: skip

PROGRAM = """
import inspect, json, sys
import cudnn
from tensorgraph.backends.convolution import Geometry
from tensorgraph.backends.cudnn import Job, build

assert "set_stream(handle: int, stream: int)" in cudnn.set_stream.__doc__
assert "create_handle()" in cudnn.create_handle.__doc__
inspect.signature(cudnn.pygraph.execute).bind(None, {1: 16}, 0, handle=1)

gpu, compute, jobs = json.load(sys.stdin)
device = dict(device_property=cudnn.create_device_properties(json.dumps(gpu)), sm_version=compute)
found = {}
for name, (kind, dtype, first, second, result, geometry, *settings) in jobs.items():
    job = Job(kind, dtype, tuple(first), tuple(second), tuple(result), Geometry(*geometry), *settings)
    try:
        plan = build(cudnn, job, **device)
        found[name] = plan.room if plan.graph.get_execution_plan_count() else "no candidates"
    except (RuntimeError, cudnn.cudnnGraphNotSupportedError) as error:
        found[name] = str(error)
print(json.dumps([cudnn.backend_version(), found]))
"""

CASES = {
    "3x3": ((8, 64, 28, 28), (64, 64, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "1x1": ((8, 64, 28, 28), (128, 64, 1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "first layer": ((8, 3, 64, 64), (64, 3, 7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
    "asymmetric": ((8, 64, 28, 28), (64, 64, 3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1), 1),
    "odd": ((2, 3, 9, 10), (5, 3, 3, 2), (2, 1), ((2, 2), (0, 1)), (2, 1), 1),
    "groups": ((2, 16, 14, 14), (32, 4, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    "depthwise": ((2, 16, 14, 14), (16, 1, 3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), 16),
    "1d": ((2, 16, 1, 30), (16, 16, 1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),
    "3d": ((2, 16, 8, 9, 10), (16, 16, 3, 3, 3), (1, 1, 1), ((1, 1),) * 3, (1, 1, 1), 1),
    "pixels that no window sees": ((2, 4, 8, 9), (4, 4, 2, 3), (3, 3), ((0, 0), (0, 0)), (1, 1), 1),
}
DTYPES = {"float64": False, "float32": False, "float32, tf32": True, "float16": False, "bfloat16": False}


def jobs(deterministic: bool) -> dict[str, list]:
    """Every kind of graph: name -> the fields of a Job."""
    made = {}
    for case, (x, w, *geometry) in CASES.items():
        steps = zip(x[2:], w[2:], *geometry[:3], strict=True)
        y = (x[0], w[0], *((n + sum(pad) - d * (k - 1) - 1) // s + 1 for n, k, s, pad, d in steps))
        graphs = dict(fprop=(x, w, y), dgrad=(y, w, x), wgrad=(y, x, w))
        for kind, shapes in graphs.items():
            for dtype, tf32 in DTYPES.items():
                for bias in (False, True) if kind == "fprop" else (False,):
                    job = [kind, dtype.partition(",")[0], *shapes, geometry, bias, tf32, deterministic]
                    made[f"{kind}, {case}, {dtype}{', bias' * bias}"] = job
    return made


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """That of a process which finds the libraries."""
    extra = "(extra `cudnn-plans`)"
    if not sys.platform.startswith("linux"):
        pytest.skip("the driver is played on Linux only")
    if importlib.util.find_spec("cudnn") is None:
        pytest.skip(f"nvidia-cudnn-frontend is not installed {extra}")
    spec = importlib.util.find_spec("nvidia")
    folders = {}
    for name in ("libcudnn.so.9", "libcublasLt.so.1[23]", "libnvrtc.so.1[23]"):
        places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
        found = [path.parent for place in places for path in sorted(place.glob(f"*/lib/{name}"))]
        if not found:
            pytest.skip(f"{name} is not installed {extra}")
        folders[name] = str(found[0])
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler makes what stands for the driver")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(NO_DRIVER)
    made = [
        "-shared",
        "-fPIC",
        "-Wl,-soname,libcuda.so.1",
        "-o",
        str(folder / "libcuda.so.1"),
        str(folder / "driver.c"),
    ]
    subprocess.run([compiler, *made], check=True)
    libraries = os.pathsep.join(filter(None, [*folders.values(), str(folder), os.environ.get("LD_LIBRARY_PATH")]))
    return os.environ | {"LD_LIBRARY_PATH": libraries, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("gpu", GPUS)
def test_every_graph_has_a_plan(gpu, deterministic, environment):
    asked = jobs(deterministic)
    kind, dtype, x, w, y, *rest = asked["fprop, 3x3, float32"]
    asked["sizes that do not fit"] = [kind, dtype, x, w, (*y[:3], y[3] + 1), *rest]
    given = json.dumps([REST | GPUS[gpu], GPUS[gpu]["deviceVer"] // 10, asked])
    done = subprocess.run([sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    version, found = json.loads(done.stdout.strip().splitlines()[-1])
    assert type(found.pop("sizes that do not fit")) is str and asked.pop("sizes that do not fit")
    assert version >= 90000 and found.keys() == asked.keys() and len(found) == 200
    without = {name: room for name, room in found.items() if type(room) is not int}
    assert not without
    assert all(0 <= room <= 1 << 30 for room in found.values()) and any(found.values())
