"""What type checkers see is what there is."""

from pathlib import Path

import tensorgraph as tg
from tests import methods_stub


def test_the_stub_of_the_methods_is_up_to_date():
    assert methods_stub.STUB.read_text(encoding="utf-8") == methods_stub.text(), "run `python3 dev.py stubs`"


def test_the_stub_knows_operators_properties_and_results():
    lines = [line for name in ("__add__", "T", "sum") for line in methods_stub.member(name, vars(tg.Tensor)[name])]
    declared = "\n".join(line for line in lines if "def " in line or "@" in line)
    assert "    def __add__(self, b: Any) -> Tensor:" in declared
    assert "    @property\n    def T(self) -> Tensor:" in declared
    assert "axis: Any" in declared and "dim: Any = ..." in declared  # both spellings


def test_the_package_says_that_it_is_typed():
    assert Path(tg.__file__).with_name("py.typed").exists()
