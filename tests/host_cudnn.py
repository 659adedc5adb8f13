"""What plays nvidia-cudnn-frontend on a machine without a GPU: `HostLibrary`, on the memory of fence arrays.

It takes what the package takes, by the same names, in the same order, and holds a graph to what cuDNN demands: arrays
without gaps in one of two layouts, sizes that fit together, numbers of Python, addresses that are aligned, a handle on
the stream that computes. It computes with the definitions on the memory that it is given the addresses of, and fills
its workspace with NaN before. `HostCudnn` is the backend of fence arrays with it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import Enum
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from tensorgraph.backends.convolution import Convolution, Geometry
from tensorgraph.backends.cudnn import FastConvolution
from tests.fence import FenceArray, FenceBackend, perform
from tests.playback import Playback


class Type(Enum):
    HALF, FLOAT, DOUBLE = np.float16, np.float32, np.float64


Note = Enum("Note", "TENSOR_CORE DOWN_CONVERT_INPUTS REDUCED_PRECISION_REDUCTION NONDETERMINISTIC")
Mode = Enum("Mode", "A FALLBACK")


class NotSupported(Exception):
    """Stands for cudnn.cudnnGraphNotSupportedError."""


class Definition(Convolution):
    xp = np


class Node:
    """An array of a graph."""

    def __init__(self, dim=None, stride=None, data_type=None, uid=None):
        self.dim, self.stride, self.type, self.uid, self.output = dim, stride, data_type, uid, False

    def set_output(self, output: bool) -> Node:
        self.output = output
        return self

    def set_uid(self, uid: int) -> Node:
        self.uid = uid
        return self

    def set_data_type(self, data_type: Type) -> Node:
        self.type = data_type
        return self

    def set_dim(self, dim: list) -> Node:
        self.dim = dim
        return self

    def set_stride(self, stride: list) -> Node:
        self.stride = stride
        return self

    def layouts(self) -> set[bool]:
        """Whether channels are last; both where that is the same."""
        assert all(type(n) is int and n > 0 for n in (*self.dim, *self.stride)) and len(self.dim) == len(self.stride)
        found = set()
        for last in (False, True):
            order = [0, *range(2, len(self.dim)), 1] if last else list(range(len(self.dim)))
            if all(self.stride[a] == prod(self.dim[b] for b in order[k + 1 :]) for k, a in enumerate(order)):
                found.add(last)
        return found

    def view(self, address: int) -> np.ndarray:
        assert type(address) is int and address % 16 == 0, "an address that is not aligned"
        dtype = np.dtype(self.type.value)
        flat = np.frombuffer((ctypes.c_char * (prod(self.dim) * dtype.itemsize)).from_address(address), dtype)
        return np.lib.stride_tricks.as_strided(flat, self.dim, [n * dtype.itemsize for n in self.stride])


STAGES = "validate build_operation_graph create_execution_plans check_support build_plans".split()


class HostLibrary(ModuleType):
    """The module. `graphs` are those that were built, `launches` counts, `refuses(graph)` says where there is no plan,
    `room(graph)` how large a workspace is."""

    data_type, numerical_note, heur_mode, cudnnGraphNotSupportedError = Type, Note, Mode, NotSupported
    __version__ = "1.26.0"

    def __init__(self) -> None:
        super().__init__("cudnn")
        self.graphs: list[Graph] = []
        self.launches = 0
        self.version = 92800
        self.refuses: Callable[[Graph], bool] = lambda graph: False
        self.room: Callable[[Graph], int] = lambda graph: 0
        self.streams: dict[int, int] = {}
        self.told: list[tuple[int, int]] = []
        self.rooms: list[int] = []

    def backend_version(self) -> int:
        return self.version

    def create_handle(self) -> int:
        self.streams[len(self.streams)] = -1
        return len(self.streams) - 1

    def set_stream(self, handle: int, stream: int) -> None:
        self.streams[handle] = stream
        self.told.append((handle, stream))

    def pygraph(self, **settings: Any) -> Graph:
        return Graph(self, **settings)


class Graph:
    """A graph of one convolution and perhaps a bias."""

    def __init__(self, library, io_data_type, intermediate_data_type, compute_data_type, handle):
        assert handle in library.streams
        assert (
            intermediate_data_type == compute_data_type == (Type.DOUBLE if io_data_type == Type.DOUBLE else Type.FLOAT)
        )
        self.library, self.nodes, self.bias_node, self.stage, self.refused = library, [], None, 0, set()

    def tensor(self, dim, stride, data_type, uid):
        self.nodes.append(Node(dim, stride, data_type, uid))
        return self.nodes[-1]

    def _convolution(self, kind, first, second, pre_padding, post_padding, stride, dilation):
        axes = len(first.dim) - 2
        assert axes in (2, 3), "cuDNN has two or three spatial axes"
        assert all(len(part) == axes for part in (pre_padding, post_padding, stride, dilation))
        assert min(pre_padding + post_padding) >= 0
        self.kind, self.operands = kind, (first, second)
        self.how = tuple(stride), tuple(zip(pre_padding, post_padding, strict=True)), tuple(dilation)
        self.result = Node()
        return self.result

    def conv_fprop(self, image, weight, **how):
        return self._convolution("fprop", image, weight, **how)

    def conv_dgrad(self, loss, filter, **how):
        return self._convolution("dgrad", loss, filter, **how)

    def conv_wgrad(self, image, loss, **how):
        return self._convolution("wgrad", loss, image, **how)

    def bias(self, input, bias):
        assert input is self.result and self.kind == "fprop"
        self.bias_node, self.result = bias, Node()
        return self.result

    def __getattr__(self, name):
        if name not in STAGES:
            raise AttributeError(name)

        def method(*args):
            assert STAGES[self.stage] == name, f"{name} is not what comes next"
            self.stage += 1
            getattr(self, f"_{name}", lambda: None)(*args)

        return method

    def _validate(self):
        nodes = [*self.operands, self.result, *([self.bias_node] if self.bias_node else [])]
        assert self.result.output and len({node.uid for node in nodes}) == len(nodes)
        first, second, result = (tuple(node.dim) for node in nodes[:3])
        image, weight, top = {
            "fprop": (first, second, result), "dgrad": (result, second, first), "wgrad": (second, result, first),
        }[self.kind]  # fmt: skip
        self.geometry = Geometry(*self.how, image[1] // weight[1])
        assert top == (image[0], weight[0], *self.geometry.output(image[2:], weight[2:]))
        assert weight[1] * self.geometry.groups == image[1] and weight[0] % self.geometry.groups == 0
        common = {False, True}.intersection(*(node.layouts() for node in nodes))
        assert common, "arrays of several layouts, or with gaps"
        self.channels_last = True in common and False not in common
        if self.bias_node:
            assert tuple(self.bias_node.dim) == (1, result[1], *(1 for _ in result[2:]))

    def _create_execution_plans(self, modes):
        assert modes == [Mode.A, Mode.FALLBACK]

    def deselect_numeric_notes(self, notes):
        assert self.stage == 3
        self.refused |= set(notes)

    def deselect_workspace_greater_than(self, size):
        assert self.stage == 3
        self.limit = size

    def _check_support(self):
        if self.library.refuses(self):
            raise NotSupported("No valid engine configs\nand more")

    def _build_plans(self):
        self.library.graphs.append(self)

    def get_workspace_size(self):
        return min(self.library.room(self), self.limit)

    def execute(self, places, workspace, handle):
        assert self.stage == len(STAGES)
        self.library.rooms.append(workspace)
        self.library.launches += 1
        stream = self.library.streams[handle]
        assert stream == HostCudnn.place[1], "launched on another stream"
        perform(self._run, (dict(places), workspace), {}, ())

    def _run(self, places: dict, workspace: int) -> None:
        nodes = [*self.operands, self.result, *([self.bias_node] if self.bias_node else [])]
        assert {node.uid for node in nodes} == places.keys()
        size = self.get_workspace_size()
        if size:
            ctypes.memset(workspace, 0xFF, size)
        a, b, y, *bias = (node.view(places[node.uid]) for node in nodes)
        compute = Definition()
        if self.kind == "fprop":
            y[...] = compute.correlate(a, b, self.geometry, bias[0].reshape(-1) if bias else None)
        elif self.kind == "dgrad":
            y[...] = compute.correlate_input(a, b, y.shape[2:], self.geometry)
        else:
            y[...] = compute.correlate_weight(a, b, y.shape[2:], self.geometry)


class _OnHost(FastConvolution):
    place = (0, 7)
    """the device and the stream"""

    def is_here(self, array: Any) -> bool:
        return True

    def address(self, array: FenceArray) -> int:
        return array._data.ctypes.data

    def queue(self) -> tuple[int, int]:
        return HostCudnn.place


class HostCudnn(_OnHost, FenceBackend):
    """The fence backend with convolutions by cuDNN."""


class HostCudnnPlayback(_OnHost, Playback):
    """The same, and it captures."""
