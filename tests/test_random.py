"""Random numbers: the right distributions, the same numbers from the same seed, states that can be saved."""

import json
import math
import pickle
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends
from tensorgraph.backends.philox import PhiloxStream, philox
from tests.fence import FenceArray

DRAWS = {
    "rand": lambda g: tg.rand(5, generator=g),
    "randn": lambda g: tg.randn(5, generator=g),
    "uniform": lambda g: tg.uniform(-1.0, 2.0, (5,), generator=g),
    "normal": lambda g: tg.normal(1.0, 2.0, 5, generator=g),
    "exponential": lambda g: tg.exponential(size=5, generator=g),
    "gumbel": lambda g: tg.gumbel(size=5, generator=g),
    "bernoulli": lambda g: tg.bernoulli(0.5, 40, generator=g),
    "randint": lambda g: tg.randint(1000, size=5, generator=g),
    "permutation": lambda g: tg.permutation(20, generator=g),
    "multinomial": lambda g: tg.multinomial([0.2, 0.3, 0.5], 20, True, generator=g),
    "choice": lambda g: tg.choice(100, 5, generator=g),
    "dropout": lambda g: tg.dropout(tg.ones(40), 0.5, generator=g),
    "alpha_dropout": lambda g: tg.alpha_dropout(tg.ones(40), 0.3, generator=g),
}


@pytest.fixture(params=["host", "device"])
def streams(request, monkeypatch):
    """Generators as they are on the CPU, and as they are on a CUDA device (by the definition, in NumPy)."""
    if request.param == "device":
        monkeypatch.setattr(
            type(backends.cpu), "stream", lambda self, seed, device: PhiloxStream(seed, np, partial(philox, np))
        )


each_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def equal(a: tg.Tensor, b: tg.Tensor) -> bool:
    return np.array_equal(a.numpy(), b.numpy())


# ---- reproducible ----------------------------------------------------------------------------------------------------
@each_draw
def test_a_seed_decides_the_numbers(draw, streams):
    assert equal(draw(tg.Generator(3)), draw(tg.Generator(3)))
    assert not equal(draw(tg.Generator(3)), draw(tg.Generator(4)))
    g = tg.Generator(3)
    assert not equal(draw(g), draw(g))


@each_draw
def test_the_default_generator_follows_manual_seed(draw):
    tg.manual_seed(11)
    first, second = draw(None), draw(None)
    tg.manual_seed(11)
    assert equal(draw(None), first) and equal(draw(None), second)
    assert equal(draw(tg.Generator(11)), first)


@each_draw
def test_a_state_can_be_saved_and_restored(draw, streams):
    g = tg.Generator(3)
    draw(g)
    tg.randint(7, size=3, dtype="int32", generator=g)  # leaves half of a 64-bit word over
    state = json.loads(json.dumps(g.get_state()))
    expected = draw(g)
    other = tg.Generator(99)
    other.set_state(state)
    assert equal(draw(other), expected)
    g.set_state(state)
    assert equal(draw(pickle.loads(pickle.dumps(g))), expected)


def test_a_seed_is_kept_and_a_generator_without_one_differs_from_all_others():
    assert tg.Generator(5).initial_seed == 5
    assert tg.Generator().initial_seed != tg.Generator().initial_seed
    assert repr(tg.Generator(5)) == "Generator(seed=5, device='cpu')"
    assert tg.manual_seed(6).initial_seed == 6


def test_a_device_has_a_generator_of_its_own(fence):
    tg.manual_seed(5)
    here = tg.rand(3).numpy()
    there = tg.rand(3, device="fence")
    assert type(there.array) is FenceArray
    np.testing.assert_array_equal(fence.to_host(there.array), here)  # neither advances the other
    dropped = tg.dropout(tg.Tensor(FenceArray(np.ones(8))), 0.5)
    assert type(dropped.array) is FenceArray
    with pytest.raises(tg.BackendError, match="dropout: the generator draws on cpu, the result belongs on fence"):
        tg.dropout(tg.Tensor(FenceArray(np.ones(8))), 0.5, generator=tg.Generator(1))


@pytest.mark.parametrize("seed", [-1, 1.5, "x", None])
def test_no_seed(seed):
    with pytest.raises(tg.ArgumentError, match="a seed is an integer from 0 on"):
        tg.manual_seed(seed)


@pytest.mark.parametrize("state", [None, {}, {"kind": "Philox"}, {"kind": "PCG64", "state": 1}])
def test_no_state(state):
    with pytest.raises(tg.ArgumentError, match="set_state: "):
        tg.Generator(1).set_state(state)


def test_philox_gives_its_known_answers():
    """The zero line of the authors' table; and a counter means the same wherever a draw begins."""
    assert [hex(w) for w in philox(np, 0, 0, 1)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    together = philox(np, 2**63 + 5, 2**32 - 2, 4)
    apart = [philox(np, 2**63 + 5, 2**32 - 2 + i, 1) for i in range(4)]
    np.testing.assert_array_equal(together, np.concatenate(apart))


# ---- distributions ---------------------------------------------------------------------------------------------------
N = 40_000


def moments(x: tg.Tensor) -> tuple[float, float]:
    return float(x.numpy().mean()), float(x.numpy().std())


@pytest.mark.parametrize(
    "draw, mean, deviation",
    [
        (lambda g: tg.rand(N, generator=g), 0.5, 12**-0.5),
        (lambda g: tg.randn(N, generator=g), 0.0, 1.0),
        (lambda g: tg.uniform(-1.0, 3.0, N, generator=g), 1.0, 4 * 12**-0.5),
        (lambda g: tg.normal(2.0, 3.0, N, generator=g), 2.0, 3.0),
        (lambda g: tg.exponential(2.0, N, generator=g), 2.0, 2.0),
        (lambda g: tg.gumbel(1.0, 2.0, N, generator=g), 1 + 2 * 0.5772156649, 2 * math.pi / 6**0.5),
        (lambda g: tg.bernoulli(0.3, N, generator=g), 0.3, 0.21**0.5),
        (lambda g: tg.randint(-2, 3, N, generator=g), 0.0, 2**0.5),
        (lambda g: tg.dropout(tg.ones(N), 0.2, generator=g), 1.0, (0.2 / 0.8) ** 0.5),
        (lambda g: tg.dropout(tg.ones(N), generator=g), 1.0, 1.0),
        (lambda g: tg.alpha_dropout(tg.randn(N, generator=g), 0.3, generator=g), 0.0, 1.0),
    ],
)
def test_mean_and_deviation(draw, mean, deviation, streams):
    found = moments(draw(tg.Generator(0)))
    assert abs(found[0] - mean) < 4 * deviation / N**0.5
    assert abs(found[1] - deviation) < 0.03 * deviation


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_and_ranges(dtype, streams):
    g = tg.Generator(0)
    u = tg.rand(N, dtype=dtype, generator=g)
    assert u.dtype == dtype and float(u.min()) >= 0 and float(u.max()) < 1
    e = tg.exponential(size=N, dtype=dtype, generator=g)
    assert e.dtype == dtype and float(e.min()) > 0
    assert np.isfinite(tg.gumbel(size=N, dtype=dtype, generator=g).numpy()).all()
    assert tg.randn(3, dtype=dtype, generator=g).dtype == dtype
    assert tg.dropout(tg.ones(4, dtype=dtype), 0.5, generator=g).dtype == dtype


def test_parameters_decide_shape_and_dtype():
    loc = tg.tensor(np.zeros((3, 1)), requires_grad=True)
    x = tg.normal(loc, tg.ones(4, dtype="float64"))
    assert x.shape == (3, 4) and x.dtype == "float64"
    np.testing.assert_array_equal(tg.grad(x.sum(), loc).numpy(), np.full((3, 1), 4.0))
    assert tg.normal(0, 1, (2,)).dtype == "float32" and tg.normal().shape == ()
    assert tg.bernoulli(tg.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert tg.bernoulli(0.5, 3).shape == (3,)
    assert tg.randint(5).shape == () and tg.randint(5, (2, 2)).shape == (2, 2)
    assert tg.randint(5, size=2, dtype="float32").dtype == "float32"


def test_permutations_hold_everything_once(streams):
    assert sorted(tg.permutation(9).tolist()) == list(range(9))
    rows = tg.permutation(tg.tensor([[1, 2], [3, 4], [5, 6]]))
    assert sorted(rows.tolist()) == [[1, 2], [3, 4], [5, 6]]
    assert tg.permutation(0).shape == (0,)


def test_multinomial_draws_in_proportion(streams):
    weights = np.array([[0.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 2.0]])
    drawn = tg.multinomial(weights, N, replacement=True, generator=tg.Generator(0)).numpy()
    shares = np.stack([np.bincount(row, minlength=4) for row in drawn]) / N
    np.testing.assert_allclose(shares, weights / 4, atol=0.01)
    assert np.all(shares[weights == 0] == 0)
    first = tg.multinomial(np.tile(weights[:1], (N, 1)), 1, generator=tg.Generator(0)).numpy()
    assert abs((first == 2).mean() - 0.75) < 0.01


def test_multinomial_without_replacement_never_repeats():
    drawn = tg.multinomial(np.tile([0.1, 0.0, 0.5, 0.4], (50, 1)), 3).numpy()
    assert all(sorted(row) == [0, 2, 3] for row in drawn.tolist())


def test_choice_without_replacement_never_repeats(streams):
    assert sorted(tg.choice(6, 6, replace=False).tolist()) == list(range(6))
    assert sorted(tg.choice(tg.tensor([7, 8, 9]), 2, replace=False, p=[0.5, 0.0, 0.5]).tolist()) == [7, 9]
    assert tg.choice(4).shape == ()


# ---- dropout ---------------------------------------------------------------------------------------------------------
def test_dropout_at_the_ends_and_outside_training():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert tg.dropout(x, 0.0) is x
    assert tg.dropout(x, 0.7, training=False) is x
    assert tg.dropout(x, 1.0).tolist() == [0.0, 0.0]
    assert tg.alpha_dropout(x, 1.0).tolist() == [0.0, 0.0]
    assert tg.grad(tg.dropout(x, 1.0).sum(), x).tolist() == [0.0, 0.0]
    assert tg.dropout(tg.ones(0), 0.5).shape == (0,)


@pytest.mark.parametrize("p", [0.5, 0.25])
def test_dropout_keeps_or_drops_each_element_alone(p, streams):
    x = tg.ones(N, requires_grad=True)
    y = tg.dropout(x, p, generator=tg.Generator(2))
    assert set(np.unique(y.detach().numpy())) == {0.0, np.float32(1 / (1 - p))}
    np.testing.assert_array_equal(tg.grad(y.sum(), x).numpy(), y.detach().numpy())
    kept = y.detach().numpy() > 0
    assert abs(np.corrcoef(kept[1:], kept[:-1])[0, 1]) < 0.03  # neighbours do not know of each other


@pytest.mark.parametrize(
    "function, shape, channels",
    [
        (tg.dropout1d, (4, 6, 5), 2), (tg.dropout1d, (6, 5), 1), (tg.dropout2d, (4, 6, 2, 3), 2),
        (tg.dropout2d, (6, 2, 3), 1), (tg.dropout3d, (4, 6, 2, 1, 3), 2), (tg.feature_alpha_dropout, (4, 6, 3), 2),
    ],
)  # fmt: skip
def test_channels_are_dropped_whole(function, shape, channels):
    y = function(tg.ones(shape), 0.5, generator=tg.Generator(3)).numpy()
    flat = y.reshape(*shape[:channels], -1)
    assert np.all(flat == flat[..., :1])
    assert len(np.unique(flat[..., 0])) == 2


def test_draws_do_not_repeat_themselves():
    g = tg.Generator(0)
    drawn = [tg.rand(4, generator=g).tolist() for _ in range(20)]
    assert all(a != b for a, b in pairwise(drawn))
