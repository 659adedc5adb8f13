"""`@op`: turns a function on arrays into a differentiable operation on tensors. The heart of tensorgraph.

    @op(broadcasts=True)
    def mul(be, a: Array, b: Array):
        return be.multiply(a, b)

    mul.vjp(a=lambda g, b: g * b,
            b=lambda g, a: g * a)

The function computes on raw arrays of one backend `be`; `.vjp` gives one rule per input. A rule asks by parameter
name for what it needs, and only that is kept alive until the backward pass. At its first call the operation is written
out as plain Python (`print(mul.source())`), so that no call ever looks at a signature again:

    def mul(a, b):
        tensor = False
        if isinstance(a, Tensor):
            a_node = a.node; a = a.array; tensor = True
        else:
            a_node = None
            if type(a) not in PLAIN: a, tensor = admit(a, tensor, 'mul', 'a')
        ...                                                                   the same for b
        try:
            be = ARRAYS.get(type(a))
            if be is None: be, tensor = backend_for((a, b), tensor)
            y = forward(be, a, b)
        except Exception as error:
            raise explain('mul', error, (('a', a, a_node), ('b', b, b_node)), here()[1])
        if not tensor: return y                                               arrays in, arrays out
        if type(y) not in ARRAYS: y = be.asarray(y)
        y_dtype = y.dtype
        if y_dtype is F64 or y_dtype is C128: ...                             float32 stays float32
        if a_node is not None:
            if b_node is not None:
                records, scope = here()
                if records:
                    frame = getframe(1); ...                                  the user's line
                    return Tensor(y, Node(tick(), plan_ab, (a_node, b_node), (b, a), ...))
            ...

Arrays in, arrays out: that is why a rule such as `lambda g, b: g * b` runs at the array library's own speed in an
ordinary backward pass, and is itself recorded when it is given tensors (`create_graph=True`).
"""

from __future__ import annotations

import linecache
import re
import weakref
from collections.abc import Callable, Iterator, Sequence
from sys import _getframe
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeAlias, overload

import numpy as np

from tensorgraph import backends
from tensorgraph.autocast import CASTING, NARROW, WIDE, cast
from tensorgraph.errors import DtypeError, GraphError
from tensorgraph.mode import here, tick
from tensorgraph.node import Node, Plan
from tensorgraph.provenance import GENERATED, caller, explain, last, met, user_frame
from tensorgraph.spelling import UNSET, aliases
from tensorgraph.tensor import Tensor

Array: TypeAlias = Any  # a backend's array; for callers a Tensor, an array or a Python number
P = ParamSpec("P")

registry: dict[str, Operation] = {}

functions: weakref.WeakSet = weakref.WeakSet()
"""the functions of all operations, also those of users"""

_wrappers: list[Callable[[Operation], Callable]] = []
"""each makes of an operation what runs in the place of its function; see `wrap`"""

on_new: Callable[[Any], None] = functions.add
"""called with the function of every new operation; diagnostics/observe.py takes its place while somebody observes"""

F32, F64 = np.dtype("float32"), np.dtype("float64")
C64, C128 = np.dtype("complex64"), np.dtype("complex128")


class Operation:
    """What an operation is made of: its function, its parameters, its rules and the plans compiled from them."""

    def __init__(self, forward: Callable, *, broadcasts: bool, aux: Sequence[str], outputs: Sequence[str]):
        self.forward = forward
        self.name: str = forward.__name__.strip("_")
        self.broadcasts = broadcasts
        self.aux = tuple(aux)
        self.outputs = tuple(outputs)
        self.rules: dict[str, Callable] = {}
        self.macs: Callable | None = None
        self.plans: dict[Any, Plan] = {}
        self.narrowed: dict[Any, Callable] = {}
        if not self.name.isidentifier():
            raise TypeError(f"op: an operation needs a name, so write it with def, got {forward!r}")
        self._read_signature()

    def _read_signature(self) -> None:
        code = self.forward.__code__
        self.positional = code.co_varnames[1 : code.co_argcount]
        self.keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        self.variadic = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if code.co_flags & 0x04 else ""
        if code.co_flags & 0x08:
            raise TypeError(f"op {self.name}: ** parameters have no names that a rule could ask for")
        defaults = self.forward.__defaults__ or ()
        self.defaults = dict(zip(self.positional[len(self.positional) - len(defaults) :], defaults, strict=True))
        self.defaults |= self.forward.__kwdefaults__ or {}
        self.arrays = tuple(name for name in self.positional if self._is_array(name))
        if self.variadic:
            self.arrays += (self.variadic,)
        self.aliases = aliases((*self.positional, *self.keyword))
        self.static = tuple(n for n in self.positional + self.keyword if n not in self.arrays)

    def _is_array(self, name: str) -> bool:
        """Annotated `Array`: an array. Annotated otherwise, or with a default: static. Bare: an array."""
        annotation = self.forward.__annotations__.get(name)
        if annotation is None:
            return name not in self.defaults
        text = annotation if isinstance(annotation, str) else str(annotation)
        return re.search(r"\b(Array|Any)\b", text) is not None

    # ---- rules ---------------------------------------------------------------------------------------------------
    def add_rules(self, rules: dict[str, Callable]) -> None:
        """Checks what the rules ask for against what there is."""
        gradients = tuple("g" + name for name in self.outputs) or ("g",)
        there_is = {*gradients, *(self.outputs or ("y", "own")), *self.aux, *self.arrays, *self.static}
        there_is |= {f"{name}_shape" for name in self.arrays}
        for name, rule in rules.items():
            if name not in self.arrays and (name != "g" or self.outputs):
                raise GraphError(
                    f"{self.name}.vjp: there is no array input {name!r}", hint=f"inputs: {', '.join(self.arrays)}"
                )
            if name in self.rules:
                raise GraphError(f"{self.name}.vjp: {name!r} already has a rule")
            unknown = [asked for asked in _parameters(rule) if asked not in there_is]
            if unknown:
                raise GraphError(
                    f"{self.name}.vjp: the rule for {name!r} asks for {', '.join(unknown)}, which does not exist",
                    hint=f"it may ask for {', '.join(sorted(there_is))}",
                )
        self.rules.update(rules)
        self.plans.clear()
        self.narrowed.clear()

    def count_macs(self, known: dict[str, Any]) -> int | None:
        """Multiply-adds of one call: 0 where no rule was given, None where the rule asks for what is not known.

        known: `y_shape`, `<input>_shape` and settings by name, as far as somebody has them.
        """
        return count_macs(self.macs, self.defaults | known)

    @property
    def differentiable(self) -> tuple[str, ...]:
        """The inputs that have a rule, in order."""
        return tuple(name for name in self.arrays if name in self.rules)

    def saves(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """What is kept alive when exactly `inputs` need a gradient."""
        first = ("g",) if "g" in self.rules and "g" not in self.arrays else ()
        asked = (name for wanted in (*first, *inputs) for name in _parameters(self.rules[wanted]))
        gradients = {"g", "own", *("g" + name for name in self.outputs)} - {*self.static}
        return tuple(name for name in dict.fromkeys(asked) if name not in gradients or name in self.arrays)

    def plan(self, inputs: tuple[str, ...]) -> Plan:
        """The plan for the case that exactly `inputs` need a gradient; made once."""
        plan = self.plans.get(inputs)
        if plan is None:
            names = self.saves(inputs)
            plan = Plan(self.name, inputs, names, self._roles(inputs, names), None, self.broadcasts, self)
            plan.pull = self.compile_pull(plan, inputs)
            plan.own = plan.pull.__code__.co_argcount > 2
            self.plans[inputs] = plan
        return plan

    def _roles(self, inputs: tuple[str, ...], names: tuple[str, ...]) -> tuple[Callable, ...]:
        def role(name: str) -> Callable:
            if name in self.outputs:
                return from_output(self.outputs.index(name), len(self.outputs))
            if name == "y" and not self.outputs:
                return from_node
            return from_input(inputs.index(name)) if name in inputs else from_nowhere

        return tuple(map(role, names))

    def compile_pull(self, plan: Plan, wanted: Sequence[str]) -> Callable:
        """`pull(g, saved)` that runs the rules of `wanted` and puts None for the other inputs of the plan.

        Where the first rule that runs asks for `own` and no other rule needs the g that it gets, `own` is a parameter.
        """
        rules = {f"rule_{name}": self.rules[name] for name in wanted}
        first = "g" if "g" in self.rules and "g" not in self.arrays and not self.outputs else wanted[0]
        owns = "own" not in self.arrays + self.static and (first == "g" or len(wanted) == 1)

        def call(name: str) -> str:
            given = (
                "None" if n == "own" and not (owns and name == first) else n for n in _parameters(self.rules[name])
            )
            return f"rule_{name}({', '.join(given)})"

        calls = [call(n) if n in wanted else "None" for n in plan.inputs]
        unpack = [f"    ({', '.join(plan.names)},) = saved"] if plan.names else []
        if self.outputs:
            unpack.append(f"    ({', '.join('g' + n for n in self.outputs)},) = g.values")
        elif first == "g":
            rules["rule_g"] = self.rules["g"]
            unpack.append(f"    g = {call('g')}")
        own = ", own=None" if owns and "own" in _parameters(self.rules[first]) else ""
        lines = [f"def pull(g, saved{own}):", *unpack, f"    return ({', '.join(calls)},)"]
        return _define("pull", "\n".join(lines), rules, f"{self.name} pull {' '.join(wanted)}")

    def narrow(self, plan: Plan, wanted: tuple[str, ...]) -> Callable:
        """The pull of `plan` that leaves out the inputs nobody asked the gradient of."""
        if self.variadic:
            return plan.pull
        pull = self.narrowed.get((plan.inputs, wanted))
        if pull is None:
            pull = self.narrowed[plan.inputs, wanted] = self.compile_pull(plan, wanted)
        return pull

    # ---- the wrapper ---------------------------------------------------------------------------------------------
    def signature(self) -> str:
        """Parameters as a caller sees them; defaults are found in the name space of the wrapper."""

        def one(name: str) -> str:
            return f"{name}=default_{name}" if name in self.defaults else name

        parts = [*map(one, self.positional)]
        if self.variadic:
            parts.append("*" + self.variadic)
        elif self.keyword or self.aliases:
            parts.append("*")
        return ", ".join([*parts, *map(one, self.keyword), *(f"{alias}=UNSET" for alias in self.aliases)])

    def source(self) -> str:
        """The wrapper as Python source."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        results = self.outputs or ("y",)
        yield f"def {self.name}({self.signature()}):"
        for alias, name in self.aliases.items():
            yield f"    if {alias} is not UNSET: {name} = {alias}"
        if self.name in NARROW | WIDE and self.forward.__module__.startswith("tensorgraph.ops."):
            operands = "".join(f"{name}, " for name in self.arrays)
            yield f"    if CASTING: {operands} = cast({self.name!r}, ({operands}))"
        yield "    tensor = False"
        for name in self.arrays:
            yield f"    if isinstance({name}, Tensor):"
            yield f"        {name}_node = {name}.node; {name} = {name}.array; tensor = True"
            yield "    else:"
            yield f"        {name}_node = None"
            admit = f"admit({name}, tensor, {self.name!r}, {name!r})"
            yield f"        if type({name}) not in PLAIN: {name}, tensor = {admit}"
        arguments = [*self.positional, *(f"{n}={n}" for n in self.keyword)]
        operands = "".join(f"({n!r}, {n}, {n}_node), " for n in self.arrays)
        yield "    try:"
        yield f"        be = ARRAYS.get(type({self.arrays[0]}))" if self.arrays else "        be = None"
        yield f"        if be is None: be, tensor = backend_for(({''.join(n + ', ' for n in self.arrays)}), tensor)"
        yield f"        {', '.join((*results, *self.aux))} = forward(be, {', '.join(arguments)})"
        yield "    except Exception as error:"
        yield f"        raise explain({self.name!r}, error, ({operands}), here()[1])"
        yield f"    if not tensor: return {', '.join((*results, *self.aux))}"
        for name in results:
            yield f"    if type({name}) not in ARRAYS: {name} = be.asarray({name})"
        extra = "".join(f", Tensor({n})" for n in self.aux)
        if self.outputs:
            yield from self._branches(self.differentiable, (), "    ", self._record_many)
            yield f"    return {', '.join(f'Tensor({n})' for n in self.outputs)}{extra}"
            return
        yield "    y_dtype = y.dtype"
        if "dtype" not in self.static:
            inputs = "".join(f"{name}, " for name in self.arrays)
            yield f"    if y_dtype is F64 or y_dtype is C128: y, y_dtype = settle(be, y, ({inputs}))"
            yield from self._branches(self.differentiable, (), "    ", self._record)
        elif self.differentiable:
            yield "    if y_dtype.kind in 'fcV':"
            yield from self._branches(self.differentiable, (), "        ", self._record)
        yield f"    return Tensor(y){extra}"

    def _branches(self, rest, chosen, indent, record) -> Iterator[str]:
        """One branch for every set of inputs that may need a gradient."""
        if not rest:
            if chosen:
                yield f"{indent}records, scope = here()"
                yield f"{indent}if records:"
                yield from record(chosen, indent + "    ")
            elif not self.differentiable:
                return
            else:
                yield f"{indent}pass"
            return
        yield f"{indent}if {rest[0]}_node is not None:"
        yield from self._branches(rest[1:], (*chosen, rest[0]), indent + "    ", record)
        if len(rest) > 1 or chosen:
            yield f"{indent}else:"
            yield from self._branches(rest[1:], chosen, indent + "    ", record)

    def _node(self, chosen, indent) -> tuple[list[str], str]:
        saved = "".join((n[:-6] + ".shape" if n.endswith("_shape") else n) + ", " for n in self.saves(chosen))
        parents = "".join(f"{n}_node, " for n in chosen)
        frame = [
            f"{indent}frame = getframe(1); code = frame.f_code",
            f"{indent}if code is not last[0]:",
            f"{indent}    try:",
            f"{indent}        while met[code.co_filename] and (outer := frame.f_back):",
            f"{indent}            frame = outer; code = frame.f_code",
            f"{indent}    except KeyError: frame = user_frame(frame); code = frame.f_code",
            f"{indent}    last[0] = code",
        ]
        return frame, f"tick(), plan_{'_'.join(chosen)}, ({parents}), ({saved}), code, frame.f_lasti, scope"

    def _record(self, chosen, indent) -> Iterator[str]:
        frame, node = self._node(chosen, indent)
        yield from frame
        extra = "".join(f", Tensor({n})" for n in self.aux)
        yield f"{indent}return Tensor(y, Node({node}, y.shape, y_dtype)){extra}"

    def _record_many(self, chosen, indent) -> Iterator[str]:
        frame, node = self._node(chosen, indent)
        yield from frame
        extra = "".join(f" + (Tensor({n}),)" for n in self.aux)
        yield f"{indent}return spread(Node({node}, None, None), ({', '.join(self.outputs)},)){extra}"

    def name_space(self) -> dict[str, Any]:
        """The globals of the wrapper. `forward` is looked up there at every call: debug() and profile() replace it."""
        return _COMMON | {"forward": self.forward} | {f"default_{n}": v for n, v in self.defaults.items()}

    def build(self, function: FunctionType) -> None:
        """Gives `function` its real body, now that the rules are known."""
        name_space = function.__globals__
        differentiable = self.differentiable
        for bits in range(1, 2 ** len(differentiable)):
            chosen = tuple(n for i, n in enumerate(differentiable) if bits >> i & 1)
            name_space["plan_" + "_".join(chosen)] = self.plan(chosen)
        real = _define(self.name, self.source(), name_space, self.name)
        function.__code__ = real.__code__
        function.__defaults__ = real.__defaults__
        function.__kwdefaults__ = real.__kwdefaults__


class Op(Generic[P]):
    """What `@op` returns, as type checkers see it: a function from tensors to a tensor, with `.vjp`.

    At run time it is a plain function, so it can be put on a class and becomes a method.
    """

    op: Operation
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...

    def vjp(self, **rules: Callable[..., Any]) -> Op[P]:
        """Declares the backward rule of each named input; returns the operation."""
        return self

    def macs(self, rule: Callable[..., int]) -> Op[P]:
        """Declares how many multiply-adds a call takes; returns the operation.

        The rule asks by name for `y_shape`, `<input>_shape` and settings. Operations without one count as none, as is
        usual where networks are compared: products of matrices and convolutions are what takes the time.
        """
        return self

    def source(self) -> str:
        """The Python source that the operation was written out as."""
        return self.op.source()


@overload
def op(forward: Callable[P, Any], /) -> Op[...]: ...
@overload
def op(
    *, broadcasts: bool = False, aux: Sequence[str] = (), outputs: Sequence[str] = ()
) -> Callable[[Callable[P, Any]], Op[...]]: ...
def op(forward: Any = None, /, *, broadcasts: bool = False, aux: Any = (), outputs: Any = ()) -> Any:
    """Makes a differentiable operation of `forward(be, *arrays, **static)`.

    `be` is the backend of the arrays. Parameters annotated `Array` (or without annotation and default) are arrays;
    all others are static. `broadcasts=True`: NumPy broadcasting between the inputs, which the engine undoes in the
    backward pass. `aux`: names of extra results that carry no gradient (indices, masks), returned behind the output
    and available to the rules. `outputs`: names of several differentiable results; the rules then ask for `g<name>`,
    which is None for a result that nobody used.

    Rules are given with `.vjp(input=rule)`; an input without a rule is not differentiable. A rule under the name `g`
    runs once before the others, which get what it returns as their `g`.

    >>> import tensorgraph as tg
    >>> @tg.op
    ... def cube(be, x):
    ...     return x * x * x
    >>> _ = cube.vjp(x=lambda g, x: g * 3 * x * x)
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> tg.grad(cube(x), x)
    tensor(12., dtype=float32)
    """
    if forward is None:
        return lambda f: _make(Operation(f, broadcasts=broadcasts, aux=aux, outputs=outputs))
    return _make(Operation(forward, broadcasts=broadcasts, aux=aux, outputs=outputs))


def _make(operation: Operation) -> Op[...]:
    forward = operation.forward
    if operation.variadic:
        function = _variadic(operation)
    else:

        def first_call(*args, **kwargs):
            operation.build(function)
            return function(*args, **kwargs)

        # the stub has the signature of the real body that takes its place, and shares its globals
        name_space = operation.name_space() | {"first_call": first_call}
        arguments = ", ".join([*operation.positional, *(f"{n}={n}" for n in (*operation.keyword, *operation.aliases))])
        stub = f"def {operation.name}({operation.signature()}): return first_call({arguments})"
        function = _define(operation.name, stub, name_space, "")

    def vjp(**rules: Callable) -> Op[...]:
        operation.add_rules(rules)
        return function

    def macs(rule: Callable[..., int]) -> Op[...]:
        operation.macs = rule
        return function

    function.__name__ = forward.__name__
    function.__qualname__ = forward.__qualname__
    function.__module__ = forward.__module__
    function.__doc__ = forward.__doc__
    function.__annotations__ = {n: a for n, a in forward.__annotations__.items() if n != "return"}
    function.op = operation
    function.vjp = vjp
    function.macs = macs
    function.source = operation.source
    on_new(function)
    for wrapper in _wrappers:
        _wrap(function, wrapper)
    if forward.__module__.startswith("tensorgraph.ops."):
        registry[operation.name] = operation
    return function


def wrap(wrapper: Callable[[Operation], Callable]) -> None:
    """Lets every operation, also one that is made later, run `wrapper(operation)` in the place of its `forward`."""
    _wrappers.append(wrapper)
    for made in list(functions):
        _wrap(made, wrapper)


def _wrap(made: Any, wrapper: Callable[[Operation], Callable]) -> None:
    plain, made.op.forward = made.op.forward, wrapper(made.op)
    if made.op.variadic:
        made.forward = made.op.forward if made.forward is plain else made.forward
    elif made.__globals__["forward"] is plain:
        made.__globals__["forward"] = made.op.forward
    on_new(made)  # who observes has put something else there, which then runs the new one


def _variadic(operation: Operation) -> Any:
    """The wrapper of an operation on any number of arrays: `f(be, *arrays, **static)`."""
    name, defaults = operation.variadic, operation.defaults

    def call(*arrays, **static):
        static = defaults | static
        nodes = tuple(a.node if isinstance(a, Tensor) else None for a in arrays)
        tensor = any(isinstance(a, Tensor) for a in arrays)
        raw = []
        for a in arrays:
            if isinstance(a, Tensor):
                a = a.array
            elif type(a) not in backends.PLAIN:
                a, tensor = backends.admit(a, tensor, operation.name, f"{name}[{len(raw)}]")
            raw.append(a)
        raw = tuple(raw)
        try:
            be, tensor = backends.backend_for(raw, tensor)
            y = call.forward(be, *raw, **static)
        except Exception as error:
            operands = tuple((f"{name}[{i}]", a, n) for i, (a, n) in enumerate(zip(raw, nodes, strict=True)))
            raise explain(operation.name, error, operands, here()[1])
        if not tensor:
            return y
        if type(y) not in backends.ARRAYS:
            y = be.asarray(y)
        dtype = y.dtype
        if dtype is F64 or dtype is C128:
            y, dtype = settle(be, y, raw)
        wanted = tuple(i for i, node in enumerate(nodes) if node is not None)
        records, scope = here()
        if not (wanted and records and name in operation.rules):
            return Tensor(y)
        known = {name: raw, f"{name}_shape": tuple(a.shape for a in raw), "y": y, **static}
        how = plan(wanted)
        saved = tuple([known[asked] for asked in how.names])
        code, lasti = caller()
        parents = tuple(node for node in nodes if node is not None)
        return Tensor(
            y,
            Node(tick(), how, parents, saved, code, lasti, scope, y.shape, dtype),
        )

    def plan(wanted: tuple[int, ...]) -> Plan:
        known = operation.plans.get(wanted)
        if known is None:
            names = operation.saves((name,))
            rule = operation.compile_pull(Plan(operation.name, (name,), names, (), None), (name,))
            roles = tuple(from_node if n == "y" else from_inputs(wanted) if n == name else from_nowhere for n in names)

            def pull(g, saved):
                gradients = rule(g, saved)[0]
                return tuple(gradients[i] for i in wanted)

            inputs = tuple(f"{name}[{i}]" for i in wanted)
            known = operation.plans[wanted] = Plan(
                operation.name, inputs, names, roles, pull, operation.broadcasts, operation
            )
        return known

    call.forward = operation.forward
    return call


# ---- saved values as part of the graph -------------------------------------------------------------------------------
def from_nowhere(value: Any, node: Node | None) -> Any:
    """A saved value without a gradient."""
    if type(value) is tuple:  # a named tuple is a static argument
        return tuple(from_nowhere(v, node) for v in value)
    return Tensor(value) if type(value) in backends.ARRAYS else value


def from_node(value: Any, node: Node) -> Tensor:
    """The saved output of the node."""
    return Tensor(value, node)


def from_input(i: int) -> Callable[[Any, Node], Any]:
    """A saved input whose node is parent `i`."""

    def role(value: Any, node: Node) -> Any:
        return Tensor(value, node.parents[i]) if type(value) in backends.ARRAYS else value

    return role


def from_inputs(wanted: tuple[int, ...]) -> Callable[[Any, Node], Any]:
    """The saved inputs of a variadic operation, of which `wanted` need a gradient."""

    def role(values: tuple, node: Node) -> tuple:
        parents = dict(zip(wanted, node.parents, strict=True))
        return tuple(Tensor(v, parents.get(i)) if type(v) in backends.ARRAYS else v for i, v in enumerate(values))

    return role


def from_output(i: int, n: int) -> Callable[[Any, Node], Any]:
    """Saved result `i` of a node with `n` of them."""
    return lambda value, node: pick(node, i, n, value)


# ---- several differentiable results --------------------------------------------------------------------------------
class Parts:
    """The gradients of an operation with several results: one slot per result, None where nothing arrived yet."""

    __slots__ = ("values",)
    shape = None
    dtype = None
    size = 0

    def __init__(self, values: tuple):
        self.values = values

    def __add__(self, other: Parts) -> Parts:
        def both(a, b):
            return b if a is None else a if b is None else a + b

        return Parts(tuple(map(both, self.values, other.values)))


_PICKS: dict[tuple[str, int, int], Plan] = {}


def pick(bundle: Node, i: int, n: int, y: Any) -> Tensor:
    """Result `i` of `n` of the node `bundle`, as a tensor of its own."""
    plan = _PICKS.get((bundle.name, i, n))
    if plan is None:

        def pull(g, saved):
            return (Parts((None,) * i + (g,) + (None,) * (n - i - 1)),)

        plan = _PICKS[bundle.name, i, n] = Plan(f"{bundle.name}[{i}]", ("bundle",), (), (), pull)
    return Tensor(y, Node(tick(), plan, (bundle,), (), bundle.code, bundle.lasti, bundle.scope, y.shape, y.dtype))


def spread(bundle: Node, results: tuple) -> tuple[Tensor, ...]:
    """The results of a node with several of them; those that are no floats carry no gradient."""
    return tuple(
        pick(bundle, i, len(results), y) if y.dtype.kind in "fcV" else Tensor(y) for i, y in enumerate(results)
    )


# ---- what the generated code calls ---------------------------------------------------------------------------------
def settle(be: Any, y: Any, inputs: tuple) -> tuple[Any, np.dtype]:
    """Takes a 64-bit result back to 32 bits (or 16) unless an input array was of 64 bits itself.

    NumPy widens when integers meet floats and when an integer goes into `exp`. Here the floating operand decides,
    and integers alone give the default float32. NumPy's scalars count as little as Python's.
    """
    widest = None
    for a in inputs:
        dtype = getattr(a, "dtype", None)
        if dtype is not None and dtype.kind in "fc" and not isinstance(a, np.generic):
            if dtype is F64 or dtype is C128:
                return y, y.dtype
            widest = dtype if widest is None else np.promote_types(widest, dtype)
    if widest is None:
        widest = F32
    if y.dtype is C128 and widest.kind != "c":
        widest = C64
    return be.astype(y, widest), widest


def count_macs(rule: Callable[..., int] | None, known: dict[str, Any]) -> int | None:
    """What a rule for multiply-adds makes of what is known; see `Operation.count_macs`."""
    if rule is None:
        return 0
    asked = _parameters(rule)
    return rule(*(known[name] for name in asked)) if known.keys() >= set(asked) else None


def _parameters(function: Callable) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x0C:
        raise DtypeError(f"a rule is a Python function that names its parameters, got {function!r}")
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _define(name: str, source: str, name_space: dict[str, Any], title: str) -> Any:
    """Compiles `source`; tracebacks and debuggers can show its lines."""
    filename = f"{GENERATED}{title}>"
    if title:
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    local: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), name_space, local)
    return local[name]


_COMMON = {
    "Tensor": Tensor,
    "Node": Node,
    "ARRAYS": backends.ARRAYS,
    "PLAIN": backends.PLAIN,
    "CASTING": CASTING,
    "admit": backends.admit,
    "backend_for": backends.backend_for,
    "cast": cast,
    "explain": explain,
    "last": last,
    "met": met,
    "user_frame": user_frame,
    "getframe": _getframe,
    "here": here,
    "tick": tick,
    "settle": settle,
    "spread": spread,
    "UNSET": UNSET,
    "F64": F64,
    "C128": C128,
}
