"""Convolution and its two adjoints by cuDNN, through the graphs of nvidia-cudnn-frontend. Imported by cupy.py only.

A graph of one convolution, with the bias where that is added, becomes a plan: an engine of cuDNN with its settings.
Plans are made once for each shape and kept. Arrays come and go in C order; half precision and TF32 are computed
channels-last, which their engines want, the rest as it lies. What cuDNN does not take, or has no plan for, is computed
by the definitions, and so is everything without the package or inside `kernels(False)`.
"""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.backends import cuda
from tensorgraph.backends.convolution import Convolution, Geometry, Sizes
from tensorgraph.capturing import current, depends
from tensorgraph.mode import kernels_allowed

__all__ = ["FastConvolution"]

TYPES = {"float16": "HALF", "bfloat16": "BFLOAT16", "float32": "FLOAT", "float64": "DOUBLE"}
"""names of dtypes -> those of cuDNN"""

FIRST, SECOND, RESULT, BIAS = 1, 2, 3, 4
"""numbers of the arrays in a graph"""
ALIGNED = 16
"""bytes; what engines may assume of an address"""
ROOM = 1 << 30
"""bytes; engines that want more to work in are not chosen"""
OLDEST = 90000
INSTALL = 'pip install "tensorgraph[cuda]"'


class Job(NamedTuple):
    """A graph with one convolution, and all that its plan depends on."""

    kind: str  # "fprop" gives an output, "dgrad" an input, "wgrad" a weight
    dtype: str
    first: Sizes
    second: Sizes
    result: Sizes
    geometry: Geometry
    bias: bool
    tf32: bool
    deterministic: bool

    @property
    def channels_last(self) -> bool:
        return self.tf32 or self.dtype in ("float16", "bfloat16")


class Plan(NamedTuple):
    """What is launched, and how many bytes it works in."""

    graph: Any
    room: int


class OfThread(threading.local):
    """What a thread does not share: kernels of two launches may otherwise meet in the same memory."""

    def __init__(self) -> None:
        self.handles: dict[int, tuple[Any, int | None]] = {}  # device -> a handle of cuDNN and its stream
        self.rooms: dict[tuple[int, int], Any] = {}  # device and stream -> the memory that plans work in there


class FastConvolution(Convolution):
    """Overrides the definitions, on an array library of CUDA."""

    is_here: Callable[[Any], bool]
    address: Callable[[Any], int]
    """of the first byte of an array"""
    queue: Callable[[], tuple[int, int]]
    """the number of the device and the stream on which this thread computes"""

    def __init__(self) -> None:
        super().__init__()
        self._library: tuple[Any, str] | None = None
        self._plans: dict[tuple[int, Job], Plan | None] = {}
        self._here = OfThread()
        self._lock = threading.Lock()
        self._told = False

    def convolutions(self) -> str:
        """What computes convolutions, in words."""
        library, text = self._cudnn()
        return text if library is not None else f"by the definitions, which is slower: {text}; {INSTALL}"

    def correlate(self, x: Any, w: Any, geometry: Geometry, bias: Any = None, relu: bool = False) -> Any:
        if not self._takes(geometry, x, w, *(() if bias is None else (bias,))):
            return super().correlate(x, w, geometry, bias, relu)
        shape = (len(x), len(w), *geometry.output(x.shape[2:], w.shape[2:]))
        y = self._run("fprop", x, w, shape, geometry, bias)
        if y is None and bias is not None:  # an engine for the convolution alone may be there
            y = self._run("fprop", x, w, shape, geometry)
            if y is not None:
                y += _beside(bias, y)
        if y is None:
            return super().correlate(x, w, geometry, bias, relu)
        # not a node of the graph: cuDNN's relu need not keep NaN, and a diverged training would not show
        return self.xp.maximum(y, 0, out=y) if relu else y

    def correlate_input(self, g: Any, w: Any, sizes: Sizes, geometry: Geometry, bias: Any = None) -> Any:
        if not self._takes(geometry, g, w, *(() if bias is None else (bias,))):
            return super().correlate_input(g, w, sizes, geometry, bias)
        x = self._run("dgrad", g, w, (len(g), geometry.groups * w.shape[1], *sizes), geometry)
        if x is None:
            return super().correlate_input(g, w, sizes, geometry, bias)
        if bias is not None:
            x += _beside(bias, x)
        return x

    def correlate_weight(self, g: Any, x: Any, kernel: Sizes, geometry: Geometry) -> Any:
        if not self._takes(geometry, g, x):
            return super().correlate_weight(g, x, kernel, geometry)
        w = self._run("wgrad", g, x, (g.shape[1], x.shape[1] // geometry.groups, *kernel), geometry)
        return super().correlate_weight(g, x, kernel, geometry) if w is None else w

    # ---- whether ---------------------------------------------------------------------------------------------------
    def _cudnn(self) -> tuple[Any, str]:
        """The package and what it is; None and why not."""
        if self._library is None:
            self._library = _load()
        return self._library

    def _takes(self, geometry: Geometry, *arrays: Any) -> bool:
        if not kernels_allowed() or self._cudnn()[0] is None:
            return False
        dtype = arrays[0].dtype
        return (
            dtype.name in TYPES
            and 1 <= len(geometry.stride) <= 3
            and all(min(widths) >= 0 for widths in geometry.padding)
            and all(a.dtype == dtype and a.size > 0 and self.is_here(a) for a in arrays)
        )

    # ---- one launch ------------------------------------------------------------------------------------------------
    def _run(self, kind: str, a: Any, b: Any, shape: Sizes, geometry: Geometry, bias: Any = None) -> Any:
        """The result of `shape`; None where cuDNN has no plan."""
        if len(shape) == 3:  # an axis of one pixel before the only one
            result = self._run(kind, _lifted(a), _lifted(b), (*shape[:2], 1, shape[2]), _plane(geometry), bias)
            return None if result is None else result.reshape(shape)
        depends(cuda.allow_tf32)
        depends(cuda.deterministic)
        dtype = a.dtype
        tf32 = dtype == np.float32 and cuda.allow_tf32()
        job = Job(kind, dtype.name, a.shape, b.shape, shape, geometry, bias is not None, tf32, cuda.deterministic())
        device, stream = self.queue()
        plan = self._plan(device, job)
        if plan is None:
            return None
        xp, last = self.xp, job.channels_last
        if last:
            a, b, shape = xp.moveaxis(a, 1, -1), xp.moveaxis(b, 1, -1), (shape[0], *shape[2:], shape[1])
        result = xp.empty(shape, dtype=dtype)
        # the names keep the memory until the launch is queued
        operands = {FIRST: self._packed(a), SECOND: self._packed(b), RESULT: result}
        if bias is not None:
            operands[BIAS] = self._packed(bias)
        room = self._room(device, stream, plan.room)
        places = {number: self.address(array) for number, array in operands.items()}
        plan.graph.execute(places, 0 if room is None else self.address(room), handle=self._handle(device, stream))
        return xp.ascontiguousarray(xp.moveaxis(result, -1, 1)) if last else result

    def _packed(self, array: Any) -> Any:
        """The array without gaps, at an address that engines take."""
        array = self.xp.ascontiguousarray(array)
        return array if self.address(array) % ALIGNED == 0 else array.copy()

    def _room(self, device: int, stream: int, size: int) -> Any:
        """Memory to work in: one array for each stream, whose launches follow each other; it grows."""
        if not size:
            return None
        if current() is not None:  # a graph keeps addresses: they must be in the memory that it owns
            return self.xp.empty(size, dtype=np.uint8)
        rooms, place = self._here.rooms, (device, stream)
        if place not in rooms or rooms[place].size < size:
            rooms.pop(place, None)  # before the larger one is asked for
            rooms[place] = self.xp.empty(size, dtype=np.uint8)
        return rooms[place]

    def _handle(self, device: int, stream: int) -> Any:
        """This thread's handle for the device, which launches on the stream."""
        library, handles = self._cudnn()[0], self._here.handles
        handle, before = handles.get(device) or (library.create_handle(), None)
        if before != stream:
            library.set_stream(handle=handle, stream=stream)
            handles[device] = handle, stream
        return handle

    # ---- plans -----------------------------------------------------------------------------------------------------
    def _plan(self, device: int, job: Job) -> Plan | None:
        """The plan for a job, made when it is first asked for; None where cuDNN has none."""
        key = device, job
        try:
            return self._plans[key]
        except KeyError:
            pass
        library = self._cudnn()[0]
        with self._lock:
            if key not in self._plans:
                try:
                    self._plans[key] = build(library, job, handle=self._handle(device, self.queue()[1]))
                except (RuntimeError, library.cudnnGraphNotSupportedError) as error:
                    self._plans[key] = None
                    self._tell(job, error)
            return self._plans[key]

    def _tell(self, job: Job, error: Exception) -> None:
        if self._told or job.bias:  # without the bias there may be a plan
            return
        self._told = True
        warnings.warn(
            f"cuDNN has no plan for a convolution ({job.kind}, {job.dtype}, {job.first} and {job.second} to "
            f"{job.result}: {_first_line(error)}); it is computed by the definition, which is slower, and so are "
            "others like it, without a further word",
            stacklevel=2,
        )


def build(library: Any, job: Job, **device: Any) -> Plan:
    """The plan for a job. `device` says for which GPU: a handle, or its properties where there is none.

    Raises what the package raises where no engine supports it.
    """
    types, notes = library.data_type, library.numerical_note
    dtype = getattr(types, TYPES[job.dtype])
    wide = types.DOUBLE if job.dtype == "float64" else types.FLOAT
    graph = library.pygraph(io_data_type=dtype, intermediate_data_type=wide, compute_data_type=wide, **device)

    def array(number: int, shape: Sizes) -> Any:
        return graph.tensor(dim=list(shape), stride=strides(shape, job.channels_last), data_type=dtype, uid=number)

    stride, padding, dilation, _ = job.geometry  # groups follow from the channels
    how: Any = dict(stride=list(stride), dilation=list(dilation))
    how |= dict(pre_padding=[before for before, _ in padding], post_padding=[after for _, after in padding])
    first, second = array(FIRST, job.first), array(SECOND, job.second)
    if job.kind == "fprop":
        y = graph.conv_fprop(image=first, weight=second, **how)
        if job.bias:
            y = graph.bias(input=y, bias=array(BIAS, (1, job.result[1], *(1,) * len(stride))))
    elif job.kind == "dgrad":
        y = graph.conv_dgrad(loss=first, filter=second, **how)
    else:
        y = graph.conv_wgrad(image=second, loss=first, **how)
    y.set_output(True).set_uid(RESULT).set_data_type(dtype)
    y.set_dim(list(job.result)).set_stride(strides(job.result, job.channels_last))

    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([library.heur_mode.A, library.heur_mode.FALLBACK])
    refused = [notes.DOWN_CONVERT_INPUTS, notes.REDUCED_PRECISION_REDUCTION]
    if job.dtype == "float32" and not job.tf32:
        refused.append(notes.TENSOR_CORE)
    if job.deterministic:
        refused.append(notes.NONDETERMINISTIC)
    graph.deselect_numeric_notes(refused)
    graph.deselect_workspace_greater_than(ROOM)
    graph.check_support()
    graph.build_plans()
    return Plan(graph, graph.get_workspace_size())


def strides(shape: Sizes, channels_last: bool) -> list[int]:
    """In elements, of an array (N, C, *sizes) without gaps that lies as (N, C, *sizes) or as (N, *sizes, C)."""
    order = (0, *range(2, len(shape)), 1) if channels_last else range(len(shape))
    steps = [prod(shape[axis] for axis in order[place + 1 :]) for place in range(len(shape))]
    return [step for _, step in sorted(zip(order, steps, strict=True))]


def _load() -> tuple[Any, str]:
    try:
        library: Any = importlib.import_module("cudnn")
        version = library.backend_version()
    except ModuleNotFoundError:
        return None, "nvidia-cudnn-frontend is not installed"
    except Exception as error:  # the library itself is another package
        return None, f"nvidia-cudnn-frontend does not find a usable cuDNN ({_first_line(error)})"
    name = f"cuDNN {version // 10000}.{version // 100 % 100}.{version % 100}"
    if version < OLDEST:
        return None, f"{name} is too old, 9.0 is the oldest"
    return library, f"by {name} (nvidia-cudnn-frontend {library.__version__})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _beside(bias: Any, y: Any) -> Any:
    """One number for each channel."""
    return bias.reshape(-1, *(1,) * (y.ndim - 2))


def _lifted(array: Any) -> Any:
    """(N, C, L) as (N, C, 1, L)."""
    return array.reshape(*array.shape[:2], 1, array.shape[2])


def _plane(geometry: Geometry) -> Geometry:
    """The same over the last of two axes."""
    stride, padding, dilation, groups = geometry
    return Geometry((1, *stride), ((0, 0), *padding), (1, *dilation), groups)
