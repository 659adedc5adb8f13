"""Errors: the text says what disagreed, then the operands and where they came from, then the way out."""

from __future__ import annotations

import inspect
import pickle
import warnings

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.errors import sig
from tensorgraph.provenance import birth
from tensorgraph.tensor import Tensor

HERE = "test_errors.py"


def line_of(function, text: str) -> int:
    """The line of this file on which `text` stands inside `function`."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = [i for i, line in enumerate(lines) if text in line and "line_of" not in line]
    return first + offset


# ---- the classes ---------------------------------------------------------------------------------------------------
def test_errors_are_what_python_programs_expect():
    expected = {
        tg.ShapeError: ValueError,
        tg.AxisError: (ValueError, IndexError),
        tg.OutOfRangeError: IndexError,
        tg.DtypeError: TypeError,
        tg.ArgumentError: ValueError,
        tg.BackendError: RuntimeError,
        tg.GraphError: RuntimeError,
    }
    for kind, base in expected.items():
        assert all(issubclass(kind, b) for b in (base if isinstance(base, tuple) else (base,)))
        assert issubclass(kind, tg.TensorgraphError)


def test_an_error_keeps_its_parts_and_pickles():
    error = tg.ShapeError("what", hint="way out", operands=["a  f32[1]"])
    assert str(error) == "what\n  a  f32[1]\n  hint: way out"
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin)) == (tg.ShapeError, str(error))


@pytest.mark.parametrize(
    "value, text",
    [
        (np.zeros((8, 3), np.float32), "f32[8,3]"),
        (np.zeros((), np.int64), "i64[]"),
        (np.zeros(2, bool), "bool[2]"),
        (np.zeros(2, np.uint8), "u8[2]"),
        (np.zeros(2, np.complex64), "c64[2]"),
        (tg.ones(2, 3), "f32[2,3]"),
        (2.5, "float 2.5"),
        (None, "NoneType None"),
        ("x" * 99, "str '" + "x" * 36 + "..."),
    ],
)
def test_short_signatures(value, text):
    assert sig(value) == text


# ---- operands and where they came from -----------------------------------------------------------------------------
def test_operands_show_what_made_them_and_where():
    def shapes():
        x = tg.ones(4, 3, requires_grad=True)
        w = tg.ones(2, 5)
        h = tg.exp(x)
        return h + w

    with pytest.raises(tg.ShapeError) as caught:
        shapes()
    assert str(caught.value).splitlines() == [
        "add: shapes do not broadcast: a f32[4,3] and b f32[2,5]",
        f"  a  f32[4,3]  tg.exp(x)  {HERE}:{line_of(shapes, 'h = tg.exp(x)')}",
        "  b  f32[2,5]",
    ]


def test_leaves_show_where_they_were_made():
    def leaves():
        x = tg.ones(4, 3, requires_grad=True)
        y = tg.ones(5, requires_grad=True)
        return x * y

    with pytest.raises(tg.ShapeError) as caught:
        leaves()
    assert str(caught.value).splitlines() == [
        "multiply: shapes do not broadcast: a f32[4,3] and b f32[5]",
        f"  a  f32[4,3]  leaf  {HERE}:{line_of(leaves, 'x = tg.ones')}",
        f"  b  f32[5]    leaf  {HERE}:{line_of(leaves, 'y = tg.ones')}",
    ]


def test_plain_arrays_and_numbers_are_operands_too():
    with pytest.raises(tg.ShapeError) as caught:
        tg.add(np.ones(2), np.ones(3))
    assert str(caught.value).splitlines() == [
        "add: shapes do not broadcast: a f64[2] and b f64[3]",
        "  a  f64[2]",
        "  b  f64[3]",
    ]


def test_what_is_no_operand():
    for bad in ("text", object(), {1: 2}, print):
        with pytest.raises(TypeError):
            tg.tensor([1.0]) * bad
    with pytest.raises(tg.DtypeError, match="add: b is str 'text', which cannot be an operand"):
        tg.add(tg.tensor([1.0]), "text")


def test_an_error_inside_a_rule_says_so():
    @tg.op
    def careless(be, x):
        return x * 2

    careless.vjp(x=lambda g: g + np.ones(7))

    def run():
        x = tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True)
        y = careless(x)
        y.sum().backward()

    with pytest.raises(tg.ShapeError) as caught:
        run()
    text = str(caught.value).splitlines()
    assert text[0] == "backward of careless: shapes do not broadcast: g f64[2]"
    assert text[1] == f"  g  f64[2]  careless(x)  {HERE}:{line_of(run, 'y = careless(x)')}"


def test_unknown_errors_get_a_note_and_stay_what_they_are():
    @tg.op
    def failing(be, x):
        raise KeyError("inner")

    with pytest.raises(KeyError, match="inner") as caught:
        failing(tg.tensor([1.0]))
    assert caught.value.__notes__ == ["in operation failing\n  x  f32[1]"]


def test_the_original_error_is_chained():
    with pytest.raises(tg.ShapeError) as caught:
        tg.ones(2) + tg.ones(3)
    assert isinstance(caught.value.__context__, ValueError)


# ---- births --------------------------------------------------------------------------------------------------------
def test_birth_is_the_line_of_the_user():
    x = tg.tensor([1.0], requires_grad=True)
    y = tg.tanh(x) * 2; expected = inspect.currentframe().f_lineno  # fmt: skip # noqa: E702
    place = birth(y.node)
    assert (place.line, place.expression) == (expected, "tg.tanh(x) * 2")
    assert place.function == "test_birth_is_the_line_of_the_user"
    assert birth(y.node.parents[0]).expression == "tg.tanh(x)"
    assert str(birth(y.node)) == f"{HERE}:{expected}"


def test_births_of_composites_methods_and_several_lines():
    x = tg.ones(2, 2, requires_grad=True)
    for y, expression in [
        (x.mean(), "x.mean()"),
        (x @ x, "x @ x"),
        (x.reshape(4), "x.reshape(4)"),
        (-x, "-x"),
        (x[0], "x[0]"),
        (tg.concat([x, x]), "tg.concat([x, x])"),
    ]:
        assert birth(y.node).expression == expression
    long = tg.add(
        x,
        1.0,
    )
    assert birth(long.node).expression.startswith("long = tg.add(")


def test_births_inside_comprehensions_and_lambdas():
    x = tg.tensor(1.0, requires_grad=True)
    double = lambda t: t * 2.0
    assert birth(double(x).node).expression == "t * 2.0"
    assert {birth(y.node).expression for y in [x + i for i in range(3)]} == {"x + i"}


def test_gradients_of_gradients_are_born_on_the_line_of_grad():
    x = tg.tensor(2.0, requires_grad=True)
    g = tg.grad(tg.exp(x), x, create_graph=True)
    assert birth(g.node).expression == "tg.grad(tg.exp(x), x, create_graph=True)"


def test_code_without_a_source_file():
    space = {"tg": tg}
    exec(compile("y = tg.ones(2, requires_grad=True) * 2", "<nowhere>", "exec"), space)
    place = birth(space["y"].node)
    assert (place.file, place.line, place.expression) == ("<nowhere>", 1, "")


# ---- messages of the graph -----------------------------------------------------------------------------------------
def test_no_scalar():
    def run():
        x = tg.ones(3, requires_grad=True)
        y = x * 2
        y.backward()

    with pytest.raises(tg.GraphError) as caught:
        run()
    assert str(caught.value).splitlines() == [
        "backward: f32[3] is no scalar",
        f"  x * 2   {HERE}:{line_of(run, 'y = x * 2')}",
        "  hint: reduce it (.sum(), .mean()), or pass the gradient of a scalar with respect to it",
    ]


def test_second_backward():
    def run():
        x = tg.ones(3, requires_grad=True)
        y = tg.exp(x).sum()
        y.backward()
        y.backward()

    with pytest.raises(tg.GraphError) as caught:
        run()
    assert str(caught.value).splitlines() == [
        "a second backward through sum: its saved arrays were released by the first",
        f"  tg.exp(x).sum()   {HERE}:{line_of(run, 'y = tg.exp(x).sum()')}",
        "  hint: retain_graph=True in the first call keeps them; or run the forward pass again",
    ]


def test_overwritten_array():
    def run():
        w = tg.ones(3, requires_grad=True)
        y = (w * w).sum()
        with tg.no_grad():
            w += 1.0
        y.backward()

    with pytest.raises(tg.GraphError) as caught:
        run()
    assert str(caught.value).splitlines() == [
        "multiply: its saved b f32[3] was overwritten before the backward pass used it",
        f"  saved by     w * w   {HERE}:{line_of(run, 'y = (w * w)')}",
        f"  overwritten  w += 1.0   {HERE}:{line_of(run, 'w += 1.0')}",
        "  hint: run backward() before the write, or write into a copy: t.clone()",
    ]


def test_overwritten_through_a_view_or_alias():
    x = tg.ones(4, requires_grad=True)
    y = tg.exp(x)
    y.detach()[1:2] = 9.0
    with pytest.raises(tg.GraphError, match=r"exp: its saved y f32\[4\] was overwritten(?s:.*)y\.detach\(\)\[1:2\] ="):
        y.sum().backward()


def test_writes_before_the_forward_pass_are_fine():
    x = tg.ones(4, requires_grad=True)
    with tg.no_grad():
        x[0] = 5.0
    tg.exp(x).sum().backward()
    assert x.grad is not None


def test_no_cuda_here():
    from tensorgraph import backends

    try:
        backends.get("cuda")
    except tg.BackendError as error:
        assert len(str(error).splitlines()[0]) > 10
        assert "hint" in str(error)
    else:
        assert tg.zeros(1, device="cuda").device == "cuda:0"


# ---- hints, each followed --------------------------------------------------------------------------------------------
F = nn.functional
LABELS = tg.tensor([0, 1, 2, 0])


@pytest.mark.parametrize(
    "wrong, hint, right",
    [
        (lambda: tg.ones(2, 3) @ tg.ones(4, 3), "a @ b.T would fit", lambda: tg.ones(2, 3) @ tg.ones(4, 3).T),
        (lambda: nn.Linear(4, 2)(tg.ones(3, 5)), "Linear(in_features=5, ...) would fit",
         lambda: nn.Linear(in_features=5, out_features=2)(tg.ones(3, 5))),
        (lambda: nn.Linear(36, 2)(tg.ones(3, 4, 3, 3)), "x.flatten(1) has 36 features",
         lambda: nn.Linear(36, 2)(tg.ones(3, 4, 3, 3).flatten(1))),
        (lambda: nn.Conv2d(3, 4, 3)(tg.ones(2, 5, 8, 8)), "a weight (4, 5, R, S) would fit",
         lambda: F.conv2d(tg.ones(2, 5, 8, 8), tg.ones(4, 5, 3, 3))),
        (lambda: nn.Conv2d(3, 4, 3)(tg.ones(2, 8, 8, 3)), "channels come second",
         lambda: nn.Conv2d(3, 4, 3)(tg.ones(2, 8, 8, 3).permute(0, 3, 1, 2))),
        (lambda: nn.Conv2d(3, 4, 5)(tg.ones(2, 3, 4, 4)), "more padding",
         lambda: nn.Conv2d(3, 4, 5, padding=1)(tg.ones(2, 3, 4, 4))),
        (lambda: tg.concat([tg.ones(2, 3), tg.ones(2, 4)]), "axis=1 would fit",
         lambda: tg.concat([tg.ones(2, 3), tg.ones(2, 4)], axis=1)),
        (lambda: tg.concat([tg.ones(2, 3), tg.ones(3)]), "x[None] adds one in front",
         lambda: tg.concat([tg.ones(2, 3), tg.ones(3)[None]])),
        (lambda: tg.ones(4, 3) + tg.ones(4), "b[:, None] would fit a", lambda: tg.ones(4, 3) + tg.ones(4)[:, None]),
        (lambda: tg.ones(3) * tg.ones(2, 3, 5, 6), "a[:, None, None] would fit b",
         lambda: tg.ones(3)[:, None, None] * tg.ones(2, 3, 5, 6)),
        (lambda: tg.ones(4, 3) + tg.ones(3, 4), "b.T would fit a", lambda: tg.ones(4, 3) + tg.ones(3, 4).T),
        (lambda: tg.ones(4, 3).reshape(5, -1), "multiply to 12; one of them may be -1",
         lambda: tg.ones(4, 3).reshape(2, -1)),
        (lambda: tg.ones(4, 3).reshape(5, 2), "multiply to 12", lambda: tg.ones(4, 3).reshape(6, 2)),
        (lambda: tg.ones(3, 2).sum(2), "0 to 1, or -2 to -1", lambda: (tg.ones(3, 2).sum(-2), tg.ones(3, 2).sum(1))),
        (lambda: F.cross_entropy(tg.ones(4, 3), LABELS[:, None]), "target.squeeze(1)",
         lambda: F.cross_entropy(tg.ones(4, 3), LABELS[:, None].squeeze(1))),
        (lambda: F.cross_entropy(tg.ones(4, 3), tg.one_hot(LABELS, 3, dtype=tg.int64)), "target.argmax(1) gives ",
         lambda: F.cross_entropy(tg.ones(4, 3), tg.one_hot(LABELS, 3).argmax(1))),
        (lambda: F.cross_entropy(tg.ones(4, 3), LABELS.astype("float32")), "probabilities have the shape of the input",
         lambda: F.cross_entropy(tg.ones(4, 3), tg.full((4, 3), 1 / 3))),
        (lambda: F.cross_entropy(tg.ones(4, 3), LABELS + 1), "labels count from 0",
         lambda: F.cross_entropy(tg.ones(4, 3), LABELS)),
        (lambda: F.cross_entropy(tg.ones(4, 3), LABELS - 1), "ignore_index=-1",
         lambda: F.cross_entropy(tg.ones(4, 3), LABELS - 1, ignore_index=-1)),
        (lambda: nn.Embedding(10, 3)(tg.tensor([1, 10])), "indices are 0 to 9, or from behind -10 to -1",
         lambda: nn.Embedding(10, 3)(tg.tensor([0, 9]))),
        (lambda: tg.ones(3, 2)[0, 0, 0], "the shape is (3, 2)", lambda: tg.ones(3, 2)[0, 0]),
        (lambda: tg.ones(3, 2)[tg.tensor([0.0])], "an index holds integers", lambda: tg.ones(3, 2)[tg.tensor([0])]),
        (lambda: tg.tensor([1, 2], requires_grad=True), "write 1.0 instead of 1",
         lambda: tg.tensor([1.0, 2], requires_grad=True)),
        (lambda: nn.BatchNorm1d(4)(tg.ones(1, 4)), "model.eval()", lambda: nn.BatchNorm1d(4).eval()(tg.ones(1, 4))),
        (lambda: tg.ones(3, requires_grad=True).__setitem__(0, 2.0), "tensorgraph.where(mask, v, x)",
         lambda: tg.where(tg.tensor([True, False, False]), 2.0, tg.ones(3, requires_grad=True))),
    ],
)  # fmt: skip
def test_hints_are_right(wrong, hint, right):
    with pytest.raises(tg.TensorgraphError) as caught:
        wrong()
    assert hint in str(caught.value)
    right()


def test_different_devices(fence):
    on_fence = Tensor(fence.from_host(np.ones(2, np.float32), "fence"))
    with pytest.raises(tg.BackendError, match="add: operands live on different devices: a on cpu and b on") as caught:
        tg.ones(2) + on_fence
    assert caught.value.hint == "move one: .to('cpu')"


def test_the_broadcast_warning_can_be_silenced_and_made_an_error():
    prediction, target = tg.ones(4, 1), tg.ones(4)
    with pytest.warns(tg.BroadcastWarning, match=r"broadcast to \[4, 4\]"):
        F.mse_loss(prediction, target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", tg.BroadcastWarning)
        F.mse_loss(prediction, target)
        warnings.simplefilter("error", tg.BroadcastWarning)
        with pytest.raises(tg.BroadcastWarning):
            F.mse_loss(prediction, target)
