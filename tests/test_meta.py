"""Arrays without numbers have the shapes, dtypes and order in memory that NumPy's would have, and the same errors."""

from __future__ import annotations

import copy
import gc
import pickle
import re

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends, nn
from tensorgraph.backends.meta import Ledger, MetaArray
from tensorgraph.errors import BackendError, sig
from tensorgraph.tensor import Tensor
from tests import samples
from tests import test_fence_nn as layers

meta = backends.get("meta")


def on_meta(array) -> MetaArray:
    return meta.from_host(np.asarray(array), "meta")


def flat(value) -> list:
    return [leaf for part in value for leaf in flat(part)] if isinstance(value, (tuple, list)) else [value]


def looks(values) -> list[str]:
    return [sig(v) if isinstance(v, (Tensor, MetaArray, np.ndarray)) else repr(type(v)) for v in flat(values)]


# ---- operations ------------------------------------------------------------------------------------------------------
def both_ways(sample, arrays, make) -> list[str]:
    """What the results and all gradients look like."""
    values = [Tensor(make(a)) for a in arrays]
    for t, recipe in zip(values, sample.recipes, strict=True):
        if sample.grad and recipe.differentiable and t.dtype.kind in "fc":
            t.requires_grad_()
    found = sample.call(values)
    ys = [y for y in flat(found) if isinstance(y, Tensor) and y.node is not None]
    seeds = [Tensor(make(np.ones(y.shape, y.dtype))) for y in ys]
    xs = [v for v in values if v.node is not None]
    gradients = tg.grad(ys, xs, seeds, allow_unused=True) if ys else ()
    return looks(found) + looks(gradients)


WANT_NUMBERS = {
    "allclose", "argwhere", "array_equal", "bincount", "ctc_loss", "getitem", "histogram", "masked_scatter",
    "masked_select", "nanquantile", "nonzero", "one_hot", "put", "put_add", "quantile", "unique", "unique_all",
    "unique_counts", "unique_inverse", "unique_values",
}  # fmt: skip
"""operations whose shapes, or answers in Python, depend on numbers, if only in some of their forms"""


@pytest.mark.parametrize("sample", [pytest.param(s, id=id) for id, s in samples.samples()])
def test_every_operation_has_the_shapes_of_the_cpu(sample):
    arrays = sample.arrays(sample.dtypes[-1])
    try:
        got = both_ways(sample, arrays, on_meta)
    except BackendError as error:
        assert "no numbers" in str(error), error
        assert sample.name in WANT_NUMBERS
        return
    assert got == both_ways(sample, arrays, np.array)


WRONG_NUMBERS = {
    "bernoulli", "binary_cross_entropy", "bincount", "ctc_loss", "embedding", "gather", "gaussian_nll_loss", "getitem",
    "index_add", "index_copy", "index_fill", "linalg.cholesky", "linalg.eig", "linalg.inv", "linalg.solve",
    "linalg.solve_triangular", "linalg.svd", "masked_scatter", "multilabel_margin_loss", "multinomial", "nll_loss",
    "one_hot", "pow", "put", "put_add", "put_along_axis", "scatter", "scatter_add", "scatter_reduce",
    "softmax_cross_entropy", "take", "take_along_axis",
}  # fmt: skip
"""operations some of whose errors say that a number is wrong"""


@pytest.mark.parametrize("case", [pytest.param(e, id=id) for id, e in samples.errors()])
def test_errors_are_those_of_the_cpu(case):
    try:
        case.call([Tensor(on_meta(a)) for a in case.arrays(np.float32)])
    except case.error as error:
        if re.search(case.match, str(error)):
            return
        assert case.name in WRONG_NUMBERS, error
    except BackendError as error:
        assert "no numbers" in str(error) and case.name in WRONG_NUMBERS, error
    else:
        assert case.name in WRONG_NUMBERS


# ---- layers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", layers.NUMBERED)
def test_every_layer_takes_a_step(case):
    _, got = layers.run(case, "meta")
    _, expected = layers.run(case, "cpu")
    assert {name: looks(t) for name, t in got.items()} == {name: looks(t) for name, t in expected.items()}
    assert {t.device for t in got.values()} == {"meta"}


# ---- order in memory -------------------------------------------------------------------------------------------------
def steps(array) -> tuple[int, ...]:
    return tuple(s for s, n in zip(array.strides, array.shape, strict=True) if n > 1)


def shuffled(rng) -> tuple[np.ndarray, MetaArray]:
    """The same array twice: axes in some order, some of them read in steps or backwards."""
    sizes, axes = rng.integers(1, 5, rng.integers(1, 5)), None
    axes = rng.permutation(len(sizes))
    index = tuple(slice(None, None, int(rng.choice([1, 1, 2, -1]))) for _ in sizes)
    real = np.zeros(sizes, dtype=str(rng.choice(["f4", "f8", "i1"])))
    return real.transpose(*axes)[index], on_meta(real).transpose(*axes)[index]


def test_results_lie_in_memory_as_numpys_do():
    rng = np.random.default_rng(0)
    for _ in range(300):
        real, mine = shuffled(rng)
        assert steps(real) == steps(mine)
        other, its = shuffled(rng)
        pairs = [(real + 1, mine + 1), (real.astype("f8"), mine.astype("f8")), (real.copy(), mine.copy())]
        pairs += [
            (np.zeros_like(real), meta.zeros_like(mine)),
            (real.sum(0, keepdims=True), mine.sum(0, keepdims=True)),
        ]
        wider = [n + 1 for n in real.shape]
        pairs.append((np.full_like(real, 1, shape=wider), meta.full_like(mine, 1, shape=wider)))
        if other.shape == real.shape:
            pairs += [(real * other, mine * its), (np.concatenate([real, other]), meta.concatenate([mine, its]))]
        for a, b in pairs:
            assert (a.shape, a.dtype, steps(a)) == (b.shape, b.dtype, steps(b))


def test_a_reshape_copies_where_numpy_copies():
    rng = np.random.default_rng(1)
    copied = 0
    for _ in range(500):
        real, mine = shuffled(rng)
        shape = tuple(int(n) for n in rng.permutation([*real.shape, 1]))
        if rng.choice([0, 1]):
            shape = (real.size // real.shape[0], real.shape[0])
        a, b = real.reshape(shape), mine.reshape(shape)
        is_view = np.may_share_memory(a, real)
        assert (b.base is not None) == is_view and steps(a) == steps(b)
        copied += not is_view
    assert 50 < copied < 450


def test_views_share_memory_and_copies_do_not():
    x = on_meta(np.zeros((4, 6)))
    for y in (x[1:], x[:, ::2], x.T, x.reshape(2, 12), x[None], x[..., 0], meta.broadcast_to(x, (3, 4, 6)), x.real):
        assert y is x or y.base is x
    assert meta.byte_bounds(x[1]) != meta.byte_bounds(x[2]) and meta.byte_bounds(x[1:])[1] == meta.byte_bounds(x)[1]
    assert meta.shares_memory(x[:2], x[1:]) and not meta.shares_memory(x[:2], x[2:])
    for y in (x + 1, x.copy(), x.take(on_meta([0, 2]), axis=0), x.T.reshape(24)):
        assert y.base is None


# ---- what is counted -------------------------------------------------------------------------------------------------
def test_the_ledger_counts_blocks_while_they_live():
    names = [None]
    with Ledger(lambda: names[-1]) as ledger:
        x = tg.zeros(10, 10, device="meta")
        names.append("second")
        y = x + 1
        assert (ledger.live, ledger.peak) == (800, 800)
        row = y[0]
        del y
        assert ledger.live == 800  # a view keeps the whole block
        del row
        assert (ledger.live, ledger.peak, ledger.by_at_peak) == (400, 800, "second")
        z = x.reshape(100)
        z = z[:50]
        assert ledger.live == 400
    assert [(e.bytes, e.by) for e in ledger.at_peak()] == [(400, None), (400, "second")]
    outside = tg.zeros(10, device="meta")
    assert ledger.live == 400 and outside.nbytes == 40
    del x, z
    gc.collect()
    assert ledger.live == 0


# ---- as a device -----------------------------------------------------------------------------------------------------
def test_a_device_for_shapes():
    model = nn.models.LeNet5().to("meta")
    y = model(tg.zeros(1 << 40, 1, 28, 28, device="meta"))
    assert (y.shape, y.device, y.dtype) == ((1 << 40, 10), "meta", tg.float32)
    assert repr(y.detach()) == "tensor(..., shape=(1099511627776, 10), dtype=float32, device='meta')"
    assert tg.rand(3, device="meta").device == "meta" and "meta" not in tg.get_rng_state()
    assert tg.ones(2, device="meta").to("meta").device == "meta" and "meta" not in backends.devices()
    twin = copy.deepcopy(y.detach())
    assert twin.shape == y.shape and twin.device == "meta"
    x = tg.zeros(3, requires_grad=True)
    (x.to("meta") * 2).sum()
    with pytest.raises(BackendError, match="different devices"):
        x + tg.zeros(3, device="meta")


@pytest.mark.parametrize(
    "ask",
    [float, int, bool, lambda t: t.item(), lambda t: t.tolist(), lambda t: t.numpy(), lambda t: t.cpu(),
     lambda t: 1 if t > 0 else 2, pickle.dumps, lambda t: t[t > 0], lambda t: tg.unique(t)],
)  # fmt: skip
def test_numbers_are_an_error_that_names_the_line(ask):
    t = tg.zeros(1, device="meta")
    with pytest.raises(
        BackendError, match=r"no numbers[\s\S]*asked for by .*test_meta.py:\d+[\s\S]*hint: decide by shapes"
    ):
        ask(t)


def test_a_function_without_a_rule_says_so():
    @tg.op
    def strange(be, x):
        return be.percentile(x, 50)

    with pytest.raises(BackendError, match=r"strange: the device 'meta' has no rule for the shape of percentile\(\)"):
        strange(tg.zeros(3, device="meta"))
