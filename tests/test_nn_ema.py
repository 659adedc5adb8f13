"""The running mean of weights: its formula, swapping, and its state."""

import copy

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import ExponentialMovingAverage


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def train(model, ema, rng, steps=5):
    """The weights after every step."""
    path, optimizer = [], nn.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(tg.tensor(rng.standard_normal((6, 3)))) ** 2).sum().backward()
        optimizer.step()
        ema.update()
        path.append(values(model))
    return path


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()


@pytest.mark.parametrize("warmup", [False, True])
def test_it_is_its_formula(warmup, rng):
    model = network()
    expected = values(model)
    ema = ExponentialMovingAverage(model, 0.5, warmup)
    for n, now in enumerate(train(model, ema, rng), 1):
        decay = min(0.5, (1 + n) / (10 + n)) if warmup else 0.5
        expected = {k: decay * v + (1 - decay) * now[k] if v.dtype.kind == "f" else now[k] for k, v in expected.items()}
    assert ema.average["1.num_batches_tracked"].item() == ema.updates == 5
    for name, average in ema.average.items():
        np.testing.assert_allclose(average.numpy(), expected[name], rtol=1e-12)


def test_swapped_gives_the_average_and_takes_it_back(rng):
    model = network()
    ema = ExponentialMovingAverage(model, 0.9)
    train(model, ema, rng)
    own, average = values(model), {k: v.numpy().copy() for k, v in ema.average.items()}
    parameters = list(model.parameters())
    with pytest.raises(ZeroDivisionError), ema.swapped() as inside:
        assert inside is model and [p is q for p, q in zip(parameters, model.parameters(), strict=True)]
        np.testing.assert_equal(values(model), average)
        raise ZeroDivisionError
    np.testing.assert_equal(values(model), own)
    np.testing.assert_equal({k: v.numpy() for k, v in ema.average.items()}, average)
    ema.copy_to_model()
    np.testing.assert_equal(values(model), average)


def test_a_backward_pass_through_swapped_weights_is_refused():
    layer = nn.Linear(2, 2)
    ema, x = ExponentialMovingAverage(layer), tg.ones(1, 2, requires_grad=True)
    y = layer(x)
    with ema.swapped(), pytest.raises(tg.GraphError):
        y.sum().backward()


def test_the_average_follows_the_model_to_another_dtype():
    model = nn.Linear(2, 2)
    ema = ExponentialMovingAverage(model, 0.5)
    model.double()
    ema.update()
    assert {a.dtype for a in ema.average.values()} == {np.dtype("float64")}
    np.testing.assert_allclose(ema.average["weight"].numpy(), model.weight.detach().numpy())


@pytest.mark.parametrize("way", ["file", "copy"])
def test_state_goes_through_everything(way, tmp_path, rng):
    model = network()
    ema = ExponentialMovingAverage(model, 0.7, warmup=True)
    train(model, ema, rng)
    if way == "file":
        nn.save(ema.state_dict(), tmp_path / "ema.npz")
        state = nn.load(tmp_path / "ema.npz")
    else:
        state = copy.deepcopy(ema.state_dict())
    other = ExponentialMovingAverage(copy.deepcopy(model))
    other.load_state_dict(state)
    seed = rng.integers(1000)
    train(model, ema, np.random.default_rng(seed))
    train(other.model, other, np.random.default_rng(seed))
    for name, average in ema.average.items():
        np.testing.assert_array_equal(average.numpy(), other.average[name].numpy())


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda m: ExponentialMovingAverage(m, 1.5), "decay must be .*got 1.5"),
        (lambda m: ExponentialMovingAverage([m]), "model is .*not a module"),
        (lambda m: ExponentialMovingAverage(m).load_state_dict({}), "expected the keys decay"),
        (
            lambda m: ExponentialMovingAverage(m).load_state_dict(
                ExponentialMovingAverage(nn.Linear(3, 2, bias=False)).state_dict()
            ),
            r"nothing was loaded[\s\S]*bias f32\[2\], missing there[\s\S]*weight is f32\[2,2\] here, f32\[2,3\] there",
        ),
    ],
)
def test_refusals(call, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        call(nn.Linear(2, 2))


def test_a_model_that_changed_is_noticed():
    model = nn.Sequential(nn.Linear(2, 2))
    ema = ExponentialMovingAverage(model)
    model.append(nn.Linear(2, 1))
    with pytest.raises(tg.StateDictError, match="other parameters now"):
        ema.update()
