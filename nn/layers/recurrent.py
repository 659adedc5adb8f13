"""Recurrent layers and their cells. The steps and the loop over them are in ops/recurrent.py."""

from __future__ import annotations

from typing import Any

from tensorgraph import ops
from tensorgraph.creation import empty, zeros
from tensorgraph.errors import ArgumentError, ShapeError, sig
from tensorgraph.nn import arguments as check
from tensorgraph.nn import init
from tensorgraph.nn.module import Module, Parameter
from tensorgraph.ops import recurrent

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


class _Recurrent(Module):
    hidden_size: int

    def reset_parameters(self) -> None:
        """Draws new weights and biases, uniformly within 1 / sqrt(hidden_size)."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


# ---- layers --------------------------------------------------------------------------------------------------------
class _Layers(_Recurrent):
    """What RNN, LSTM and GRU share; `mode` names the kind of step."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: str | None,
        dtype: Any,
    ):
        super().__init__()
        name = type(self).__name__
        self.mode = mode
        check.flags(name, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        self.input_size = check.integer(name, input_size=input_size)
        self.hidden_size = check.integer(name, hidden_size=hidden_size)
        self.num_layers = check.integer(name, num_layers=num_layers)
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = check.fraction(name, dropout=dropout)
        self.proj_size = check.integer(name, 0, proj_size=proj_size)
        if proj_size >= hidden_size:
            raise ArgumentError(f"{name}: proj_size={proj_size} must be smaller than hidden_size={hidden_size}")
        size, gates = self.proj_size or self.hidden_size, _GATES[mode] * self.hidden_size
        for i, suffix in enumerate(self._suffixes()):
            inputs = self.input_size if i < self._directions else size * self._directions
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates, inputs), "weight_hh": (gates, size)}
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size:
                shapes["weight_hr"] = (size, self.hidden_size)
            for part, shape in shapes.items():
                setattr(self, part + suffix, Parameter(empty(*shape, dtype=dtype, device=device)))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self) -> list[str]:
        """What the names of parameters end in, layer by layer, forwards before backwards."""
        ends = ("", "_reverse")[: self._directions]
        return [f"_l{i}{end}" for i in range(self.num_layers) for end in ends]

    def _weights(self, suffix: str) -> list[Any]:
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return [getattr(self, part + suffix, None) for part in parts]

    def flatten_parameters(self) -> None:
        """Nothing: the parameters need no particular place in memory. For programs that ask for it."""

    def _run(self, input: Any, states: tuple[Any, ...] | None, sizes: tuple[int, ...]) -> tuple[Any, tuple[Any, ...]]:
        """Output and last states, from initial states (zeros without) whose features are `sizes`."""
        name = type(self).__name__
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            shape = "(N, T, features) or (T, features)" if self.batch_first else "(T, N, features) or (T, features)"
            raise ShapeError(f"{name}: the input is {sig(input)}, expected {shape} of {self.input_size} features")
        single = input.ndim == 2
        x = input[:, None] if single else input.swapaxes(0, 1) if self.batch_first else input
        steps, batch = x.shape[:2]
        if not steps:
            raise ShapeError(f"{name}: the input {sig(input)} has no steps")
        count = self.num_layers * self._directions
        if states is None:
            states = tuple(zeros(count, batch, n, dtype=input.dtype, device=input.device) for n in sizes)
        else:
            for what, state, n in zip(("h_0", "c_0"), states, sizes, strict=False):
                expected = (count, n) if single else (count, batch, n)
                if tuple(state.shape) != expected:
                    raise ShapeError(f"{name}: {what} is {sig(state)}, expected the shape {expected}")
            states = tuple(state[:, None] for state in states) if single else states
        starts, lasts = list(zip(*map(ops.unstack, states), strict=True)), []
        suffixes = self._suffixes()
        for i in range(0, count, self._directions):
            if i:
                x = ops.dropout(x, self.dropout, self.training)
            outputs = []
            for j, backwards in zip(range(i, i + self._directions), (False, True), strict=False):
                y, last = recurrent.layer(self.mode, x, starts[j], *self._weights(suffixes[j]), reverse=backwards)
                outputs.append(y)
                lasts.append(last)
            x = ops.concat(outputs, -1) if len(outputs) > 1 else outputs[0]
        finals = tuple(ops.stack(parts) for parts in zip(*lasts, strict=True))
        if single:
            return x[:, 0], tuple(final[:, 0] for final in finals)
        return x.swapaxes(0, 1) if self.batch_first else x, finals

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        return text + "".join(
            f", {name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value
        )


class _OneState(_Layers):
    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The outputs of the last layer at all steps, and the last state of every layer and direction."""
        y, (h,) = self._run(input, None if hx is None else (hx,), (self.hidden_size,))
        return y, h


class RNN(_OneState):
    """Plain recurrent network, h' = tanh(w_ih x + b_ih + w_hh h + b_hh), of one layer or several; or with relu.

    input (T, N, input_size), or (N, T, input_size) with `batch_first`, or (T, input_size) -> output (T, N, D H) and
    h_n (D num_layers, N, H), where D is 2 with `bidirectional`, otherwise 1. The initial state h_0, shaped like h_n, is
    zeros unless given. `dropout` acts between layers while training. Parameters weight_ih_l0 (H, input_size),
    weight_hh_l0 (H, H), bias_ih_l0, bias_hh_l0 (H), for layer 0, and with "_reverse" for the way back.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ):
        self.nonlinearity = check.choice("RNN", ("tanh", "relu"), nonlinearity=nonlinearity)
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class GRU(_OneState):
    """Gated recurrent units, in one layer or several; arguments, shapes and names as `RNN`, the step is `ops.gru_cell`.

    weight_ih_l0 (3 H, input_size), weight_hh_l0 (3 H, H), bias_ih_l0, bias_hh_l0 (3 H): gates r, z, n.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class LSTM(_Layers):
    """Long short-term memory, in one layer or several; the step is `ops.lstm_cell`, shapes are those of `RNN`.

    Returns output, (h_n, c_n), and takes (h_0, c_0). weight_ih_l0 (4 H, input_size), weight_hh_l0 (4 H, H),
    bias_ih_l0, bias_hh_l0 (4 H): gates i, f, g, o. With `proj_size` h is projected to that size by weight_hr_l0
    (proj_size, H), c is not. Source of the projection: Sak, Senior & Beaufays, 2014, arXiv:1402.1128.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, tuple[Any, Any]]:
        """The outputs of the last layer at all steps, and the last (h, c) of every layer and direction."""
        if hx is not None and not _is_pair(hx):
            raise ShapeError(f"LSTM: the initial state is {sig(hx)}, expected a pair (h_0, c_0)")
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        y, (h, c) = self._run(input, None if hx is None else tuple(hx), sizes)
        return y, (h, c)


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


# ---- cells ---------------------------------------------------------------------------------------------------------
class _Cell(_Recurrent):
    """Weights of one step; `gates` says how many rows there are for each hidden unit."""

    gates: int

    def __init__(self, input_size: int, hidden_size: int, bias: bool, device: str | None, dtype: Any):
        super().__init__()
        name = type(self).__name__
        self.input_size = check.integer(name, input_size=input_size)
        self.hidden_size = check.integer(name, hidden_size=hidden_size)
        check.flags(name, bias=bias)
        self.bias = bias
        rows = self.gates * self.hidden_size
        self.weight_ih = Parameter(empty(rows, self.input_size, dtype=dtype, device=device))
        self.weight_hh = Parameter(empty(rows, self.hidden_size, dtype=dtype, device=device))
        self.bias_ih = Parameter(empty(rows, dtype=dtype, device=device)) if bias else None
        self.bias_hh = Parameter(empty(rows, dtype=dtype, device=device)) if bias else None
        self.reset_parameters()

    def _start(self, input: Any, states: tuple[Any, ...] | None) -> tuple[Any, ...]:
        """The given states, or one of zeros, checked."""
        name, n = type(self).__name__, self.hidden_size
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: the input is {sig(input)}, expected (N, features) or (features) of {self.input_size} features"
            )
        expected = (*input.shape[:-1], n)
        if states is None:
            return (zeros(*expected, dtype=input.dtype, device=input.device),)
        for state in states:
            if tuple(state.shape) != expected:
                raise ShapeError(f"{name}: the state is {sig(state)}, expected the shape {expected}")
        return states

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(_Cell):
    """One step of `RNN`.  input (N, input_size), hx (N, hidden_size) or None -> (N, hidden_size). Without N too.

    weight_ih (hidden_size, input_size), weight_hh (hidden_size, hidden_size), bias_ih, bias_hh (hidden_size).
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: str | None = None,
        dtype: Any = None,
    ):
        self.nonlinearity = check.choice("RNNCell", ("tanh", "relu"), nonlinearity=nonlinearity)
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        (h,) = self._start(input, None if hx is None else (hx,))
        step = ops.rnn_tanh_cell if self.nonlinearity == "tanh" else ops.rnn_relu_cell
        return step(input, h, *self._weights())

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_Cell):
    """One step of `LSTM`.  input (N, input_size), hx = (h, c) of (N, hidden_size) or None -> (h', c'). Without N too.

    weight_ih (4 hidden_size, input_size), weight_hh (4 hidden_size, hidden_size), bias_ih, bias_hh (4 hidden_size).
    """

    gates = 4

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        if hx is not None and not _is_pair(hx):
            raise ShapeError(f"LSTMCell: the state is {sig(hx)}, expected a pair (h, c)")
        states = self._start(input, None if hx is None else tuple(hx))
        return ops.lstm_cell(input, states * 2 if hx is None else states, *self._weights())


class GRUCell(_Cell):
    """One step of `GRU`.  input (N, input_size), hx (N, hidden_size) or None -> (N, hidden_size). Without N too.

    weight_ih (3 hidden_size, input_size), weight_hh (3 hidden_size, hidden_size), bias_ih, bias_hh (3 hidden_size).
    """

    gates = 3

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: str | None = None, dtype: Any = None
    ):
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        (h,) = self._start(input, None if hx is None else (hx,))
        return ops.gru_cell(input, h, *self._weights())
