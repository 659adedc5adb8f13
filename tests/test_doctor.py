"""`doctor(step)`: every rule fires where its fault is planted, and none speaks about a healthy step."""

import functools
import inspect

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches
from tensorgraph.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def same_numbers():
    tg.manual_seed(0)


class Net(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*(layers or (nn.Linear(4, 8), nn.ReLU())))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x))


def data(n=32):
    return tg.randn(n, 4), tg.randint(0, 3, size=(n,))


def training(
    net=None, x=None, labels=None, *, loss=None, lr=0.01, zero=True, move=True, optimizer=None, tail=lambda out: out
):
    """One step, with a place for every fault."""
    net = net or Net()
    a, b = data()
    x, labels = a if x is None else x, b if labels is None else labels
    optimizer = optimizer or nn.optim.SGD(net.parameters(), lr=lr)
    loss = loss or (lambda out: F.cross_entropy(out, labels))

    def step():
        if zero:
            optimizer.zero_grad()
        value = loss(tail(net(x)))
        value.backward()
        if move:
            optimizer.step()

    return step


def names(step, **how):
    return tg.doctor(step, **how).names


# ---- healthy ---------------------------------------------------------------------------------------------------------
def test_a_healthy_step_is_left_in_peace():
    report = tg.doctor(training())
    assert not report, str(report)
    assert len(report) == 0 and not report.skipped
    assert str(report).startswith("one step: ")


@pytest.mark.parametrize("order", ["zero first", "zero last"])
def test_a_healthy_step_with_everything(order):
    net = Net(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
    optimizer = nn.optim.Adam(net.parameters(), lr=1e-3)
    loader = batches(*(t.numpy() for t in data(64)), batch_size=32, shuffle=True, seed=0)

    def step():
        for x, labels in loader:
            if order == "zero first":
                net.zero_grad()
            F.cross_entropy(net(x), labels).backward()
            optimizer.step()
            if order == "zero last":
                optimizer.zero_grad()
            break

    for _ in range(2):
        report = tg.doctor(step)
        assert not report, str(report)


def test_the_step_runs_once_and_does_what_it_does_alone():
    a, b = Net(), Net()
    b.load_state_dict(a.state_dict())
    x, labels = data()
    tg.doctor(training(a, x, labels))
    training(b, x, labels)()
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
        np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())


# ---- each rule -------------------------------------------------------------------------------------------------------
def column(out):
    return F.mse_loss(out[:, :1], tg.ones(32))


def unregistered():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(4, 4)]
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.layers[0](x))

    return training(Hidden())


def unused():
    net = Net()
    net.spare = nn.Linear(2, 2)
    return training(net)


def partly_held():
    net = Net()
    return training(net, optimizer=nn.optim.SGD(net.head.parameters(), lr=0.01))


def of_another():
    return training(Net(), optimizer=nn.optim.SGD(Net().parameters(), lr=0.01))


def dead():
    net = Net()
    with tg.no_grad():
        net.body[0].bias.fill_(-50.0)
    return training(net)


def saturated():
    net = Net(nn.Linear(4, 8), nn.Sigmoid())
    with tg.no_grad():
        net.body[0].weight *= 1000.0
        net.body[0].bias.fill_(0.0)
    return training(net)


def constant():
    net = Net()
    with tg.no_grad():
        net.body[0].weight.fill_(0.1)
    return training(net)


def evaluation_mode():
    return training(Net(nn.Linear(4, 8), nn.Dropout(0.5)).eval())


def predicting(train):
    net = Net(nn.Linear(4, 8), nn.Dropout(0.5)).train(train)
    x, _ = data()

    def step():
        with tg.no_grad():
            net(x)

    return step


def batch_norm(n):
    net = Net(nn.Linear(4, 8), nn.BatchNorm1d(8))
    return training(net, *data(n), lr=1e-4)


def no_backward():
    net, (x, labels) = Net(), data()
    optimizer = nn.optim.SGD(net.parameters(), lr=0.01)

    def step():
        F.cross_entropy(net(x), labels)
        optimizer.step()

    return step


def several():
    net = Net()
    x, labels = data()
    optimizer = nn.optim.SGD(net.parameters(), lr=0.01)

    def step():
        optimizer.zero_grad()
        for i in range(8):
            F.cross_entropy(net(x[i : i + 1]), labels[i : i + 1]).backward()
        optimizer.step()

    return step


def loader(shuffle):
    net = Net()
    optimizer = nn.optim.SGD(net.parameters(), lr=0.01)
    feed = batches(*(t.numpy() for t in data(64)), batch_size=32, shuffle=shuffle)

    def step():
        x, labels = next(iter(feed))
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()

    return step


def labels(values):
    return tg.tensor(np.array(values, np.int64))


def again(make, **how):
    """The second step is the one that counts: the first left its gradients."""
    step = make(**how)
    step()
    return step


FAULTS = {
    "step-failed": lambda: training(tail=lambda out: out @ tg.ones(5, 5)),
    "no-backward": no_backward,
    "no-step": lambda: training(move=False),
    "missing-zero-grad": lambda: training(zero=False),
    "several-passes": several,
    "loss-broadcast": lambda: training(loss=column),
    "softmax-before-cross-entropy": lambda: training(tail=lambda out: tg.softmax(out, -1)),
    "loss-not-a-mean": lambda: training(loss=lambda out: (out * out).sum(), lr=1e-4),
    "not-finite": lambda: training(loss=lambda out: tg.sqrt(out * 0).mean()),
    "labels-out-of-range": lambda: training(labels=labels([1, 2, 3] * 10 + [0, 0])),
    "labels-off-by-one": lambda: training(labels=labels([1, 2] * 16)),
    "one-hot-labels": lambda: training(labels=tg.one_hot(data()[1], 3, dtype=tg.int64)),
    "unshuffled": lambda: training(labels=labels([0] * 10 + [1] * 10 + [2] * 12)),
    "input-scale": lambda: training(x=tg.randn(32, 4) * 60 + 120, lr=1e-6),
    "float64-input": lambda: training(x=tg.randn(32, 4, dtype=tg.float64)),
    "eval-while-training": evaluation_mode,
    "train-while-evaluating": lambda: predicting(True),
    "batch-of-one": lambda: batch_norm(2),
    "unregistered": unregistered,
    "no-gradient": unused,
    "not-in-optimizer": partly_held,
    "optimizer-of-another-model": of_another,
    "update-size": lambda: training(lr=50.0),
    "gradient-size": lambda: training(loss=lambda out: (out * out).mean() * 1e7, lr=1e-9),
    "equal-weights": constant,
    "dead-relu": dead,
    "saturated": saturated,
}

HEALTHY = {
    "no-backward": lambda: predicting(False),
    "missing-zero-grad": lambda: again(training),
    "loss-broadcast": lambda: training(loss=lambda out: F.mse_loss(out[:, :1], tg.ones(32, 1))),
    "loss-not-a-mean": lambda: training(loss=lambda out: (out * out).mean()),
    "labels-off-by-one": lambda: training(labels=labels([0, 1, 2, 1] * 8)),
    "unshuffled": lambda: loader(True),
    "input-scale": lambda: training(x=tg.rand(32, 4)),
    "eval-while-training": lambda: training(Net().eval()),
    "train-while-evaluating": lambda: predicting(False),
    "batch-of-one": lambda: batch_norm(32),
    "update-size": lambda: training(lr=0.05),
    "several-passes": lambda: training(),
}


def test_every_rule_has_a_fault():
    assert FAULTS.keys() == tg.doctor.rules.keys()
    assert all(about for about in tg.doctor.rules.values())


@pytest.mark.parametrize("name", FAULTS)
def test_rule_fires_and_can_be_silenced(name):
    report = tg.doctor(FAULTS[name]())
    assert name in report.names, str(report)
    found = next(f for f in report.findings if f.rule == name)
    assert found.text and found.hint
    tg.manual_seed(0)
    assert name not in names(FAULTS[name](), silence=[name])


@pytest.mark.parametrize("name", HEALTHY)
def test_rule_stays_silent(name):
    assert name not in names(HEALTHY[name]())


def test_a_loader_that_does_not_shuffle():
    assert "unshuffled" in names(loader(False))


def test_update_too_small():
    report = tg.doctor(training(lr=1e-6))
    assert "which is small" in str(report)


# ---- what the findings say -------------------------------------------------------------------------------------------
def test_findings_name_the_line():
    net, (x, _) = Net(), data()
    optimizer = nn.optim.SGD(net.parameters(), lr=0.01)

    def step():
        optimizer.zero_grad()
        loss = F.mse_loss(net(x)[:, :1], tg.ones(32))
        loss.backward()
        optimizer.step()

    (found,) = tg.doctor(step).findings
    assert found.place.line == inspect.getsourcelines(step)[1] + 2
    assert "prediction f32[32,1] and target f32[32] are broadcast to [32, 32]" in found.text


def test_by_hand_broadcasting_is_seen_too():
    assert "loss-broadcast" in names(training(loss=lambda out: ((out[:, :1] - tg.ones(32)) ** 2).mean()))


def test_a_parameter_without_gradient_names_what_cut_it():
    class Cut(Net):
        def forward(self, x):
            return self.head(self.body(x).detach())

    report = tg.doctor(training(Cut()))
    (first, *_) = [f for f in report.findings if f.rule == "no-gradient"]
    assert "body.0.weight" in first.text and "detached" in first.hint and "test_doctor.py" in first.hint


# ---- finding model, optimiser, loader --------------------------------------------------------------------------------
def test_what_a_step_works_with_is_found_in_many_ways():
    net = Net()
    optimizer = nn.optim.SGD(net.parameters(), lr=0.01)
    x, labels = data()

    def train(model, opt):
        F.cross_entropy(model(x), labels).backward()
        opt.step()

    class Trainer:
        def __init__(self):
            self.net, self.optimizer = net, optimizer

        def step(self):
            train(self.net, self.optimizer)

    for step in (functools.partial(train, net, optimizer), Trainer().step, lambda: train(net, optimizer)):
        net.zero_grad()
        assert names(step) == ["missing-zero-grad"]
    things = [net, optimizer]
    net.zero_grad()
    report = tg.doctor(lambda: train(*things))
    assert "missing-zero-grad" not in report.names
    assert any("pass optimizer=" in reason for reason in report.skipped.values())
    net.zero_grad()
    assert names(lambda: train(*things), model=net, optimizer=[optimizer]) == ["missing-zero-grad"]


def test_wrong_arguments():
    with pytest.raises(tg.DtypeError, match="doctor: expected a function"):
        tg.doctor(3)
    with pytest.raises(tg.ArgumentError, match="there is no rule 'spelling'"):
        tg.doctor(lambda: None, silence=["spelling"])
    with pytest.raises(tg.DtypeError, match="model is int 3"):
        tg.doctor(lambda: None, model=3)
