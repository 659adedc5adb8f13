"""Initialisers: distribution, structure, and that they fill in place outside the graph."""

import math

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import init


def filled(function, *shape, **kw):
    tensor = tg.zeros(*shape, dtype=kw.pop("dtype", None))
    assert function(tensor, **kw) is tensor
    return tensor.numpy()


WEIGHT = (40, 30, 3, 3)  # fan_in 270, fan_out 360


@pytest.mark.parametrize("function, kw, std, most", [
    (init.uniform_, dict(a=-2, b=1), 3 / 12**0.5, 2),
    (init.normal_, dict(mean=0, std=0.3), 0.3, 2),
    (init.trunc_normal_, dict(std=2.0, a=-1, b=1), 0.56, 1),
    (init.xavier_uniform_, dict(gain=2), 2 * (2 / 630) ** 0.5, 2 * (6 / 630) ** 0.5),
    (init.xavier_normal_, {}, (2 / 630) ** 0.5, 1),
    (init.kaiming_uniform_, dict(a=5**0.5), (1 / 3 / 270) ** 0.5, 270**-0.5),
    (init.kaiming_uniform_, dict(mode="fan_out", nonlinearity="relu"), (2 / 360) ** 0.5, (6 / 360) ** 0.5),
    (init.kaiming_normal_, dict(nonlinearity="tanh"), 5 / 3 * 270**-0.5, 1),
    (init.lecun_uniform_, {}, 270**-0.5, (3 / 270) ** 0.5),
    (init.lecun_normal_, {}, 270**-0.5, 1),
])  # fmt: skip
def test_distribution(function, kw, std, most):
    w = filled(function, *WEIGHT, **kw, generator=tg.Generator(0))
    mean = -0.5 if "b" in kw and kw["a"] == -2 else 0
    assert abs(w.mean() - mean) < 5 * std / w.size**0.5
    assert abs(w.std() / std - 1) < 0.02
    assert np.abs(w).max() <= most


def test_the_seed_decides_and_dtypes_agree():
    tg.manual_seed(1)
    a = filled(init.normal_, 5)
    tg.manual_seed(1)
    b = filled(init.normal_, 5, dtype=tg.float64)
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_array_equal(
        filled(init.uniform_, 5, generator=tg.Generator(7)), filled(init.uniform_, 5, generator=tg.Generator(7))
    )


def test_structure():
    assert (filled(init.constant_, 2, val=0.5) == 0.5).all()
    assert filled(init.ones_, 2).all() and not filled(init.zeros_, 2).any()
    np.testing.assert_array_equal(filled(init.eye_, 2, 3), np.eye(2, 3))
    for shape in ((4, 2, 3), (6, 5), (5, 6)):
        q = filled(init.orthogonal_, *shape, gain=2, dtype=tg.float64).reshape(shape[0], -1)
        gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)
    w = filled(init.sparse_, 10, 4, sparsity=0.25)
    np.testing.assert_array_equal((w == 0).sum(0), 3)


@pytest.mark.parametrize("shape, groups", [((4, 4, 3), 1), ((6, 2, 3, 5), 3), ((4, 4, 1, 3, 3), 1)])
def test_dirac_passes_channels_through(shape, groups):
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.standard_normal((2, shape[1] * groups, *(6,) * (len(shape) - 2))))
    conv = {3: tg.conv1d, 4: tg.conv2d, 5: tg.conv3d}[len(shape)]
    w = init.dirac_(tg.zeros(*shape, dtype=tg.float64), groups)
    y = conv(x, w, None, 1, tuple(k // 2 for k in shape[2:]), 1, groups)
    np.testing.assert_array_equal(y.numpy(), x.numpy())


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2) and init.calculate_gain("tanh") == 5 / 3
    assert (
        init.calculate_gain("leaky_relu", 1) == 1
        and init.calculate_gain("conv2d") == init.calculate_gain("linear") == 1
    )
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)


def test_parameters_are_filled_in_place_outside_the_graph():
    layer = nn.Linear(3, 4)
    array = layer.weight.array
    init.xavier_uniform_(layer.weight)
    assert layer.weight.array is array and layer.weight.is_leaf and layer.weight.requires_grad


@pytest.mark.parametrize("call, error, match", [
    (lambda: init.xavier_uniform_(tg.zeros(3)), tg.ShapeError, r"xavier_uniform_: f32\[3\] has no fan"),
    (lambda: init.kaiming_normal_(tg.zeros(3, 2), mode="fan"), tg.ArgumentError, "mode must be one of .*got 'fan'"),
    (lambda: init.calculate_gain("swish"), tg.ArgumentError, "nonlinearity must be one of .*got 'swish'"),
    (lambda: init.normal_(tg.zeros(3), std=-1), tg.ArgumentError, "std must be .*got -1"),
    (lambda: init.uniform_(tg.zeros(3), 2, 1), tg.ArgumentError, "from 2 to 1 is no interval"),
    (lambda: init.trunc_normal_(tg.zeros(3), a=1, b=1), tg.ArgumentError, "no interval"),
    (lambda: init.eye_(tg.zeros(3)), tg.ShapeError, "expected a matrix"),
    (lambda: init.dirac_(tg.zeros(3, 3)), tg.ShapeError, "3 to 5 axes"),
    (lambda: init.dirac_(tg.zeros(3, 3, 3), 2), tg.ArgumentError, "3 output channels cannot be parted into 2 groups"),
    (lambda: init.orthogonal_(tg.zeros(3)), tg.ShapeError, "fewer than two axes"),
    (lambda: init.sparse_(tg.zeros(3, 3), 2), tg.ArgumentError, "sparsity must be .*got 2"),
    (lambda: init.sparse_(tg.zeros(3), 0.5), tg.ShapeError, "expected a matrix"),
    (lambda: init.zeros_(np.zeros(3)), tg.DtypeError, "expected a tensor to fill"),
])  # fmt: skip
def test_bad_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()
