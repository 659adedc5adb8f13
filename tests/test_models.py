"""The named networks: published parameter counts, torchvision's names, shapes, gradients, and the helpers."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import models


def built(name, *args, **kw):
    """A network whose weights nobody drew."""
    with nn.init.skip():
        return getattr(models, name)(*args, **kw)


def count(model):
    return sum(p.size for p in model.parameters())


@pytest.mark.parametrize("name, parameters", [
    ("alexnet", 61_100_840), ("alexnet2012", 60_965_224),
    ("vgg11", 132_863_336), ("vgg13", 133_047_848), ("vgg16", 138_357_544), ("vgg19", 143_667_240),
    ("vgg11_bn", 132_868_840), ("vgg13_bn", 133_053_736), ("vgg16_bn", 138_365_992), ("vgg19_bn", 143_678_248),
    ("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032), ("resnet101", 44_549_160),
    ("resnet152", 60_192_808), ("googlenet", 13_004_888),
    ("cifar_resnet20", 269_722), ("cifar_resnet32", 464_154), ("cifar_resnet44", 658_586),
    ("cifar_resnet56", 853_018), ("cifar_resnet110", 1_727_962),
    ("NIN", 966_986), ("LeNet5", 61_706), ("CaffeLeNet", 431_080), ("ThreeConvolutions", 1_379_557),
    # by hand from the paper's figure 3
    ("zfnet", 96 * (3 * 49 + 1) + 256 * (96 * 25 + 1) + 384 * (256 * 9 + 1) + 384 * (384 * 9 + 1)
     + 256 * (384 * 9 + 1) + 4096 * (9216 + 1) + 4096 * 4097 + 1000 * 4097),
    # timm's table of results: resnetv2_50 has 25.55 million, resnetv2_101 44.54, resnetv2_152 60.19
    ("preact_resnet50", 25_549_352), ("preact_resnet101", 44_541_480), ("preact_resnet152", 60_185_128),
    # torchvision's networks without the normalisation of stem and shortcuts, with one behind the last block
    ("preact_resnet18", 11_689_512 - 2 * (64 + 128 + 256 + 512) + 2 * 64),
    ("preact_resnet34", 21_797_672 - 2 * (64 + 128 + 256 + 512) + 2 * 64),
    # the paper's table: 1.7 million; 240 units of 5 pieces, twice (mnist_pi.yaml)
    ("cifar_preact_resnet110", 1_730_522), ("cifar_preact_resnet164", 1_703_258),
    ("MaxoutMLP", 785 * 1200 + 241 * 1200 + 241 * 10),
    ("MaxoutMNIST", 96 * (64 + 1) + 96 * (48 * 64 + 1) + 96 * (48 * 25 + 1) + 10 * (24 * 9 + 1)),
    ("MaxoutCIFAR", 192 * (3 * 64 + 1) + 384 * (96 * 64 + 1) + 384 * (192 * 25 + 1) + 2500 * (4800 + 1) + 5010),
])  # fmt: skip
def test_published_parameter_counts(name, parameters):
    assert count(built(name)) == parameters


def test_other_parameter_counts():
    assert count(built("googlenet", aux_logits=False)) == 6_624_904
    assert count(built("cifar_resnet20", option="B")) == 269_722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert count(models.MLP(784, 256, 128, 10)) == 235_146


# ---- torchvision's names ---------------------------------------------------------------------------------------------
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def resnet_names(blocks, convolutions, first_has_shortcut):
    """What torchvision's files of residual networks hold, in their order."""
    names = ["conv1.weight", *(f"bn1.{n}" for n in NORM)]
    for stage, number in enumerate(blocks, 1):
        for i in range(number):
            block = f"layer{stage}.{i}"
            for c in range(1, convolutions + 1):
                names += [f"{block}.conv{c}.weight", *(f"{block}.bn{c}.{n}" for n in NORM)]
            if i == 0 and (stage > 1 or first_has_shortcut):
                names += [f"{block}.downsample.0.weight", *(f"{block}.downsample.1.{n}" for n in NORM)]
    return [*names, "fc.weight", "fc.bias"]


def sequential_names(part, layers):
    return [f"{part}.{i}.{n}" for i in layers for n in ("weight", "bias")]


@pytest.mark.parametrize("name, names", [
    ("resnet18", resnet_names((2, 2, 2, 2), 2, False)),
    ("resnet50", resnet_names((3, 4, 6, 3), 3, True)),
    ("alexnet", sequential_names("features", (0, 3, 6, 8, 10)) + sequential_names("classifier", (1, 4, 6))),
    ("vgg16", sequential_names("features", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28))
              + sequential_names("classifier", (0, 3, 6))),
    ("vgg11_bn", [f"features.{i + b}.{n}" for i in (0, 4, 8, 11, 15, 18, 22, 25) for b in (0, 1)
                  for n in (NORM if b else NORM[:2])] + sequential_names("classifier", (0, 3, 6))),
])  # fmt: skip
def test_state_dict_names_are_torchvisions(name, names):
    assert list(built(name).state_dict()) == names


def test_state_dict_of_googlenet():
    shapes = {name: value.shape for name, value in built("googlenet").state_dict().items()}
    for name, shape in {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv1.bn.running_var": (64,),
        "inception3a.branch1.conv.weight": (64, 192, 1, 1),
        "inception3a.branch2.1.conv.weight": (128, 96, 3, 3),
        "inception4e.branch3.1.conv.weight": (128, 32, 3, 3),
        "inception5b.branch4.1.bn.num_batches_tracked": (),
        "aux1.conv.conv.weight": (128, 512, 1, 1),
        "aux2.conv.conv.weight": (128, 528, 1, 1),
        "aux2.fc1.weight": (1024, 2048),
        "aux2.fc2.bias": (1000,),
        "fc.weight": (1000, 1024),
    }.items():
        assert shapes[name] == shape
    assert len(shapes) == 6 * 57 + 2 * (6 + 4) + 2


def test_shapes_of_published_alexnet():
    model = built("alexnet2012")
    assert model.conv2.weight.shape == (256, 48, 5, 5) and model.conv5.weight.shape == (256, 192, 3, 3)
    assert (model.conv2.bias == 1).all() and not model.conv3.bias.any()  # `skip` leaves constants in place


def test_old_files_without_batch_counters_load():
    model = built("cifar_resnet20")
    state = {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert model.load_state_dict(state) == ([], [])
    del state["bn1.running_var"]
    with pytest.raises(tg.errors.StateDictError, match=r"missing     bn1\.running_var"):
        model.load_state_dict(state)


# ---- forward and backward --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make, shape", [
    (lambda: models.MLP(12, 8, 5, 10, dropout=0.5), (2, 3, 4)),
    (models.LeNet5, (2, 1, 28, 28)),
    (models.LeNet5, (2, 1, 32, 32)),
    (models.CaffeLeNet, (2, 1, 28, 28)),
    (models.ThreeConvolutions, (2, 1, 28, 28)),
    (lambda: models.cifar_resnet20(option="A"), (2, 3, 32, 32)),
    (lambda: models.cifar_resnet20(option="B"), (2, 3, 32, 32)),
    (models.NIN, (2, 3, 32, 32)),
    (lambda: models.PreActResNet(models.PreActBlock, (1, 2, 1), 10, small=True), (2, 3, 32, 32)),
    (lambda: models.PreActResNet(models.PreActBottleneck, (1, 1, 1, 1), 10), (2, 3, 40, 40)),
    (models.MaxoutMLP, (2, 1, 28, 28)),
    (models.MaxoutMNIST, (2, 1, 28, 28)),
    (lambda: models.resnet18(10), (2, 3, 40, 40)),
    (lambda: models.ResNet(models.Bottleneck, (1, 1, 1, 1), 10, zero_init_residual=False), (2, 3, 40, 40)),
])  # fmt: skip
def test_every_parameter_gets_a_gradient(make, shape, rng):
    tg.manual_seed(0)
    model = make()
    y = model(tg.tensor(rng.standard_normal(shape, np.float32)))
    assert y.shape == (2, 10)
    nn.CrossEntropyLoss()(y, tg.tensor([1, 2])).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and np.isfinite(p.grad.numpy()).all(), name
    assert not model.eval().training
    with tg.no_grad():  # without dropout and batch statistics an image does not depend on its neighbours
        x = tg.tensor(rng.standard_normal(shape, np.float32))
        np.testing.assert_allclose(model(x).numpy()[:1], model(x[:1]).numpy(), rtol=1e-3, atol=1e-4)


def test_googlenet_has_side_branches_while_training(rng):
    model = built("googlenet", 10)
    for p in model.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, 0, 0.05)
    x = tg.tensor(rng.standard_normal((2, 3, 32, 32), np.float32))
    out = model(x)
    assert isinstance(out, models.GoogLeNetOutputs) and [y.shape for y in out] == [(2, 10)] * 3
    sum(y.sum() for y in out).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.eval()(x).shape == (2, 10)
    model.aux1 = model.aux2 = None  # as aux_logits=False makes it
    assert model.train()(x).shape == (2, 10)


@pytest.mark.parametrize("name, size", [("alexnet", 64), ("alexnet2012", 227), ("vgg11", 32), ("zfnet", 224)])
def test_the_large_ones_reach_their_classes(name, size):
    model = built(name, 10)
    for p in model.parameters():
        nn.init.zeros_(p)
    list(model.parameters())[-1].data = tg.arange(10.0)
    with tg.no_grad():
        y = model.eval()(tg.ones(1, 3, size, size))
    np.testing.assert_array_equal(y.numpy(), [np.arange(10)])


def test_response_normalisation_is_the_papers(rng):
    x = rng.standard_normal((1, 8, 2, 2), np.float32) * 100
    padded = np.pad(x**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    total = sum(padded[:, i : i + 8] for i in range(5))
    expected = x / (2 + 1e-4 * total) ** 0.75
    np.testing.assert_allclose(built("alexnet2012", 2).norm(tg.tensor(x)).numpy(), expected, rtol=1e-5)


def test_shortcut_a_pads_both_sides_with_zeros():
    shortcut = models.cifar_resnet20().layer2[0].shortcut
    y = shortcut(tg.ones(1, 16, 4, 4)).numpy()
    assert y.shape == (1, 32, 2, 2) and (y[:, 8:24] == 1).all() and y.sum() == 16 * 4


def test_zero_init_residual():
    model = models.ResNet(models.Bottleneck, (1, 1, 1, 1), 2, zero_init_residual=True)
    assert not model.layer3[0].bn3.weight.detach().numpy().any() and model.layer3[0].bn2.weight.detach().numpy().all()


@pytest.mark.peers
@pytest.mark.parametrize("block", [models.BasicBlock, models.Bottleneck])
def test_residual_networks_agree_with_torch(block, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    F = torch.nn.functional
    blocks = (1, 2, 1, 1)
    model = models.ResNet(block, blocks, 5).eval()
    for name, value in model.state_dict().items():
        if name.endswith(("bn1.weight", "bn2.bias", "running_mean", "running_var")):
            nn.init.uniform_(value, 0.5, 1.5)
    state = {name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()}

    def conv_norm(x, conv, norm, stride=1):
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        return F.batch_norm(x, *(state[f"{norm}.{n}"] for n in ("running_mean", "running_var", "weight", "bias")))

    x = rng.standard_normal((2, 3, 48, 48), np.float32)
    y = F.max_pool2d(conv_norm(torch.tensor(x), "conv1", "bn1", 2).relu(), 3, 2, 1)
    convolutions, strided = (2, 1) if block is models.BasicBlock else (3, 2)
    for stage, number in enumerate(blocks, 1):
        for path in (f"layer{stage}.{i}" for i in range(number)):
            stride = 2 if stage > 1 and path.endswith(".0") else 1
            out, shortcut = y, y
            for c in range(1, convolutions + 1):
                out = conv_norm(out, f"{path}.conv{c}", f"{path}.bn{c}", stride if c == strided else 1)
                out = out.relu() if c < convolutions else out
            if f"{path}.downsample.0.weight" in state:
                shortcut = conv_norm(y, f"{path}.downsample.0", f"{path}.downsample.1", stride)
            y = (out + shortcut).relu()
    y = F.linear(y.mean((2, 3)), state["fc.weight"], state["fc.bias"])
    with tg.no_grad():
        np.testing.assert_allclose(model(tg.tensor(x)).numpy(), y.numpy(), rtol=1e-3, atol=1e-3 * y.abs().max().item())


# ---- pre-activation ------------------------------------------------------------------------------------------------
def test_a_preactivation_block_is_its_figure(rng):
    """Normalise, rectify, convolve, twice; the shortcut is x itself, or a convolution of what the first ReLU gives."""
    x = tg.tensor(rng.standard_normal((2, 4, 6, 6), np.float32))
    for channels, stride in ((4, 1), (8, 2)):
        block = models.PreActBlock(4, channels, stride)
        first = tg.relu(block.bn1(x))
        y = block.conv2(tg.relu(block.bn2(block.conv1(first))))
        expected = y + (x if stride == 1 else tg.conv2d(first, block.shortcut.weight, stride=2))
        np.testing.assert_allclose(block(x).detach().numpy(), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    names = "bn1.weight bn1.bias conv1.weight bn2.weight bn2.bias conv2.weight shortcut.weight"
    assert " ".join(name for name, _ in block.named_parameters()) == names


def test_maps_of_zfnet_are_the_papers():
    sizes, x = [], tg.zeros(1, 3, 224, 224)
    with tg.no_grad():
        for layer in built("zfnet", 2).eval().chain():
            x = layer(x)
            if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
                sizes.append(x.shape[-1])
    assert sizes == [110, 55, 26, 13, 13, 13, 13, 6]


# ---- text ----------------------------------------------------------------------------------------------------------
def test_a_character_network_carries_its_state(rng):
    for kind in ("lstm", "gru", "rnn"):
        model = models.CharRNN("abcdef", 5, 8, kind=kind, dropout=0.5).eval()
        tokens = tg.tensor(rng.integers(0, 6, (2, 9)))
        whole, _ = model(tokens)
        first, state = model(tokens[:, :4])
        second, _ = model(tokens[:, 4:], model.detach(state))
        np.testing.assert_allclose(
            whole.detach().numpy(), np.concatenate([first.detach().numpy(), second.detach().numpy()], 1), rtol=1e-5
        )
        nn.CrossEntropyLoss()(second.swapaxes(1, 2), tokens[:, 4:]).backward()
        assert all(p.grad is not None for p in model.parameters())


def test_a_character_network_learns_and_continues():
    text = "hello world. " * 6
    tg.manual_seed(0)
    model = models.CharRNN(text, 8, 24, num_layers=1)
    tokens = tg.tensor([model.encode(text)])
    optimizer = nn.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        logits, _ = model(tokens[:, :-1])
        nn.CrossEntropyLoss()(logits.swapaxes(1, 2), tokens[:, 1:]).backward()
        optimizer.step()
    assert model.sample("hello ", 20, temperature=0) == "world. hello world. "
    assert model.training
    likely, wild = model.sample("h", 50, 0.2), model.sample("h", 50, 5.0)
    assert likely[:12] == "ello world. " and wild != likely and model.sample("h", 0) == ""
    draws = [model.sample("h", 30, 3.0, tg.Generator(3)) for _ in range(2)]
    assert draws[0] == draws[1] and set(draws[0]) <= set(model.alphabet)


def test_draws_follow_the_temperature():
    """Shares of many draws from known scores, against softmax(scores / temperature)."""
    model = models.CharRNN("abc", 2, 3, num_layers=1)
    for p in model.parameters():
        nn.init.zeros_(p)
    scores = np.array([0.0, 1.0, -1.0], np.float32)
    model.linear.bias.data = tg.tensor(scores)
    for temperature in (0.5, 1.0, 2.0):
        text = model.sample("a", 400, temperature, tg.Generator(0))
        expected = np.exp(scores / temperature) / np.exp(scores / temperature).sum()
        found = np.array([text.count(c) for c in "abc"]) / 400
        np.testing.assert_allclose(found, expected, atol=0.07)


# ---- any size ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("make, size, stride, channels", [
    (models.CaffeLeNet, 28, 4, 1),
    (models.LeNet5, 32, 4, 1),
    (lambda: nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU()), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3), nn.Softmax(1)), 8, 2, 2),
    (lambda: nn.Sequential(nn.Conv2d(1, 4, 3, stride=3), nn.AdaptiveMaxPool2d((1, 1)), nn.Flatten(),
                           nn.Linear(4, 2)), 9, 3, 1),
])  # fmt: skip
def test_fully_convolutional_is_the_network_slid_over_the_image(make, size, stride, channels, rng):
    tg.manual_seed(0)
    model = make()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    model.eval()
    dense = models.fully_convolutional(model, size)
    x = rng.standard_normal((2, channels, size + 2 * stride, size + 3 * stride + 1), np.float32)
    with tg.no_grad():
        y = dense(tg.tensor(x)).numpy()
        assert y.shape[2:] == (3, 4) and not dense.training
        for i in range(3):
            for j in range(4):
                window = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
                np.testing.assert_allclose(y[:, :, i, j], model(tg.tensor(window)).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name, size", [
    ("alexnet", 224), ("alexnet2012", 227), ("resnet18", 64), ("cifar_resnet20", 32), ("googlenet", 64),
    ("MaxoutMNIST", 28), ("ThreeConvolutions", 28), ("preact_resnet18", 64),
])  # fmt: skip
def test_fully_convolutional_networks_say_the_same_of_an_image(name, size, rng):
    model = built(name, 10)
    some = rng.normal(0, 0.05, 9973).astype(np.float32)
    for p in model.parameters():
        p.array[...] = np.resize(some, p.shape)
    model.eval()
    channels = 1 if name in ("MaxoutMNIST", "ThreeConvolutions") else 3
    x = tg.tensor(rng.standard_normal((1, channels, size, size), np.float32))
    dense = models.fully_convolutional(model, size)
    with tg.no_grad():
        expected = model(x).numpy()
        np.testing.assert_allclose(
            dense(x).numpy(), expected[:, :, None, None], rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )
        assert dense(tg.zeros(1, channels, 2 * size, 2 * size)).shape[2] > 1


def test_dense_weights_share_memory():
    model = models.CaffeLeNet()
    dense = models.fully_convolutional(model, 28)
    nn.init.constant_(model.ip1.weight, 7.0)
    assert (dense[4].weight == 7).all() and dense[4].weight.shape == (500, 50, 4, 4)
    conv = models.linear_to_conv(nn.Linear(12, 2, bias=False), (2, 3))
    assert conv.weight.shape == (2, 2, 2, 3) and conv.bias is None


# ---- helpers ---------------------------------------------------------------------------------------------------------
def test_replace_head_and_freeze():
    model = models.resnet18(10).double().eval()
    trunk = model.conv1.weight.detach().numpy().copy()
    head = models.replace_head(model, 3)
    assert model.fc is head and head.weight.dtype == np.float64 and not head.training
    assert models.freeze(model, but=("fc", "layer4.1.bn2")) == [
        "layer4.1.bn2.weight", "layer4.1.bn2.bias", "fc.weight", "fc.bias"]  # fmt: skip
    optimizer = nn.optim.SGD([
        {"params": model.layer4[1].bn2.parameters(), "lr": 0.01}, {"params": head.parameters(), "lr": 0.1}
    ], lr=0.1)  # fmt: skip
    model(tg.ones(1, 3, 32, 32, dtype="float64")).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(model.conv1.weight.detach().numpy(), trunk)
    assert model.conv1.weight.grad is None and head.weight.grad is not None
    assert models.freeze(model) == [] and not any(p.requires_grad for p in model.parameters())
    model.requires_grad_()
    assert all(p.requires_grad for p in model.parameters())


def test_replace_head_of_other_kinds():
    nin = models.NIN()
    models.replace_head(nin, 4)
    assert nin(tg.ones(1, 3, 32, 32)).shape == (1, 4)
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2))
    models.replace_head(net, 5, "0")
    assert net[0].weight.shape == (5, 2) and net[0].bias is None


@pytest.mark.parametrize("call, match", [
    (lambda: models.MLP(3), r"MLP: at least the sizes of input and output are needed, got \(3,\)"),
    (lambda: models.VGG(12), "VGG: depth must be one of 11, 13, 16, 19, got 12"),
    (lambda: models.CifarResNet(21), r"CifarResNet: depth must be 6 n \+ 2 .*got 21"),
    (lambda: models.CifarResNet(option="C"), "CifarResNet: option must be one of 'A', 'B', got 'C'"),
    (lambda: models.ResNet(models.BasicBlock, (2, 2)), "ResNet: layers must be one integer or 4 of them"),
    (lambda: models.LeNet5(0), "out_features must be a positive integer, got 0"),
    (lambda: models.replace_head(nn.ReLU(), 2), "ReLU has no Linear or Conv2d below it"),
    (lambda: models.replace_head(models.LeNet5(), 2, "fc9"), "there is no module 'fc9'"),
    (lambda: models.replace_head(nn.Sequential(nn.ReLU()), 2, "0"), "'0' is ReLU, neither Linear nor Conv2d"),
    (lambda: models.freeze(models.LeNet5(), but="fc"), "no parameter belongs to 'fc'"),
    (lambda: models.PreActResNet(nn.ReLU, (1, 1, 1, 1)), "block must be PreActBlock or PreActBottleneck, got .*ReLU"),
    (lambda: models.PreActResNet(models.PreActBlock, (1, 1), small=True), "layers must be one integer or 3 of them"),
    (lambda: models.MaxoutMLP(pieces=0), "pieces must be a positive integer, got 0"),
    (lambda: models.CharRNN(""), "alphabet is a text with all characters, got ''"),
    (lambda: models.CharRNN("ab", kind="mlp"), "kind must be one of 'lstm', 'gru', 'rnn', got 'mlp'"),
    (lambda: models.CharRNN("ab").sample(""), "start is a text of at least one character, got ''"),
    (lambda: models.CharRNN("ab").sample("a", temperature=-1), "temperature must be a number of at least 0, got -1"),
    (lambda: models.fully_convolutional(models.MLP(3, 2), 4), "MLP has no convolution"),
    (lambda: models.fully_convolutional(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(2, 2)), 4), "Linear layer on maps"),
    (lambda: models.fully_convolutional(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(3)), 4),
     r"AdaptiveAvgPool2d.* changes maps of 2x2"),
    (lambda: models.linear_to_conv(nn.Linear(10, 2), 3), "10 inputs are no whole maps of 3x3"),
    (lambda: models.linear_to_conv(nn.ReLU(), 3), "is not a Linear layer"),
])  # fmt: skip
def test_bad_arguments(call, match):
    with pytest.raises(tg.ArgumentError, match=match):
        call()


def test_a_character_that_is_not_there():
    with pytest.raises(tg.OutOfRangeError, match="'z' is not one of the 2 of the alphabet"):
        models.CharRNN("ab").encode("abz")


def test_skip_leaves_weights_and_ends():
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().numpy().copy()
    with nn.init.skip():
        layer.reset_parameters()
        nn.init.ones_(layer.bias)
        with pytest.raises(tg.DtypeError):
            nn.init.normal_([1.0])  # wrong things are still noticed
    np.testing.assert_array_equal(layer.weight.detach().numpy(), before)
    assert (layer.bias.detach().numpy() == 1).all()
    layer.reset_parameters()
    assert not np.array_equal(layer.weight.detach().numpy(), before)
