"""Optimisers: their formulae, groups, state, in-place writes, and what they refuse. Trajectories: test_peers_nn.py.

LBFGS, which steps in its own way, is in test_lbfgs.py.
"""

import copy
import pickle

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import optim
from tensorgraph.nn.optim import lr_scheduler
from tests.fence import FenceArray

ALL = [
    getattr(optim, name) for name in optim.__all__ if name not in ("GradScaler", "LBFGS", "Optimizer", "lr_scheduler")
]


def leaf(*values, dtype=np.float64):
    return tg.tensor(np.array(values, dtype), requires_grad=True)


def descend(parameters, optimizer, gradients):
    """The values after each step with the given gradients."""
    path = []
    for gradient in gradients:
        for p, g in zip(parameters, gradient, strict=True):
            p.grad = None if g is None else tg.tensor(np.array(g, p.dtype))
        optimizer.step()
        path.append([p.detach().numpy().copy() for p in parameters])
    return path


# ---- formulae ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("momentum, dampening, decay, nesterov, maximize", [
    (0, 0, 0, False, False), (0.9, 0, 0, False, False), (0.9, 0.5, 0.1, False, False), (0.9, 0, 0.1, True, False),
    (0.9, 0, 0.1, True, True), (0, 0, 0.1, False, True),
])  # fmt: skip
def test_sgd_is_its_formula(rng, momentum, dampening, decay, nesterov, maximize):
    gradients = rng.standard_normal((5, 1, 3))
    p, w, b = leaf(1.0, -2.0, 3.0), np.array([1.0, -2.0, 3.0]), None
    kw = dict(momentum=momentum, dampening=dampening, weight_decay=decay, nesterov=nesterov, maximize=maximize)
    for gradient, (got,) in zip(gradients, descend([p], optim.SGD([p], 0.1, **kw), gradients), strict=True):
        g = (-gradient[0] if maximize else gradient[0]) + decay * w
        if momentum:
            b = g if b is None else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        w = w - 0.1 * g
        np.testing.assert_allclose(got, w, rtol=1e-12)


def test_lion_is_its_formula(rng):
    gradients = rng.standard_normal((5, 1, 3))
    p, w, m = leaf(1.0, -2.0, 3.0), np.array([1.0, -2.0, 3.0]), 0.0
    for g, (got,) in zip(gradients[:, 0], descend([p], optim.Lion([p], 0.1, weight_decay=0.5), gradients), strict=True):
        w = w * (1 - 0.05) - 0.1 * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
        np.testing.assert_allclose(got, w, rtol=1e-12)


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_every_optimiser_finds_the_bottom_of_a_bowl(kind):
    p = leaf(2.0, -3.0)
    optimizer = kind(
        [p], lr={optim.Adadelta: 30.0, optim.SGD: 0.05, optim.Adagrad: 1.0, optim.RAdam: 0.1}.get(kind, 0.03)
    )
    for _ in range(300):
        optimizer.zero_grad()
        (p * p * tg.tensor([1.0, 4.0]).double()).sum().backward()
        optimizer.step()
    assert np.abs(p.detach().numpy()).max() < 0.25


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_arrays_are_written_in_place_and_keep_their_dtype(kind):
    p = leaf(1.0, 2.0, dtype=np.float32)
    array, optimizer = p.array, kind([p], weight_decay=0.1)
    descend([p], optimizer, [[[1.0, -1.0]]] * 2)
    assert p.array is array and p.dtype == np.float32 and p.is_leaf
    for value in optimizer.state[p].values():
        assert not isinstance(value, tg.Tensor) or value.dtype == np.float32


def test_gradients_are_left_alone():
    for kind in ALL:
        p = leaf(1.0, 2.0)
        p.grad = tg.tensor([0.5, -0.5], dtype=tg.float64)
        kind([p], weight_decay=0.1).step()
        assert p.grad.tolist() == [0.5, -0.5], kind


# ---- many at once --------------------------------------------------------------------------------------------------
def many(rng, dtype=np.float64):
    """Parameters that go together and parameters that do not: small, large, empty, without axes, in Fortran order."""
    arrays = [rng.standard_normal(shape) for shape in ((3,), (2, 4), (), (0, 2), (300, 200), (5,), (4, 3, 2))]
    tensors = [tg.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    tensors.append(tg.Tensor(np.asfortranarray(rng.standard_normal((6, 5)).astype(dtype))).requires_grad_())
    return tensors


def settings_of(kind):
    return dict(momentum=0.9, weight_decay=0.01) if kind in (optim.SGD, optim.RMSprop) else dict(weight_decay=0.01)


@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_many_parameters_move_as_each_would_alone(kind):
    """Together, with one that has no gradient now and then, and with one exchanged: bit for bit as one by one."""
    together, alone = many(np.random.default_rng(0)), many(np.random.default_rng(0))
    one, several = kind(together, **settings_of(kind)), [kind([p], **settings_of(kind)) for p in alone]
    rng = np.random.default_rng(1)
    for step in range(6):
        for i, (p, q) in enumerate(zip(together, alone, strict=True)):
            g = rng.standard_normal(p.shape).astype(p.dtype)
            p.grad, q.grad = (None, None) if (step, i) == (2, 1) else (tg.tensor(g), tg.tensor(g))
        if step == 3:
            for p in (together[0], alone[0]):
                p.data = tg.tensor(np.ones(3))
        if step == 4:
            one.load_state_dict(one.state_dict())
        arrays = [p.array for p in together]
        one.step()
        for each in several:
            each.step()
        for p, q, array in zip(together, alone, arrays, strict=True):
            np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
            assert p.array is array
    state = one.state_dict()["state"]
    for i, each in enumerate(several):
        for name, value in each.state_dict()["state"].get(0, {}).items():
            if isinstance(value, tg.Tensor):
                np.testing.assert_array_equal(state[i][name].numpy(), value.numpy())
            else:
                assert state[i][name] == value


def test_parameters_that_share_memory_are_both_moved():
    base = np.zeros(4)
    a, b = tg.Tensor(base[:3]).requires_grad_(), tg.Tensor(base[1:]).requires_grad_()
    optimizer = optim.SGD([a, b], 1.0)
    descend([a, b], optimizer, [[[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]])
    assert base.tolist() == [-1, -2, -2, -1]


def test_what_is_remembered_may_be_exchanged_by_hand():
    a, b = leaf(0.0), leaf(0.0)
    optimizer = optim.SGD([a, b], 1.0, momentum=0.5)
    descend([a, b], optimizer, [[[1.0], [1.0]]])
    optimizer.state[a]["momentum_buffer"] = tg.tensor([10.0], dtype="float64")
    optimizer.state[b]["momentum_buffer"].fill_(20.0)
    descend([a, b], optimizer, [[[1.0], [1.0]]])
    assert (a.item(), b.item()) == (-1 - 6, -1 - 11)


def test_complex_parameters_are_pairs_of_real_ones(rng):
    values, g = rng.standard_normal((2, 3, 2))
    whole = tg.tensor(values.view(complex).ravel(), requires_grad=True)
    pairs = tg.tensor(values, requires_grad=True)
    for p, gradient in ((whole, g.view(complex).ravel()), (pairs, g)):
        p.grad = tg.tensor(gradient)
        optimizer = optim.Adam([p], 0.1)
        optimizer.step()
        optimizer.step()
    np.testing.assert_array_equal(whole.detach().numpy().view(float).reshape(3, 2), pairs.detach().numpy())


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_l1_decay_adds_the_sign(kind, maximize, rng):
    gradients = rng.standard_normal((4, 3))
    p, q = leaf(1.0, -2.0, 0.0), leaf(1.0, -2.0, 0.0)
    with_decay, without = kind([p], maximize=maximize, l1_decay=0.1), kind([q], maximize=maximize)
    for g in gradients:
        signs = 0.1 * np.sign(q.detach().numpy())
        descend([p], with_decay, [[g]])
        descend([q], without, [[g - signs if maximize else g + signs]])
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12, atol=1e-15)


def test_l1_decay_makes_weights_zero_and_the_max_norm_holds():
    """Half of the inputs say nothing: with L1 their weights die out; the constraint is one more line in the loop."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6))
    t = x[:, :3] @ np.array([[3.0], [-2.0], [1.0]])
    layer = nn.Linear(6, 1, bias=False, dtype="float64")
    optimizer = optim.SGD(layer.parameters(), 0.05, l1_decay=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        nn.MSELoss()(layer(tg.tensor(x)), tg.tensor(t)).backward()
        optimizer.step()
        nn.clip_weight_norm_(layer.parameters(), 2.0)
    w = layer.weight.detach().numpy()[0]
    assert np.abs(w[3:]).max() < 0.05 and np.abs(w[:2]).min() > 0.5
    assert np.linalg.norm(w) == pytest.approx(2.0)


# ---- groups --------------------------------------------------------------------------------------------------------
def test_groups_have_settings_of_their_own():
    a, b, c = leaf(1.0), leaf(1.0), leaf(1.0)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 1.0}], lr=0.1)
    optimizer.add_param_group({"params": iter([c]), "weight_decay": 1.0})
    (path,) = descend([a, b, c], optimizer, [[[1.0]] * 3])
    np.testing.assert_allclose(np.concatenate(path), [0.9, 0.0, 0.8])
    optimizer.param_groups[1]["lr"] = 0.5
    descend([a, b, c], optimizer, [[None, [1.0], None]])
    assert (a.item(), b.item()) == (0.9, -0.5)


def test_named_parameters_are_taken_too():
    layer = nn.Linear(2, 2)
    optimizer = optim.SGD(layer.named_parameters())
    assert [p is q for p, q in zip(optimizer.param_groups[0]["params"], layer.parameters(), strict=True)] == [
        True,
        True,
    ]


def test_zero_grad():
    p = leaf(1.0)
    optimizer = optim.SGD([p])
    optimizer.zero_grad()
    p.grad = tg.tensor([1.0])
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0]
    optimizer.zero_grad()
    assert p.grad is None


def test_closure_runs_recorded_and_its_loss_is_returned():
    p = leaf(2.0)
    optimizer = optim.SGD([p], 0.25)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        assert optimizer.step(closure).item() == 4
    assert p.item() == 1


def test_repr():
    text = repr(optim.SGD([leaf(1.0)], 0.1, momentum=0.9))
    lines = ["SGD (", "Parameter Group 0", "    dampening: 0", "    l1_decay: 0", "    lr: 0.1", "    maximize: False"]
    assert text.splitlines()[:7] == [*lines, "    momentum: 0.9"]


# ---- state ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
@pytest.mark.parametrize("way", ["file", "copy", "pickle"])
def test_state_goes_through_everything(kind, way, tmp_path, rng):
    """Five steps and five more equal ten, bit for bit."""
    gradients = rng.standard_normal((10, 2, 3))
    settings = dict(momentum=0.9) if kind in (optim.SGD, optim.RMSprop) else {}
    whole, halves = [leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)], [leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)]
    expected = descend(whole, kind(whole, **settings), gradients)[-1]
    first = kind(halves, **settings)
    descend(halves, first, gradients[:5])
    if way == "file":
        nn.save(first.state_dict(), tmp_path / "a.npz")
        second = kind(halves, lr=123.0)
        second.load_state_dict(nn.load(tmp_path / "a.npz"))
    else:
        second = copy.deepcopy(first) if way == "copy" else pickle.loads(pickle.dumps(first))
        halves = second.param_groups[0]["params"]
    np.testing.assert_array_equal(descend(halves, second, gradients[5:])[-1], expected)


def test_loading_state_is_all_or_nothing():
    p = leaf(1.0, 2.0)
    optimizer = optim.SGD([p], 0.1, momentum=0.9)
    descend([p], optimizer, [[[1.0, 1.0]]])
    before = optimizer.state[p]["momentum_buffer"].array.copy()
    good = optimizer.state_dict()
    bad = {
        "no keys": ({"state": {}}, 'expected keys "state" and "param_groups"'),
        "groups": ({**good, "param_groups": good["param_groups"] * 2}, r"groups of \[1, 1\] parameters .* \[1\]"),
        "shape": ({**good, "state": {0: {"momentum_buffer": tg.ones(3)}}}, r"f32\[3\], the parameter is f64\[2\]"),
        "stranger": ({**good, "state": {7: {}}}, "parameter 7, which no group holds"),
    }
    for state, match in bad.values():
        with pytest.raises(tg.errors.StateDictError, match=match):
            optimizer.load_state_dict(state)
    group = {**good["param_groups"][0], "lr": -1}
    with pytest.raises(tg.ArgumentError, match="lr must be"):
        optimizer.load_state_dict({**good, "param_groups": [group]})
    np.testing.assert_array_equal(optimizer.state[p]["momentum_buffer"].array, before)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_a_step_counts_as_a_write():
    p = leaf(2.0)
    loss = (p * p).sum()
    p.grad = leaf(1.0).detach()
    optim.SGD([p], 0.1).step()
    with pytest.raises(tg.GraphError, match="overwritten"):
        loss.backward()


def test_the_same_optimiser_works_after_the_model_changed_its_dtype():
    layer = nn.Linear(2, 1)
    optimizer = optim.Adam(layer.parameters())
    layer(tg.ones(1, 2)).sum().backward()
    optimizer.step()
    layer.double()
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[layer.weight]["exp_avg"].dtype == np.float64


# ---- what is refused -----------------------------------------------------------------------------------------------
P = leaf(1.0)


def used():
    parameters = nn.Linear(1, 1).parameters()
    list(parameters)
    return parameters


@pytest.mark.parametrize("make, error, match", [
    (lambda: optim.SGD([], 0.1), tg.ArgumentError, r"SGD: the list of parameters is empty[\s\S]*model.parameters\(\)"),
    (lambda: optim.SGD(used(), 0.1), tg.ArgumentError, "an iterator that was already used"),
    (lambda: optim.SGD([P, P], 0.1), tg.ArgumentError, r"parameter 1 f64\[1\] comes twice"),
    (lambda: optim.SGD([{"params": [P]}, {"params": [P]}]), tg.ArgumentError, "comes twice"),
    (lambda: optim.SGD([{"params": [P]}, {"params": []}]), tg.ArgumentError, "parameter group 1 is empty"),
    (lambda: optim.SGD([{"params": [P], "rate": 1}]), tg.ArgumentError, r"unknown setting 'rate'[\s\S]*lr, momentum"),
    (lambda: optim.SGD([{"lr": 1}]), tg.DtypeError, 'a dictionary with a key "params"'),
    (lambda: optim.SGD(P), tg.DtypeError, "params is one Tensor"),
    (lambda: optim.SGD(nn.Linear(1, 1)), tg.DtypeError, r"params is one Linear[\s\S]*model.parameters\(\)"),
    (lambda: optim.SGD({P}), tg.DtypeError, "a set of parameters has no order"),
    (lambda: optim.SGD([1.0]), tg.DtypeError, "parameter 0 is float 1.0"),
    (lambda: optim.SGD([P * 2]), tg.GraphError, "the result of an operation"),
    (lambda: optim.SGD([P], lr=-0.1), tg.ArgumentError, "SGD: lr must be a number of at least 0, got -0.1"),
    (lambda: optim.SGD([P], lr="fast"), tg.ArgumentError, "got 'fast'"),
    (lambda: optim.SGD([P], momentum=-1), tg.ArgumentError, "momentum must be .*got -1"),
    (lambda: optim.SGD([P], weight_decay=-1), tg.ArgumentError, "weight_decay must be .*got -1"),
    (lambda: optim.SGD([P], nesterov=True), tg.ArgumentError, "nesterov needs momentum and no dampening"),
    (lambda: optim.SGD([{"params": [P], "lr": -1}]), tg.ArgumentError, "lr must be"),
    (lambda: optim.Adam([P], betas=(0.9, 1.0)), tg.ArgumentError, r"Adam: betas\[1\] must lie in \[0, 1\), got 1.0"),
    (lambda: optim.Adam([P], betas=0.9), tg.ArgumentError, "betas must be two numbers, got 0.9"),
    (lambda: optim.RMSprop([P], alpha=1), tg.ArgumentError, "alpha must lie"),
    (lambda: optim.Adagrad([P], eps=-1), tg.ArgumentError, "eps must be"),
])  # fmt: skip
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


# ---- another device ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
def test_a_training_step_never_leaves_its_device(kind, fence, rng):
    """A network with batch norm, dropout, a loss with weights and an optimiser, on a device that gives nothing away."""
    images, labels = rng.standard_normal((4, 1, 6, 6)), rng.integers(0, 3, 4)

    def train(make):
        tg.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3)
        )
        loss = nn.CrossEntropyLoss(tg.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)
        for tensor in (*net.double().parameters(), *net.buffers(), *loss.double().buffers()):
            tensor.data = tg.Tensor(make(tensor.array))
        optimizer = kind(net.parameters(), lr=0.1, weight_decay=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            loss(net(tg.Tensor(make(images))), tg.Tensor(make(labels))).backward()
            optimizer.step()
        return net.state_dict()

    expected, got = train(np.array), train(FenceArray)
    for name, value in got.items():
        assert type(value.array) is FenceArray
        np.testing.assert_allclose(
            fence.to_host(value.array), expected[name].numpy(), rtol=1e-6, atol=1e-8, err_msg=name
        )


# ---- schedules and limits ------------------------------------------------------------------------------------------
def sgd(lr=1.0, **kw):
    return optim.SGD([leaf(1.0)], lr, **kw)


def test_a_schedule_resumes_and_respects_a_rate_changed_by_hand():
    optimizer = sgd()
    schedule = lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(3):
        schedule.step()
    optimizer.param_groups[0]["lr"] *= 10
    schedule.step()
    assert schedule.get_last_lr() == [0.25 * 10]
    again = lr_scheduler.StepLR(sgd(), 7, 0.9)
    again.load_state_dict(schedule.state_dict())
    assert (again.last_epoch, again.step_size, again.gamma) == (4, 2, 0.5)
    resumed = sgd()
    resumed.load_state_dict(optimizer.state_dict())
    assert lr_scheduler.StepLR(resumed, 2, 0.5, last_epoch=5).get_last_lr() == [1.25]


def test_states_of_schedules_are_plain_values(tmp_path):
    optimizer = sgd(momentum=0.9)
    for schedule in (
        lr_scheduler.OneCycleLR(optimizer, 1.0, 10),
        lr_scheduler.LambdaLR(optimizer, lambda t: 1.0),
        lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(optimizer, 0.9)]),
        lr_scheduler.ReduceLROnPlateau(optimizer),
    ):
        nn.save({"schedule": schedule.state_dict()}, tmp_path / "a.npz")
        schedule.load_state_dict(nn.load(tmp_path / "a.npz")["schedule"])
        schedule.step(*([1.0] if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else []))


@pytest.mark.parametrize("make, match", [
    (lambda: lr_scheduler.StepLR(P, 3), "is no optimiser"),
    (lambda: lr_scheduler.StepLR(sgd(), 0), "StepLR: step_size must be a positive integer, got 0"),
    (lambda: lr_scheduler.ExponentialLR(sgd(), -1), "gamma must be"),
    (lambda: lr_scheduler.LambdaLR(sgd(), [abs, abs]), "2 functions for 1 parameter groups"),
    (lambda: lr_scheduler.StepLR(sgd(), 3, last_epoch=2), "no 'initial_lr'"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0), "give total_steps"),
    (lambda: lr_scheduler.OneCycleLR(optim.Adagrad([leaf(1.0)]), 1.0, 5), "Adagrad has no momentum to cycle"),
    (lambda: [s.step() for s in [lr_scheduler.OneCycleLR(sgd(), 1.0, 2)] * 3], "step 3 of a schedule of 2 steps"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), factor=1.0), "factor must lie between 0 and 1, got 1.0"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd()).step(), "needs the metric"),
    (lambda: lr_scheduler.ChainedScheduler([]), "no schedules"),
    (lambda: lr_scheduler.SequentialLR(sgd(), [lr_scheduler.ExponentialLR(sgd(), 0.9)], []), "another optimiser"),
    (lambda: nn.clip_grad_norm_([P], -1), "max_norm must be"),
    (lambda: nn.clip_grad_value_([P], "x"), "clip_value must be"),
])  # fmt: skip
def test_bad_schedules_and_limits(make, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        make()


def test_clipping_of_gradients_and_weights():
    p, q, none = leaf(1.0, 1.0), leaf(1.0), leaf(1.0)
    p.grad, q.grad = tg.tensor([3.0, 0.0]).double(), tg.tensor([4.0]).double()
    assert nn.clip_grad_norm_([p, q, none], 1.0).item() == pytest.approx(5)
    np.testing.assert_allclose([*p.grad.tolist(), *q.grad.tolist()], [0.6, 0, 0.8], rtol=1e-6)
    assert nn.clip_grad_norm_(none, 1.0).item() == 0
    nn.clip_grad_value_(q, 0.5)
    assert q.grad.tolist() == [0.5]
    q.grad.fill_(np.inf)
    with pytest.raises(tg.ArgumentError, match="norm of the gradients is inf"):
        nn.clip_grad_norm_([q], 1.0, error_if_nonfinite=True)
    w = tg.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], requires_grad=True)
    nn.clip_weight_norm_([w, q], 1.0)
    np.testing.assert_allclose(w.detach().numpy(), [[0.6, 0.8], [0.3, 0.4], [0, 0]], rtol=1e-6)
    assert q.item() == 1
