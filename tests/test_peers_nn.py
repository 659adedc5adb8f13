"""Layers, losses, initialisation and optimisers against PyTorch: names, repr, values, gradients, trajectories."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import functional as F

torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tg.manual_seed(0)


IMAGE, SEQUENCE, VOLUME = (2, 4, 6, 5), (2, 4, 7), (2, 4, 3, 4, 5)

# name, constructor arguments, keyword arguments, shape of the input
LAYERS = [
    ("Identity", (), {}, IMAGE),
    ("Linear", (4, 3), {}, (2, 5, 4)),
    ("Linear", (4, 3), dict(bias=False), (4,)),
    ("Conv1d", (4, 6, 3), dict(stride=2, padding=1), SEQUENCE),
    ("Conv2d", (4, 6, 3), {}, IMAGE),
    ("Conv2d", (4, 6, (3, 2)), dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False), IMAGE),
    ("Conv2d", (4, 6, 3), dict(padding="same", padding_mode="reflect"), IMAGE),
    ("Conv2d", (4, 6, 3), dict(padding=1, padding_mode="circular"), IMAGE),
    ("Conv2d", (4, 6, 3), dict(padding=(2, 1), padding_mode="replicate"), IMAGE),
    ("Conv3d", (4, 2, 2), {}, VOLUME),
    ("ConvTranspose1d", (4, 2, 3), dict(stride=2), SEQUENCE),
    ("ConvTranspose2d", (4, 6, 3), dict(stride=2, padding=1, output_padding=1, groups=2), IMAGE),
    ("ConvTranspose3d", (4, 2, 2), {}, VOLUME),
    ("Unfold", (2,), dict(stride=2), IMAGE),
    ("Fold", ((4, 6), 2), {}, (2, 8, 15)),
    ("MaxPool1d", (3,), {}, SEQUENCE),
    ("MaxPool2d", (2,), {}, IMAGE),
    ("MaxPool2d", ((3, 2),), dict(stride=2, padding=1, ceil_mode=True), IMAGE),
    ("MaxPool3d", (2,), {}, VOLUME),
    ("AvgPool1d", (3,), dict(padding=1), SEQUENCE),
    ("AvgPool2d", (2,), {}, IMAGE),
    ("AvgPool2d", (3, 2, 1), dict(ceil_mode=True, count_include_pad=False), IMAGE),
    ("AvgPool3d", (2,), {}, VOLUME),
    ("AdaptiveAvgPool1d", (3,), {}, SEQUENCE),
    ("AdaptiveAvgPool2d", ((None, 2),), {}, IMAGE),
    ("AdaptiveAvgPool3d", (1,), {}, VOLUME),
    ("AdaptiveMaxPool1d", (3,), {}, SEQUENCE),
    ("AdaptiveMaxPool2d", (4,), {}, IMAGE),
    ("AdaptiveMaxPool3d", (2,), {}, VOLUME),
    ("LPPool1d", (2, 3), {}, SEQUENCE),
    ("LPPool2d", (2, 2), dict(ceil_mode=True), IMAGE),
    ("MaxUnpool2d", (2,), {}, None),
    ("MaxUnpool1d", (2, 1, 1), {}, None),
    ("BatchNorm1d", (4,), {}, SEQUENCE),
    ("BatchNorm1d", (4,), dict(momentum=None), (3, 4)),
    ("BatchNorm2d", (4,), dict(eps=1e-3, momentum=0.3), IMAGE),
    ("BatchNorm2d", (4,), dict(affine=False, track_running_stats=False), IMAGE),
    ("BatchNorm3d", (4,), {}, VOLUME),
    ("InstanceNorm1d", (4,), {}, SEQUENCE),
    ("InstanceNorm2d", (4,), dict(affine=True, track_running_stats=True), IMAGE),
    ("InstanceNorm3d", (4,), {}, VOLUME),
    ("LayerNorm", (5,), {}, IMAGE),
    ("LayerNorm", ((6, 5),), dict(bias=False), IMAGE),
    ("RMSNorm", (5,), {}, IMAGE),
    ("GroupNorm", (2, 4), {}, IMAGE),
    ("Flatten", (), {}, IMAGE),
    ("Flatten", (2, 3), {}, IMAGE),
    ("Unflatten", (1, (2, 2)), {}, IMAGE),
    ("ReLU", (), {}, IMAGE),
    ("ReLU", (True,), {}, IMAGE),
    *((name, (), {}, IMAGE) for name in """
        ReLU6 SELU SiLU Mish Hardsigmoid Hardswish Sigmoid Tanh LogSigmoid Softsign Tanhshrink ELU CELU GELU LeakyReLU
        Hardtanh Softplus Softshrink Hardshrink Softmax2d PReLU
    """.split()),
    ("GLU", (1,), {}, IMAGE),
    ("GELU", ("tanh",), {}, IMAGE),
    ("ELU", (0.5,), {}, IMAGE),
    ("LeakyReLU", (0.2, True), {}, IMAGE),
    ("PReLU", (4,), {}, IMAGE),
    ("Threshold", (0.1, 2.0), {}, IMAGE),
    ("Softmax", (1,), {}, IMAGE),
    ("LogSoftmax", (1,), {}, IMAGE),
    ("Softmin", (1,), {}, IMAGE),
    ("Dropout", (0.3,), {}, None),
    ("Dropout2d", (), {}, None),
    ("AlphaDropout", (0.1,), {}, None),
    ("Embedding", (5, 3), dict(padding_idx=1), None),
    ("LocalResponseNorm", (3,), {}, IMAGE),
    ("Bilinear", (4, 3, 2), {}, None),
    ("PixelShuffle", (2,), {}, IMAGE),
    ("Upsample", (), dict(scale_factor=2.0, mode="bilinear"), IMAGE),
    ("Upsample", ((3, 4),), {}, IMAGE),
    ("UpsamplingNearest2d", (), dict(scale_factor=2), IMAGE),
    ("UpsamplingBilinear2d", (), dict(size=(9, 4)), IMAGE),
    ("PixelUnshuffle", (1,), {}, IMAGE),
    ("ChannelShuffle", (2,), {}, IMAGE),
    ("ZeroPad2d", (1,), {}, IMAGE),
    ("ConstantPad1d", ((2, 1), 3.5), {}, SEQUENCE),
    ("ReflectionPad2d", ((1, 2, 0, 1),), {}, IMAGE),
    ("ReplicationPad3d", (1,), {}, VOLUME),
    ("CircularPad2d", (1,), {}, IMAGE),
]  # fmt: skip


def pair(name, args, kw):
    """The same layer in both, in float64, with the same parameters."""
    theirs = getattr(torch.nn, name)(*args, **kw).double()
    ours = getattr(nn, name)(*args, **kw).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("name, args, kw, shape", LAYERS, ids=lambda v: str(v) if isinstance(v, str) else "")
def test_layer(name, args, kw, shape):
    ours, theirs = pair(name, args, kw)
    assert repr(ours) == repr(theirs)
    assert {k: tuple(v.shape) for k, v in theirs.state_dict().items()} == {
        k: v.shape for k, v in ours.state_dict().items()
    }
    assert list(ours.state_dict()) == list(theirs.state_dict())
    if shape is None:
        return
    tolerance = 1e-7 if name == "Hardsigmoid" else 1e-9  # theirs multiplies by a float32 sixth, in float64 too
    for training in (True, False):
        ours.train(training), theirs.train(training)
        a = np.random.default_rng(1).standard_normal(shape)
        x, t = tg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
        y, u = ours(x), theirs(t.clone())
        same(y, u, tolerance=tolerance)
        weights = np.random.default_rng(2).standard_normal(y.shape)
        (y * tg.tensor(weights)).sum().backward()
        (u * torch.tensor(weights)).sum().backward()
        same(x.grad, t.grad, tolerance=tolerance)
        for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            same(p.grad, q.grad, key)
        for (key, b), c in zip(ours.named_buffers(), theirs.buffers(), strict=True):
            same(b, c, key)
        ours.zero_grad(), theirs.zero_grad()


def same(ours, theirs, what="", tolerance=1e-9):
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance / 10, err_msg=what
    )


def test_signatures_begin_like_theirs():
    """Every positional argument has PyTorch's name and place; what is missing was deprecated there."""
    gone = {"size_average", "reduce", "max_norm", "scale_grad_by_freq", "sparse", "_weight", "_freeze"}
    gone |= {"min_value", "max_value", "recompute_scale_factor"}
    kept = [
        name
        for name in nn.__all__
        if inspect.isclass(getattr(torch.nn, name, None)) and name not in ("Module", "Sequential")
    ]
    assert len(kept) > 120
    for name in kept:
        want = [p for p in inspect.signature(getattr(torch.nn, name)).parameters if p not in gone]
        if name == "Embedding":
            want.remove("norm_type")
        got = list(inspect.signature(getattr(nn, name)).parameters)
        if "args" not in want and not name.startswith(("ModuleDict", "Parameter")):
            assert got[: len(want)] == want, name


@pytest.mark.parametrize("name", ["Linear", "Conv2d", "ConvTranspose2d", "Embedding", "BatchNorm2d"])
def test_default_initialisation_has_the_same_distribution(name):
    args = {"Linear": (64, 500), "Conv2d": (16, 64, 5), "ConvTranspose2d": (16, 64, 5), "Embedding": (100, 200)}.get(
        name, (50,)
    )
    ours, theirs = getattr(nn, name)(*args), getattr(torch.nn, name)(*args)
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        a, b = p.detach().numpy().ravel(), q.detach().numpy().ravel()
        points = np.quantile(b, np.linspace(0.05, 0.95, 10))
        limit = 2.5 / np.sqrt(a.size)
        shares = [
            (v <= points + 1e-12).mean() if v.size == 1 else np.searchsorted(np.sort(v), points, "right") / v.size
            for v in (a, b)
        ]
        assert np.abs(shares[0] - shares[1]).max() <= limit, key
        assert np.abs(a).max() <= np.abs(b).max() * 1.5


def test_a_whole_network_trains_alike():
    def build(n):
        return n.Sequential(
            n.Conv2d(1, 4, 3, padding=1), n.BatchNorm2d(4), n.ReLU(), n.MaxPool2d(2), n.Flatten(), n.Linear(64, 10)
        )

    theirs = build(torch.nn).double()
    ours = build(nn).double()
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    a = tg.nn.optim.SGD(ours.parameters(), 0.1, momentum=0.9, weight_decay=1e-3)
    b = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.9, weight_decay=1e-3)
    for _ in range(10):
        images, labels = rng.standard_normal((6, 1, 8, 8)), rng.integers(0, 10, 6)
        a.zero_grad(), b.zero_grad()
        x = nn.CrossEntropyLoss()(ours(tg.tensor(images)), tg.tensor(labels))
        y = torch.nn.CrossEntropyLoss()(theirs(torch.tensor(images)), torch.tensor(labels))
        x.backward(), y.backward()
        a.step(), b.step()
        assert x.item() == pytest.approx(y.item(), rel=1e-9)
    for key, value in theirs.state_dict().items():
        same(ours.state_dict()[key], value, key)


# ---- losses --------------------------------------------------------------------------------------------------------
def bits(shape):
    return np.random.default_rng(3).integers(0, 2, shape).astype(float)


def normal(*shape):
    return np.random.default_rng(4).standard_normal(shape)


def chance(*shape):
    return np.random.default_rng(5).uniform(0.05, 0.95, shape)


LABELS = np.array([2, 0, 1, -100, 2])
MANY = np.array([[2, 0, -1], [-1, 0, 0], [0, 1, 2], [1, -1, 2], [2, -1, -1]])
LOG_P = np.log(np.random.default_rng(6).dirichlet(np.ones(3), (7, 5)))

# loss, keyword arguments, inputs that need a gradient, other inputs
LOSSES = [
    ("CrossEntropyLoss", dict(weight=chance(3), label_smoothing=0.1), [normal(5, 3)], [LABELS]),
    ("CrossEntropyLoss", dict(ignore_index=2), [normal(2, 3, 4)], [np.array([[0, 1, 2, 0], [2, 2, 1, 1]])]),
    ("CrossEntropyLoss", {}, [normal(5, 3)], [chance(5, 3)]),
    ("NLLLoss", dict(weight=chance(3)), [normal(5, 3)], [LABELS]),
    ("MSELoss", {}, [normal(5, 3), normal(5, 3) + chance(5, 3)], []),
    ("L1Loss", {}, [normal(5, 3), chance(5, 3)], []),
    ("SmoothL1Loss", dict(beta=0.5), [normal(5, 3), chance(5, 3)], []),
    ("HuberLoss", dict(delta=0.5), [normal(5, 3), chance(5, 3)], []),
    ("BCELoss", dict(weight=chance(3)), [chance(5, 3)], [bits((5, 3))]),
    ("BCEWithLogitsLoss", dict(pos_weight=chance(3)), [normal(5, 3)], [bits((5, 3))]),
    ("KLDivLoss", dict(log_target=True), [normal(5, 3), normal(5, 3) * 2], []),
    ("PoissonNLLLoss", dict(full=True), [normal(5, 3)], [np.arange(15.0).reshape(5, 3)]),
    ("GaussianNLLLoss", dict(full=True), [normal(5, 3), chance(5, 3), chance(5, 3)], []),
    ("HingeEmbeddingLoss", dict(margin=0.7), [normal(5, 3)], [2 * bits((5, 3)) - 1]),
    ("SoftMarginLoss", {}, [normal(5, 3)], [2 * bits((5, 3)) - 1]),
    ("MultiMarginLoss", dict(p=2, margin=0.5, weight=chance(3)), [normal(5, 3)], [np.abs(LABELS) % 3]),
    ("MultiLabelMarginLoss", {}, [normal(5, 3)], [MANY]),
    ("MultiLabelSoftMarginLoss", dict(weight=chance(3)), [normal(5, 3)], [bits((5, 3))]),
    ("CosineEmbeddingLoss", dict(margin=0.1), [normal(5, 3), chance(5, 3)], [2 * bits(5) - 1]),
    ("MarginRankingLoss", dict(margin=0.1), [normal(5), chance(5)], [2 * bits(5) - 1]),
    ("TripletMarginLoss", dict(swap=True), [normal(5, 3), chance(5, 3), normal(5, 3) * 2], []),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, kw, inputs, rest", LOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_loss(name, kw, inputs, rest, reduction):
    results = []
    for lib, tensor, backward in ((nn, tg.tensor, tg.grad), (torch.nn, torch.tensor, torch.autograd.grad)):
        loss = getattr(lib, name)(
            reduction=reduction, **{k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in kw.items()}
        )
        xs = [tensor(x) for x in inputs]
        for x in xs:
            x.requires_grad_()
        y = loss(*xs, *map(tensor, rest))
        results.append((y, *backward(y.sum(), xs), repr(loss)))
    for ours, theirs in zip(*results, strict=True):
        assert ours == theirs if isinstance(ours, str) else same(ours, theirs) is None


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_ctc_loss(reduction):
    targets, inputs, sizes = (
        np.array([[1, 2, 1], [2, 2, 1], [1, 1, 1], [2, 1, 0], [1, 0, 0]]),
        [7, 6, 5, 7, 4],
        [3, 2, 3, 2, 0],
    )
    x, t = tg.tensor(LOG_P, requires_grad=True), torch.tensor(LOG_P, requires_grad=True)
    y = F.ctc_loss(F.log_softmax(x, 2), tg.tensor(targets), inputs, sizes, reduction=reduction)
    u = torch.nn.functional.ctc_loss(
        torch.log_softmax(t, 2), torch.tensor(targets), torch.tensor(inputs), torch.tensor(sizes), reduction=reduction
    )
    same(y, u)
    y.sum().backward(), u.sum().backward()
    same(x.grad, t.grad)


# ---- optimisers ----------------------------------------------------------------------------------------------------
OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", dict(momentum=0.9)),
    ("SGD", dict(momentum=0.9, dampening=0.3, weight_decay=0.01)),
    ("SGD", dict(momentum=0.9, nesterov=True, weight_decay=0.01)),
    ("SGD", dict(momentum=0.5, weight_decay=0.01, maximize=True, lr=1e-3)),
    ("Adagrad", dict(lr_decay=0.1, weight_decay=0.01, initial_accumulator_value=0.1)),
    ("RMSprop", {}),
    ("RMSprop", dict(alpha=0.9, momentum=0.5, centered=True, weight_decay=0.01)),
    ("Adadelta", dict(lr=1.0, weight_decay=0.01)),
    ("Adam", {}),
    ("Adam", dict(betas=(0.8, 0.9), amsgrad=True, weight_decay=0.01)),
    ("Adam", dict(maximize=True, lr=1e-3)),
    ("Adam", dict(decoupled_weight_decay=True, weight_decay=0.1)),
    ("AdamW", dict(weight_decay=0.1)),
    ("AdamW", dict(weight_decay=0.1, amsgrad=True, maximize=True, eps=1e-3, lr=1e-3)),
    ("Adamax", dict(weight_decay=0.01)),
    ("Adamax", dict(maximize=True, betas=(0.7, 0.8), eps=1e-4, lr=1e-3)),
    ("NAdam", dict(weight_decay=0.01, decoupled_weight_decay=True)),
    ("NAdam", dict(weight_decay=0.01, momentum_decay=0.02, betas=(0.8, 0.95), maximize=True, lr=1e-3)),
    ("RAdam", dict(weight_decay=0.01)),
    ("RAdam", dict(weight_decay=0.01, decoupled_weight_decay=True, maximize=True, betas=(0.8, 0.9), lr=1e-3)),
    ("SGD", dict(weight_decay=0.01)),
    ("SGD", dict(maximize=True, lr=1e-3)),
    ("Adagrad", {}),
    ("Adagrad", dict(eps=1e-3, maximize=True, lr=1e-3)),
    ("RMSprop", dict(momentum=0.9)),
    ("RMSprop", dict(centered=True, maximize=True, eps=1e-3, lr=1e-3)),
    ("Adadelta", dict(lr=0.5, rho=0.8, eps=1e-5, maximize=True)),
]


@pytest.mark.parametrize("name, kw", OPTIMIZERS, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_trajectory(name, kw):
    """50 steps on a curved surface; halfway the state goes through the state dicts, in both directions."""
    rng = np.random.default_rng(0)
    a, start = rng.standard_normal((6, 4)) * 0.5, [rng.standard_normal((4, 3)), rng.standard_normal(3)]
    kw = {"lr": 0.05, **kw}
    ours = [tg.tensor(s, requires_grad=True) for s in start]
    theirs = [torch.tensor(s, requires_grad=True) for s in start]

    def groups(parameters):
        return [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5 * kw["lr"]}]

    atol = 1e-6 if name == "NAdam" else 1e-9  # theirs keeps the product of the momenta in float32
    p, q = getattr(nn.optim, name)(groups(ours), **kw), getattr(torch.optim, name)(groups(theirs), **kw)
    for step in range(50):
        for lib, (w, b), optimizer, tensor in ((tg, ours, p, tg.tensor), (torch, theirs, q, torch.tensor)):
            optimizer.zero_grad()
            z = lib.tanh(tensor(a) @ w) + b
            ((z - 1) ** 2).mean().backward()
            optimizer.step()
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(
                x.detach().numpy(), y.detach().numpy(), rtol=1e-6, atol=atol, err_msg=f"step {step}"
            )
        if step == 25:
            states = p.state_dict(), copy.deepcopy(q.state_dict())
            assert states[0]["state"].keys() == states[1]["state"].keys()
            for mine, other in zip(states[0]["state"].values(), states[1]["state"].values(), strict=True):
                assert {k for k, v in mine.items() if v is not None} <= other.keys()
            p = getattr(nn.optim, name)(groups(ours), lr=1.0)
            p.load_state_dict(states[1])


# ---- schedules -----------------------------------------------------------------------------------------------------
SCHEDULES = [
    ("LambdaLR", lambda lib, o: lib.LambdaLR(o, lambda t: 0.9**t)),
    ("LambdaLR", lambda lib, o: lib.LambdaLR(o, [lambda t: t / 7, lambda t: 1.0])),
    ("MultiplicativeLR", lambda lib, o: lib.MultiplicativeLR(o, lambda t: 0.9 + t / 100)),
    ("StepLR", lambda lib, o: lib.StepLR(o, 4, 0.5)),
    ("MultiStepLR", lambda lib, o: lib.MultiStepLR(o, [3, 3, 8], 0.5)),
    ("ConstantLR", lambda lib, o: lib.ConstantLR(o, 0.2, 4)),
    ("LinearLR", lambda lib, o: lib.LinearLR(o, 0.1, 0.8, 6)),
    ("ExponentialLR", lambda lib, o: lib.ExponentialLR(o, 0.9)),
    ("PolynomialLR", lambda lib, o: lib.PolynomialLR(o, 9, 2.0)),
    ("CosineAnnealingLR", lambda lib, o: lib.CosineAnnealingLR(o, 7, 0.01)),
    ("CosineAnnealingWarmRestarts", lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 3, 2, 0.01)),
    ("CosineAnnealingWarmRestarts", lambda lib, o: lib.CosineAnnealingWarmRestarts(o, 4)),
    ("OneCycleLR", lambda lib, o: lib.OneCycleLR(o, [1.0, 2.0], 25)),
    ("OneCycleLR", lambda lib, o: lib.OneCycleLR(
        o, 1.0, epochs=5, steps_per_epoch=5, anneal_strategy="linear", three_phase=True)),
    ("ChainedScheduler", lambda lib, o: lib.ChainedScheduler([lib.LinearLR(o, 0.1), lib.ExponentialLR(o, 0.9)])),
    ("SequentialLR", lambda lib, o: lib.SequentialLR(
        o, [lib.LinearLR(o, 0.1, total_iters=4), lib.CosineAnnealingLR(o, 9), lib.ConstantLR(o, 0.5, 3)], [4, 12])),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name, make", SCHEDULES, ids=lambda v: v if isinstance(v, str) else "")
def test_schedule(name, make):
    paths = []
    for lib, schedules, leaf in (
        (nn.optim, nn.optim.lr_scheduler, lambda: tg.ones(1, requires_grad=True)),
        (torch.optim, torch.optim.lr_scheduler, lambda: torch.ones(1, requires_grad=True)),
    ):
        optimizer = lib.SGD([{"params": [leaf()], "lr": 0.5}, {"params": [leaf()]}], 0.1, momentum=0.9)
        schedule = make(schedules, optimizer)
        path = []
        for _ in range(24):
            path.append([(group["lr"], group["momentum"]) for group in optimizer.param_groups])
            assert schedule.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
            schedule.step()
        paths.append(path)
    np.testing.assert_allclose(*paths, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "kw", [{}, dict(mode="max", factor=0.5, threshold_mode="abs", threshold=0.1, cooldown=1, min_lr=0.04)]
)
def test_plateau(kw):
    metrics = np.random.default_rng(0).standard_normal(40).cumsum() * 0.1
    paths = []
    for lib, leaf in ((nn.optim, tg.ones(1, requires_grad=True)), (torch.optim, torch.ones(1, requires_grad=True))):
        optimizer = lib.SGD([leaf], 0.1)
        schedule = lib.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, **kw)
        paths.append([schedule.step(m) or optimizer.param_groups[0]["lr"] for m in metrics])
    np.testing.assert_allclose(*paths, rtol=1e-12)
    assert paths[0][-1] < 0.1


@pytest.mark.parametrize("order", [2.0, 1.0, float("inf")])
def test_clipping(order):
    rng = np.random.default_rng(0)
    gradients = [rng.standard_normal((3, 2)), rng.standard_normal(4)]
    results = []
    for lib, tensor in ((nn, tg.tensor), (torch.nn.utils, torch.tensor)):
        ps = [tensor(np.zeros(g.shape), requires_grad=True) for g in gradients]
        for p, g in zip(ps, gradients, strict=True):
            p.grad = tensor(g)
        norm = lib.clip_grad_norm_(ps, 0.5, order)
        lib.clip_grad_value_(ps, 0.15)
        results.append((norm, *(p.grad for p in ps)))
    for ours, theirs in zip(*results, strict=True):
        same(ours, theirs)


# ---- hooks ---------------------------------------------------------------------------------------------------------
def watched(lib, layers, tensor):
    """What hooks of all kinds see and do, in a module of two inputs and three results."""
    log = []

    def numbers(gradients):
        return [None if g is None else g.tolist() for g in gradients]

    class Two(layers.Module):
        def forward(self, x, k, y):
            return x * k, y * x, "text"

    def after(module, grad_input, grad_output):
        log.append(("after", numbers(grad_input)[:2], numbers(grad_output)))
        return tuple(None if g is None else g * 2 for g in grad_input)

    module = Two()
    handle = module.register_full_backward_pre_hook(lambda module, g: log.append(("before", numbers(g))))
    module.register_full_backward_pre_hook(lambda module, g: tuple(None if v is None else v + 1 for v in g))
    module.register_full_backward_hook(lambda module, gi, go: log.append("first"), prepend=True)
    module.register_full_backward_hook(after)
    module.register_forward_hook(lambda module, args, output: log.append("second"))
    module.register_forward_hook(lambda module, args, output: log.append("first"), prepend=True)
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    a, b, _ = module(x, 2.0, y)
    (a * b).sum().backward()
    log += [x.grad.tolist(), y.grad.tolist()]
    handle.remove()
    a, b, _ = module(x.detach().requires_grad_(), 2.0, y)
    (a + b).sum().backward()
    log.append(y.grad.tolist())
    inputs_without = layers.Linear(2, 1)
    inputs_without.register_full_backward_hook(lambda module, gi, go: log.append((gi, go[0].tolist())))
    inputs_without(tensor([1.0, 2.0])).sum().backward()
    return log


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_backward_hooks():
    assert watched(tg, nn, tg.tensor) == watched(torch, torch.nn, torch.tensor)


# ---- decoders ------------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kw", [{}, dict(norm_first=True, batch_first=True, activation="gelu", bias=False)])
def test_decoder_layer_and_transformer(kw):
    sizes = dict(d_model=8, nhead=2, dim_feedforward=16, dropout=0.0, **kw)
    rng = np.random.default_rng(0)
    src, tgt = rng.standard_normal((5, 5, 8)), rng.standard_normal((5, 5, 8))
    mask = np.triu(np.ones((5, 5), bool), 1)
    for name, extra, args in (
        ("TransformerDecoderLayer", {}, dict(memory_key_padding_mask=np.eye(5, dtype=bool))),
        ("Transformer", dict(num_encoder_layers=1, num_decoder_layers=2), dict(src_mask=mask)),
    ):
        theirs = getattr(torch.nn, name)(**sizes, **extra).double()
        ours = getattr(nn, name)(**sizes, **extra).double()
        assert list(ours.state_dict()) == list(theirs.state_dict())
        ours.load_state_dict(theirs.state_dict())
        first, second = (tgt, src) if "Layer" in name else (src, tgt)
        results = []
        for lib, module in ((tg, ours), (torch, theirs)):
            settings = {key: lib.tensor(value) for key, value in {"tgt_mask": mask, **args}.items()}
            results.append(module(lib.tensor(first), lib.tensor(second), **settings))
        same(*results)
    np.testing.assert_array_equal(
        nn.Transformer.generate_square_subsequent_mask(3).numpy(),
        torch.nn.Transformer.generate_square_subsequent_mask(3).numpy(),
    )
