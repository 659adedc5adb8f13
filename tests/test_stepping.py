"""`backward_steps()` is `backward()` with pauses; `explain()` prints its formulae."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.diagnostics.formula import expression, formulae


def network():
    """A loss with shared nodes, broadcasting, several results, a fused kernel, a Function and pieces."""
    rng = np.random.default_rng(0)
    w = tg.tensor(rng.standard_normal((4, 5)).astype(np.float32), requires_grad=True)
    b = tg.tensor(rng.standard_normal(5).astype(np.float32), requires_grad=True)
    x = tg.tensor(rng.standard_normal((6, 4)).astype(np.float32), requires_grad=True)

    class Twice(tg.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    h = tg.tanh(x @ w + b)
    u, s, v = tg.linalg.svd(h, full_matrices=False)
    loss = nn.functional.cross_entropy(Twice.apply(h), tg.tensor([0, 1, 2, 3, 4, 0])) + s.sum() + (u * v.sum()).mean()
    return loss + h[0].sum() + h[1:3].mean() + (w * w).sum() * 0.1, (w, b, x)


def test_gradients_are_those_of_backward_to_the_last_bit():
    loss, leaves = network()
    loss.backward()
    again, twins = network()
    steps = list(again.backward_steps())
    for a, b in zip(leaves, twins, strict=True):
        assert a.grad.numpy().tobytes() == b.grad.numpy().tobytes()
    serials = [step.node.serial for step in steps]
    assert serials == sorted(serials, reverse=True)
    assert [s.number for s in steps] == list(range(1, len(steps) + 1))
    assert sum(step.is_leaf for step in steps) == 3


def test_every_step_shows_what_arrives_and_what_leaves():
    a = tg.tensor([2.0, 3.0], requires_grad=True)
    b = tg.tensor(5.0, requires_grad=True)
    loss = (a * b).sum()
    first, second, *leaves = loss.backward_steps()
    assert (first.name, first.gradient.tolist(), first.gradients["x"].tolist()) == ("sum", 1, [1, 1])
    assert second.rules == {"a": "g * b", "b": "g * a"}
    assert second.gradients["a"].tolist() == [5, 5] and second.gradients["b"].tolist() == 5, "broadcasting is undone"
    assert second.source.partition(":")[0].endswith("elementwise.py") and second.place.expression == "a * b"
    assert [leaf.gradient.tolist() for leaf in leaves] == [5, [5, 5]]
    assert "d/da: g * b  =  [5., 5.]" in repr(second) and ".grad += g" in repr(leaves[0])


def test_it_really_pauses_and_the_loop_records():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    seen = []
    for step in (x * x).sum().backward_steps():
        seen.append((step.name, x.grad is not None))
        assert (x * 2).requires_grad, "the loop of the caller is not under no_grad"
    assert seen == [("sum", False), ("multiply", False), ("leaf", True)]
    y = (x * x).sum()
    next(y.backward_steps(retain_graph=True))
    y.backward()


def test_errors_are_those_of_backward():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(tg.GraphError, match="is no scalar"):
        next((x * x).backward_steps())
    assert len(list((x * x).backward_steps(tg.ones(2)))) == 2
    with pytest.raises(tg.GraphError, match="takes part in no graph"):
        tg.ones(()).explain()
    loss = tg.exp(x).sum()
    list(loss.backward_steps())
    with pytest.raises(tg.GraphError, match="a second backward"):
        list(loss.backward_steps())


def test_explain(capsys):
    w = tg.tensor(3.0, requires_grad=True)
    loss = w * w + tg.exp(w)
    loss.explain()
    assert [line.partition("   ")[0].split(" test_")[0] for line in capsys.readouterr().out.splitlines()] == [
        "backward from f32[]: 4 steps, g starts as 1",
        "1  add f32[]",
        "", "",
        "2  exp f32[]",
        "",
        "3  multiply f32[]",
        "", "",
        "4  leaf f32[]",
        "",
    ]  # fmt: skip
    loss.explain()
    text = capsys.readouterr().out
    assert "d/da: g   -> step 3, multiply" in text and "d/dx: g * y   -> step 4, leaf" in text
    assert w.grad is None
    loss.backward()


def several_lines(g, x):
    y = g * x
    return y + 1


def one_line(g, x):
    """Text."""
    return g + x * 2


def test_formulae_of_every_shape_of_rule():
    pair = (lambda g, a: g * a + 1, lambda g, a: g - a)
    assert [expression(rule) for rule in pair] == ["g * a + 1", "g - a"]
    assert expression(several_lines).startswith("several_lines(g, x)   test_stepping.py:")
    assert expression(one_line) == "g + x * 2"
    space = {}
    exec("rule = lambda g, b: g / b", space)
    assert expression(space["rule"]) == "<lambda>(g, b)"
    x = tg.ones(2, 3, requires_grad=True)
    assert formulae(nn.functional.cross_entropy(x, tg.tensor([0, 1])).node)["input"].startswith("pullback(g)")


def test_every_rule_of_the_library_can_be_shown():
    from tensorgraph.operation import registry

    for op in registry.values():
        for rule in op.rules.values():
            text = expression(rule)
            assert text and "<lambda>" not in text, f"{op.name}: {text}"
