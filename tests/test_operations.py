"""Every operation, checked in every way that needs no knowledge of it: driven by tests/samples.

A failure names the room, the sample and the check. The checker itself is checked at the end: a rule that is wrong by
one per cent must not pass.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import backward as engine
from tensorgraph import ops
from tensorgraph.backends import ARRAYS
from tensorgraph.check import GradcheckError, _Comparison, gradcheck, gradgradcheck
from tensorgraph.node import Node
from tensorgraph.operation import Operation, registry
from tensorgraph.pieces import Pieces
from tensorgraph.tensor import Tensor
from tests import samples
from tests.fence import FenceArray
from tests.samples import E, S

SAMPLES = samples.samples()
ERRORS = samples.errors()
DIFFERENTIABLE = [(id, s) for id, s in SAMPLES if s.grad]

TOLERANCE = {"float16": 6e-3, "float32": 1e-5, "float64": 2e-12}

each_sample = pytest.mark.parametrize("sample", [pytest.param(s, id=id) for id, s in SAMPLES])
each_differentiable = pytest.mark.parametrize("sample", [pytest.param(s, id=id) for id, s in DIFFERENTIABLE])
each_error = pytest.mark.parametrize("case", [pytest.param(e, id=id) for id, e in ERRORS])


@pytest.mark.parametrize("room, module", [pytest.param(*pair, id=pair[0]) for pair in samples.rooms()])
def test_samples_can_be_imported(room, module):
    if isinstance(module, Exception):
        raise module


# ---- tools ---------------------------------------------------------------------------------------------------------
def flat(value: Any) -> list[Any]:
    """The arrays, tensors and plain values in a nested result."""
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in flat(part)]
    return [value]


def host(value: Any) -> np.ndarray:
    """NumPy values of a tensor, a fence array or anything else."""
    if isinstance(value, Tensor):
        value = value.array
    return value._data if isinstance(value, FenceArray) else np.asarray(value)


def tensors(sample: S, arrays: list, grad: bool | int = False, make: Callable[[Any], Any] = np.array) -> list[Tensor]:
    """Fresh tensors; `grad` True: all differentiable inputs ask for a gradient, a number: only that input."""
    found = [Tensor(make(a)) for a in arrays]
    for i, (t, recipe) in enumerate(zip(found, sample.recipes, strict=True)):
        if recipe.differentiable and t.dtype.kind in "fc" and (grad is True or (grad is not False and grad == i)):
            t.requires_grad_()
    return found


def weighted(results: Any, make: Callable[[Any], Any] = np.array) -> tuple[list[Tensor], list[Tensor]]:
    """The results that take part in a graph, and an incoming gradient for each: fixed, different, none near zero."""
    rng = np.random.default_rng(1)
    ys, ws = [], []
    for y in flat(results):
        if not isinstance(y, Tensor) or y.dtype.kind not in "fc":
            continue
        w = rng.uniform(0.5, 1.0, y.shape) * rng.choice([-1.0, 1.0], y.shape)
        if y.dtype.kind == "c":
            w = w + 1j * rng.uniform(0.5, 1.0, y.shape)
        if y.node is not None:
            ys.append(y)
            ws.append(Tensor(make(np.where(np.isfinite(host(y)), w, 0).astype(y.dtype))))
    return ys, ws


def gradients(sample: S, values: list[Tensor], make: Callable[[Any], Any] = np.array) -> list[np.ndarray | None]:
    """First derivatives of the weighted outputs for every input that asks for one, None for the others."""
    ys, ws = weighted(sample.call(values), make)
    xs = [v for v in values if v.node is not None]
    found = iter(tg.grad(ys, xs, ws, allow_unused=True))
    return [None if v.node is None or (g := next(found)) is None else host(g) for v in values]


def second_gradients(sample: S, values: list[Tensor], make: Callable[[Any], Any] = np.array) -> list[np.ndarray | None]:
    """Derivatives of the weighted first derivatives."""
    ys, seeds = weighted(sample.call(values), make)
    xs = [v for v in values if v.node is not None] + [seed.requires_grad_() for seed in seeds]
    first = tg.grad(ys, xs[: len(xs) - len(seeds)], seeds, create_graph=True, allow_unused=True)
    first, ws = weighted(first, make)
    found = tg.grad(first, xs, ws, allow_unused=True)
    return [None if g is None else host(g) for g in found]


def same(check: str, got: Any, expected: Any, tolerance: float) -> None:
    """Equal up to `tolerance` relative to the largest value; NaN and infinity in the same places."""
    got, expected = host(got), host(expected)
    assert got.shape == expected.shape, f"{check}: shape {got.shape}, expected {expected.shape}"
    if expected.dtype.kind in "fc":
        finite = np.abs(expected[np.isfinite(expected)]).astype(np.float64)
        np.testing.assert_allclose(
            got.astype(expected.dtype if expected.dtype.kind == "c" else np.float64),
            expected, rtol=tolerance, atol=tolerance * finite.max(initial=1e-4), err_msg=check,
        )  # fmt: skip
    else:
        np.testing.assert_array_equal(got, expected, err_msg=check)


def all_same(check: str, got: list, expected: list, tolerance: float) -> None:
    assert len(got) == len(expected), f"{check}: {len(got)} results, expected {len(expected)}"
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        if a is None or b is None:
            some = a if b is None else b
            assert some is None or not np.any(some), f"{check}: gradient {i} is None on one side only"
            continue
        same(f"{check}, result {i}" if len(got) > 1 else check, a, b, tolerance)


def width(sample: S, arrays: list) -> np.dtype | None:
    """The dtype of the floating inputs (of the differentiable ones, if there are any); None without such inputs."""
    kinds = [(a.dtype, r.differentiable) for a, r in zip(arrays, sample.recipes, strict=True) if a.dtype.kind in "fc"]
    asked = [dtype for dtype, differentiable in kinds if differentiable] or [dtype for dtype, _ in kinds]
    return np.result_type(*asked) if asked else None


# ---- values --------------------------------------------------------------------------------------------------------
@each_sample
def test_value(sample: S):
    """Agrees with the reference in every dtype, keeps the dtype, leaves its inputs alone."""
    done = set()
    for name in sample.dtypes:
        arrays = sample.arrays(name)
        dtype = width(sample, arrays)
        if dtype in done:  # complex inputs have two widths, others have none
            continue
        done.add(dtype)
        wide = {"c": np.complex128, "f": np.float64}
        expected = flat(sample.call([a.astype(wide.get(a.dtype.kind, a.dtype)) for a in arrays], sample.ref))
        inputs = tensors(sample, arrays)
        got = flat(sample.call(inputs))
        real = np.zeros(0, dtype or np.float32).real.dtype.name
        all_same(f"value in {name}", got, expected, TOLERANCE[real] * sample.tol)
        for y, e in zip(got, expected, strict=True):
            if isinstance(y, Tensor):
                check_dtype(name, sample, y, np.asarray(e), dtype)
        for i, (t, a) in enumerate(zip(inputs, arrays, strict=True)):
            np.testing.assert_array_equal(host(t), a, err_msg=f"{name}: input {i} was changed")


def check_dtype(name: str, sample: S, y: Tensor, expected: np.ndarray, dtype: np.dtype | None) -> None:
    kind = y.dtype.kind
    groups = ("b", "iu", "fc")
    alike = any(kind in g and expected.dtype.kind in g for g in groups)
    assert alike, f"{name}: result is {y.dtype}, reference {expected.dtype}"
    if kind in "fc" and "dtype" not in sample.kw:
        itemsize = np.zeros(0, dtype or np.float32).real.dtype.itemsize
        half_complex = kind == "c" and itemsize == 2
        assert y.dtype.itemsize == (8 if half_complex else itemsize * (1 + (kind == "c"))), (
            f"inputs of {dtype}, result of {y.dtype}"
        )


@each_sample
def test_memory_layout_does_not_matter(sample: S):
    """Reversed strides and Fortran order give what contiguous inputs give; arrays in, arrays out."""
    arrays = sample.arrays(sample.dtypes[-1])
    expected = flat(sample.call(tensors(sample, arrays)))
    tolerance = 1e-12 if "float64" in sample.dtypes else 1e-3
    for check, layout in (("reversed strides", backwards), ("Fortran order", fortran)):
        all_same(check, flat(sample.call([Tensor(layout(a)) for a in arrays])), expected, tolerance)
    if sample.f is None and arrays:
        got = flat(sample.call([np.array(a) for a in arrays]))
        assert not any(isinstance(y, Tensor) for y in got), "arrays went in, a tensor came out"
        all_same("plain arrays", got, expected, tolerance if width(sample, arrays) else 1e-6)


def backwards(a: np.ndarray) -> np.ndarray:
    """The same values, stored from the last to the first."""
    flip = (slice(None, None, -1),) * a.ndim
    return np.array(a[flip], order="C")[flip] if a.ndim else a


def fortran(a: np.ndarray) -> np.ndarray:
    """The same values, stored with the first axis innermost."""
    return np.array(a, order="F")


# ---- derivatives ---------------------------------------------------------------------------------------------------
@each_differentiable
def test_gradient(sample: S):
    """Finite differences agree, first order and second."""
    values = tensors(sample, sample.arrays(np.float64), grad=True)
    leaves = [v for v in values if v.node is not None]
    assert leaves, "grad=True, but no input can ask for a gradient"
    gradcheck(lambda *_: sample.call(values), leaves)
    if sample.second:
        gradgradcheck(lambda *_: sample.call(values), leaves, directions=1)
    else:
        assert sample.why, "second=False needs a `why`"


@each_differentiable
def test_each_input_alone(sample: S):
    """An input that asks for a gradient alone gets the same one as together with the others, in second order too."""
    arrays = sample.arrays(np.float64)
    together = tensors(sample, arrays, grad=True)
    asked = [i for i, v in enumerate(together) if v.node is not None]
    if len(asked) < 2:
        return
    expected = gradients(sample, together)
    for i in asked:
        alone = tensors(sample, arrays, grad=i)
        if not weighted(sample.call(alone))[0]:
            continue
        got = gradients(sample, alone)
        all_same(f"gradient of input {i} alone", [got[i]], [expected[i]], 1e-10)
        if sample.second:
            gradgradcheck(lambda *_: sample.call(alone), [alone[i]], directions=1)


@each_differentiable
def test_gradient_dtype(sample: S, monkeypatch):
    """Gradients of narrow floats are of the same dtype and value; no rule widens them on the way."""
    for name in sample.dtypes:
        arrays = sample.arrays(name)
        values = tensors(sample, arrays, grad=True)
        integers = any(a.dtype.kind in "iu" for a in arrays)
        widened: list[str] = []

        def fit(node: Node, parent: Node, gx: Any, _fit=engine._fit, widened=widened) -> Any:
            if gx.dtype.itemsize > parent.dtype.itemsize and gx.dtype.kind == parent.dtype.kind:
                widened.append(f"{node.name}: {gx.dtype} for an input of {parent.dtype}")
            return _fit(node, parent, gx)

        monkeypatch.setattr(engine, "_fit", fit)
        got = gradients(sample, values)
        results = [y for y in flat(sample.call(values)) if isinstance(y, Tensor)]
        monkeypatch.undo()
        for v, g in zip(values, got, strict=True):
            assert g is None or g.dtype == v.dtype, f"{name}: the gradient of {v.dtype} is {g.dtype}"
        if name == "float32":
            floats = {a.dtype.itemsize for a in (*arrays, *results) if a.dtype.kind == "f"}
            if not integers and floats == {4}:
                assert not widened, f"rules widen {name}: {widened}"
            wide = [a.astype({"f": np.float64, "c": np.complex128}.get(a.dtype.kind, a.dtype)) for a in arrays]
            expected = gradients(sample, tensors(sample, wide, grad=True))
            all_same(f"gradient in {name}", got, expected, 1e-4 * sample.tol)


# ---- backends and kernels ------------------------------------------------------------------------------------------
@each_sample
def test_fence(sample: S, fence):
    """A device that gives nothing away computes the same values and gradients, to second order."""
    arrays = sample.arrays(sample.dtypes[-1])
    tolerance = 1e-11 if sample.dtypes[-1] == "float64" else 1e-3
    expected = [host(y) for y in flat(sample.call(tensors(sample, arrays)))]
    got = flat(sample.call(tensors(sample, arrays, make=FenceArray)))
    there = any(type(y.array) is FenceArray for y in got if isinstance(y, Tensor))
    assert there or not arrays or all(type(y) is bool for y in got), "left the device"
    all_same("value on the fence", got, expected, tolerance)
    if sample.grad:
        for derive in (gradients, second_gradients) if sample.second else (gradients,):
            expected = derive(sample, tensors(sample, arrays, grad=True))
            got = derive(sample, tensors(sample, arrays, grad=True, make=FenceArray), FenceArray)
            all_same(f"{derive.__name__} on the fence", got, expected, tolerance)


@each_sample
def test_kernels(sample: S):
    """Every fast kernel gives what its definition gives."""
    arrays = sample.arrays(sample.dtypes[-1])
    tolerance = 1e-11 if sample.dtypes[-1] == "float64" else 1e-3
    found = []
    for allowed in (True, False):
        with tg.kernels(allowed):
            values = flat(sample.call(tensors(sample, arrays)))
            found.append(values + (gradients(sample, tensors(sample, arrays, grad=True)) if sample.grad else []))
    all_same("kernels against definitions", found[0], found[1], tolerance)


# ---- what is kept alive --------------------------------------------------------------------------------------------
def graph(ys: list[Tensor]) -> list[Node]:
    """All nodes behind some results."""
    seen: dict[int, Node] = {}
    stack = [y.node for y in ys if y.node is not None]
    while stack:
        node = stack.pop()
        if node.serial not in seen:
            seen[node.serial] = node
            stack.extend(node.parents)
    return list(seen.values())


@each_sample
def test_what_is_kept_alive(sample: S):
    """Nodes save what their rules name, and inputs that no rule names die with the last tensor that holds them."""
    arrays = sample.arrays(sample.dtypes[-1])
    inputs = tensors(sample, arrays, grad=True)
    ys = [y for y in flat(sample.call(inputs)) if isinstance(y, Tensor)]
    if not sample.grad:
        assert sample.why or not any(y.node is not None for y in ys), "grad=False, but the result takes part in a graph"
        return
    assert any(y.node is not None for y in ys), "grad=True, but no result takes part in a graph"
    nodes = graph(ys)
    for node in nodes:
        operation = node.plan.op
        if operation is not None:
            wanted = (operation.variadic,) if operation.variadic else node.plan.inputs
            assert node.plan.names == operation.saves(wanted)
            assert len(node.saved) == len(node.plan.names), f"{node.name} saves {len(node.saved)} things"
    kept = [a for node in nodes if not node.is_leaf for a in held(node.saved)] + [y.array for y in ys]
    watched = [(i, weakref.ref(t.array), t.array) for i, t in enumerate(inputs) if t.dtype.kind in "fc"]
    unnamed = [(i, ref) for i, ref, a in watched if not any(owner(k) is a for k in kept)]
    del watched, kept, inputs, arrays
    for i, ref in unnamed:
        assert ref() is None, f"input {i} is kept alive, though no rule names it"


def owner(a: np.ndarray) -> np.ndarray:
    """The array that a view keeps alive."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def held(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from held(part)
    elif type(value) in ARRAYS:
        yield value


# ---- errors --------------------------------------------------------------------------------------------------------
@each_error
def test_error(case: E, fence):
    """The right class, a message that matches and starts with the operation's name; on every backend."""
    for make in (np.array, FenceArray):
        with pytest.raises(case.error) as caught:
            case.call([Tensor(make(a)) for a in case.arrays(np.float32)])
        text = str(caught.value)
        assert re.search(case.match, text), f"{text!r} does not match {case.match!r}"
        if issubclass(case.error, tg.TensorgraphError):
            name = case.name.rpartition(".")[2]
            assert text.startswith(name + ":"), f"{text!r} does not start with {name!r}"


# ---- nothing without a sample --------------------------------------------------------------------------------------
TRANSFORMS = "grad_of hessian hvp jacobian jvp per_example_grad value_and_grad vjp"
WITHOUT_SAMPLE: dict[str, str] = {
    "relu_in_place": "writes over its input: test_inplace.py",
    "to_device": "needs two devices: test_engine.py",
    "transfer": "needs two devices: test_engine.py",
    **dict.fromkeys(TRANSFORMS.split(), "takes a function: test_derivatives.py"),
}
"""public name, or name of a primitive -> why it has no sample"""

STEPS = "floor.x ceil.x trunc.x round.x floor_divide.a floor_divide.b"
WITHOUT_GRADIENT: dict[str, str] = {
    **dict.fromkeys(STEPS.split(), "constant between jumps"),
    **dict.fromkeys(("heaviside.x", "binary_step.x"), "constant but for the jump; surrogates: test_extremes.py"),
    "copysign.b": "only the sign of b matters",
    "harden.x": "straight through: test_extremes.py",
    "relu_in_place.x": "has no sample; its gradient checks: test_inplace.py",
    "transfer.x": "needs two devices: test_engine.py",
}
"""`operation.input` whose rule no sample's gradcheck can feel -> why"""


def ops_modules() -> Iterator[Any]:
    for info in pkgutil.iter_modules(ops.__path__):
        yield importlib.import_module(f"tensorgraph.ops.{info.name}")


def public_functions() -> Iterator[tuple[str, str, Callable]]:
    """File of ops/, name and function for everything in their `__all__`."""
    for module in ops_modules():
        for name in getattr(module, "__all__", ()):
            found = getattr(module, name)
            if callable(found) and not isinstance(found, type):
                yield module.__name__.rpartition(".")[2], name, found


@contextmanager
def recorded() -> Iterator[set[str]]:
    """Names of the primitive operations whose forward function runs inside the block."""
    ran: set[str] = set()
    undo: list[Callable[[], None]] = []
    found = [f for m in ops_modules() for f in vars(m).values() if isinstance(getattr(f, "op", None), Operation)]
    for f in {id(f): f for f in found}.values():
        spy = _spy(f.op, ran)
        if f.op.variadic:
            f.forward = spy
            undo.append(lambda f=f: setattr(f, "forward", f.op.forward))
        else:
            f.__globals__["forward"] = spy
            undo.append(lambda f=f: f.__globals__.update(forward=f.op.forward))
    try:
        yield ran
    finally:
        for step in undo:
            step()


def _spy(operation: Operation, ran: set[str]) -> Callable:
    def forward(*args: Any, **kwargs: Any) -> Any:
        ran.add(operation.name)
        return operation.forward(*args, **kwargs)

    return forward


def test_every_primitive_has_a_sample():
    with recorded() as ran:
        for _, sample in SAMPLES:
            values = tensors(sample, sample.arrays(sample.dtypes[-1]), grad=True)
            if sample.grad:
                gradients(sample, values)
            else:
                sample.call(values)
    missing = sorted(registry.keys() - ran - WITHOUT_SAMPLE.keys())
    assert not missing, f"operations that no sample runs: {', '.join(missing)}"


def test_every_public_name_has_a_sample():
    """Another name of a function that has one is enough."""
    named = {sample.name.rpartition(".")[2] for _, sample in SAMPLES}
    public = list(public_functions())
    sampled = {id(f) for _, name, f in public if name in named}
    missing = [f"{room}.{name}" for room, name, f in public if id(f) not in sampled and name not in WITHOUT_SAMPLE]
    assert not missing, f"no sample for {', '.join(missing)}"
    exempt = [name for _, name, f in public if id(f) in sampled and name in WITHOUT_SAMPLE]
    assert not exempt, f"exempt without need: {exempt}"


# ---- the checker checked -------------------------------------------------------------------------------------------
@contextmanager
def perturbed(operation: Operation, name: str) -> Iterator[None]:
    """Inside the block the rule for input `name` is wrong by one per cent."""
    plans = dict(operation.plans)
    pulls = {key: plan.pull for key, plan in plans.items()}

    def wrong(pull: Callable, inputs: tuple[str, ...]) -> Callable:
        def pulled(g: Any, saved: tuple) -> tuple:
            found = list(pull(g, saved))
            for i, one in enumerate(inputs):
                if one.partition("[")[0] == name and found[i] is not None:
                    found[i] = found[i].dense() if isinstance(found[i], Pieces) else found[i]
                    found[i] = found[i] * 1.01
            return tuple(found)

        return pulled

    for plan in plans.values():
        plan.pull = wrong(plan.pull, plan.inputs)
    operation.narrow = lambda plan, wanted: plan.pull
    try:
        yield
    finally:
        del operation.narrow
        for key, plan in plans.items():
            plan.pull = pulls[key]


def test_a_rule_that_is_wrong_by_one_per_cent_is_caught(monkeypatch):
    """For every rule of every operation: some sample's check fails when the rule is perturbed."""
    monkeypatch.setattr(_Comparison, "_report", disagree)
    users: dict[str, list[tuple[Callable, S]]] = {}
    for _, sample in DIFFERENTIABLE:
        values = tensors(sample, sample.arrays(np.float64), grad=True)
        ys, ws = weighted(sample.call(values))
        note(users, gradcheck, sample, ys)
        if sample.second:  # operations that run in backward passes only
            xs = [v for v in values if v.node is not None]
            seeds = [w.requires_grad_() for w in ws]
            first = tg.grad(ys, xs, seeds, create_graph=True, allow_unused=True)
            note(users, gradgradcheck, sample, [g for g in first if g is not None])
    survived = [
        f"{name}.{wanted}"
        for name, operation in registry.items()
        for wanted in operation.differentiable
        if f"{name}.{wanted}" not in WITHOUT_GRADIENT and not caught(operation, wanted, users.get(name, []))
    ]
    assert not survived, f"rules whose errors no sample notices: {', '.join(survived)}"


def disagree(*_: Any) -> None:
    """In place of the search for the wrong entry."""
    raise GradcheckError("both sides differ")


def note(users: dict, check: Callable, sample: S, ys: list[Tensor]) -> None:
    """Adds the sample to the users of every operation behind `ys`."""
    for name in {node.plan.op.name for node in graph(ys) if node.plan.op is not None}:
        users.setdefault(name, []).append((check, sample))


def caught(operation: Operation, wanted: str, users: list[tuple[Callable, S]]) -> bool:
    with perturbed(operation, wanted):
        for check, sample in sorted(users, key=lambda user: user[0] is gradgradcheck):  # the cheap ones first
            values = tensors(sample, sample.arrays(np.float64), grad=True)
            try:
                check(lambda *_: sample.call(values), [v for v in values if v.node is not None], directions=1)
            except GradcheckError:
                return True
    return False
