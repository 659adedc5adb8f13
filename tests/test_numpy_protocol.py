"""NumPy's functions on tensors record and differentiate; what has no counterpart says so. DLPack shares memory."""

import numpy as np
import pytest

import tensorgraph as tg

X = np.array([[0.5, 1.5, 2.5], [3.0, 0.25, 1.0]])


def t():
    return tg.tensor(X, requires_grad=True)


CASES = [
    ("exp", np.exp),
    ("multiply by an array on the left", lambda x: np.array([1.0, 2.0, 3.0]) * x),
    ("add an array on the left", lambda x: np.ones(3) + x),
    ("numpy scalar on the left", lambda x: np.float64(2) * x),
    ("power", lambda x: np.power(x, 3)),
    ("arctan2", lambda x: np.arctan2(x, 2.0)),
    ("mean of squares", lambda x: np.mean((x - 1) ** 2)),
    ("sum with axis and keepdims", lambda x: np.sum(x, axis=1, keepdims=True)),
    ("add.reduce", lambda x: np.add.reduce(x)),
    ("maximum.reduce", lambda x: np.maximum.reduce(x, axis=1)),
    ("max", lambda x: np.max(x, axis=0)),
    ("std", lambda x: np.std(x)),
    ("concatenate", lambda x: np.concatenate([x, 2 * x], axis=1)),
    ("stack", lambda x: np.stack([x, x])),
    ("where", lambda x: np.where(X > 1, x, 0.0)),
    ("reshape", lambda x: np.reshape(x, (3, 2))),
    ("transpose", lambda x: np.transpose(x)),
    ("matmul", lambda x: np.matmul(x, np.ones((3, 2)))),
    ("matmul operator", lambda x: np.ones((4, 2)) @ x),
    ("dot", lambda x: np.dot(x, np.ones(3))),
    ("tensordot", lambda x: np.tensordot(x, np.ones((3, 2)), axes=1)),
    ("einsum", lambda x: np.einsum("ij,kj->ik", x, np.ones((2, 3)))),
    ("clip", lambda x: np.clip(x, 0.4, 2.0)),
    ("cumsum", lambda x: np.cumsum(x, axis=1)),
    ("trapezoid", lambda x: np.trapezoid(x, [0.0, 1.0, 3.0])),
    ("cov", lambda x: np.cov(x)),
    ("prod", lambda x: np.prod(x, axis=1)),
    ("squeeze", lambda x: np.squeeze(x[:1])),
    ("expand_dims", lambda x: np.expand_dims(x, 1)),
    ("broadcast_to", lambda x: np.broadcast_to(x, (2, 2, 3))),
    ("linalg.norm", lambda x: np.linalg.norm(x)),
    ("outer", lambda x: np.outer(x[0], x[1])),
    ("sort", lambda x: np.sort(x, axis=1)),
    ("take", lambda x: np.take(x, [0, 2], axis=1)),
    ("trace", lambda x: np.trace(x)),
    ("diff", lambda x: np.diff(x)),
    ("flip", lambda x: np.flip(x, axis=1)),
    ("roll", lambda x: np.roll(x, 1)),
    ("var", lambda x: np.var(x, axis=0)),
]


@pytest.mark.parametrize(("name", "f"), CASES, ids=[name for name, _ in CASES])
def test_numpy_functions_record_and_differentiate(name, f):
    x = t()
    y = f(x)
    assert isinstance(y, tg.Tensor) and y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), f(X), rtol=1e-12)
    g = tg.grad(y.sum(), x).numpy()
    eps = 1e-6
    for i in np.ndindex(X.shape):
        up, down = X.copy(), X.copy()
        up[i] += eps
        down[i] -= eps
        np.testing.assert_allclose(g[i], (np.sum(f(up)) - np.sum(f(down))) / (2 * eps), rtol=1e-5, atol=1e-7)


def test_what_has_no_counterpart_says_so():
    with pytest.raises(tg.DtypeError, match=r"np\.spacing has no counterpart"):
        np.spacing(t())
    with pytest.raises(tg.DtypeError, match=r"np\.packbits has no counterpart"):
        np.packbits(t())
    with pytest.raises(tg.GraphError, match="out="):
        np.exp(t(), out=np.empty((2, 3)))


def test_asarray_of_a_tensor():
    x = tg.tensor(X)
    assert np.shares_memory(np.asarray(x), x.array)
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    with pytest.raises(tg.GraphError, match="takes part in a graph"):
        np.asarray(t())


def test_comparisons_and_predicates_give_boolean_tensors():
    y = np.isnan(t())
    assert isinstance(y, tg.Tensor) and y.dtype == tg.bool and not y.requires_grad
    np.testing.assert_array_equal((np.ones((2, 3)) < t()).numpy(), X > 1)


def test_dlpack_shares_memory_both_ways():
    x = tg.tensor(X)
    assert np.shares_memory(np.from_dlpack(x), x.array)
    array = X.copy()
    assert np.shares_memory(tg.from_dlpack(array).array, array)
    with pytest.raises(tg.GraphError, match="DLPack"):
        np.from_dlpack(t())
    with pytest.raises(tg.DtypeError, match="does not speak DLPack"):
        tg.from_dlpack([1.0])


@pytest.mark.peers
def test_dlpack_with_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `peers`)")
    there = torch.arange(6.0)
    here = tg.from_dlpack(there)
    here[0] = 42.0
    assert there[0] == 42.0
    back = torch.from_dlpack(here)
    back[1] = 7.0
    assert here[1].item() == 7.0
