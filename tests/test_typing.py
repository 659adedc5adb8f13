"""What type checkers see is what there is. Pyright reads this file too: `assert_type` is checked there."""

from pathlib import Path
from typing import assert_type

import tensorgraph as tg
from tensorgraph import nn
from tests import methods_stub


def test_the_stub_of_the_methods_is_up_to_date():
    assert methods_stub.STUB.read_text(encoding="utf-8") == methods_stub.text(), "run `python3 dev.py stubs`"


def test_the_stub_knows_operators_properties_and_results():
    lines = [line for name in ("__add__", "T", "sum") for line in methods_stub.member(name, vars(tg.Tensor)[name])]
    declared = "\n".join(line for line in lines if "def " in line or "@" in line)
    assert "    def __add__(self, b: Any) -> Tensor:" in declared
    assert "    @property\n    def T(self) -> Tensor:" in declared
    assert "axis: Axis" in declared and "dim: Any = ..." in declared  # both spellings


def test_types_of_everyday_use():
    x = assert_type(tg.tensor([[1.0, 2.0]], requires_grad=True), tg.Tensor)
    y = assert_type(2 * x + x / 3 - (x @ x.T), tg.Tensor)
    assert_type(y.exp().sum(axis=0, keepdims=True), tg.Tensor)
    assert_type(y.mean(dim=-1).reshape(-1), tg.Tensor)
    assert_type(x[0, 1:], tg.Tensor)
    assert_type(x == y, tg.Tensor)
    assert_type(x.shape, tuple[int, ...])
    assert_type(x.detach().to("cpu").float(), tg.Tensor)
    assert_type(x.grad, tg.Tensor | None)
    assert_type(nn.Linear(2, 3).weight, nn.Parameter)


def test_the_package_says_that_it_is_typed():
    assert Path(tg.__file__).with_name("py.typed").exists()
