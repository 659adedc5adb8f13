"""L-BFGS: known minima, its line search, its state, and its path against PyTorch's."""

import copy
import math

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn.optim import LBFGS
from tensorgraph.nn.optim.lbfgs import _lowest, _Point, _strong_wolfe

SETTINGS = [
    dict(lr=0.3, max_iter=1),
    dict(lr=0.1, max_iter=3, history_size=2),
    dict(max_iter=2, line_search_fn="strong_wolfe"),
    dict(lr=0.1, max_iter=5, max_eval=4, history_size=3, line_search_fn="strong_wolfe"),
]


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def closure_of(optimizer, loss):
    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def leaf(*values):
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def test_a_curved_valley_is_followed_to_its_end():
    x = leaf(-1.2, 1.0, -0.5, 2.0)
    optimizer = LBFGS([x], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-12)
    first = optimizer.step(closure_of(optimizer, lambda: rosenbrock(x)))
    assert first.item() == pytest.approx(float(rosenbrock(np.array([-1.2, 1.0, -0.5, 2.0]))))
    np.testing.assert_allclose(x.detach().numpy(), 1, atol=1e-6)
    assert optimizer.state[x]["func_evals"] < 120


def test_a_quadratic_of_n_dimensions_takes_about_n_steps(rng):
    a = rng.standard_normal((5, 5))
    h, b = tg.tensor(a @ a.T + np.eye(5)), tg.tensor(rng.standard_normal(5))
    x, y = leaf(0, 0, 0), leaf(0, 0)

    def loss():
        z = tg.concat([x, y])
        return z @ h @ z / 2 - b @ z

    optimizer = LBFGS([x, y], max_iter=15, line_search_fn="strong_wolfe")
    optimizer.step(closure_of(optimizer, loss))
    found = np.concatenate([x.detach().numpy(), y.detach().numpy()])
    np.testing.assert_allclose(found, np.linalg.solve(h.numpy(), b.numpy()), atol=1e-5)


def test_it_stops_where_nothing_is_to_be_gained():
    x = leaf(0.0, 0.0)
    optimizer = LBFGS([x])
    optimizer.step(closure_of(optimizer, lambda: (x * x).sum()))
    assert (optimizer.state[x]["func_evals"], optimizer.state[x]["n_iter"]) == (1, 0)


def test_a_parameter_without_a_gradient_stays_and_the_dtype_is_kept():
    x, unused = tg.tensor([2.0], requires_grad=True), tg.tensor([3.0], requires_grad=True)
    array, optimizer = x.array, LBFGS([x, unused], line_search_fn="strong_wolfe")
    with tg.no_grad():
        optimizer.step(closure_of(optimizer, lambda: ((x - 1) ** 2).sum()))
    assert x.array is array and x.dtype == np.float32 and abs(x.item() - 1) < 1e-3 and unused.item() == 3


@pytest.mark.parametrize("t", [1e-3, 0.1, 1.0, 30.0])
@pytest.mark.parametrize("f, slope", [
    (lambda t: (t - 2) ** 2, lambda t: 2 * (t - 2)),
    (lambda t: math.exp(t) - 3 * t, lambda t: math.exp(t) - 3),
    (lambda t: -math.cos(t / 2 - 1.5), lambda t: math.sin(t / 2 - 1.5) / 2),
    (lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2),
], ids="quadratic exponential cosine more-thuente".split())  # fmt: skip
def test_the_line_search_ends_where_wolfe_asks(f, slope, t):
    tries = []

    def at(t):
        tries.append(t)
        return _Point(t, f(t), slope(t), None)

    start = _Point(0.0, f(0), slope(0), None)
    end = _strong_wolfe(at, t, start, 1.0, 25)
    assert end.loss <= start.loss + 1e-4 * end.t * start.slope and abs(end.slope) <= 0.9 * abs(start.slope)
    assert len(tries) <= 26


def test_a_line_that_falls_for_ever_or_is_not_a_number_ends():
    start = _Point(0.0, 0.0, -1.0, None)
    assert _strong_wolfe(lambda t: _Point(t, -t, -1.0, None), 1.0, start, 1.0, 25).t > 1e6
    nan = float("nan")
    assert _strong_wolfe(lambda t: _Point(t, nan, nan, None), 1.0, start, 1.0, 25) is start


def test_the_cubic_finds_the_minimum_of_a_cubic():
    points = [_Point(t, t**3 - 3 * t, 3 * t * t - 3, None) for t in (0.5, 1.75)]
    assert _lowest(*points, 0.5, 1.75) == pytest.approx(1)
    assert _lowest(*points, 1.25, 1.75) == 1.25


@pytest.mark.parametrize("way", ["file", "copy"])
def test_state_goes_through_everything(way, tmp_path):
    def run(steps, x, optimizer):
        for _ in range(steps):
            optimizer.step(closure_of(optimizer, lambda: rosenbrock(x)))

    x, settings = leaf(-1.2, 1.0, 0.5), dict(max_iter=3, history_size=4, line_search_fn="strong_wolfe")
    optimizer = LBFGS([x], **settings)
    run(3, x, optimizer)
    state, y = optimizer.state_dict(), leaf(*x.tolist())
    if way == "file":
        nn.save(state, tmp_path / "state.npz")
        state = nn.load(tmp_path / "state.npz")
    else:
        state = copy.deepcopy(state)
    other = LBFGS([y])
    other.load_state_dict(state)
    run(3, x, optimizer)
    run(3, y, other)
    assert x.tolist() == y.tolist()


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda x: LBFGS([x]).step(), r"step\(\) needs a closure"),
        (lambda x: LBFGS([{"params": [x]}, {"params": [leaf(1)]}]), "several groups"),
        (lambda x: LBFGS([x], lr=-1), "LBFGS: lr must be a number of at least 0, got -1"),
        (lambda x: LBFGS([x], max_iter=0), "LBFGS: max_iter must be a positive integer, got 0"),
        (lambda x: LBFGS([x], history_size=0), "LBFGS: history_size must be a positive integer, got 0"),
        (lambda x: LBFGS([x], line_search_fn="wolfe"), "line_search_fn must be one of 'strong_wolfe', got 'wolfe'"),
        (
            lambda x: LBFGS([x]).load_state_dict(LBFGS([x]).state_dict() | {"state": {0: {"d": tg.ones(5)}}}),
            r"LBFGS.load_state_dict: f32\[5\] in the state is no vector of all 2 numbers",
        ),
    ],
)
def test_refusals(call, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        call(leaf(1, 2))


# ---- PyTorch -------------------------------------------------------------------------------------------------------
@pytest.mark.peers
@pytest.mark.parametrize("convex, kw", [(False, SETTINGS[0]), (False, SETTINGS[2]), *((True, kw) for kw in SETTINGS)])
def test_trajectory_equals_torch(convex, kw):
    """50 steps; on the way the state comes from PyTorch's. (A long way through a curved valley magnifies rounding.)"""
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    rng = np.random.default_rng(0)
    a, target = rng.standard_normal((40, 4)) * [0.5, 1, 1, 2], rng.standard_normal((40, 3))
    start = [rng.standard_normal((4, 6)), rng.standard_normal((4 if convex else 6, 3)), rng.standard_normal(3)]
    ours = [tg.tensor(s, requires_grad=True) for s in start]
    theirs = [torch.tensor(s, requires_grad=True) for s in start]

    def loss(lib, tensor, w, v, b):
        if convex:
            r = tensor(a) @ v + b - tensor(target)
            return lib.sqrt(1 + r * r).mean() + 0.02 * ((v * v).sum() + (w * w).sum())
        r = lib.tanh(tensor(a) @ w) @ v + b - tensor(target)
        return (r * r).mean()

    p, q = LBFGS(ours, **kw), torch.optim.LBFGS(theirs, **kw)
    for step in range(50):
        losses = [
            optimizer.step(closure_of(optimizer, lambda lib=lib, t=tensor, ps=ps: loss(lib, t, *ps))).item()
            for lib, tensor, optimizer, ps in ((tg, tg.tensor, p, ours), (torch, torch.tensor, q, theirs))
        ]
        np.testing.assert_allclose(*losses, rtol=1e-6, err_msg=f"step {step}")
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(
                x.detach().numpy(), y.detach().numpy(), rtol=1e-6, atol=1e-6, err_msg=f"step {step}"
            )
        if step == 4:
            mine, other = p.state_dict()["state"][0], q.state_dict()["state"][0]
            assert mine.keys() <= other.keys()
            assert [mine[k] for k in ("func_evals", "n_iter")] == [other[k] for k in ("func_evals", "n_iter")]
            p = LBFGS(ours)
            p.load_state_dict(q.state_dict())
