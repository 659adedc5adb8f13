"""`profile()` and `memory_report()`: what they count is compared with counting by hand."""

import asyncio
import gc
import json
import threading

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backends, nn
from tensorgraph.operation import op


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        return self.fc(tg.relu(self.conv(x)).mean((2, 3)))


def rows(p, by="operations"):
    return {row.name: row for row in getattr(p, by)()}


# ---- profile ---------------------------------------------------------------------------------------------------------
def test_calls_bytes_and_multiply_adds():
    net, x = Net(), tg.ones(2, 3, 8, 8)
    with tg.profile() as p:
        y = net(x)
    found = rows(p)
    assert found["correlate"].macs == 2 * 4 * 6 * 6 * 3 * 3 * 3
    assert found["linear"].macs == 2 * 4 * 5
    assert found["relu"].bytes == found["correlate"].bytes == 2 * 4 * 6 * 6 * 4 and found["relu"].calls == 1
    modules = rows(p, "modules")
    assert modules["Net"].calls == len(p.events) and modules["Net.conv"].macs == found["correlate"].macs
    assert modules["Net"].forward_ms >= modules["Net.conv"].forward_ms > 0
    with tg.profile() as p:
        y.sum().backward()
    found = rows(p)
    assert found["linear"].backward_ms > 0 and found["linear"].forward_ms == 0
    assert found["matmul"].macs == 2 * (2 * 4 * 5), "the two products inside the rules of linear"
    assert found["matmul"].backward_ms > 0 and found["matmul"].forward_ms == 0


def test_fused_attention_declares_its_products():
    q, k, v = (tg.ones(2, n, 4, requires_grad=True) for n in (3, 5, 5))
    with tg.profile() as p:
        nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()
    forward = 2 * 3 * 5 * (4 + 4)
    assert rows(p)["attention"].macs == forward + 2 * forward
    with tg.profile() as p, tg.kernels(False):
        nn.functional.scaled_dot_product_attention(q, k, v)
    assert sum(row.macs for row in p.operations()) == forward


@pytest.mark.parametrize("layer, gates", [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_count_their_products(layer, gates):
    with tg.profile() as p:
        layer(3, 4)(tg.ones(5, 2, 3))
    assert sum(row.macs for row in p.operations()) == 5 * 2 * gates * 4 * (3 + 4)


def test_own_time_leaves_out_what_is_inside():
    @op
    def outer(be, x):
        return tg.exp(tg.exp(x))

    with tg.profile() as p:
        outer(tg.zeros(1000))
    found = rows(p)
    assert found["exp"].calls == 2
    assert found["outer"].own_ms + found["exp"].own_ms == pytest.approx(found["outer"].forward_ms)
    total = sum(e.own for e in p.events)
    assert total <= p.seconds


def test_a_node_knows_its_times():
    x = tg.ones(50, 50, requires_grad=True)
    with tg.profile() as p:
        y = x @ x
        loss = nn.functional.cross_entropy(y, tg.zeros(50, dtype=tg.int64))
        loss.backward()
    for node in (y.node, loss.node):
        assert p.forward_ms(node) == p.forward_ms(node.serial) > 0
        assert p.backward_ms(node.serial) > 0
    assert p.forward_ms(x.node) is None and p.backward_ms(10**12) is None


def test_nothing_is_kept_alive():
    import weakref

    with tg.profile() as p:
        y = tg.ones(3, requires_grad=True) * 2
        ref = weakref.ref(y.array)
        del y
        assert ref() is None
    assert p.events


def test_trace_file(tmp_path):
    net, x = Net(), tg.ones(2, 3, 8, 8)
    with tg.profile() as p:
        net(x).sum().backward()
    p.trace(tmp_path / "trace.json")
    events = [e for e in json.loads((tmp_path / "trace.json").read_text())["traceEvents"] if e["ph"] == "X"]
    assert {"Net", "Net.conv", "Net.fc", "correlate", "correlate backward"} <= {e["name"] for e in events}
    assert all(e["dur"] >= 0 and {"ts", "pid", "tid", "args"} <= e.keys() for e in events)
    conv, inner = (next(e for e in events if e["name"] == name) for name in ("Net.conv", "correlate"))
    assert conv["ts"] <= inner["ts"] and conv["ts"] + conv["dur"] >= inner["ts"] + inner["dur"] - 0.01
    assert inner["args"]["line"].startswith("test_profile.py:")
    for thread in {e["tid"] for e in events}:  # in one lane, intervals nest or do not touch
        stack = []
        for e in [e for e in events if e["tid"] == thread]:
            while stack and stack[-1] <= e["ts"] + 0.002:
                stack.pop()
            assert not stack or e["ts"] + e["dur"] <= stack[-1] + 0.002
            stack.append(e["ts"] + e["dur"])
    with pytest.raises(tg.GraphError, match="nothing was measured"):
        tg.profile().trace(tmp_path / "empty.json")


def test_tables():
    with tg.profile() as p:
        Net()(tg.ones(2, 3, 8, 8)).sum().backward()
    text = str(p)
    assert "ms in the block" in text and "multiply-adds" in text and "Net.conv" in text
    assert "test_profile.py" in p.table("line")
    assert "... and" in p.table(rows=2)
    with pytest.raises(tg.ArgumentError, match="by is one of operation, module, line"):
        p.table("colour")
    assert p.overhead > 0 and repr(p).startswith("<profile of")


def test_definitions_of_fusables_count_when_the_kernel_declines():
    backends.cpu.add_kernel("attention", (real := backends.cpu._kernels["attention"]) and (lambda *a, **k: None))
    try:
        with tg.profile() as p:
            q = tg.ones(1, 2, 4)
            nn.functional.scaled_dot_product_attention(q, q, q)
        assert "attention" not in rows(p) and rows(p)["matmul"].calls == 2
    finally:
        backends.cpu.add_kernel("attention", real)


def test_two_threads_and_two_tasks_profile_for_themselves():
    ready, results = threading.Barrier(2), {}

    def work(name, f):
        with tg.profile() as p:
            ready.wait()
            f(tg.ones(2))
            ready.wait()
        results[name] = set(rows(p))

    threads = [threading.Thread(target=work, args=pair) for pair in (("a", tg.exp), ("b", tg.sin))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    async def task(name, f):
        with tg.profile() as p:
            await asyncio.sleep(0.01)
            f(tg.ones(2))
            await asyncio.sleep(0.01)
        results[name] = set(rows(p))

    async def both():
        await asyncio.gather(task("c", tg.cos), task("d", tg.tan))

    asyncio.run(both())
    assert results == {"a": {"exp"}, "b": {"sin"}, "c": {"cos"}, "d": {"tan"}}


# ---- memory ----------------------------------------------------------------------------------------------------------
def test_report_counts_each_block_once():
    class Lonely(nn.Linear):  # rows go by name, and other tests may have left a Linear alive
        pass

    gc.collect()
    net = Lonely(1000, 500)
    x = tg.zeros(64, 1000)
    optimizer = nn.optim.Adam(net.parameters())
    net(x).sum().backward()
    optimizer.step()
    y = tg.exp(net(x))
    z = y.reshape(-1)  # a view of the same block
    report = tg.memory_report()
    ours = [row for row in report.rows if "Lonely.weight" in row.name]
    assert {(r.kind, r.bytes) for r in ours} == {("parameter", 2_000_000), ("gradient", 2_000_000)}
    (kept,) = [row for row in report.rows if row.name == "exp"]
    assert kept.kind == "saved for backward" and kept.bytes == 64 * 500 * 4
    assert kept.expression == "tg.exp(net(x))" and kept.place.startswith("test_profile.py:")
    state = [row.bytes for row in report.rows if row.kind == "optimiser state"]
    assert sum(state) >= 2 * 2_000_000
    assert report.total == sum(row.bytes for row in report.rows) and "MiB" in str(report)
    assert z.shape == (32000,)


def test_out_of_memory_shows_the_table():
    x = tg.ones(1000, 1000, requires_grad=True)
    kept = tg.exp(x)
    with pytest.raises(MemoryError) as caught:
        tg.broadcast_to(x, (10**9, 1000, 1000)) * 2.0
    error = caught.value
    assert isinstance(error, tg.OutOfMemoryError) and isinstance(error.__context__, MemoryError)
    text = str(error)
    assert text.startswith("multiply: Unable to allocate") and "are held by live tensors and graphs" in text
    assert "tg.exp(x)" in text and "saved for backward" in text and "checkpoint" in text
    assert kept.shape == (1000, 1000)


def test_out_of_memory_of_another_library_is_known_by_its_name():
    class OutOfMemoryError(Exception):
        pass

    @op
    def hungry(be, x):
        raise OutOfMemoryError("no more")

    with pytest.raises(tg.OutOfMemoryError, match="hungry: no more"):
        hungry(tg.ones(1))
    hungry.vjp(x=lambda g, x: np.empty((10**6, 10**6, 10**3)))


def test_out_of_memory_in_a_backward_pass():
    @op
    def modest(be, x):
        return x * 1

    modest.vjp(x=lambda g: np.empty((10**6, 10**6, 10**3)))
    with pytest.raises(tg.OutOfMemoryError, match="backward of modest: Unable to allocate"):
        modest(tg.ones(1, requires_grad=True)).sum().backward()
