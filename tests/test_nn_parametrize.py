"""Weight norm and spectral norm: computed weights on ordinary layers."""

import copy
import pickle

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import parametrize


def test_weight_norm_starts_where_the_layer_was_and_learns_length_and_direction():
    layer = nn.Linear(3, 4)
    before = layer.weight.detach().clone().numpy()
    assert parametrize.weight_norm(layer) is layer
    assert [n for n, _ in layer.named_parameters()] == ["bias", "weight_g", "weight_v"]
    assert layer.weight_g.shape == (4, 1)
    np.testing.assert_allclose(layer.weight.detach().numpy(), before, rtol=1e-6)
    layer(tg.ones(2, 3)).sum().backward()
    assert layer.weight_g.grad is not None and layer.weight_v.grad is not None
    with tg.no_grad():
        layer.weight_g *= 2  # the weight is never stale
    np.testing.assert_allclose(layer.weight.detach().numpy(), 2 * before, rtol=1e-6)


def test_computed_weights_are_copied_saved_and_removed():
    layer = parametrize.weight_norm(nn.Conv2d(2, 3, 2), dim=None)
    assert layer.weight_g.shape == ()
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(again.weight.detach().numpy(), layer.weight.detach().numpy())
        assert again.weight_v is not layer.weight_v
    other = parametrize.weight_norm(nn.Conv2d(2, 3, 2), dim=None)
    other.load_state_dict(layer.state_dict())
    expected = layer.weight.detach().numpy()
    assert type(parametrize.remove(other).weight) is nn.Parameter
    np.testing.assert_array_equal(other.weight.detach().numpy(), expected)
    assert [n for n, _ in other.named_parameters()] == ["bias", "weight"] and list(other.state_dict()) == [
        "bias",
        "weight",
    ]


def test_spectral_norm_has_largest_singular_value_one():
    for layer, rows in ((nn.Linear(6, 4), 4), (nn.ConvTranspose2d(3, 5, 2), 5)):
        before = layer.weight
        parametrize.spectral_norm(layer, n_power_iterations=3)
        assert layer.weight_orig is before
        assert sorted(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
        w = np.moveaxis(layer.weight.detach().numpy(), 0 if rows == 4 else 1, 0).reshape(rows, -1)
        assert np.linalg.norm(w, 2) == pytest.approx(1, rel=2e-2)


def test_spectral_norm_iterates_while_training_only_and_has_a_gradient():
    layer = parametrize.spectral_norm(nn.Linear(6, 4))
    u = layer.weight_u.array.copy()
    layer.eval()
    y = layer(tg.ones(1, 6))
    np.testing.assert_array_equal(layer.weight_u.array, u)
    layer.train()
    y = layer(tg.ones(1, 6)) + layer(tg.ones(1, 6))
    assert (layer.weight_u.array != u).any()
    y.sum().backward()  # the vectors that the first call used were not overwritten by the second
    assert np.abs(layer.weight_orig.grad.numpy()).max() > 0
    parametrize.remove(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]


@pytest.mark.parametrize("call, match", [
    (lambda: parametrize.weight_norm(nn.Linear(2, 2), "w"), r"Linear has no parameter 'w'[\s\S]*weight, bias"),
    (lambda: parametrize.remove(nn.Linear(2, 2)), "Linear has no computed 'weight'"),
    (lambda: setattr(parametrize.weight_norm(nn.Linear(2, 2)), "weight", nn.Parameter(tg.ones(2, 2))), "computed"),
    (lambda: parametrize.spectral_norm(nn.Linear(2, 2), n_power_iterations=0), "n_power_iterations must be"),
])  # fmt: skip
def test_bad_calls(call, match):
    with pytest.raises(tg.ArgumentError, match=match):
        call()


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_they_agree_with_pytorch():
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    x = np.random.default_rng(0).standard_normal((2, 6))
    for ours, theirs in (
        (parametrize.weight_norm, torch.nn.utils.weight_norm),
        (parametrize.spectral_norm, torch.nn.utils.spectral_norm),
    ):
        a, b = ours(nn.Linear(6, 4).double()), theirs(torch.nn.Linear(6, 4).double())
        a.load_state_dict(b.state_dict())
        y, z = a(tg.tensor(x)), b(torch.tensor(x))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9)
        (y * y).sum().backward(), (z * z).sum().backward()
        for name, p in a.named_parameters():
            np.testing.assert_allclose(p.grad.numpy(), b.get_parameter(name).grad.numpy(), rtol=1e-7, atol=1e-10)
