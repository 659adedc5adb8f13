"""Tensor as an object: creation, dtypes, representation, conversion, copies, and creation functions."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import tensorgraph as tg
from tests.fence import FenceArray

DTYPES = [tg.float16, tg.float32, tg.float64, tg.int8, tg.int64, tg.uint8, tg.bool, tg.complex64, tg.complex128]


# ---- making one ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "data, dtype",
    [
        (1.5, tg.float32),
        ([1.5, 2], tg.float32),
        ((1, 2), tg.int64),
        ([True, False], tg.bool),
        (1 + 2j, tg.complex64),
        (range(3), tg.int64),
        ([], tg.float32),
        ([[1, 2], [3.5, 4]], tg.float32),
        (np.ones(2), tg.float64),
        (np.float64(2.5), tg.float64),
        (np.ones(2, np.int32), tg.int32),
        (memoryview(b"ab"), tg.uint8),
    ],
)
def test_dtype_of_data(data, dtype):
    assert tg.tensor(data).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_can_be_asked_for(dtype):
    assert tg.tensor([0, 1], dtype=dtype).dtype == dtype
    assert tg.tensor([0, 1], dtype=dtype.name).dtype == dtype
    assert tg.tensor(np.array([0, 1]), dtype=dtype).dtype == dtype
    assert tg.tensor(tg.tensor([0, 1]), dtype=dtype).dtype == dtype


def test_python_types_name_the_default_dtypes():
    assert tg.tensor([1], dtype=float).dtype == tg.float32
    assert tg.tensor([1], dtype=complex).dtype == tg.complex64
    assert tg.tensor([1], dtype=int).dtype == tg.int64
    assert tg.tensor([1], dtype=bool).dtype == tg.bool


def test_lists_may_hold_tensors():
    assert tg.tensor([tg.tensor(1.0), 2.0, tg.tensor([3.0]).sum()]).tolist() == [1.0, 2.0, 3.0]


def sources():
    yield np.ones(3)
    yield tg.ones(3)
    yield np.ones(3).astype(np.float32)
    yield bytearray(b"\1\1\1")


def test_tensor_copies():
    for data in sources():
        t = tg.tensor(data)
        t[0] = 5
        first = data[0]
        assert first == 1, f"{type(data)} was written through"


def test_asarray_shares():
    data = np.ones(3)
    assert tg.asarray(data).array is data
    assert tg.asarray(data, copy=True).array is not data
    t = tg.ones(3, requires_grad=True)
    assert tg.asarray(t) is t
    assert tg.asarray(t * 2, dtype=tg.float64).requires_grad
    with pytest.raises(tg.ArgumentError, match=r"asarray: f32.3. needs a copy to become float64"):
        tg.asarray(t, dtype=tg.float64, copy=False)


@pytest.mark.parametrize(
    "data, error, match",
    [
        ([[1, 2], [3]], tg.ShapeError, "rows of a nested list must have equal lengths"),
        ("text", tg.DtypeError, "tensor: str 'text' holds no numbers"),
        (["a"], tg.DtypeError, "tensor: list of dtype <U1 holds no numbers"),
        (None, tg.DtypeError, "tensor: NoneType None holds no numbers"),
        ({1: 2}, tg.DtypeError, "tensor: dict"),
        (np.array(["a"]), tg.DtypeError, "holds no numbers"),
        (np.array([None]), tg.DtypeError, "holds no numbers"),
    ],
)
def test_what_holds_no_numbers(data, error, match):
    with pytest.raises(error, match=match):
        tg.tensor(data)


def test_unknown_dtypes():
    with pytest.raises(tg.DtypeError, match=r"unknown dtype 'float31'\n.*tensorgraph.float32"):
        tg.tensor(1.0, dtype="float31")
    with pytest.raises(tg.DtypeError, match="dtype <U3 holds no numbers"):
        tg.tensor(1.0, dtype="U3")


def test_a_new_leaf_never_cuts_a_graph_silently():
    y = tg.tensor(1.0, requires_grad=True) * 2
    with pytest.raises(tg.GraphError, match=r"tensor: f32\[\] takes part in a graph(?s:.*)clone"):
        tg.tensor(y)
    with pytest.raises(tg.GraphError, match=r"the list holds f32\[\](?s:.*)stack"):
        tg.tensor([y, y])


# ---- what it says of itself ----------------------------------------------------------------------------------------
def test_attributes():
    t = tg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    assert (t.shape, t.ndim, t.size, t.dtype, t.device) == ((1, 3), 2, 3, tg.float32, "cpu")
    assert (t.nbytes, t.itemsize, len(t)) == (12, 4, 1)
    assert t.is_leaf
    assert t.requires_grad
    assert not (t * 2).is_leaf
    with pytest.raises(tg.ShapeError, match=r"len.. of a tensor without axes"):
        len(tg.tensor(1.0))


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: tg.tensor([1.0, 2.5]), "tensor([1. , 2.5], dtype=float32)"),
        (lambda: tg.tensor(3), "tensor(3, dtype=int64)"),
        (lambda: tg.tensor([1.0], requires_grad=True), "tensor([1.], dtype=float32, requires_grad=True)"),
        (lambda: tg.exp(tg.tensor([0.0], requires_grad=True)), "tensor([1.], dtype=float32, made_by=exp)"),
        (lambda: tg.tensor([[True], [False]]), "tensor([[ True],\n        [False]], dtype=bool)"),
        (lambda: tg.zeros(0), "tensor([], dtype=float32)"),
    ],
)
def test_repr(make, text):
    assert repr(make()) == str(make()) == text


def test_repr_of_large_and_distant_tensors(fence):
    assert "..." in repr(tg.zeros(1000))
    assert repr(tg.Tensor(FenceArray(np.ones(1)))) == "tensor([1.], dtype=float64, device='fence')"


def test_format():
    assert f"{tg.tensor(2.0, requires_grad=True) * 1.5:.2f}" == "3.00"
    assert f"{tg.tensor([7]):03d}" == "007"
    assert f"{tg.tensor([1.0, 2.0])}" == "tensor([1., 2.], dtype=float32)"


# ---- out of it -----------------------------------------------------------------------------------------------------
def test_python_numbers():
    t = tg.tensor(2.5, requires_grad=True)
    assert (float(t), int(t), bool(t), complex(t), t.item()) == (2.5, 2, True, 2.5 + 0j, 2.5)
    assert tg.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert list(range(9))[tg.tensor(3)] == 3
    with pytest.raises(tg.DtypeError, match=r"f32\[\] cannot be an index"):
        [1, 2][tg.tensor(1.0)]
    with pytest.raises(tg.ShapeError, match=r"item: f32\[2\] holds 2 elements, not one"):
        tg.ones(2).item()
    with pytest.raises(tg.ArgumentError, match=r"the truth of bool\[2\](?s:.*)\.any\(\)"):
        bool(tg.ones(2) > 0)


def test_numpy():
    t = tg.tensor([1.0, 2.0])
    assert t.numpy() is t.array
    with pytest.raises(tg.GraphError, match=r"numpy: f32\[2\] takes part in a graph(?s:.*)detach\(\)\.numpy"):
        (t * tg.tensor([1.0, 1.0], requires_grad=True)).numpy()


def test_iteration_and_membership():
    t = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    rows = list(t)
    assert [row.tolist() for row in rows] == [[1.0, 2.0], [3.0, 4.0]]
    (rows[0] * rows[1]).sum().backward()
    assert t.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert 3.0 in t
    assert 7.0 not in t
    with pytest.raises(TypeError, match="a tensor without axes"):
        iter(tg.tensor(1.0))


def test_tensors_are_keys_by_identity():
    a, b = tg.tensor(1.0), tg.tensor(1.0)
    table = {a: "a", b: "b"}
    assert table[a] == "a"
    assert len({a, b, a}) == 2


# ---- copies --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))])
@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_of_leaves(duplicate, dtype):
    t = tg.tensor([0, 1], dtype=dtype, requires_grad=dtype.kind in "fc")
    twin = duplicate(t)
    assert twin is not t
    assert not np.shares_memory(twin.array, t.array)
    assert (twin.dtype, twin.requires_grad, twin.is_leaf) == (dtype, t.requires_grad, True)
    np.testing.assert_array_equal(twin.array, t.array)
    if twin.requires_grad:
        tg.abs(twin * 2).sum().backward()
        assert t.grad is None
        assert twin.grad is not None


def test_deepcopy_keeps_gradients_and_identities():
    t = tg.tensor([1.0], requires_grad=True)
    (t * 3).sum().backward()
    one, two = copy.deepcopy([t, t])
    assert one is two
    assert one.grad.tolist() == [3.0]
    assert one.grad is not t.grad


def test_results_are_not_copied_with_their_graph():
    y = tg.tensor(1.0, requires_grad=True) * 2
    with pytest.raises(tg.GraphError, match=r"deepcopy: f32\[\] was made by multiply(?s:.*)detach"):
        copy.deepcopy(y)
    with pytest.raises(tg.GraphError, match=r"pickle: .* was made by multiply"):
        pickle.dumps(y)
    assert pickle.loads(pickle.dumps(y.detach())).item() == 2.0


def test_detach_shares_and_clone_does_not():
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    assert t.detach().array is t.array
    assert not t.detach().requires_grad
    clone = t.clone()
    assert not np.shares_memory(clone.array, t.array)
    clone.sum().backward()
    assert t.grad.tolist() == [1.0, 1.0]


def test_requires_grad_can_be_switched():
    t = tg.tensor([1.0])
    assert t.requires_grad_() is t
    assert t.requires_grad
    t.requires_grad = False
    assert not t.requires_grad
    y = t.requires_grad_() * 2
    with pytest.raises(tg.GraphError, match=r"was made by multiply, which needs its gradient(?s:.*)detach"):
        y.requires_grad = False


def test_data_gives_leaves_new_values():
    t = tg.tensor([1.0, 2.0], requires_grad=True)
    t.data = tg.tensor([5.0])
    assert t.tolist() == [5.0]
    (t * t).sum().backward()
    assert t.grad.tolist() == [10.0]
    with pytest.raises(tg.GraphError, match="only leaves can be given new values"):
        (t * 2).data = tg.tensor([1.0])


# ---- filled, ranges ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "made, expected",
    [
        (lambda: tg.zeros(2, 3), np.zeros((2, 3), np.float32)),
        (lambda: tg.zeros((2, 3), dtype=tg.int32), np.zeros((2, 3), np.int32)),
        (lambda: tg.zeros(()), np.zeros((), np.float32)),
        (lambda: tg.ones([2]), np.ones(2, np.float32)),
        (lambda: tg.full((2,), 7), np.full(2, 7)),
        (lambda: tg.full(2, 1.5), np.full(2, 1.5, np.float32)),
        (lambda: tg.full((2,), True), np.full(2, True)),
        (lambda: tg.arange(3), np.arange(3)),
        (lambda: tg.arange(1, 7, 2), np.arange(1, 7, 2)),
        (lambda: tg.arange(0.0, 1.0, 0.25), np.arange(0, 1, 0.25, np.float32)),
        (lambda: tg.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32)),
        (lambda: tg.logspace(0, 2, 3), np.array([1, 10, 100], np.float32)),
        (lambda: tg.logspace(-1, 3, 4, base=2, endpoint=False, dtype=tg.float64), np.array([0.5, 1, 2, 4])),
        (lambda: tg.linspace(0, 1, 5, endpoint=False, dtype=tg.float64), np.linspace(0, 1, 5, endpoint=False)),
        (lambda: tg.eye(2, 3, k=1), np.eye(2, 3, 1, np.float32)),
        (lambda: tg.zeros_like(tg.ones(2, dtype=tg.float64)), np.zeros(2)),
        (lambda: tg.ones_like(np.zeros(2, np.float16)), np.ones(2, np.float16)),
        (lambda: tg.full_like(tg.zeros(2), 3.0), np.full(2, 3.0, np.float32)),
        (lambda: tg.zeros_like(tg.ones(2), dtype=tg.int8), np.zeros(2, np.int8)),
    ],
)
def test_creation(made, expected):
    t = made()
    assert t.dtype == expected.dtype
    assert not t.requires_grad
    np.testing.assert_array_equal(t.numpy(), expected)


def test_creation_without_values():
    assert tg.empty(2, 3).shape == (2, 3)
    assert tg.empty_like(tg.zeros(2, dtype=tg.int32)).dtype == tg.int32
    assert tg.zeros(2, requires_grad=True).is_leaf
    with pytest.raises(tg.ShapeError, match="negative size"):
        tg.zeros(-1)
    with pytest.raises(tg.GraphError, match="not of a floating dtype"):
        tg.zeros(2, dtype=tg.int32, requires_grad=True)


def test_the_default_device(fence):
    tg.set_default_device("fence")
    try:
        assert tg.get_default_device() == "fence"
        assert tg.zeros(2).device == tg.tensor([1.0]).device == "fence"
        assert tg.tensor([1.0], device="cpu").device == "cpu"
    finally:
        tg.set_default_device("cpu")
    assert tg.zeros(2).device == "cpu"
    with pytest.raises(tg.BackendError, match="unknown device"):
        tg.set_default_device("tpu")
    assert tg.get_default_device() == "cpu"


@pytest.mark.parametrize(
    "make",
    [
        lambda **kw: tg.zeros(3, **kw),
        lambda **kw: tg.ones((3,), **kw),
        lambda **kw: tg.full((3,), 2.0, **kw),
        lambda **kw: tg.arange(3.0, **kw),
        lambda **kw: tg.linspace(0, 1, 3, **kw),
        lambda **kw: tg.logspace(0, 1, 3, **kw),
        lambda **kw: tg.eye(3, **kw),
        lambda **kw: tg.rand(3, **kw),
        lambda **kw: tg.randn(3, **kw),
    ],
)
def test_new_tensors_ask_for_a_gradient_when_told_to(make):
    x = make(requires_grad=True)
    assert x.is_leaf and x.requires_grad and not make().requires_grad
    (2 * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(x.shape, 2))


def test_a_range_of_integers_has_no_gradient():
    with pytest.raises(tg.GraphError, match=r"i64\[3\] is not of a floating dtype"):
        tg.arange(3, requires_grad=True)
