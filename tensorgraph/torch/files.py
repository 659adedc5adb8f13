"""`torch.save` and `torch.load` without pickle: state dicts and nested dictionaries of tensors and numbers.

What is written is tensorgraph's .npz, whatever the file is called; `load` sees from the content what a file is, and
reads PyTorch's own files too, as far as they hold tensors and plain values.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from tensorgraph import nn
from tensorgraph.errors import ArgumentError, sig

__all__ = ["load", "save"]


def save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
    """Writes a state dict, or nested dictionaries and lists of tensors and plain values, to a path or an open file.

    Raises ArgumentError for a whole module (save its `state_dict()`), DtypeError for other objects: nothing is ever
    pickled.
    """
    if isinstance(obj, nn.Module):
        raise ArgumentError(
            f"torch.save: {type(obj).__name__} is a whole module, which only pickle could store; nothing was written",
            hint="torch.save(model.state_dict(), path), and model.load_state_dict(torch.load(path))",
        )
    if hasattr(f, "write"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "saved.npz")
            nn.save(obj, path)
            f.write(path.read_bytes())
        return
    target = Path(f)
    if target.suffix in (".npz", ".safetensors"):
        nn.save(obj, target)
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.npz")  # `nn.save` goes by the suffix
    try:
        nn.save(obj, beside)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def load(f: Any, map_location: Any = None, *args: Any, weights_only: Any = None, **kwargs: Any) -> Any:
    """What `save` wrote, or a file of PyTorch's, from a path or an open file. Nothing in it is ever executed.

    map_location: the device (a name, or anything else for the CPU).
    """
    if hasattr(f, "read"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "loaded.npz")
            path.write_bytes(f.read())
            return load(path, map_location)
    if not isinstance(f, (str, os.PathLike)):
        raise ArgumentError(f"torch.load: {sig(f)} is no path and no open file")
    return nn.load(f, str(map_location) if isinstance(map_location, str) else None)
