"""Layers and losses as objects: arguments, parameters, modes. What they compute is tested with ops."""

import warnings

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import functional as F

IMAGE, VOLUME = (2, 4, 6, 5), (2, 2, 3, 4, 3)


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features must be a positive integer, got 0"),
        (lambda: nn.Linear(3, 2.5), "Linear: out_features must be a positive integer, got 2.5"),
        (lambda: nn.Linear(True, 3), "Linear: in_features must be a positive integer, got True"),
        (lambda: nn.Bilinear(2, -1, 3), "Bilinear: in2_features must be a positive integer, got -1"),
        (lambda: nn.Conv2d(1, 0, 3), "Conv2d: out_channels must be a positive integer, got 0"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), r"Conv2d: kernel_size must be one integer or 2 of them, got \(3, 3, 3\)"),
        (lambda: nn.Conv2d(1, 1, (3, 0)), r"Conv2d: kernel_size\[1\] must be a positive integer, got 0"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "Conv2d: stride must be a positive integer, got 0"),
        (lambda: nn.Conv1d(1, 1, 3, dilation=-1), "Conv1d: dilation must be a positive integer, got -1"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d: padding must be an integer of at least 0, got -1"),
        (lambda: nn.Conv2d(1, 1, 3, padding="smae"), "Conv2d: padding must be one of 'valid', .*got 'smae'"),
        (lambda: nn.Conv2d(1, 1, 3, padding=((1, 1),)), r"Conv2d: padding must be one integer or pair per axis"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), "Conv2d: padding_mode must be one of .*got 'mirror'"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: in_channels=3 cannot be parted into groups=2"),
        (lambda: nn.Conv3d(4, 3, 3, groups=2), "Conv3d: out_channels=3 cannot be parted into groups=2"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"), "ConvTranspose2d: padding must be"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), "padding_mode must be one of 'zeros'"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must be a positive integer, got 0"),
        (lambda: nn.MaxPool2d(2, padding=2), "MaxPool2d: padding=2 is more than half of kernel_size=2"),
        (lambda: nn.MaxPool1d(2, dilation=0), "MaxPool1d: dilation"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), "AvgPool2d: divisor_override must be a positive integer, got 0"),
        (lambda: nn.LPPool2d(0, 2), "LPPool2d: norm_type must be a number of more than 0, got 0"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d: output_size must be one integer or 2"),
        (lambda: nn.AdaptiveMaxPool1d(0), "AdaptiveMaxPool1d: output_size must be a positive integer, got 0"),
        (lambda: nn.MaxUnpool2d(2, stride=0), "MaxUnpool2d: stride must be a positive integer, got 0"),
        (lambda: nn.Dropout(1.5), "Dropout: p must be a number of at least 0 and at most 1, got 1.5"),
        (lambda: nn.Dropout2d("half"), "Dropout2d: p must be a number .*got 'half'"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features must be a positive integer, got 0"),
        (lambda: nn.BatchNorm2d(3, eps=-1), "BatchNorm2d: eps must be a number of at least 0, got -1"),
        (lambda: nn.BatchNorm2d(3, momentum=2), "BatchNorm2d: momentum must be .* got 2"),
        (lambda: nn.GroupNorm(2, 3), "GroupNorm: num_channels=3 cannot be parted into num_groups=2"),
        (lambda: nn.LayerNorm(()), r"LayerNorm: normalized_shape must name at least one axis, got \(\)"),
        (lambda: nn.RMSNorm((3, 0)), "RMSNorm: normalized_shape must be a positive integer, got 0"),
        (lambda: nn.Embedding(5, 3, padding_idx=5), "Embedding: padding_idx=5 is none of 5 rows"),
        (lambda: nn.Flatten("all"), "Flatten: start_dim must be an integer .*got 'all'"),
        (lambda: nn.Unflatten(1, (2, 0.5)), "Unflatten: unflattened_size must be an integer .*got 0.5"),
        (lambda: nn.Upsample(), "Upsample: give size or scale_factor, got size=None, scale_factor=None"),
        (lambda: nn.ZeroPad2d((1, 2)), r"ZeroPad2d: padding must be one integer or 4 of them, got \(1, 2\)"),
        (lambda: nn.GELU("erf"), "GELU: approximate must be one of 'none', 'tanh', got 'erf'"),
        (lambda: nn.Hardtanh(1, 1), "Hardtanh: max_val must be a number of more than 1, got 1"),
        (lambda: nn.RReLU(0.5, 0.1), "RReLU: upper must be a number of at least 0.5, got 0.1"),
        (lambda: nn.CELU(0), "CELU: alpha must not be 0"),
        (lambda: nn.Conv2d(1, 1, 3, activation="gelu"), "Conv2d: activation is \"relu\" or None, got 'gelu'"),
        (lambda: nn.Softplus(beta=0), "Softplus: beta must be a number of more than 0, got 0"),
        (lambda: nn.LeakyReLU(float("nan")), "LeakyReLU: negative_slope must be a number, got nan"),
        (lambda: nn.CrossEntropyLoss(reduction="avg"), "CrossEntropyLoss: reduction must be one of .*got 'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=-1), "CrossEntropyLoss: label_smoothing must be .*got -1"),
        (lambda: nn.CrossEntropyLoss([1.0, 2.0]), r"CrossEntropyLoss: weight is list \[1.0, 2.0\], not a tensor"),
        (lambda: nn.HuberLoss(delta=0), "HuberLoss: delta must be a number of more than 0, got 0"),
        (lambda: nn.MultiMarginLoss(p=3), "MultiMarginLoss: p is 1 or 2, got 3"),
        (lambda: nn.CTCLoss(blank=-1), "CTCLoss: blank must be an integer of at least 0, got -1"),
        (lambda: nn.Softmax("x"), "Softmax: dim must be an integer"),
    ],
)
def test_constructors_refuse_and_show_the_value(make, match):
    with pytest.raises(tg.ArgumentError if "not a tensor" not in match else tg.DtypeError, match=match):
        make()


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda: nn.BatchNorm2d(3)(tg.ones(2, 3)), r"BatchNorm2d: the input is f32\[2,3\], expected 4 axes"),
        (lambda: nn.BatchNorm1d(3)(tg.ones(1, 3)), "1 value per channel"),
        (lambda: nn.Softmax()(tg.ones(1, 2, 3)), r"Softmax: .*not clear[\s\S]*Softmax\(dim=1\)"),
        (lambda: F.softmax(tg.ones(1, 2, 3)), "which axis of .*is meant"),
        (lambda: nn.Softmax2d()(tg.ones(1, 2)), r"expected \(N, C, H, W\)"),
        (lambda: F.pad(tg.ones(2), (1, 1, 1, 1)), r"pad: \(1, 1, 1, 1\) are not pairs for at most the 1 axes"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, stride=2)(tg.ones(1, 1, 3, 3), (9, 9)),
            r"cannot be reached.*\(7, 7\) to \(8, 8\)",
        ),
        (lambda: nn.Embedding.from_pretrained(tg.ones(3)), "expected \\(num_embeddings"),
    ],
)
def test_calls_refuse(call, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        call()


@pytest.mark.parametrize("make", [
    lambda **kw: nn.Linear(3, 4, **kw), lambda **kw: nn.Conv2d(4, 4, 3, **kw), lambda **kw: nn.BatchNorm2d(4, **kw),
    lambda **kw: nn.ConvTranspose1d(4, 4, 3, **kw), lambda **kw: nn.LayerNorm(4, **kw),
    lambda **kw: nn.RMSNorm(4, **kw),
    lambda **kw: nn.GroupNorm(2, 4, **kw), lambda **kw: nn.Embedding(4, 4, **kw), lambda **kw: nn.PReLU(4, **kw),
    lambda **kw: nn.Bias(4, **kw), lambda **kw: nn.Scale(4, **kw), lambda **kw: nn.Bilinear(2, 2, 2, **kw),
])  # fmt: skip
def test_parameters_start_from_the_seed_in_the_dtype_and_on_the_device_asked_for(make):
    tg.manual_seed(3)
    first = make(dtype=tg.float64, device="cpu")
    tg.manual_seed(3)
    again = make(dtype=tg.float64)
    for p, q in zip(first.parameters(), again.parameters(), strict=True):
        assert p.dtype == np.float64 and p.device == "cpu" and p.requires_grad and p.is_leaf
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    assert {p.dtype for p in make().parameters()} == {np.dtype("float32")}


def test_weights_start_within_their_bound():
    for layer, fan in (
        (nn.Linear(50, 80), 50),
        (nn.Conv2d(8, 16, 5, groups=2), 100),
        (nn.ConvTranspose2d(8, 4, 5), 100),
    ):
        for p in layer.parameters():
            w = p.detach().numpy() * fan**0.5
            assert np.abs(w).max() <= 1
            assert p.array.size < 100 or (np.abs(w).max() > 0.9 and abs(w.var() - 1 / 3) < 0.05)


def test_batch_norm_follows_the_batch_in_training_and_its_statistics_afterwards(rng):
    layer = nn.BatchNorm1d(2, momentum=0.25)
    x = rng.standard_normal((8, 2)).astype(np.float32) * 3 + 1
    y = layer(tg.tensor(x)).detach().numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(0), 1, atol=1e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * x.var(0, ddof=1), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    z = layer(tg.tensor(x[:1])).detach().numpy()
    expected = (x[:1] - layer.running_mean.numpy()) / np.sqrt(layer.running_var.numpy() + 1e-5)
    np.testing.assert_allclose(z, expected, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    layer.reset_parameters()
    assert layer.running_var.tolist() == [1, 1] and layer.num_batches_tracked.item() == 0


LAYERS = {
    "linear": (lambda **a: nn.Linear(6, 5, **a), (3, 6), "linear_relu"),
    "conv1d": (lambda **a: nn.Conv1d(4, 3, 3, padding=1, **a), (2, 4, 7), "correlate_relu"),
    "conv2d": (lambda **a: nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False, **a), IMAGE, "correlate_relu"),
    "conv3d": (
        lambda **a: nn.Conv3d(2, 3, 2, padding_mode="circular", padding=1, **a),
        (2, 2, 3, 4, 3),
        "correlate_relu",
    ),
    "one image": (lambda **a: nn.Conv2d(4, 6, 3, **a), IMAGE[1:], "reshape"),
    "batch norm": (lambda **a: nn.BatchNorm2d(4, **a), IMAGE, "relu"),  # the kernel is for large images
    "lazy linear": (lambda **a: nn.LazyLinear(5, **a), (3, 6), "linear_relu"),
    "lazy convolution": (lambda **a: nn.LazyConv2d(6, 3, **a), IMAGE, "correlate_relu"),
    "lazy batch norm": (lambda **a: nn.LazyBatchNorm2d(**a), IMAGE, "relu"),  # the kernel is for large images
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("kernels", [True, False])
def test_an_activation_is_the_layer_with_a_relu_behind_it(layer, kernels):
    make, shape, name = LAYERS[layer]
    found = []
    x = tg.randn(*shape, generator=tg.Generator(1)).requires_grad_()
    for model in (make(activation="relu"), nn.Sequential(make(), nn.ReLU())):
        tg.manual_seed(0)
        with tg.no_grad():
            model(x)
        for p in model.parameters():
            nn.init.normal_(p, generator=tg.Generator(p.numel()))
        with tg.kernels(kernels):
            y = model(x)
            g = tg.grad((y * y + y).sum(), [x, *model.parameters()])
            model.eval()
            found.append([y, *g, *model.buffers(), model(x)])
        assert len(found) > 1 or y.node.name == name or not kernels
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-5)
    assert "activation='relu'" in repr(make(activation="relu")) and "activation" not in repr(make())


def test_an_activation_leaves_names_alone_and_takes_hooks_and_a_residual(rng):
    plain, layer = nn.BatchNorm2d(4), nn.BatchNorm2d(4, activation="relu")
    layer.load_state_dict(plain.state_dict())
    assert [*layer.state_dict()] == [*plain.state_dict()]
    x, r = (tg.tensor(rng.standard_normal(IMAGE), dtype="float32", requires_grad=True) for _ in range(2))
    seen = []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    y = layer(x, r)
    assert seen == [y] and y.requires_grad
    np.testing.assert_allclose(y.detach().numpy(), tg.relu(plain(x) + r).detach().numpy(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(plain(x, r).detach().numpy(), (plain(x) + r).detach().numpy(), rtol=1e-6, atol=1e-6)
    with pytest.raises(tg.ShapeError, match=r"batch_norm: residual is f32\[4\], the input is f32\[2,4,6,5\]"):
        layer(x, tg.zeros(4))


def test_batch_norm_without_momentum_averages_all_batches(rng):
    layer, batches = nn.BatchNorm1d(2, momentum=None), rng.standard_normal((3, 6, 2)).astype(np.float32)
    for batch in batches:
        layer(tg.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.numpy(), batches.mean((0, 1)), rtol=1e-5, atol=1e-6)


def test_a_refused_batch_changes_no_statistics():
    layer = nn.BatchNorm1d(2)
    with pytest.raises(tg.ArgumentError):
        layer(tg.ones(1, 2))
    assert layer.num_batches_tracked.item() == 0 and layer.running_mean.tolist() == [0, 0]


def test_half_precision_keeps_float32_statistics_exact():
    """300 values of 300: their sum is beyond float16."""
    layer = nn.BatchNorm1d(1).half()
    y = layer(tg.tensor(np.full((300, 1), 300, np.float16)))
    assert y.dtype == np.float16 and (y == 0).all()
    np.testing.assert_allclose(layer.running_mean.numpy(), 30, rtol=1e-3)


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_dropout_only_while_training(kind):
    layer, x = kind(0.5), tg.ones(2, 3, 4, 4)
    assert (layer(x) != x).any()
    assert layer.eval()(x) is x


def test_rrelu_has_the_mean_slope_in_evaluation():
    x = -tg.ones(1000)
    layer = nn.RReLU()
    assert np.unique(layer(x).numpy()).size > 100
    np.testing.assert_allclose(layer.eval()(x).numpy(), -(1 / 8 + 1 / 3) / 2, rtol=1e-6)


def test_embedding_padding_row_stays():
    layer = nn.Embedding(4, 3, padding_idx=-1)
    assert layer.padding_idx == 3 and not layer.weight.detach()[3].numpy().any()
    layer(tg.tensor([[0, 3], [0, 1]])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [2, 1, 0, 0])
    frozen = nn.Embedding.from_pretrained(tg.ones(4, 2))
    assert not frozen.weight.requires_grad and frozen(tg.tensor([1])).shape == (1, 2)


def test_bias_scale_maxout_and_steps():
    x = tg.tensor(np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2))
    bias, scale = nn.Bias(4), nn.Scale(4)
    np.testing.assert_array_equal((bias(x) + scale(x)).detach().numpy(), 2 * x.numpy())
    bias.weight.data = tg.arange(4.0)
    np.testing.assert_array_equal(bias(x)[0, :, 0, 0].detach().numpy(), [0, 5, 10, 15])
    np.testing.assert_array_equal(nn.Maxout(2)(x).numpy(), x.numpy()[:, 1::2])
    np.testing.assert_array_equal(nn.BinaryStep()(tg.tensor([-1.0, 2.0])).numpy(), [0, 1])
    assert (
        repr(nn.Sequential(bias, nn.Maxout(2))) == "Sequential(\n  (0): Bias(4)\n  (1): Maxout(pool_size=2, dim=1)\n)"
    )


def test_convolution_geometry_beyond_pytorch():
    x = tg.ones(1, 1, 7, 7)
    assert nn.Conv2d(1, 1, 3, stride=2, padding="same")(x).shape == (1, 1, 4, 4)
    assert nn.Conv2d(1, 1, 3, padding=((0, 1), (2, 0)))(x).shape == (1, 1, 6, 7)
    assert nn.Conv2d(1, 1, 3, padding=((0, 1), (2, 0)), padding_mode="circular")(x).shape == (1, 1, 6, 7)
    assert nn.ConvTranspose2d(1, 1, 3, stride=2)(tg.ones(1, 1, 3, 3), output_size=(8, 7)).shape == (1, 1, 8, 7)
    assert nn.AdaptiveMaxPool2d(2, return_indices=True)(x)[1].shape == (1, 1, 2, 2)
    y, where = nn.MaxPool2d(2, return_indices=True)(x)
    assert nn.MaxUnpool2d(2)(y, where, output_size=(7, 7)).sum().item() == 9
    assert y.shape == where.shape == (1, 1, 3, 3) and where.dtype == np.int64


def test_functional_understands_pytorch_habits():
    x = tg.tensor([[-1.0, 2.0]])
    assert F.relu(x, inplace=True).tolist() == [[0, 2]] and x.tolist() == [[-1, 2]]
    np.testing.assert_allclose(F.softmax(x).sum(1).numpy(), 1)
    np.testing.assert_allclose(F.log_softmax(x, dim=0, dtype=tg.float64).numpy(), 0)
    assert F.pad(tg.ones(2, 3), (1, 2)).shape == (2, 6) and F.pad(tg.ones(2, 3), (0, 0, 1, 0), value=5.0)[
        0
    ].tolist() == [5, 5, 5]
    assert F.gumbel_softmax(x, tau=0.5, hard=True, dim=-1).sum().item() == 1
    assert F.dropout(x, 0.5, training=False) is x
    missing = [name for name in F.__all__ if not hasattr(F, name)]
    assert not missing


def test_losses_hold_their_weights_as_buffers():
    loss = nn.CrossEntropyLoss(tg.ones(3), ignore_index=1)
    assert (
        list(loss.state_dict()) == ["weight"]
        and list(loss.parameters()) == []
        and loss.double().weight.dtype == np.float64
    )
    assert repr(loss) == "CrossEntropyLoss()" and list(nn.MSELoss().state_dict()) == []
    x, t = tg.tensor([[1.0, 2.0, 3.0]], requires_grad=True), tg.tensor([2])
    np.testing.assert_allclose(nn.CrossEntropyLoss()(x, t).item(), np.log(np.exp([1, 2, 3]).sum()) - 3, rtol=1e-6)


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "HuberLoss", "BCEWithLogitsLoss"])
def test_a_broadcast_between_prediction_and_target_is_a_warning_that_names_both(name):
    loss, x, t = getattr(nn, name)(), tg.ones(4, 1), tg.ones(4)
    with pytest.warns(
        tg.errors.BroadcastWarning, match=r"prediction f32\[4,1\] and target f32\[4\] .* \[4, 4\]"
    ) as caught:
        loss(x, t)
    assert caught[0].filename == __file__, "the warning points at the user's line"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", tg.errors.BroadcastWarning)
        loss(x, t)
        loss(x, t.reshape(4, 1))


def test_the_errors_of_a_loss_show_the_operands():
    logits = nn.Linear(2, 3)(tg.ones(2, 2))
    with pytest.raises(tg.OutOfRangeError) as caught:
        nn.CrossEntropyLoss()(logits, tg.tensor([0, 3]))
    assert "input   f32[2,3]  nn.Linear(2, 3)(tg.ones(2, 2))" in str(caught.value)
