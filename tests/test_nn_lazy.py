"""Layers that learn their sizes at the first call."""

import copy

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn

# name, arguments of the lazy layer, shape of the input
LAYERS = [
    ("Linear", (3,), {}, (2, 5, 4)),
    ("Linear", (3,), dict(bias=False), (4,)),
    ("Conv1d", (4, 3), dict(stride=2), (2, 4, 7)),
    ("Conv2d", (4, 3), dict(groups=2, padding="same"), (2, 4, 6, 5)),
    ("Conv2d", (4, 3), dict(bias=False), (4, 6, 5)),
    ("Conv3d", (2, 2), {}, (1, 4, 3, 4, 5)),
    ("ConvTranspose1d", (2, 3), {}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 3), dict(stride=2, output_padding=1, groups=2), (2, 4, 3, 3)),
    ("ConvTranspose3d", (2, 2), {}, (1, 4, 2, 2, 2)),
    ("BatchNorm1d", (), {}, (3, 4)),
    ("BatchNorm2d", (), dict(eps=1e-3, momentum=None), (2, 4, 3, 3)),
    ("BatchNorm2d", (), dict(bias=False), (2, 4, 3, 3)),
    ("BatchNorm2d", (), dict(affine=False, track_running_stats=False), (2, 4, 3, 3)),
    ("BatchNorm3d", (), {}, (1, 4, 2, 2, 2)),
]
IDS = [name for name, *_ in LAYERS]


def make(name, args, kw):
    """The lazy layer, and the ordinary one for four features or channels."""
    return getattr(nn, "Lazy" + name)(*args, **kw), lambda: getattr(nn, name)(4, *args, **kw)


@pytest.mark.parametrize("name, args, kw, shape", LAYERS, ids=IDS)
def test_after_the_first_call_it_is_the_ordinary_layer_from_the_same_seed(name, args, kw, shape, rng):
    x = tg.tensor(rng.standard_normal(shape), dtype=tg.float32)
    lazy, ordinary = make(name, args, kw)
    tg.manual_seed(5)
    y = lazy(x)
    tg.manual_seed(5)
    same = ordinary()
    assert type(lazy) is type(same) and repr(lazy) == repr(same)
    np.testing.assert_array_equal(y.detach().numpy(), same(x).detach().numpy())
    assert {k: v.tolist() for k, v in lazy.state_dict().items()} == {
        k: v.tolist() for k, v in same.state_dict().items()
    }
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in lazy.parameters())


@pytest.mark.parametrize("name, args, kw, shape", LAYERS, ids=IDS)
def test_loading_starts_it(name, args, kw, shape, rng):
    lazy, ordinary = make(name, args, kw)
    saved = ordinary()
    model = nn.Sequential(lazy)
    model.load_state_dict(nn.Sequential(saved).state_dict())
    assert not saved.state_dict() or repr(model[0]) == repr(saved)
    x = tg.tensor(rng.standard_normal(shape), dtype=tg.float32)
    np.testing.assert_array_equal(model(x).detach().numpy(), saved(x).detach().numpy())


def test_parameters_are_not_there_before():
    model = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(4))
    for ask in (
        lambda: list(model.parameters()),
        lambda: nn.optim.SGD(model.parameters()),
        model.state_dict,
        model.zero_grad,
    ):
        with pytest.raises(tg.ArgumentError, match=r"LazyLinear: there are no parameters before the first call"):
            ask()
    assert repr(model[1]) == "LazyLinear(in_features=0, out_features=4, bias=True)"
    assert model(tg.ones(5, 2)).shape == (5, 4)
    assert [p.shape for p in model.parameters()] == [(3, 2), (3,), (4, 3), (4,)]


def test_moving_modes_hooks_and_copies_come_before_as_well():
    model = nn.Sequential(nn.LazyConv2d(3, 2), nn.LazyBatchNorm2d()).double().to("cpu").eval()
    calls = []
    model[1].register_forward_hook(lambda module, args, output: calls.append(type(module)))
    other, x = copy.deepcopy(model), tg.ones(2, 5, 4, 4, dtype=tg.float64)
    model(x)
    assert calls == [nn.BatchNorm2d] and not model[1].training
    assert {p.dtype for p in [*model.parameters(), model[1].running_mean]} == {np.dtype("float64")}
    assert type(other[0]) is nn.LazyConv2d and other(x).dtype == np.float64


def test_the_state_dict_of_a_whole_network_loads():
    def build(lazy):
        if lazy:
            return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))

    lazy, saved = build(True), build(False)
    lazy.load_state_dict(saved.state_dict())
    x = tg.ones(3, 1, 4, 4)
    assert lazy(x).tolist() == saved(x).tolist()
    with pytest.raises(tg.ArgumentError, match="LazyConv2d: there are no parameters before"):
        build(True).load_state_dict({"3.bias": tg.ones(2)})


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: nn.LazyLinear(0), "LazyLinear: out_features must be a positive integer, got 0"),
        (lambda: nn.LazyConv2d(4, 0), "LazyConv2d: kernel_size must be a positive integer, got 0"),
        (lambda: nn.LazyConv2d(3, 1, groups=2), "LazyConv2d: out_channels=3 cannot be parted into groups=2"),
        (lambda: nn.LazyBatchNorm1d(eps=-1), "LazyBatchNorm1d: eps must be"),
        (lambda: nn.LazyLinear(3)(tg.ones()), r"LazyLinear: the input is .*no features"),
        (lambda: nn.LazyConv2d(3, 1)(tg.ones(3, 3)), r"LazyConv2d: the input is f32\[3,3\], expected channels and 2"),
        (lambda: nn.LazyConv2d(4, 1, groups=2)(tg.ones(1, 3, 2, 2)), "3 channels .*cannot be parted into groups=2"),
        (lambda: nn.LazyBatchNorm2d()(tg.ones(2, 3)), "LazyBatchNorm2d: .*expected 4 axes"),
    ],
)
def test_refusals(call, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        call()


def test_a_refused_input_leaves_it_lazy():
    layer = nn.LazyBatchNorm2d()
    with pytest.raises(tg.ShapeError):
        layer(tg.ones(2, 3))
    assert layer(tg.ones(2, 3, 1, 1)).shape == (2, 3, 1, 1)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("name, args, kw, shape", LAYERS, ids=IDS)
def test_names_and_sizes_are_those_of_torch(name, args, kw, shape):
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    ours, theirs = make(name, args, kw)[0], getattr(torch.nn, "Lazy" + name)(*args, **kw)
    assert repr(ours) == repr(theirs)
    y, u = ours(tg.ones(*shape)), theirs(torch.ones(*shape))
    assert y.shape == tuple(u.shape)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
