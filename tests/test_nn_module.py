"""Modules: what is found, named, moved, saved, copied and shown."""

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4, bias=False)])
        self.scale = nn.Parameter(tg.ones(4))
        self.register_buffer("count", tg.tensor(0))
        self.register_buffer("table", tg.ones(2), persistent=False)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x).relu()
        return x * self.scale


NAMES = ["scale", "stem.weight", "stem.bias", "blocks.0.weight", "blocks.0.bias", "blocks.1.weight"]


class Forgetful(nn.Module):
    def __init__(self):
        self.fc = nn.Linear(2, 3)  # no super().__init__(), and nothing depends on it

    def forward(self, x):
        return self.fc(x)


# ---- finding -------------------------------------------------------------------------------------------------------
def test_parameters_buffers_and_modules_have_pytorch_names():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [name for name, _ in net.named_buffers()] == ["count", "table"]
    assert list(net.state_dict()) == ["scale", "count", *NAMES[1:]]
    assert [name for name, _ in net.named_modules()] == ["", "stem", "blocks", "blocks.0", "blocks.1"]
    assert list(net.children()) == [net.stem, net.blocks]
    assert net.get_submodule("blocks.1") is net.blocks[1]
    assert net.get_parameter("blocks.0.bias") is net.blocks[0].bias
    assert [p.shape for p in net.blocks.parameters()] == [(4, 4), (4,), (4, 4)]


def test_what_is_shared_comes_once_but_is_saved_under_each_name():
    net = Net()
    net.blocks[1].weight = net.blocks[0].weight
    net.again = net.stem
    assert [name for name, _ in net.named_parameters()] == NAMES[:-1]
    assert [name for name, _ in net.named_modules()] == ["", "stem", "blocks", "blocks.0", "blocks.1"]
    assert len(list(net.children())) == 2
    assert {"blocks.1.weight", "again.weight"} <= net.state_dict().keys()
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert again.blocks[1].weight is again.blocks[0].weight is not net.blocks[0].weight
        assert again.again is again.stem


def test_super_init_may_be_forgotten():
    net = Forgetful()
    assert [name for name, _ in net.named_parameters()] == ["fc.weight", "fc.bias"]
    assert net.eval().fc.training is False and Forgetful().training is True
    assert net(tg.ones(1, 2)).shape == (1, 3)


def test_modules_in_plain_containers_are_not_found_but_can_be_listed():
    net = Net()
    net.hidden = [nn.Linear(2, 2), {"a": (nn.Parameter(tg.ones(1)),)}]
    net.loose = tg.ones(3, requires_grad=True)
    net.known = [net.stem, net.scale, tg.ones(3)]
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [path for path, _ in nn.unregistered(net)] == ["hidden[0]", "hidden[1]['a'][0]", "loose"]
    assert nn.unregistered(Net()) == []


def test_a_module_that_contains_itself_is_reported_not_followed_forever():
    net = Net()
    net.stem.parent = net
    assert len(list(net.parameters())) == len(NAMES)
    with pytest.raises(tg.ArgumentError, match=r"'stem.parent' \(Net\) contains itself[\s\S]*plain list"):
        net.state_dict()


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda net: net.register_buffer("scale.x", tg.ones(1)), "without dots, got 'scale.x'"),
        (lambda net: net.register_buffer("train", tg.ones(1)), "already has an attribute 'train'"),
        (lambda net: net.register_buffer("b", 3.0), "'b' is float 3.0, not a tensor"),
        (lambda net: net.register_parameter("w", tg.ones(1)), "not a Parameter"),
        (lambda net: net.add_module("", nn.Identity()), "non-empty string"),
        (lambda net: net.add_module("m", tg.ones(1)), "not a module"),
        (lambda net: net.get_submodule("blocks.7.x"), r"no module 'blocks.7'[\s\S]*blocks.1"),
        (lambda net: net.get_parameter("stem.w"), r"no parameter 'stem.w'[\s\S]*stem.weight"),
        (lambda net: setattr(net, "scale", tg.ones(4)), r"Net.scale is a parameter[\s\S]*nn.Parameter\(value\)"),
        (lambda net: net.train("yes"), "True or False, got str 'yes'"),
        (lambda net: net.to(tg.int64), "floating dtype, got int64"),
        (lambda net: net.load_state_dict([1]), "expected a mapping"),
    ],
)
def test_bad_arguments(call, match):
    net = Net()
    with pytest.raises(tg.TensorgraphError, match=match):
        call(net)
    assert list(net.state_dict()) == ["scale", "count", *NAMES[1:]]


def test_a_missing_attribute_and_a_missing_forward_say_what_is_missing():
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'fc'") as caught:
        Net().fc
    assert caught.value.name == "fc"
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


# ---- parameters ----------------------------------------------------------------------------------------------------
def test_parameter():
    values = np.ones(3, np.float32)
    p = nn.Parameter(tg.asarray(values))
    assert isinstance(p, tg.Tensor) and p.requires_grad and p.is_leaf and p.array is values
    assert repr(p) == "Parameter containing:\ntensor([1., 1., 1.], dtype=float32, requires_grad=True)"
    assert nn.Parameter([1.0, 2.0]).dtype == tg.float32
    assert type(p * 2) is tg.Tensor
    assert type(copy.deepcopy(p)) is type(pickle.loads(pickle.dumps(p))) is nn.Parameter
    assert not nn.Parameter(tg.tensor([1, 2]), requires_grad=False).requires_grad
    with pytest.raises(tg.GraphError, match="floating"):
        nn.Parameter(tg.tensor([1, 2]))


def test_data_and_grad_habits():
    p = nn.Linear(2, 2).weight
    p.data = tg.zeros(2, 2)
    p.data.fill_(3)
    (p * p).sum().backward()
    np.testing.assert_array_equal(p.grad.numpy(), np.full((2, 2), 6, np.float32))
    p.grad = None
    with tg.no_grad():
        p -= 1
    np.testing.assert_array_equal(p.detach().numpy(), np.full((2, 2), 2, np.float32))


# ---- changing all of it --------------------------------------------------------------------------------------------
def test_train_eval_freeze_and_zero_grad_reach_everything():
    net = Net()
    assert not any(m.training for m in net.eval().modules())
    assert all(m.training for m in net.train().modules())
    net.stem.requires_grad_(False)
    net(tg.ones(2, 3)).sum().backward()
    assert net.stem.weight.grad is None and net.scale.grad is not None
    net.zero_grad(set_to_none=False)
    assert not net.scale.grad.array.any()
    net.zero_grad()
    assert net.scale.grad is None


def test_apply_visits_innermost_first():
    seen = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Linear", "Linear", "ModuleList", "Net"]


def test_to_casts_floats_and_keeps_the_parameters():
    net = Net()
    parameters = list(net.parameters())
    net(tg.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert {p.dtype for p in net.parameters()} == {p.grad.dtype for p in net.parameters()} == {np.dtype("float64")}
    assert net.count.dtype == np.int64 and net.table.dtype == np.float64
    assert net.half().scale.dtype == np.float16 and net.float().to("cpu", tg.float64).scale.dtype == np.float64
    assert net.to(tg.ones(1)).scale.dtype == np.float32
    assert net(tg.ones(1, 3)).dtype == np.float32
    with pytest.raises(tg.BackendError):
        net.to("cuda:99")


def test_assigning_to_a_buffer_keeps_it_one():
    net = Net()
    net.count = tg.tensor(7)
    assert net.state_dict()["count"].item() == 7
    net.count = None
    assert "count" not in net.state_dict()


# ---- state ---------------------------------------------------------------------------------------------------------
def test_state_dict_shares_memory_and_loads_with_casts():
    net, other = Net(), Net().double()
    assert net.state_dict()["scale"].array is net.scale.array
    assert not net.state_dict()["scale"].requires_grad
    state = {name: value.numpy() + 1 for name, value in net.state_dict().items()}  # arrays are as good as tensors
    assert other.load_state_dict(state) == ([], [])
    assert other.scale.dtype == np.float64 and other.scale.grad is None
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])


def test_load_state_dict_reports_everything_at_once_and_changes_nothing():
    net = Net()
    before = copy.deepcopy(net.state_dict())
    state = {name: value + 1 for name, value in before.items()}
    state["stem.weight"], state["blocks.0.bias"] = tg.ones(4, 5), "oops"
    state["extra"] = state.pop("scale")
    with pytest.raises(tg.errors.StateDictError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    for part in (
        "Net.load_state_dict: 4 of 8 entries do not fit; nothing was loaded",
        "missing     scale f32[4]",
        "unexpected  extra f32[4]",
        "unfit       stem.weight is f32[4,3] here, f32[4,5] in the state dict",
        "unfit       blocks.0.bias is f32[4] here, str 'oops' in the state dict, no tensor",
        "hint: strict=False",
    ):
        assert part in text
    assert isinstance(caught.value, (ValueError, RuntimeError))
    with pytest.raises(tg.errors.StateDictError):  # wrong shapes are wrong, strict or not
        net.load_state_dict(state, strict=False)
    for name, value in before.items():
        np.testing.assert_array_equal(net.state_dict()[name].numpy(), value.numpy())


def test_load_state_dict_not_strict_returns_what_it_left_alone():
    result = Net().load_state_dict({"scale": tg.zeros(4), "head.weight": tg.zeros(1)}, strict=False)
    assert result.missing_keys == ["count", *NAMES[1:]] and result.unexpected_keys == ["head.weight"]


@pytest.mark.parametrize("there, advice", [(True, "take it from"), (False, "put it before")])
def test_a_prefix_that_differs_is_recognised(there, advice):
    bare = nn.Linear(2, 3)
    wrapped = nn.Sequential({"module": nn.Linear(2, 3)})
    a, b = (bare, wrapped) if there else (wrapped, bare)
    with pytest.raises(tg.errors.StateDictError, match=f"prefix 'module.' alone: {advice}"):
        a.load_state_dict(b.state_dict())


def test_loading_counts_as_a_write():
    net = nn.Linear(2, 3)
    loss = (net(tg.ones(1, 2)) * net.bias).sum()
    net.load_state_dict(nn.Linear(2, 3).state_dict())
    with pytest.raises(tg.GraphError, match="overwritten"):
        loss.backward()


def test_copies_are_independent():
    net = Net()
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert [name for name, _ in again.named_parameters()] == NAMES
        np.testing.assert_array_equal(again(tg.ones(1, 3)).detach().numpy(), net(tg.ones(1, 3)).detach().numpy())
        with tg.no_grad():
            again.scale += 1
        assert (net.scale.detach() == 1).all()


def test_modules_are_freed_without_the_collector():
    gc.disable()
    try:
        net = Net()
        net(tg.ones(2, 3)).sum().backward()
        dead = weakref.ref(net.stem.weight)
        del net
        assert dead() is None
    finally:
        gc.enable()


# ---- calling -------------------------------------------------------------------------------------------------------
def test_hooks_see_and_replace_arguments_and_output():
    class Same(nn.Module):
        def forward(self, x, option=0):
            return x

    layer, seen = Same(), []
    before = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    layer.register_forward_pre_hook(lambda m, args, kwargs: seen.append(kwargs), with_kwargs=True)
    after = layer.register_forward_hook(lambda m, args, y: y + 1)
    layer.register_forward_hook(lambda m, args, kwargs, y: seen.append((args[0].item(), y.item())), with_kwargs=True)
    assert layer(tg.tensor(3.0), option=1).item() == 7
    assert seen == [{"option": 1}, (6.0, 7.0)]
    before.remove()
    before.remove()
    after()
    assert layer(tg.tensor(3.0)).item() == 3


def test_errors_know_the_module():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2))

        def forward(self, x):
            return self.inner(x)

    with pytest.raises(tg.ShapeError) as caught:
        Outer()(tg.ones(1, 3, requires_grad=True))
    assert "parameter inner.1.weight" in str(caught.value) and "in Outer.inner.0" in str(caught.value)


# ---- looks ---------------------------------------------------------------------------------------------------------
def test_repr():
    assert repr(Net()) == (
        "Net(\n"
        "  (stem): Linear(in_features=3, out_features=4, bias=True)\n"
        "  (blocks): ModuleList(\n"
        "    (0): Linear(in_features=4, out_features=4, bias=True)\n"
        "    (1): Linear(in_features=4, out_features=4, bias=False)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"

    class Both(nn.Sequential):
        def extra_repr(self):
            return "one\ntwo"

    assert repr(Both(nn.Identity())) == "Both(\n  one\n  two\n  (0): Identity()\n)"


# ---- containers ----------------------------------------------------------------------------------------------------
def test_sequential():
    a, b, c = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    net = nn.Sequential(a, b, c)
    assert len(net) == 3 and net[0] is a and net[-1] is c and list(net) == [a, b, c]
    assert type(net[1:]) is nn.Sequential and [n for n, _ in net[1:].named_children()] == ["1", "2"]
    assert net(tg.ones(4, 2)).shape == (4, 1)
    del net[1]
    assert [n for n, _ in net.named_children()] == ["0", "1"] and net[1] is c
    net.insert(1, b)
    net.append(nn.Flatten(0)).extend([nn.Identity()])
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear", "Flatten", "Identity"]
    assert type(net.pop()).__name__ == "Identity" and len(net + [b]) == 5 and len(net) == 4
    net[1] = nn.Tanh()
    assert repr(net[1]) == "Tanh()"
    del net[1:3]
    assert len(net) == 2


def test_sequential_with_names():
    net = nn.Sequential(OrderedDict(fc=nn.Linear(2, 3), act=nn.ReLU()))
    assert net.act is net[1] and [n for n, _ in net.named_parameters()] == ["fc.weight", "fc.bias"]
    assert list(dict(net[:1].named_children())) == ["fc"]
    del net[0]
    assert list(dict(net.named_children())) == ["act"]


def test_module_dict_and_parameter_containers():
    d = nn.ModuleDict({"a": nn.Linear(1, 1)})
    d["b"] = nn.ReLU()
    d.update([("c", nn.Identity())])
    assert list(d) == list(d.keys()) == ["a", "b", "c"] and "b" in d and len(list(d.values())) == 3
    assert type(d.pop("b")) is nn.ReLU and len(d) == 2 and d.get("b") is None
    del d["c"]
    assert [k for k, _ in d.items()] == ["a"]
    d.clear()
    assert len(d) == 0
    p = nn.ParameterList([tg.ones(2), nn.Parameter(tg.zeros(3))])
    p.append(tg.ones(1))
    assert [n for n, _ in p.named_parameters()] == ["0", "1", "2"] and all(q.requires_grad for q in p)
    q = nn.ParameterDict({"w": tg.ones(2)})
    assert list(q.state_dict()) == ["w"] and repr(q) == "ParameterDict(\n  (w): Parameter f32[2]\n)"
    assert repr(p).startswith("ParameterList(\n  (0): Parameter f32[2]")


def test_module_list_folds_equal_neighbours():
    layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3)) + [nn.ReLU()]
    assert repr(layers) == (
        "ModuleList(\n  (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)\n  (3): ReLU()\n)"
    )
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        layers(1)


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: nn.Sequential(nn.ReLU), tg.DtypeError, r"not a module[\s\S]*ReLU\(...\) makes a module"),
        (lambda: nn.Sequential(lambda x: x), tg.DtypeError, "a function is called in forward"),
        (lambda: nn.Sequential({"forward": nn.ReLU()}), tg.ArgumentError, "already has an attribute 'forward'"),
        (lambda: nn.ModuleList([1]), tg.DtypeError, "int 1 is not a module"),
        (lambda: nn.ModuleList()[0], IndexError, "no item 0, there are 0"),
        (lambda: nn.ModuleDict({"a": nn.ReLU()})["b"], KeyError, "has no 'b'; it has 'a'"),
        (lambda: nn.ModuleDict({"pop": nn.ReLU()}), tg.ArgumentError, "'pop'"),
        (lambda: nn.ModuleDict([1]), tg.ArgumentError, "expected pairs"),
        (lambda: nn.ParameterList([1.0]), tg.DtypeError, "not a parameter"),
    ],
)
def test_containers_refuse(make, error, match):
    with pytest.raises(error, match=match):
        make()
