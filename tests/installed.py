"""What must hold where only the wheel is installed; `python3 dev.py wheel` runs this file there, in an empty folder."""

import importlib
import importlib.util
from pathlib import Path

import tensorgraph as tg
from tensorgraph import nn, ops

home = Path(tg.__file__).parent
assert "site-packages" in home.parts, home
assert Path(ops.__file__).parent == home / "ops" and Path(nn.__file__).parent == home / "nn", (ops, nn)
assert (home / "py.typed").exists() and (home / "methods.pyi").exists(), "the files for type checkers are missing"
strangers = [name for name in ("ops", "nn", "tests", "examples", "dev") if importlib.util.find_spec(name)]
assert not strangers, f"beside tensorgraph, the wheel installed {strangers}"

x = tg.tensor([[1.0, 2.0]], requires_grad=True)
layer = nn.Linear(2, 3)
(layer(x) * x.sum()).sum().backward()
assert x.grad is not None and x.grad.shape == (1, 2) and layer.weight.grad.shape == (3, 2)

picture = tg.draw((layer(x) ** 2).sum())
assert "<svg" in picture.svg[:200]
assert "<script" in picture.html and "linear" in picture.html, "the page needs its files beside it"
assert "Linear" in str(nn.summary(layer, (1, 2)))

front = importlib.import_module("tensorgraph.torch")
assert front.randn(4, 3).max(1).indices.shape == (4,)
