"""The file that reproduces a NaN: one operation with its operands, without pickle. `debug.replay(path)` runs it again.

An .npz holds the arrays; the entry `call` is JSON: which operation, forward or backward, its operands and settings.
Arrays above `LIMIT` bytes are cut down to the part around the bad place, if that part alone still goes wrong.
Imported by debugging.py.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tensorgraph import backends
from tensorgraph.backends import ARRAYS
from tensorgraph.diagnostics.causes import first, host
from tensorgraph.diagnostics.observe import Call, arrays_in
from tensorgraph.errors import CorruptDataError, GraphError, sig
from tensorgraph.function import Function
from tensorgraph.fused import Fused, fusables
from tensorgraph.operation import Operation, Parts, registry

__all__ = ["LIMIT", "Replay", "replay", "save"]

LIMIT = 1_000_000


class Replay(NamedTuple):
    """One operation run again: `results` are its results, or in a backward pass the gradients of its inputs."""

    name: str
    backward: bool
    operands: dict[str, Any]
    settings: dict[str, Any]
    results: tuple[np.ndarray, ...]

    def __str__(self) -> str:
        rows = [f"{'backward of ' if self.backward else ''}{self.name}"]
        rows += [f"  {name}  {sig(value)}" for name, value in self.operands.items()]
        for i, y in enumerate(self.results):
            bad = first(y, lambda a: ~np.isfinite(a)) if y.dtype.kind in "fc" else None
            rows.append(f"  result {i}  {sig(y)}" + ("" if bad is None else f"  {y[bad]} at {list(bad)}"))
        return "\n".join(rows)


# ---- writing ---------------------------------------------------------------------------------------------------------
def save(call: Call, folder: str, bad: np.ndarray, index: tuple[int, ...]) -> str:
    """Writes the file into `folder` and returns its path; never over one that is there."""
    values = _cropped(call, bad, index)
    arrays: dict[str, np.ndarray] = {}
    entry = {
        "operation": _address(call),
        "name": call.name,
        "backward": call.node is not None,
        "inputs": list(call.inputs),
        "wanted": None if call.node is None else list(getattr(call.node.plan, "wanted", call.node.plan.inputs)),
        "values": [
            None if name == "pullback" else _pack(v, arrays) for name, v in zip(call.inputs, values, strict=True)
        ],
        "settings": {name: _pack(v, arrays) for name, v in call.settings.items()},
        "cropped": any(sig(a) != sig(b) for a, b in zip(values, call.values, strict=True)),
    }
    place = Path(folder)
    stem = (
        "nan-"
        + ("backward-" if call.node is not None else "")
        + "".join(c for c in call.name if c.isalnum() or c == "_")
    )
    for i in range(1, 10_000):
        path = place / f"{stem}-{i}.npz"
        try:
            with path.open("xb") as file:
                np.savez_compressed(file, call=np.array(json.dumps(entry)), **arrays)  # pyright: ignore[reportArgumentType]
        except FileExistsError:
            continue
        return str(path)
    raise OSError(f"{place} holds too many files of this kind")


def _address(call: Call) -> list[str]:
    """How to find the operation again: kind, and name or module and qualified name."""
    op = call.op
    if isinstance(op, Operation) and registry.get(op.name) is op:
        return ["op", op.name]
    if isinstance(op, Fused):
        return ["fused", op.name]
    thing = op.forward if isinstance(op, Operation) else op
    return ["custom", getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")]


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if type(value) in ARRAYS or isinstance(value, np.generic):
        key = f"a{len(arrays)}"
        arrays[key] = np.asarray(host(value))
        return {"array": key, "scalar": isinstance(value, np.generic)}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": [repr(value.real), repr(value.imag)]}
    if isinstance(value, tuple):
        return {"tuple": [_pack(v, arrays) for v in value]}
    if isinstance(value, list):
        return [_pack(v, arrays) for v in value]
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: _pack(v, arrays) for k, v in value.items()}}
    if isinstance(value, slice):
        return {"slice": [_pack(v, arrays) for v in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return {"dtype": np.dtype(value).name}
    if isinstance(value, Parts):
        return {"parts": [_pack(v, arrays) for v in value.values]}
    return {"unsaved": repr(value)[:200]}


def _unpack(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner), *_) = value.items()
    if kind == "array":
        a = arrays[inner]
        return a[()] if value["scalar"] else a
    if kind == "unsaved":
        raise GraphError(
            f"replay: an argument could not be saved: {inner}", hint="look at .operands in the file instead"
        )
    readers: dict[str, Callable[[Any], Any]] = {
        "float": float,
        "complex": lambda v: complex(float(v[0]), float(v[1])),
        "tuple": lambda v: tuple(_unpack(x, arrays) for x in v),
        "dict": lambda v: {k: _unpack(x, arrays) for k, x in v.items()},
        "slice": lambda v: slice(*(_unpack(x, arrays) for x in v)),
        "ellipsis": lambda v: Ellipsis,
        "dtype": np.dtype,
        "parts": lambda v: Parts(tuple(_unpack(x, arrays) for x in v)),
    }
    return readers[kind](inner)


# ---- cutting down ----------------------------------------------------------------------------------------------------
def _cropped(call: Call, bad: np.ndarray, index: tuple[int, ...]) -> tuple:
    """The operands, or the smallest part of them that was tried and still goes wrong."""
    if sum(a.nbytes for a in arrays_in(call.values)) <= LIMIT or not index:
        return call.values
    for cut in (_one_element, _one_sample):
        values = tuple(cut(v, bad.shape, index) if type(v) in ARRAYS else v for v in call.values)
        try:
            results = _run(call, values)
        except Exception:  # this part alone does not fit the operation
            continue
        if any(r.dtype.kind in "fc" and not np.isfinite(r).all() for r in results):
            return values
    return call.values


def _one_element(value: Any, shape: tuple[int, ...], index: tuple[int, ...]) -> Any:
    lead = len(shape) - value.ndim
    if lead < 0:
        return value
    return value[
        tuple(slice(i, i + 1) if n > 1 else slice(None) for i, n in zip(index[lead:], value.shape, strict=True))
    ]


def _one_sample(value: Any, shape: tuple[int, ...], index: tuple[int, ...]) -> Any:
    return value[index[0] : index[0] + 1] if value.ndim and value.shape[0] == shape[0] else value


def _run(call: Call, values: tuple) -> tuple[np.ndarray, ...]:
    if call.node is not None:
        result = call.node.plan.pull(values[0], values[1:])
    elif isinstance(call.op, Operation):
        result = _forward(call.op, call.be, values, call.settings)
    else:
        raise GraphError("not an operation of arrays")
    return tuple(np.asarray(host(a)) for a in arrays_in(result))


def _forward(op: Operation, be: Any, values: Any, settings: dict[str, Any]) -> Any:
    if op.variadic:
        return op.forward(be, *values, **settings)
    given = dict(zip(op.arrays, values, strict=True)) | settings
    return op.forward(be, *(given[n] for n in op.positional), **{n: given[n] for n in op.keyword})


# ---- reading ---------------------------------------------------------------------------------------------------------
def replay(path: str) -> Replay:
    """Runs the operation of a file that `debug()` wrote once more, on the CPU.

    Raises CorruptDataError for another file, GraphError when the operation cannot be found or an argument could not
    be saved.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            entry = json.loads(str(file["call"]))
            arrays = {name: file[name] for name in file.files if name != "call"}
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError) as error:
        raise CorruptDataError(f"replay: {path} is no file that debug() wrote: {error}") from None
    values = tuple(_unpack(v, arrays) for v in entry["values"])
    settings = {name: _unpack(v, arrays) for name, v in entry["settings"].items()}
    op, be = _find(entry["operation"]), backends.cpu
    if isinstance(op, Operation):
        if entry["backward"]:
            wanted = tuple(entry["wanted"])
            if op.variadic:
                rule = op.rules[op.variadic]
                result = _ask(rule, dict(zip(entry["inputs"], values, strict=True)))
            else:
                result = op.plan(wanted).pull(values[0], values[1:])
        else:
            result = _forward(op, be, values, settings)
    elif isinstance(op, type) and issubclass(op, Function) and not entry["backward"]:
        result = op.apply(*values, **settings)
    elif isinstance(op, Fused):
        kernel = be.kernel(op.name)
        inputs = values[2:] if entry["backward"] else values  # behind the gradient and the place of the pullback
        wanted = tuple(entry["wanted"] or (False,) * len(inputs))
        done = None if kernel is None else kernel(be, *inputs, wanted=wanted, **settings)
        if done is None:
            raise GraphError(f"replay: there is no kernel for {op.name} here", hint=_LOOK)
        result = done[1](values[0]) if entry["backward"] else done[0]
    else:
        raise GraphError(f"replay: the backward pass of {entry['name']} keeps what no file can hold", hint=_LOOK)
    results = tuple(np.asarray(host(a)) for a in arrays_in(result))
    return Replay(entry["name"], entry["backward"], dict(zip(entry["inputs"], values, strict=True)), settings, results)


_LOOK = 'numpy.load(path) shows its operands; json.loads(str(file["call"])) what they were'


def _ask(rule: Callable, known: dict[str, Any]) -> Any:
    code = rule.__code__
    return rule(*(known[name] for name in code.co_varnames[: code.co_argcount]))


def _find(address: list[str]) -> Any:
    kind, name, *rest = address
    if kind == "op" and name in registry:
        return registry[name]
    if kind == "fused" and name in fusables:
        return fusables[name].op  # pyright: ignore[reportFunctionMemberAccess]
    if kind == "custom":
        try:
            thing: Any = importlib.import_module(name)
            for part in rest[0].split("."):
                thing = getattr(thing, part)
            return getattr(thing, "op", thing)
        except (ImportError, AttributeError):
            pass
    raise GraphError(
        f"replay: there is no operation {'.'.join(address[1:])} here",
        hint="import what defines it; one defined inside a function or in another program cannot be found again",
    )
