"""Multi-head attention and transformer encoders: against loops, and against PyTorch."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn import functional as F

PADDING = np.array([[False, False, False, True, True], [False, False, False, False, False]])
LATER = np.triu(np.ones((5, 5), bool), 1)


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# ---- by themselves -------------------------------------------------------------------------------------------------
def test_heads_one_by_one(rng):
    layer = nn.MultiheadAttention(6, 3).double()
    query, key, value = rng.standard_normal((4, 6)), rng.standard_normal((5, 6)), rng.standard_normal((5, 6))
    w, b = rng.standard_normal((18, 6)), rng.standard_normal(18)
    with tg.no_grad():
        layer.in_proj_weight.copy_(tg.tensor(w))
        layer.in_proj_bias.copy_(tg.tensor(b))
    q, k, v = (x @ w[i : i + 6].T + b[i : i + 6] for i, x in ((0, query), (6, key), (12, value)))
    parts, weights = [], []
    for h in range(0, 6, 2):
        weights.append(softmax(q[:, h : h + 2] @ k[:, h : h + 2].T / 2**0.5))
        parts.append(weights[-1] @ v[:, h : h + 2])
    expected = np.concatenate(parts, 1) @ layer.out_proj.weight.detach().numpy().T
    y, mean = layer(*map(tg.tensor, (query, key, value)))
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mean.detach().numpy(), np.mean(weights, 0), rtol=1e-9)
    _, each = layer(*map(tg.tensor, (query, key, value)), average_attn_weights=False)
    np.testing.assert_allclose(each.detach().numpy(), weights, rtol=1e-9)


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_padded_key_changes_nothing(need_weights, rng):
    layer = nn.MultiheadAttention(4, 2, batch_first=True).double()
    x = rng.standard_normal((2, 5, 4))
    changed = x + 100 * PADDING[:, :, None]
    results = [
        layer(tg.tensor(x), tg.tensor(a), tg.tensor(a), tg.tensor(PADDING), need_weights)[0].detach().numpy()
        for a in (x, changed)
    ]
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_causal_means_that_later_keys_change_nothing(rng):
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double().eval()
    x = rng.standard_normal((1, 5, 4))
    changed = x.copy()
    changed[:, 3:] += 1
    y, z = (layer(tg.tensor(a), is_causal=True).detach().numpy() for a in (x, changed))
    np.testing.assert_allclose(y[:, :3], z[:, :3], rtol=1e-12)
    assert np.abs(y[:, 3:] - z[:, 3:]).min() > 1e-6
    masked = layer(tg.tensor(x), tg.tensor(LATER))
    np.testing.assert_allclose(y, masked.detach().numpy(), rtol=1e-12)


def test_a_query_that_may_look_at_nothing_gets_no_weights():
    layer = nn.MultiheadAttention(4, 2)
    x = tg.ones(3, 1, 4)
    y, weights = layer(x, x, x, tg.tensor([[True, True, True]]))
    assert weights.tolist() == [[[0.0] * 3] * 3]
    y.sum().backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters())


def test_dropout_while_training_only():
    x = tg.ones(3, 1, 4)
    layer = nn.MultiheadAttention(4, 2, dropout=1.0)
    assert layer(x, x, x)[1].tolist() == [[[0.0] * 3] * 3]
    assert not layer(x, x, x, need_weights=False)[0].detach().numpy().any()
    np.testing.assert_allclose(layer.eval()(x, x, x)[1].detach().numpy(), 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("kw", [{}, dict(norm_first=True, activation="gelu", bias=False)])
def test_gradients_of_both_orders(kw, rng):
    layer = nn.TransformerEncoderLayer(2, 1, 3, activation=kw.pop("activation", F.tanh), **kw).double().eval()
    x = tg.tensor(rng.standard_normal((3, 1, 2)), requires_grad=True)
    tg.gradcheck(lambda x, *_: layer(x), [x, *layer.parameters()], directions=2)
    tg.gradgradcheck(lambda x, *_: layer(x), [x, *layer.parameters()], directions=1)


def test_an_encoder_holds_copies():
    layer = nn.TransformerEncoderLayer(4, 2, 8)
    encoder = nn.TransformerEncoder(layer, 3, nn.LayerNorm(4))
    assert len({id(p) for p in [*encoder.parameters(), *layer.parameters()]}) == 4 * 12 + 2
    assert encoder(tg.ones(5, 2, 4)).shape == (5, 2, 4)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("need_weights", [True, False])
def test_the_dtype_is_kept(dtype, need_weights):
    layer, x = nn.MultiheadAttention(4, 2, dtype=dtype), tg.ones(3, 2, 4, dtype=dtype)
    padding, added = tg.tensor([[False, False, True]] * 2), tg.zeros(3, 3, dtype=dtype)
    y, weights = layer(x, x, x, padding, need_weights, added)
    assert y.dtype == np.dtype(dtype) and (weights is None or weights.dtype == np.dtype(dtype))


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: nn.MultiheadAttention(5, 2), "embed_dim=5 cannot be parted among num_heads=2"),
        (lambda: nn.MultiheadAttention(4, 0), "MultiheadAttention: num_heads must be a positive integer, got 0"),
        (lambda: nn.MultiheadAttention(4, 2, dropout=-1), "MultiheadAttention: dropout must be .*got -1"),
        (lambda: nn.MultiheadAttention(4, 2, kdim=0), "MultiheadAttention: kdim must be a positive integer, got 0"),
        (lambda: nn.TransformerEncoderLayer(4, 2, 0), "TransformerEncoderLayer: dim_feedforward must be .*got 0"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="selu"), "activation must be one of .*got 'selu'"),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 0), "num_layers must be .*got 0"),
        (lambda: nn.TransformerEncoder(nn.Linear, 2), "encoder_layer is .*not a module"),
    ],
)
def test_constructors_refuse(make, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        make()


@pytest.mark.parametrize(
    "shapes, masks, match",
    [
        (((3, 2, 5), (3, 2, 4), (3, 2, 4)), {}, r"query is f32\[3,2,5\], expected \(L, N.* of 4 features"),
        (((3, 4), (3, 1, 4), (3, 1, 4)), {}, r"key is f32\[3,1,4\]"),
        (((3, 2, 4), (3, 1, 4), (3, 1, 4)), {}, "do not agree in N"),
        (((3, 2, 4), (5, 2, 4), (6, 2, 4)), {}, "or key and value in length"),
        (((3, 2, 4),) * 3, dict(key_padding_mask=np.zeros((3, 2), bool)), r"key_padding_mask .*the shape \(2, 3\)"),
        (((3, 2, 4),) * 3, dict(attn_mask=np.zeros((2, 3, 3), bool)), r"attn_mask .*\(3, 3\) or \(4, 3, 3\)"),
        (((3, 2, 4),) * 3, dict(attn_mask=np.zeros((3, 3), int)), "expected booleans or floats"),
    ],
)
def test_calls_refuse(shapes, masks, match):
    with pytest.raises(tg.TensorgraphError, match=match):
        nn.MultiheadAttention(4, 2)(*map(tg.ones, shapes), **{k: tg.tensor(v) for k, v in masks.items()})


# ---- PyTorch -------------------------------------------------------------------------------------------------------
def pair(torch, make):
    torch.manual_seed(0)
    theirs, ours = make(torch.nn).double(), make(nn).double()
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def compare(torch, ours, theirs, inputs, masks):
    """Outputs and gradients; an input that stands there twice is one tensor."""
    results = []
    for module, tensor in ((ours, tg.tensor), (theirs, torch.tensor)):
        leaves = {id(a): tensor(a, requires_grad=True) for a in inputs}
        options = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}
        outputs = module(*(leaves[id(a)] for a in inputs), **options)
        outputs = [y for y in (outputs if isinstance(outputs, tuple) else (outputs,)) if y is not None]
        weights = np.random.default_rng(2)
        sum((y * tensor(weights.standard_normal(tuple(y.shape)))).sum() for y in outputs).backward()
        results.append([*outputs, *(x.grad for x in leaves.values()), *(p.grad for p in module.parameters())])
    for mine, other in zip(*results, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-8, atol=1e-10)


@pytest.fixture
def torch():
    found = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    found.set_num_threads(1)
    found.manual_seed(0)
    return found


FLOATS = np.linspace(-1, 1, 25).reshape(5, 5)


@pytest.mark.peers
@pytest.mark.parametrize("masks", [
    {}, dict(need_weights=False), dict(average_attn_weights=False), dict(key_padding_mask=PADDING),
    dict(attn_mask=LATER), dict(attn_mask=FLOATS, need_weights=False),
    dict(attn_mask=LATER, key_padding_mask=PADDING, need_weights=False),
    dict(attn_mask=np.stack([LATER, LATER.T * False, LATER, LATER]), is_causal=True),
    dict(attn_mask=FLOATS, key_padding_mask=np.where(PADDING, -3.0, 0.5)),
], ids=lambda m: ",".join(m))  # fmt: skip
@pytest.mark.parametrize("kw", [
    {}, dict(batch_first=True, bias=False), dict(add_bias_kv=True), dict(add_zero_attn=True, batch_first=True),
], ids=lambda kw: ",".join(kw))  # fmt: skip
def test_attention_equals_torch(kw, masks, torch, rng):
    ours, theirs = pair(torch, lambda n: n.MultiheadAttention(4, 2, **kw))
    x = rng.standard_normal((2, 5, 4) if kw.get("batch_first") else (5, 2, 4))
    compare(torch, ours, theirs, (x, x, x), masks)


@pytest.mark.peers
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("kw", [{}, dict(kdim=3, vdim=2), dict(kdim=3, vdim=2, add_bias_kv=True, add_zero_attn=True)])
def test_attention_to_something_else_equals_torch(kw, single, need_weights, torch, rng):
    ours, theirs = pair(torch, lambda n: n.MultiheadAttention(4, 2, **kw))
    batch = () if single else (2,)
    inputs = tuple(
        rng.standard_normal((n, *batch, f)) for n, f in ((3, 4), (5, kw.get("kdim", 4)), (5, kw.get("vdim", 4)))
    )
    padding = dict(key_padding_mask=PADDING[0] if single else PADDING)
    compare(torch, ours, theirs, inputs, dict(need_weights=need_weights, **padding))


@pytest.mark.peers
@pytest.mark.parametrize("kw", [
    {}, dict(norm_first=True, activation="gelu", layer_norm_eps=1e-3), dict(batch_first=True, bias=False),
], ids=lambda kw: ",".join(kw))  # fmt: skip
def test_encoder_equals_torch(kw, torch, rng):
    def make(n):
        layer = n.TransformerEncoderLayer(4, 2, 8, dropout=0.0, **kw)
        return n.TransformerEncoder(layer, 2, n.LayerNorm(4), enable_nested_tensor=False)

    ours, theirs = pair(torch, make)
    x = rng.standard_normal((2, 5, 4) if kw.get("batch_first") else (5, 2, 4))
    compare(torch, ours, theirs, (x,), {})
    ours.zero_grad(), theirs.zero_grad()
    compare(torch, ours, theirs, (x,), dict(mask=LATER, src_key_padding_mask=PADDING))


@pytest.mark.peers
@pytest.mark.parametrize("kw", [{}, dict(kdim=32, vdim=8, add_bias_kv=True)])
def test_weights_start_alike(kw, torch):
    ours, theirs = nn.MultiheadAttention(64, 4, **kw), torch.nn.MultiheadAttention(64, 4, **kw)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        a, b = p.detach().numpy(), q.detach().numpy()
        np.testing.assert_allclose(a.std(), b.std(), rtol=0.3, err_msg=name)
        assert name.startswith("bias") or np.abs(a).max() <= 1.05 * np.abs(b).max(), name  # those are normal
