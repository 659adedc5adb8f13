"""A network from Caffe's `.prototxt`, with or without the weights of a `.caffemodel`.

Imported by the front door of the room. The text is read by prototext.py, the layers are made by caffe_layers.py.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph import backends
from tensorgraph.creation import asarray, zeros
from tensorgraph.errors import ArgumentError, CorruptDataError, MissingDataError
from tensorgraph.mode import no_grad
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.layers import Linear
from tensorgraph.nn.layers.lazy import _Lazy
from tensorgraph.nn.module import Module
from tensorgraph.nn.weights.caffe import read_caffemodel
from tensorgraph.nn.weights.caffe_layers import DATA, LOSSES, V1_TYPES, make
from tensorgraph.nn.weights.prototext import Message, parse
from tensorgraph.tensor import Tensor

__all__ = ["CaffeNetwork", "read_prototxt"]


class _Step(NamedTuple):
    name: str
    kind: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    axis: int  # from which an inner product flattens


class CaffeNetwork(Module):
    """What `read_prototxt` makes: Caffe's layers under their names, called in their order.

    `network(x)` gives what no later layer uses, one tensor or a dictionary by name (a blob of Caffe). With targets,
    `network(x, target)`, losses and accuracies are computed too; without them those layers are left out. `inputs` are
    the names of the arguments, `blobs(x)` gives every result by name.
    """

    def __init__(self, name: str, inputs: Sequence[str], shapes: dict[str, tuple[int, ...]]):
        super().__init__()
        self.name, self.inputs, self.shapes = name, tuple(inputs), shapes
        self.steps: list[_Step] = []

    def blobs(self, *inputs: Any) -> dict[str, Any]:
        """Every result by name; a layer that works in place replaces the one before."""
        if not 1 <= len(inputs) <= max(1, len(self.inputs)):
            raise ArgumentError(
                f"CaffeNetwork: {len(inputs)} inputs, expected 1 to {len(self.inputs)}: {', '.join(self.inputs)}"
            )
        found = dict(zip(self.inputs, inputs, strict=False))
        for step in self.steps:
            if not all(bottom in found for bottom in step.bottoms):
                continue
            blobs = [found[bottom] for bottom in step.bottoms]
            layer = vars(self)[step.name]
            if step.kind == "InnerProduct" and blobs[0].ndim > step.axis + 1:
                shape = blobs[0].shape
                blobs = [blobs[0].reshape((*shape[: step.axis], math.prod(shape[step.axis :])))]
            result = layer(*blobs)
            for top, value in zip(step.tops, result if isinstance(result, tuple) else (result,), strict=False):
                found[top] = value
        return found

    def forward(self, *inputs: Any) -> Any:
        found = self.blobs(*inputs)
        used = {b for step in self.steps if step.tops != step.bottoms for b in step.bottoms if self._ran(step, found)}
        last = {name: value for name, value in found.items() if name not in used and name not in self.inputs}
        return next(iter(last.values())) if len(last) == 1 else last

    @staticmethod
    def _ran(step: _Step, found: dict[str, Any]) -> bool:
        return all(bottom in found for bottom in step.bottoms)

    def extra_repr(self) -> str:
        return f"{self.name!r}, inputs: {', '.join(self.inputs)}"


def read_prototxt(
    path: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    input_shape: Sequence[int] | None = None,
    phase: str = "TEST",
) -> CaffeNetwork:
    """The network that a `.prototxt` describes, with the weights of a `.caffemodel` if one is given.

        model = nn.weights.read_prototxt("lenet.prototxt", "lenet_iter_10000.caffemodel").eval()

    Reads files for training and for use, of the old form (`layers { type: CONVOLUTION }`) and the new one. Data layers
    and `input:` become the arguments of the network; what they do to images (`scale`, mean files, mirroring) is left to
    you. Layers for another `phase` ("TRAIN" or "TEST") are left out. `input_shape` (channels, height, width), which
    files for training do not tell, is needed where no weights are given; those start as the fillers of the file say.
    Arrays of the `.caffemodel` for layers that the file does not have are ignored, as in Caffe.

    Raises MissingDataError, CorruptDataError: no such file, or no such text; ArgumentError: a layer that is not read, a
    layer without its input, no input shape; StateDictError: weights that do not fit.
    """
    check.choice("read_prototxt", ("TEST", "TRAIN"), phase=phase)
    if input_shape is not None:
        input_shape = check.sizes(3, "read_prototxt", input_shape=tuple(input_shape))
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"read_prototxt: there is no file {str(path)!r}")
    try:
        net = parse(path.read_text("utf-8"))
    except (CorruptDataError, UnicodeDecodeError) as error:
        why = error.message if isinstance(error, CorruptDataError) else "it is binary"
        raise CorruptDataError(f"read_prototxt: {str(path)!r} is no network description: {why}") from None
    layers = [layer for layer in _layers(net, str(path)) if _wanted(layer, phase)]
    network, fillers = _network(net, layers, str(path), input_shape)
    if weights is not None:
        names = {step.name for step in network.steps}
        arrays = read_caffemodel(weights)
        network.load_state_dict({k: asarray(v) for k, v in arrays.items() if k.rpartition(".")[0] in names})
    elif any(isinstance(module, _Lazy) for module in network.modules()):
        _start(network, fillers, str(path))
    return network


def _layers(net: Message, path: str) -> list[Message]:
    layers = net.all("layer") + net.all("layers")
    if not layers or not all(isinstance(layer, Message) for layer in layers):
        raise CorruptDataError(f"read_prototxt: {path!r} is no network description: it has no layers")
    if any("layer" in layer.fields for layer in layers):
        raise CorruptDataError(
            f"read_prototxt: {path!r} is of a form that Caffe gave up in 2013 (`layers {{ layer {{ ... }} }}`)",
            hint="Caffe's upgrade_net_proto_text makes a newer file of it",
        )
    for i, layer in enumerate(layers):
        layer.who = f"read_prototxt: layer {layer.get('name', i)!r}"
    return layers


def _wanted(layer: Message, phase: str) -> bool:
    """Whether a layer belongs to a phase: `include` names those that it is for, `exclude` those that it is not for."""

    def meets(rule: Any) -> bool:
        said = rule.get("phase") if isinstance(rule, Message) else None
        return said is None or said in (phase, ("TRAIN", "TEST").index(phase))

    if layer.all("include"):
        return any(meets(rule) for rule in layer.all("include"))
    return not any(meets(rule) for rule in layer.all("exclude"))


def _inputs(net: Message, data: list[Message], given: Sequence[int] | None) -> dict[str, tuple[int, ...] | None]:
    """Names of the arguments, with the shapes that the file tells of them."""
    found: dict[str, tuple[int, ...] | None] = {}
    dims = net.all("input_dim")
    shapes = [tuple(shape.all("dim")) for shape in net.all("input_shape")]
    shapes = shapes or [tuple(dims[i : i + 4]) for i in range(0, len(dims), 4)]
    for i, name in enumerate(net.all("input")):
        found[str(name)] = shapes[i] if i < len(shapes) else None
    for layer in data:
        part = layer.part("input_param") if layer.get("type") == "Input" else layer.part("dummy_data_param")
        stated = [tuple(shape.all("dim")) for shape in part.all("shape")]
        for i, top in enumerate(layer.all("top")):
            found[str(top)] = stated[min(i, len(stated) - 1)] if stated else None
    if given is not None and found:
        found[next(iter(found))] = (1, *given)
    return found


def _network(
    net: Message, layers: list[Message], path: str, given: Sequence[int] | None
) -> tuple[CaffeNetwork, dict[str, Message]]:
    kinds = [V1_TYPES.get(str(layer.get("type", "")), str(layer.get("type", ""))) for layer in layers]
    inputs = _inputs(net, [layer for layer, kind in zip(layers, kinds, strict=True) if kind in DATA], given)
    if not inputs:
        raise ArgumentError(f"read_prototxt: {path!r} has no input, and no data layer for this phase")
    known = {name: shape for name, shape in inputs.items() if shape is not None}
    network = CaffeNetwork(net.text("name"), list(inputs), known)
    there = set(inputs)
    flat: set[str] = set()  # blobs that are a vector per image
    settings: dict[str, Message] = {}
    with init.skip():
        for layer, kind in zip(layers, kinds, strict=True):
            if kind in DATA or kind == "Silence":
                continue
            name = layer.text("name")
            bottoms, tops = (tuple(map(str, layer.all(which))) for which in ("bottom", "top"))
            lost = [bottom for bottom in bottoms if bottom not in there]
            if lost:
                raise ArgumentError(f"{layer.who}: its input {lost[0]!r} is made by no layer before it")
            twice = any(step.name == name for step in network.steps)
            for wrong, why in ((not name, "has no name"), (twice, "comes twice"), (not bottoms, "has no input"),
                               (hasattr(network, name), "has a name that modules keep for themselves")):  # fmt: skip
                if wrong:
                    raise ArgumentError(f"{layer.who}: it {why}")
            vector = bool(flat & set(bottoms))
            setattr(network, name, make(kind, layer, vector))
            axis = layer.part("inner_product_param").integer("axis", 1) if kind == "InnerProduct" else 1
            tops = tops or ((name,) if kind in LOSSES else ())
            network.steps.append(_Step(name, kind, bottoms, tops, axis))
            settings[name] = layer
            there |= set(tops)
            if kind in ("InnerProduct", "Flatten") or (vector and kind not in ("Reshape",)):
                flat |= set(tops)
    return network, settings


# ---- weights of the beginning --------------------------------------------------------------------------------------
def _start(network: CaffeNetwork, settings: dict[str, Message], path: str) -> None:
    """Lets the layers find their sizes, and fills them as the file says."""
    first = network.inputs[0]
    if first not in network.shapes:
        raise ArgumentError(
            f"read_prototxt: {path!r} does not tell the shape of {first!r}, which the sizes of the layers follow from",
            hint="input_shape=(channels, height, width), or the weights of a .caffemodel",
        )
    data = [zeros(1, *network.shapes[name][1:]) for name in network.inputs if name in network.shapes]
    with no_grad(), init.skip(), backends.get().quiet():  # what the weights are does not matter yet
        network.eval()(*data[:1] if len(data) < len(network.inputs) else data)
    network.train()
    for name, layer in settings.items():
        module = vars(network)[name]
        part = layer.part("inner_product_param" if isinstance(module, Linear) else "convolution_param")
        for tensor, which in (("weight", "weight_filler"), ("bias", "bias_filler")):
            parameter = getattr(module, tensor, None)
            if (
                isinstance(parameter, Tensor)
                and parameter.ndim + (tensor == "bias") > 1
                and "num_output" in part.fields
            ):
                _fill(parameter, part.part(which), layer.who)


def _fill(parameter: Tensor, filler: Message, who: str) -> None:
    """Caffe's fillers; without one the numbers are 0."""
    kind = filler.text("type", "constant")
    rows = parameter.shape[0]
    fan_in, fan_out = parameter.size // rows, parameter.size // parameter.shape[1] if parameter.ndim > 1 else rows
    norm = filler.get("variance_norm", "FAN_IN")
    n = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}.get(str(norm), fan_in)
    if kind == "constant":
        init.constant_(parameter, filler.number("value", 0))
    elif kind == "uniform":
        init.uniform_(parameter, filler.number("min", 0), filler.number("max", 1))
    elif kind == "gaussian":
        init.normal_(parameter, filler.number("mean", 0), filler.number("std", 1))
    elif kind == "xavier":
        init.uniform_(parameter, -math.sqrt(3 / n), math.sqrt(3 / n))
    elif kind == "msra":
        init.normal_(parameter, 0, math.sqrt(2 / n))
    else:
        raise ArgumentError(f"{who}: fillers of the type {kind!r} are not read", hint="weights of a .caffemodel are")
