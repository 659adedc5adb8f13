"""Recurrent layers and cells: against their own steps, and against PyTorch."""

import copy

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn

KINDS = [
    ("RNN", {}),
    ("RNN", dict(nonlinearity="relu", num_layers=2, bidirectional=True)),
    ("GRU", {}),
    ("GRU", dict(num_layers=2, bidirectional=True, bias=False)),
    ("GRU", dict(num_layers=3, batch_first=True)),
    ("LSTM", {}),
    ("LSTM", dict(bias=False, batch_first=True)),
    ("LSTM", dict(num_layers=2, bidirectional=True)),
    ("LSTM", dict(num_layers=2, bidirectional=True, proj_size=2)),
]
CELLS = [
    ("RNNCell", {}),
    ("RNNCell", dict(nonlinearity="relu", bias=False)),
    ("LSTMCell", {}),
    ("LSTMCell", dict(bias=False)),
    ("GRUCell", {}),
    ("GRUCell", dict(bias=False)),
]


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


def arrays(value):
    """Everything in nested tuples."""
    return [a for part in value for a in arrays(part)] if isinstance(value, tuple) else [value]


# ---- by themselves -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_a_layer_is_its_cell_step_by_step(name, rng):
    layer, cell = getattr(nn, name)(3, 4).double(), getattr(nn, name + "Cell")(3, 4).double()
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, state = tg.tensor(rng.standard_normal((5, 2, 3))), None
    y, last = layer(x)
    for t in range(5):
        state = cell(x[t], state)
        np.testing.assert_allclose(y[t].detach().numpy(), arrays(state)[0].detach().numpy(), rtol=1e-12)
    for mine, other in zip(arrays(last), arrays(state), strict=True):
        np.testing.assert_allclose(mine[0].detach().numpy(), other.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_a_sequence_in_two_pieces_is_the_whole(name, rng):
    layer = getattr(nn, name)(3, 4, num_layers=2).double()
    x = tg.tensor(rng.standard_normal((7, 2, 3)))
    whole, _ = layer(x)
    first, state = layer(x[:3])
    second, _ = layer(x[3:], state)
    np.testing.assert_allclose(whole.detach().numpy(), tg.concat([first, second]).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name, kw", KINDS)
def test_gradients_of_both_orders(name, kw, rng):
    layer = getattr(nn, name)(2, 3, **kw).double()
    shape = (1, 2, 2) if kw.get("batch_first") else (2, 1, 2)
    x = tg.tensor(rng.standard_normal(shape), requires_grad=True)
    tg.gradcheck(lambda x, *_: arrays(layer(x)), [x, *layer.parameters()], directions=2)
    if "relu" not in kw.values():
        tg.gradgradcheck(lambda x, *_: arrays(layer(x)), [x, *layer.parameters()], directions=1)


def test_dropout_acts_between_layers_while_training_only():
    x = tg.ones(5, 2, 3)
    layer = nn.GRU(3, 50, num_layers=2, dropout=1.0)
    weights = [getattr(layer, f"{part}_l1") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    alone = nn.GRU(50, 50)
    alone.load_state_dict(dict(zip(alone.state_dict(), weights, strict=True)))
    expected = alone(tg.zeros(5, 2, 50))[0].detach().numpy()
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=1e-6)
    once, again = layer.eval()(x)[0], layer(x)[0]
    assert once.tolist() == again.tolist() != expected.tolist()


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_dtype_is_kept(name, dtype):
    layer = getattr(nn, name)(3, 4, bidirectional=True, dtype=dtype)
    results = arrays(layer(tg.ones(2, 1, 3, dtype=dtype)))
    assert {r.dtype for r in results} == {np.dtype(dtype)}
    results[0].sum().backward()
    assert {p.grad.dtype for p in layer.parameters()} == {np.dtype(dtype)}


def test_a_long_sequence_costs_in_proportion():
    """Four times the steps: four times the nodes, and no gradient of a step is as large as the sequence."""
    layer = nn.LSTM(2, 3)

    def nodes(steps):
        seen, pending = set(), [layer(tg.ones(steps, 1, 2))[0].sum().node]
        while pending:
            node = pending.pop()
            if id(node) not in seen:
                seen.add(id(node))
                pending.extend(node.parents)
        return len(seen)

    assert nodes(40) - nodes(20) == nodes(60) - nodes(40)
    y, _ = layer(tg.ones(2000, 1, 2))
    y.sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters())


def test_a_copy_and_the_state_dict_hold_everything(rng):
    layer = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    other, x = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2), tg.tensor(rng.standard_normal((5, 2, 3)))
    other.load_state_dict(layer.state_dict())
    assert layer(x)[0].tolist() == other(x)[0].tolist() == copy.deepcopy(layer)(x)[0].tolist()


def test_weights_start_within_their_bound():
    for p in nn.LSTM(3, 16, proj_size=4).parameters():
        assert 0.15 < np.abs(p.detach().numpy()).max() <= 0.25


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: nn.RNN(0, 2), "RNN: input_size must be a positive integer, got 0"),
        (lambda: nn.GRU(2, 2.5), "GRU: hidden_size must be a positive integer, got 2.5"),
        (lambda: nn.LSTM(2, 2, 0), "LSTM: num_layers must be a positive integer, got 0"),
        (lambda: nn.LSTM(2, 2, dropout=2), "LSTM: dropout must be .*got 2"),
        (lambda: nn.LSTM(2, 2, proj_size=2), "LSTM: proj_size=2 must be smaller than hidden_size=2"),
        (lambda: nn.RNN(2, 2, nonlinearity="gelu"), "RNN: nonlinearity must be one of 'tanh', 'relu', got 'gelu'"),
        (lambda: nn.RNNCell(2, 2, nonlinearity="gelu"), "RNNCell: nonlinearity must be one of"),
        (lambda: nn.LSTMCell(2, -1), "LSTMCell: hidden_size must be a positive integer, got -1"),
    ],
)
def test_constructors_refuse(make, match):
    with pytest.raises(tg.ArgumentError, match=match):
        make()


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: nn.GRU(3, 2)(tg.ones(4, 1, 2)), r"GRU: the input is f32\[4,1,2\], expected \(T, N.* of 3 features"),
        (lambda: nn.GRU(3, 2, batch_first=True)(tg.ones(3)), r"expected \(N, T, features\)"),
        (lambda: nn.GRU(3, 2)(tg.ones(0, 1, 3)), "has no steps"),
        (lambda: nn.GRU(3, 2)(tg.ones(4, 5, 3), tg.ones(1, 4, 2)), r"h_0 is f32\[1,4,2\], expected .*\(1, 5, 2\)"),
        (lambda: nn.LSTM(3, 2)(tg.ones(4, 3), (tg.ones(1, 2), tg.ones(2))), r"c_0 is f32\[2\], expected .*\(1, 2\)"),
        (lambda: nn.LSTM(3, 2)(tg.ones(4, 3), tg.ones(1, 2)), r"expected a pair \(h_0, c_0\)"),
        (lambda: nn.LSTMCell(3, 2)(tg.ones(4, 3), tg.ones(4, 2)), r"LSTMCell: .*expected a pair"),
        (lambda: nn.GRUCell(3, 2)(tg.ones(4, 2)), "GRUCell: the input is .* of 3 features"),
        (lambda: nn.RNNCell(3, 2)(tg.ones(4, 3), tg.ones(4, 3)), r"RNNCell: the state is .*expected .*\(4, 2\)"),
    ],
)
def test_calls_refuse(call, match):
    with pytest.raises(tg.ShapeError, match=match):
        call()


# ---- PyTorch -------------------------------------------------------------------------------------------------------
def pair(torch, name, *args, **kw):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(*args, **kw).double()
    ours = getattr(nn, name)(*args, **kw).double()
    assert repr(ours) == repr(theirs)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(torch, ours, theirs, inputs):
    """Values and gradients of all inputs and parameters; the inputs are nested tuples of arrays."""

    def convert(value, tensor, leaves):
        if isinstance(value, tuple):
            return tuple(convert(v, tensor, leaves) for v in value)
        leaves.append(tensor(value, requires_grad=True))
        return leaves[-1]

    results = []
    for module, tensor in ((ours, tg.tensor), (theirs, torch.tensor)):
        leaves = []
        outputs = arrays(module(*convert(inputs, tensor, leaves)))
        weights = np.random.default_rng(2)
        sum((y * tensor(weights.standard_normal(tuple(y.shape)))).sum() for y in outputs).backward()
        results.append([*outputs, *(x.grad for x in leaves), *(p.grad for p in module.parameters())])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.peers
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("name, kw", KINDS)
def test_layer_equals_torch(name, kw, single, state, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    ours, theirs = pair(torch, name, 3, 4, **kw)
    shape = (6, 3) if single else (2, 6, 3) if kw.get("batch_first") else (6, 2, 3)
    inputs = (rng.standard_normal(shape),)
    if state:
        count = kw.get("num_layers", 1) * (2 if kw.get("bidirectional") else 1)
        sizes = (kw.get("proj_size", 4), 4) if name == "LSTM" else (4,)
        states = tuple(rng.standard_normal((count, n) if single else (count, 2, n)) for n in sizes)
        inputs = (*inputs, states if name == "LSTM" else states[0])
    compare(torch, ours, theirs, inputs)


@pytest.mark.peers
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("name, kw", CELLS)
def test_cell_equals_torch(name, kw, single, rng):
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    ours, theirs = pair(torch, name, 3, 4, **kw)
    x, *states = (rng.standard_normal((n,) if single else (2, n)) for n in (3, 4, 4))
    compare(torch, ours, theirs, (x,))
    ours.zero_grad(), theirs.zero_grad()
    compare(torch, ours, theirs, (x, tuple(states) if name == "LSTMCell" else states[0]))
