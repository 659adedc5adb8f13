"""`lr_find`, `overfit`, `StabilityGuard`, `UpdateRatio`: each finds what was planted, and leaves the model alone."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches
from tensorgraph.nn import train

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 2)).astype("float32")
T = (X[:, 0] > 0).astype("int64")


def network(*layers, seed=0):
    tg.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2), *layers)


def states(*parts):
    return repr([part.state_dict() for part in parts]) + repr(tg.get_rng_state())


# ---- the learning rate ---------------------------------------------------------------------------------------------
def test_lr_find_on_a_parabola_finds_where_it_falls_and_explodes():
    """On a^2/2 one step multiplies a by 1 - lr: the loss falls fastest below lr = 1 and explodes above 2."""
    model = nn.Linear(1, 1, bias=False)
    model.weight.data[...] = 100.0
    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    curve = train.lr_find(
        model, lambda y, t: (y * y).mean() / 2, optimizer, [(tg.ones(1, 1), tg.ones(1))], start=1e-4, steps=60
    )
    assert 0.01 < curve.suggestion < 1 and curve.suggestion < curve.lowest
    assert curve.lrs[0] == pytest.approx(1e-4) and curve.lrs[1] / curve.lrs[0] == pytest.approx(1e5 ** (1 / 59))
    assert len(curve.lrs) == len(curve.losses) == len(curve.smooth)


def test_lr_find_leaves_everything_as_it_was():
    model = network(nn.Dropout(0.5))
    body, head = model[0].parameters(), model[2].parameters()
    optimizer = nn.optim.Adam([{"params": body, "lr": 1e-4}, {"params": head, "lr": 1e-3}])
    loader = batches(X, T, batch_size=8, shuffle=True)
    nn.functional.cross_entropy(model(tg.tensor(X)), tg.tensor(T)).backward()
    gradient, before = model[0].weight.grad, states(model, optimizer, loader)
    seen = []

    def loss(output, target):
        seen.append([group["lr"] for group in optimizer.param_groups])
        return nn.functional.cross_entropy(output, target)

    curve = train.lr_find(model, loss, optimizer, loader, steps=20)
    assert states(model, optimizer, loader) == before and model[0].weight.grad is gradient
    assert 10 < len(seen) <= 20 and all(b == pytest.approx(10 * a) for a, b in seen)
    assert curve.suggestion > 1e-6


def test_lr_find_draws_its_curve(tmp_path):
    pytest.importorskip("matplotlib", reason="the curve is drawn with matplotlib")
    model = network()
    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    curve = train.lr_find(model, nn.CrossEntropyLoss(), optimizer, batches(X, T, batch_size=8))
    figure = curve.plot(tmp_path / "lr.png")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and f"suggestion {curve.suggestion:.2g}" in axes.get_legend_handles_labels()[1]
    assert (tmp_path / "lr.png").read_bytes()[:4] == b"\x89PNG"


MODEL = network()
SGD = nn.optim.SGD(MODEL.parameters(), 0.1)
BATCH = [(tg.tensor(X), tg.tensor(T))]


@pytest.mark.parametrize("call, error, match", [
    (lambda: train.lr_find(MODEL, len, SGD, BATCH, start=0), tg.ArgumentError, "start must be a number of more than 0"),
    (lambda: train.lr_find(MODEL, len, SGD, BATCH, start=1, end=0.1), tg.ArgumentError, "end must be .* more than 1"),
    (lambda: train.lr_find(MODEL, len, SGD, BATCH, steps=2), tg.ArgumentError, "steps must be"),
    (lambda: train.lr_find(MODEL, nn.CrossEntropyLoss(), SGD, []), tg.ArgumentError, "has no batches"),
    (lambda: train.lr_find(MODEL, lambda y, t: y.sum() * math.nan, SGD, BATCH), tg.ArgumentError, "at the very start"),
    (lambda: train.lr_find(MODEL, len, nn.optim.LBFGS(MODEL.parameters()), BATCH), tg.DtypeError, "LBFGS"),
    (lambda: train.lr_find(MODEL, lambda y, t: -(y * 0).sum() + 1, SGD, BATCH).suggestion, tg.ArgumentError,
     "did not fall anywhere"),
])  # fmt: skip
def test_lr_find_refuses(call, error, match):
    with pytest.raises(error, match=match):
        call()


# ---- a handful of samples by heart ---------------------------------------------------------------------------------
def test_a_sound_model_passes_and_is_left_alone():
    model = network(nn.Dropout(0.5))
    before = states(model)
    report = train.overfit(model, (X[:8], T[:8]))
    assert report and report.passed and report.losses[-1] <= report.goal == pytest.approx(0.01 * math.log(2))
    assert report.findings == [] and str(report).startswith("overfit passed: loss 0.")
    assert states(model) == before and all(p.grad is None for p in model.parameters())


def test_regression_with_a_goal_and_an_optimiser_of_ones_own():
    t = X.sum(axis=1, keepdims=True)
    report = train.overfit(nn.Linear(2, 1), (X, t), optimizer=lambda p: nn.optim.SGD(p, 0.3), goal=1e-4)
    assert report and report.goal == 1e-4 and report.lr is None


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.second(self.first(x).detach())


class InAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers, self.head = [nn.Linear(2, 4)], nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.layers[0](x))


def dead():
    model = network()
    model[0].bias.data[...] = -100.0
    return model


def frozen():
    return network().requires_grad_(False)


def half_frozen():
    model = network()
    model[0].requires_grad_(False)
    return model


def loud():
    model = network()
    model[2].weight.data[...] *= 300
    return model


def deep():
    return nn.Sequential(*(layer for _ in range(12) for layer in (nn.Linear(2, 2), nn.Sigmoid())), nn.Linear(2, 2))


SAME = np.repeat(X[:1], 4, axis=0)
FLOATS = T.astype("float32")
ONE = FLOATS[:, None]
CE = nn.CrossEntropyLoss()


@pytest.mark.parametrize("model, samples, loss, passes, match", [
    (network(nn.Softmax(1)), (X, T), None, None, "probabilities: CrossEntropyLoss has its own softmax"),
    (network(), (X, T), nn.NLLLoss(), None, "no log-probabilities, which NLLLoss wants"),
    (nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()), (X, ONE), nn.BCEWithLogitsLoss(), None, "its own sigmoid"),
    (dead(), (X, T), None, False, "dead ReLUs, zero for every sample: 32 of 32 in 1"),
    (dead(), (X, T), None, False, "gradient of 0.weight, 0.bias, 2.weight is exactly zero"),
    (frozen(), (X, T), None, False, "all parameters are frozen"),
    (half_frozen(), (X, T), None, None, "2 of 4 parameters are frozen .*: 0.weight, 0.bias"),
    (Detached(), (X, T), None, None, "does not depend on first.weight, first.bias: not used in forward, or cut off"),
    (InAList(), (X, T), None, None, r"not registered, so never trained: layers\[0\]; put them into ModuleList"),
    (network(), (SAME, T[:4] * 0 + np.arange(4) % 2), None, False, "samples 0 and 1 have the same input but other"),
    (network(), (X, np.ones(16, int)), None, True, "all 16 targets are the same"),
    (network(), (X * 1000, T), None, None, "the input is not scaled"),
    (network(), (X * np.nan, T), None, False, "the input is not finite: 32 NaN"),
    (network(), (X, FLOATS + np.inf), None, False, "the target is not finite"),
    (loud(), (X, T), None, None, "the loss begins at .*although guessing among 2 classes costs 0.693"),
    (network(), (X, T), nn.CrossEntropyLoss(label_smoothing=0.1), False, "label_smoothing=0.1 keeps"),
    (nn.Linear(2, 1), (X, FLOATS), None, False, r"output \[16, 1\] and target \[16\] have different shapes"),
    (nn.Sequential(nn.Linear(2, 1), nn.ReLU()), (X, -ONE - 1), None, False, r"goes through 1 \(ReLU\)"),
    (deep(), (X, T), None, False, "gradients vanish"),
    (nn.Sequential(nn.Flatten()), (X, T), CE, False, "the model has no parameters"),
])  # fmt: skip
def test_what_was_planted_is_found(model, samples, loss, passes, match):
    with np.errstate(all="ignore"):
        report = train.overfit(model, samples, loss, steps=60)
    assert [finding for finding in report.findings if re.search(match, finding)], str(report)
    assert passes is None or report.passed == passes
    assert ("passed" if report else "FAILED") in str(report)


def test_learning_rates_that_do_not_work_are_told_from_those_that_do():
    low = train.overfit(network(), (X, T), lr=1e-5, steps=200)
    assert not low and any("learning rate 1e-05 fails, 0.01 reaches" in finding for finding in low.findings), str(low)
    high = train.overfit(network(), (X, X), lr=100.0, steps=100)
    assert not high and high.lr == 100 and any("100 fails, 0.01 reaches" in f for f in high.findings), str(high)
    assert train.overfit(network(), (X, T), steps=200).lr == 0.01


def test_overfit_refuses():
    with pytest.raises(tg.DtypeError, match="model is function"):
        train.overfit(states, (X, T))
    with pytest.raises(tg.DtypeError, match=r"samples is f32\[16,2\]"):
        train.overfit(network(), X)
    with pytest.raises(tg.ArgumentError, match="a rate of its own"):
        train.overfit(network(), (X, T), lr=0.1, optimizer=nn.optim.Adam)


# ---- the guard -----------------------------------------------------------------------------------------------------
class Logarithm(nn.Module):
    def forward(self, x):
        return tg.log(x)


def planted():
    """A network that makes NaN of negative numbers in its middle."""
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), Logarithm(), nn.Linear(4, 2))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_guard_names_parameters_and_the_module():
    model, x = planted(), tg.tensor(X)
    loss = nn.functional.cross_entropy(model(x), tg.tensor(T))
    loss.backward()
    before = states(model)
    guard = train.StabilityGuard(model)
    with pytest.raises(tg.DivergenceError, match="StabilityGuard: the loss is nan") as caught:
        guard.check(loss, batch=(x,))
    text = str(caught.value)
    assert "gradient of 0.weight f32[4,2]: 8 NaN of 8" in text and "first bad output: 1 (Logarithm) f32[16,4]" in text
    assert isinstance(caught.value, FloatingPointError) and states(model) == before
    model[0].weight.data[0, 0] = np.inf
    with pytest.raises(tg.DivergenceError, match=r"0.weight f32\[4,2\]: 1 infinite of 8"):
        guard.check(loss, batch=(x,))
    with pytest.raises(tg.DivergenceError, match=r"input 0 f32\[1,2\]: 2 NaN of 2"):
        guard.check(loss, batch=(tg.tensor([[np.nan, np.nan]]),))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_guard_skips_and_gives_up():
    model = network()
    guard = train.StabilityGuard(model, action="skip", patience=3)
    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    before = model[0].weight.tolist()
    for _ in range(2):
        loss = model(tg.tensor(X)).sum() * math.inf
        loss.backward()
        if guard.check(loss):
            optimizer.step()
    assert guard.skipped == 2 and model[0].weight.tolist() == before and "the loss is" in guard.reports[0]
    model.zero_grad()
    assert guard.check(tg.tensor(1.0)) and guard.in_a_row == 0
    with pytest.raises(tg.DivergenceError, match=r"\(3 bad steps in a row\)"):
        for _ in range(3):
            guard.check(tg.tensor(math.nan))


def test_an_explosion_is_noticed():
    guard = train.StabilityGuard(network(), explosion=100)
    for i in range(10):
        assert guard.check(1.0 + 0.1 * i)
    with pytest.raises(tg.DivergenceError, match=r"the loss exploded: 500, while it was about 1.45"):
        guard.check(500.0)
    assert train.StabilityGuard(network(), explosion=None).check(1e30)


def test_a_trainer_skips_bad_batches_and_stays_finite():
    def run(bad):
        model = network()
        optimizer = nn.optim.Adam(model.parameters(), 0.01)
        good = (tg.tensor(X), tg.tensor(T))
        loader = [good, *[(tg.tensor(X * np.nan), good[1])] * bad, good]
        guard = train.StabilityGuard(model, action="skip")
        ema = train.EMA(nn.ExponentialMovingAverage(model, 0.5))
        made = train.Trainer(model, CE, optimizer, callbacks=[guard, train.ClipGradients(1.0), ema], progress=False)
        return made.fit(loader, 2), model.state_dict(), ema.ema.average

    history, weights, average = run(2)
    clean, other, other_average = run(0)
    assert history["skipped"] == [2, 4] and history["loss"] == clean["loss"]
    for name in weights:
        np.testing.assert_array_equal(weights[name].numpy(), other[name].numpy())
        np.testing.assert_array_equal(average[name].numpy(), other_average[name].numpy())


def test_first_nonfinite_is_the_innermost_module():
    assert train.first_nonfinite(network(), tg.tensor(X)) is None
    inner = nn.Sequential(nn.ModuleList([planted()])[0])
    with np.errstate(all="ignore"):
        assert train.first_nonfinite(inner, tg.tensor(X)).startswith("0.1 (Logarithm) f32[16,4]: ")


def test_update_ratio_of_plain_descent():
    model = nn.Linear(2, 2)
    model.weight.data[...] = np.array([[3.0, 0.0], [0.0, 4.0]])
    model.bias.data[...] = 0
    optimizer = nn.optim.SGD(model.parameters(), 0.1)
    model(tg.tensor([[1.0, 0.0]])).sum().backward()  # the gradient of the weight is [[1, 0], [1, 0]]
    ratios = train.UpdateRatio(model)
    assert math.isnan(ratios.median())
    with ratios:
        optimizer.step()
    assert ratios.last == {"weight": pytest.approx(0.1 * math.sqrt(2) / 5)}  # the bias was zero: no ratio
    assert str(ratios) == "weight  2.8e-02"


def test_update_ratio_in_the_history():
    model = network()
    ratio = train.UpdateRatio(model, every=1)
    made = train.Trainer(model, CE, nn.optim.Adam(model.parameters(), 1e-3), callbacks=[ratio], progress=False)
    (value,) = made.fit(BATCH, 1)["update_ratio"]
    assert 1e-4 < value < 1e-1
