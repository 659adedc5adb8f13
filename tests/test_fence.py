"""The fence itself: values stay behind it, results look like CuPy's."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends
from tensorgraph.tensor import Tensor
from tests.fence import FenceArray, FenceError, installed


def array(*shape: int) -> FenceArray:
    return FenceArray(np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape))


CROSSINGS = {
    "__array__": np.asarray,
    "float": float,
    "int": int,
    "complex": complex,
    "bool": bool,
    "index": operator.index,
    "iter": iter,
    "in": lambda a: 1.0 in a,
    "item": lambda a: a.item(),
    "tolist": lambda a: a.tolist(),
    "a NumPy function": np.exp,
    "a NumPy array on the right": lambda a: a + np.ones(1),
    "a NumPy array assigned": lambda a: a.__setitem__(slice(None), np.ones(1)),
    "a NumPy array as index": lambda a: a[np.array([0])],
    "if": lambda a: 1 if a > 0 else 2,
    "max of Python": lambda a: max(a, a),
}


@pytest.mark.parametrize("cross", CROSSINGS.values(), ids=CROSSINGS.keys())
def test_nothing_crosses(cross):
    with pytest.raises((FenceError, TypeError)):
        cross(array(1))


def test_functions_of_the_backend_refuse_numpy_arrays(fence):
    with pytest.raises(FenceError, match="NumPy array"):
        fence.add(array(3), np.ones(3))
    assert type(fence.asarray(np.ones(3))) is FenceArray


def test_only_to_host_lets_values_out(fence):
    np.testing.assert_array_equal(fence.to_host(array(3) * 2), [2, 4, 6])


def test_results_are_in_c_order_and_views_stay_views(fence):
    a = array(2, 3)
    assert a.T.base is a
    assert not a.T.flags.c_contiguous
    assert (a.T + a.T).flags.c_contiguous
    assert fence.exp(a.T).flags.c_contiguous
    a.T[0] = 7.0
    np.testing.assert_array_equal(fence.to_host(a)[:, 0], 7)


def test_reductions_give_arrays(fence):
    for value in (array(3).sum(), fence.max(array(3)), array(3)[0], fence.allclose(array(3), array(3))):
        assert type(value) is FenceArray
        assert value.shape == ()


def test_what_cupy_lacks_is_refused(fence):
    with pytest.raises(FenceError, match="where"):
        array(3).sum(where=array(3) > 1)
    with pytest.raises(AttributeError, match="no 'partition2'"):
        array(3).partition2()


def test_it_is_known_only_inside_the_block():
    with installed():
        assert Tensor(array(3)).device == "fence"
    assert FenceArray not in backends.ARRAYS
    with pytest.raises(tg.BackendError, match="unknown device 'fence'"):
        backends.get("fence")
