"""Mixed precision on the CPU: what is cast where, gradients of master weights, and the scaler."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn, ops
from tensorgraph.autocast import CASTING, NARROW, WIDE
from tensorgraph.fused import fusables
from tensorgraph.nn import train
from tensorgraph.nn.optim import GradScaler
from tensorgraph.operation import registry

F = nn.functional
HALF, SINGLE = np.dtype("float16"), np.dtype("float32")


def rand(*shape, dtype="float32", seed=0, grad=False):
    return tg.tensor(np.random.default_rng(seed).standard_normal(shape).astype(dtype), requires_grad=grad)


IMAGE, FILTER = rand(2, 3, 5, 5), rand(4, 3, 3, 3, seed=1)
ROWS, LABELS = rand(4, 6, dtype="float16"), tg.tensor([0, 5, 2, 2])

HALVED = {
    "matmul": lambda: rand(2, 3) @ rand(3, 2),
    "linear": lambda: F.linear(rand(2, 3), rand(4, 3), rand(4)),
    "einsum": lambda: tg.einsum("ij,kj->ik", rand(2, 3), rand(4, 3)),
    "conv1d": lambda: F.conv1d(rand(2, 3, 5), rand(4, 3, 3), rand(4)),
    "conv2d": lambda: F.conv2d(IMAGE, FILTER),
    "conv_transpose2d": lambda: F.conv_transpose2d(IMAGE, rand(3, 2, 2, 2)),
    "attention": lambda: F.scaled_dot_product_attention(rand(2, 3, 4), rand(2, 5, 4), rand(2, 5, 4)),
    "MultiheadAttention": lambda: nn.MultiheadAttention(4, 2)(rand(3, 2, 4), rand(3, 2, 4), rand(3, 2, 4))[0],
    "LSTM": lambda: nn.LSTM(3, 4, 2)(rand(5, 2, 3))[0],
    "GRU": lambda: nn.GRU(3, 4, 2)(rand(5, 2, 3))[0],
    "RNN": lambda: nn.RNN(3, 4)(rand(5, 2, 3))[0],
    "LSTMCell": lambda: nn.LSTMCell(3, 4)(rand(2, 3))[0],
    "GRUCell": lambda: nn.GRUCell(3, 4)(rand(2, 3)),
}
WIDENED = {
    "softmax": lambda: F.softmax(ROWS, 1),
    "log_softmax": lambda: F.log_softmax(ROWS, 1),
    "sum": lambda: ROWS.sum(),
    "mean": lambda: ROWS.mean(1),
    "var": lambda: ROWS.var(),
    "norm": lambda: tg.norm(ROWS),
    "cumsum": lambda: tg.cumsum(ROWS, 1),
    "exp": lambda: tg.exp(ROWS),
    "log": lambda: tg.log(ROWS.abs()),
    "pow": lambda: ROWS**3,
    "layer_norm": lambda: F.layer_norm(ROWS, (6,)),
    "BatchNorm1d": lambda: nn.BatchNorm1d(6)(ROWS),
    "GroupNorm": lambda: nn.GroupNorm(2, 6)(ROWS),
    "cross_entropy": lambda: F.cross_entropy(ROWS, LABELS),
    "nll_loss": lambda: F.nll_loss(ROWS, LABELS),
    "mse_loss": lambda: F.mse_loss(ROWS, ROWS),
    "l1_loss": lambda: F.l1_loss(ROWS, ROWS),
    "smooth_l1_loss": lambda: F.smooth_l1_loss(ROWS, ROWS),
    "bce with logits": lambda: F.binary_cross_entropy_with_logits(ROWS, tg.zeros_like(ROWS)),
    "kl_div": lambda: F.kl_div(ROWS, F.softmax(ROWS, 1)),
}
AS_THEY_COME = {
    "relu": lambda: F.relu(ROWS),
    "add": lambda: ROWS + ROWS,
    "tanh": lambda: tg.tanh(ROWS),
    "max_pool2d": lambda: F.max_pool2d(IMAGE.astype("float16"), 2),
    "concat": lambda: tg.concat([ROWS, ROWS]),
}


@pytest.mark.parametrize("run", HALVED.values(), ids=HALVED.keys())
def test_products_are_computed_in_half_precision(run):
    assert run().dtype == SINGLE
    with tg.autocast("float16"):
        assert run().dtype == HALF


@pytest.mark.parametrize("run", WIDENED.values(), ids=WIDENED.keys())
def test_sums_and_losses_are_computed_in_float32(run):
    with tg.autocast("float16"):
        assert run().dtype == SINGLE


@pytest.mark.parametrize("run", AS_THEY_COME.values(), ids=AS_THEY_COME.keys())
def test_the_rest_takes_what_comes(run):
    with tg.autocast("float16"):
        assert run().dtype == HALF


def test_names_in_the_lists_exist():
    known = {*registry, *fusables, *vars(ops)}
    assert NARROW and WIDE and not NARROW & WIDE
    assert (NARROW | WIDE) - known == set()


def test_every_loss_is_computed_in_float32():
    from tests.nn_cases import CASES

    for name, make, given in CASES:
        if name in nn.losses.__all__:
            arrays = [rand(*a).array if isinstance(a, tuple) else a for a in given]
            inputs = [tg.tensor(a.astype("float16") if a.dtype.kind == "f" else a) for a in arrays]
            with tg.autocast("float16"):
                assert make()(*inputs).dtype == SINGLE, name


# ---- values and gradients ------------------------------------------------------------------------------------------
def test_values_are_those_of_rounded_operands():
    """Half precision in, sums in float32, half precision out."""
    x, w, b = rand(5, 64), rand(7, 64, seed=1), rand(7, seed=2)
    with tg.autocast("float16"):
        y = F.linear(x, w, b)
    wide = [t.numpy().astype(np.float16).astype(np.float64) for t in (x, w, b)]
    np.testing.assert_allclose(y.numpy(), wide[0] @ wide[1].T + wide[2], rtol=2e-3, atol=2e-3)


def test_gradients_of_master_weights():
    """They are of float32, and within half precision those of float32."""
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)
    )
    found = []
    for enabled in (False, True):
        model.zero_grad()
        with tg.autocast("float16", enabled=enabled):
            loss = F.cross_entropy(model(IMAGE), tg.tensor([0, 2]))
        assert loss.dtype == SINGLE
        loss.backward()
        found.append([p.grad for p in model.parameters()])
    for exact, g in zip(*found, strict=True):
        assert g.dtype == SINGLE
        np.testing.assert_allclose(g.numpy(), exact.numpy(), rtol=0.05, atol=5e-3)
    assert all(p.dtype == SINGLE for p in model.parameters())


def test_a_weight_used_twice_adds_its_gradients():
    w = rand(3, 3, grad=True)
    with tg.autocast():
        loss = (rand(2, 3) @ w @ w).sum()
    loss.backward()
    x, m = (a.astype(np.float64) for a in (rand(2, 3).numpy(), w.detach().numpy()))
    ones = np.ones((2, 3))
    np.testing.assert_allclose(w.grad.numpy(), (x @ m).T @ ones + x.T @ (ones @ m.T), rtol=0.02, atol=0.02)


def test_float64_is_left_alone():
    with tg.autocast():
        assert (rand(2, 2, dtype="float64") @ rand(2, 2, dtype="float64")).dtype == np.float64


def test_arrays_outside_tensors_are_left_alone():
    with tg.autocast():
        assert tg.matmul(np.ones((2, 2), np.float32), np.ones((2, 2), np.float32)).dtype == SINGLE


def test_on_another_device(fence):
    model, x = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2)).to(device="fence"), rand(5, 3)
    optimizer, scaler = nn.optim.SGD(model.parameters(), 0.1), GradScaler(128.0)
    with tg.autocast("float16"):
        y = model(x.to(device="fence"))
        loss = (y * y).mean()
    assert (y.dtype, loss.dtype, loss.device) == (HALF, SINGLE, "fence")
    scaler.scale(loss).backward()
    before = model[0].weight.to("cpu").detach().numpy().copy()
    scaler.step(optimizer)
    scaler.update()
    assert (model[0].weight.to("cpu").detach().numpy() != before).any()


# ---- where it holds ------------------------------------------------------------------------------------------------
def dtype_here():
    return (rand(2, 2) @ rand(2, 2)).dtype


def test_blocks_nest_and_end():
    switch = tg.autocast("float16")
    with switch:
        assert dtype_here() == HALF
        with tg.autocast(enabled=False):
            assert dtype_here() == SINGLE
            with switch:
                assert dtype_here() == HALF
        assert dtype_here() == HALF
    assert dtype_here() == SINGLE and not CASTING
    with pytest.raises(KeyError), tg.autocast():
        raise KeyError
    assert dtype_here() == SINGLE and not CASTING


def test_as_a_decorator():
    @tg.autocast("float16")
    def run():
        """Its own text."""
        return dtype_here()

    assert run() == HALF and run.__doc__ == "Its own text." and dtype_here() == SINGLE
    assert tg.autocast(enabled=False)(dtype_here)() == SINGLE


def test_other_threads_and_tasks_do_not_see_it():
    seen = []

    async def two():
        async def inside():
            with tg.autocast():
                await asyncio.sleep(0)
                return dtype_here()

        async def outside():
            await asyncio.sleep(0)
            return dtype_here()

        return await asyncio.gather(inside(), outside())

    with tg.autocast():
        thread = threading.Thread(target=lambda: seen.append(dtype_here()))
        thread.start()
        thread.join()
    assert seen == [SINGLE]
    assert asyncio.run(two()) == [HALF, SINGLE]


@pytest.mark.parametrize("dtype, match", [
    ("float32", "no half precision"), (tg.float64, "no half"),
    (None, "no half"),
])  # fmt: skip
def test_other_dtypes(dtype, match):
    with pytest.raises(tg.DtypeError, match=match):
        tg.autocast(dtype)


@pytest.mark.parametrize("dtype", ["float16", tg.float16, np.float16, np.dtype("float16")])
def test_names_of_the_dtype(dtype):
    with tg.autocast(dtype):
        assert dtype_here() == HALF


def test_an_operation_of_a_user_is_left_alone():
    @tg.op
    def matmul(be, a, b):
        return be.matmul(a, b)

    with tg.autocast():
        assert matmul(rand(2, 2), rand(2, 2)).dtype == SINGLE


# ---- the scaler ----------------------------------------------------------------------------------------------------
def problem(lr=0.1):
    w = tg.tensor([1.0, -2.0], requires_grad=True)
    return w, nn.optim.SGD([w], lr)


def test_scaling_changes_no_step():
    w, optimizer = problem()
    v, plain = problem()
    scaler = GradScaler(init_scale=1024.0)
    for _ in range(3):
        optimizer.zero_grad(), plain.zero_grad()
        loss = (w * w).sum()
        assert scaler.scale(loss).item() == 1024 * loss.item()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        (v * v).sum().backward()
        plain.step()
    np.testing.assert_array_equal(w.detach().numpy(), v.detach().numpy())  # a power of two rounds nothing


def test_gradients_that_would_vanish():
    x = tg.tensor([1e-4], requires_grad=True)

    def small():
        x.grad = None
        with tg.autocast():
            return (x.reshape(1, 1) @ tg.tensor([[1e-4]])).sum() * 1e-5

    small().backward()
    assert x.grad.item() == 0
    scaler, optimizer = GradScaler(), nn.optim.SGD([x], 1.0)
    scaler.scale(small()).backward()
    scaler.unscale_(optimizer)
    assert x.grad.item() == pytest.approx(1e-9, rel=0.01)


def test_an_overflow_skips_the_step_and_halves_the_scale():
    w, optimizer = problem()
    scaler = GradScaler(init_scale=8.0, growth_interval=2)
    scales = []
    for factor in (np.inf, 1, np.nan, 1, 1, 1, 1):
        optimizer.zero_grad()
        before = w.detach().numpy().copy()
        scaler.scale((w * factor).sum()).backward()
        moved = scaler.step(optimizer)
        scaler.update()
        assert moved is None
        assert (w.detach().numpy() == before).all() == (not np.isfinite(factor))
        scales.append(scaler.get_scale())
    assert scales == [4, 4, 2, 2, 4, 4, 8]


def test_two_optimisers_and_one_update():
    (w, first), (v, second) = problem(), problem()
    scaler = GradScaler(init_scale=2.0)
    scaler.scale([(w * float("inf")).sum(), (v * 2).sum()])[1].backward()
    scaler.scale((w * float("inf")).sum()).backward()
    for optimizer in (first, second):
        scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(w.detach().numpy(), [1, -2])  # skipped
    np.testing.assert_allclose(v.detach().numpy(), [0.8, -2.2])  # not skipped
    assert scaler.get_scale() == 1


def test_clipping_between():
    w, optimizer = problem(lr=1.0)
    scaler = GradScaler()
    scaler.scale((w * tg.tensor([3.0, 4.0])).sum()).backward()
    scaler.unscale_(optimizer)
    assert nn.clip_grad_norm_([w], 1.0).item() == pytest.approx(5)
    scaler.step(optimizer)
    np.testing.assert_allclose(w.detach().numpy(), [0.4, -2.8], rtol=1e-5)


def test_gradients_that_came_from_one_array():
    """a + b sends the same gradient to both; each is divided once."""
    a, b = tg.zeros(2, requires_grad=True), tg.zeros(2, requires_grad=True)
    scaler, optimizer = GradScaler(init_scale=4.0), nn.optim.SGD([a, b], 1.0)
    scaler.scale((a + b).sum()).backward()
    scaler.step(optimizer)
    np.testing.assert_array_equal([a.detach().numpy(), b.detach().numpy()], -np.ones((2, 2)))


def test_state():
    scaler = GradScaler(init_scale=16.0, growth_interval=3)
    w, optimizer = problem()
    scaler.scale((w * w).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    other = GradScaler()
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() == {
        "scale": 16.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 3, "_growth_tracker": 1,
    }  # fmt: skip
    with pytest.raises(tg.StateDictError, match=r"scale, growth_factor.*missing"):
        scaler.load_state_dict({})
    scaler.update(64.0)
    assert scaler.get_scale() == 64


def test_disabled():
    w, optimizer = problem()
    scaler = GradScaler(enabled=False)
    loss = (w * w).sum()
    assert scaler.scale(loss) is loss and scaler.get_scale() == 1 and scaler.state_dict() == {}
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(w.detach().numpy(), [0.8, -1.6])


def test_misuse():
    w, optimizer = problem()
    scaler = GradScaler()
    with pytest.raises(tg.GraphError, match="no step since the last update"):
        scaler.update()
    scaler.scale((w * w).sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(tg.GraphError, match="divided already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(tg.GraphError, match="made its step already"):
        scaler.step(optimizer)
    with pytest.raises(tg.GraphError, match="has made its step"):
        scaler.unscale_(optimizer)
    scaler.update()
    with pytest.raises(tg.ArgumentError, match="closures"):
        scaler.step(optimizer, lambda: None)
    half = tg.ones(2, dtype="float16", requires_grad=True)
    (half * 2).sum().backward()
    with pytest.raises(tg.DtypeError, match=r"a gradient is f16\[2\][\s\S]*keep parameters in float32"):
        scaler.unscale_(nn.optim.SGD([half], 1.0))
    with pytest.raises(tg.DtypeError, match="expected the loss"):
        scaler.scale(3.0)
    for bad in (dict(init_scale=0), dict(growth_factor=1), dict(backoff_factor=1), dict(growth_interval=0)):
        with pytest.raises(tg.ArgumentError, match=f"GradScaler: {next(iter(bad))}"):
            GradScaler(**bad)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # of NumPy, while the scale comes down
def test_with_the_trainer(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 4)).astype(np.float32)
    t = (x[:, 0] > 0).astype(np.int64)
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    seen = []
    model.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    scaler = GradScaler(init_scale=2.0**30, growth_interval=4)  # overflows at first
    trainer = train.Trainer(
        model, nn.CrossEntropyLoss(), nn.optim.Adam(model.parameters(), 0.05), progress=False,
        autocast="float16", scaler=scaler, callbacks=[train.ClipGradients(1.0)],
    )  # fmt: skip
    loader = tg.data.DataLoader(tg.data.ArrayDataset(x, t), 16)
    trainer.fit(loader, 12, validation=loader)
    assert set(seen) == {HALF}
    assert trainer.history["val_loss"][-1] < 0.5 * trainer.history["val_loss"][0]
    assert scaler.get_scale() != 2.0**30
    trainer.save(tmp_path / "last.npz")
    fresh = GradScaler()
    train.load_checkpoint(tmp_path / "last.npz", random_states=False, scaler=fresh)
    assert fresh.state_dict() == scaler.state_dict()


# ---- PyTorch's names -----------------------------------------------------------------------------------------------
def test_the_front_speaks_it(monkeypatch):
    import tensorgraph.torch as torch

    def dtype_in(block):
        with block:
            return dtype_here()

    assert dtype_in(torch.autocast("cpu", dtype=torch.float16)) == HALF
    assert dtype_in(torch.amp.autocast(device_type="cpu", dtype=torch.half, enabled=False)) == SINGLE
    assert dtype_in(torch.autocast("cpu", torch.bfloat16, enabled=False)) == SINGLE
    assert torch.autocast("cpu", torch.float16)(dtype_here)() == HALF
    assert torch.amp.GradScaler("cpu", init_scale=8.0).get_scale() == 8
    monkeypatch.setattr(tg.backends, "devices", lambda: ["cpu"])
    for block in (lambda: torch.autocast("cuda"), lambda: torch.cuda.amp.autocast(True)):
        with pytest.warns(UserWarning, match="there is no CUDA device, so it is switched off"):
            assert dtype_in(block()) == SINGLE
    with pytest.warns(UserWarning, match="GradScaler: there is no CUDA device"):
        assert not torch.cuda.amp.GradScaler(1024.0).is_enabled()
    monkeypatch.setattr(tg.backends, "devices", lambda: ["cpu", "cuda:0"])
    assert dtype_in(torch.autocast("cuda")) == dtype_in(torch.cuda.amp.autocast()) == HALF
    assert torch.cuda.amp.GradScaler(1024.0).get_scale() == 1024
    assert isinstance(torch.amp.GradScaler(), GradScaler)


# ---- PyTorch's -----------------------------------------------------------------------------------------------------
@pytest.mark.peers
def test_dtypes_are_pytorchs():
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    Ft = torch.nn.functional
    a, w, h = torch.randn(4, 6), torch.randn(5, 6), torch.randn(4, 6, dtype=torch.float16)
    labels = torch.tensor([0, 5, 2, 2])
    pairs = {
        "linear": (lambda: Ft.linear(a, w), lambda: F.linear(rand(4, 6), rand(5, 6))),
        "matmul": (lambda: a @ w.T, lambda: rand(4, 6) @ rand(5, 6).T),
        "relu": (lambda: torch.relu(h), lambda: F.relu(ROWS)),
        "add": (lambda: h + a, lambda: ROWS + rand(4, 6)),
        "cross_entropy": (lambda: Ft.nll_loss(h, labels), lambda: F.nll_loss(ROWS, LABELS)),
        "mse_loss": (lambda: Ft.mse_loss(h, h), lambda: F.mse_loss(ROWS, ROWS)),
        "l1_loss": (lambda: Ft.smooth_l1_loss(h, h), lambda: F.smooth_l1_loss(ROWS, ROWS)),
    }
    for name, (theirs, ours) in pairs.items():
        with torch.autocast("cpu", dtype=torch.float16), tg.autocast("float16"):
            assert str(theirs().dtype).endswith(ours().dtype.name), name


@pytest.mark.peers
def test_the_scale_goes_pytorchs_way():
    torch = pytest.importorskip("torch", reason="torch is not installed; `python3 dev.py peers` installs it")
    ours = GradScaler(init_scale=256.0, growth_interval=3)
    theirs = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=3)
    w, optimizer = problem()
    v = torch.tensor([1.0, -2.0], requires_grad=True)
    other = torch.optim.SGD([v], 0.1)
    for step in range(20):
        factor = float("inf") if step in (2, 3, 11) else 1.0
        for scaler, p, o in ((ours, w, optimizer), (theirs, v, other)):
            o.zero_grad()
            scaler.scale((p * p * factor).sum()).backward()
            scaler.step(o)
            scaler.update()
        assert ours.get_scale() == theirs.get_scale()
        np.testing.assert_allclose(w.detach().numpy(), v.detach().numpy(), rtol=1e-6)
    mine, his = ours.state_dict(), theirs.state_dict()
    assert mine == his
    ours.load_state_dict(his)
