"""Cells of recurrent networks, and the loop of one layer over the steps of a sequence.

The gates of one step are one operation, whose second output are the gates as they were opened: the rules read them
instead of computing them again. May import: the elementwise files, trig, join, matmul, activation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tensorgraph.errors import ShapeError, sig
from tensorgraph.fused import fusable
from tensorgraph.operation import Array, op
from tensorgraph.ops.activation import relu
from tensorgraph.ops.join import concat, stack, unstack
from tensorgraph.ops.matmul import linear
from tensorgraph.ops.trig import tanh
from tensorgraph.provenance import explained

__all__ = ["gru_cell", "lstm_cell", "rnn_relu_cell", "rnn_tanh_cell"]


def _parts(x, k):
    """The last axis in k equal parts."""
    n = x.shape[-1] // k
    return [x[..., i * n : (i + 1) * n] for i in range(k)]


def _check(name, x, k, **states):
    for what, state in states.items():
        if not state.ndim or x.shape != (*state.shape[:-1], k * state.shape[-1]):
            raise ShapeError(f"{name}: {what} is {sig(state)}, which does not go with {k} gates {sig(x)}")


def _in_order(z, reverse):
    """What belongs to each step, the step first that is computed first."""
    return unstack(z)[::-1] if reverse else unstack(z)


def _stacked(outputs, reverse):
    """What the steps made, in the order of time."""
    return stack(outputs[::-1] if reverse else outputs)


def _macs(x_shape, w_ih_shape, w_hh_shape):
    return math.prod(x_shape[:-1]) * (math.prod(w_ih_shape) + math.prod(w_hh_shape))


# ---- long short-term memory ----------------------------------------------------------------------------------------
@op(outputs=("h", "c", "gates"))
def _lstm_cell(be, x: Array, memory: Array):
    _check("lstm_cell", x, 4, c=memory)
    gates = be.sigmoid(x)
    i, f, g, o = _parts(gates, 4)
    be.tanh(_parts(x, 4)[2], out=g)
    c = be.multiply(f, memory)
    c += i * g
    return be.multiply(o, be.tanh(c)), c, gates


def _to_memory(gh, gc, c, gates):
    """What reaches the new memory, by itself and by h; a gradient that is not there is 0."""
    if gh is None:
        return 0 * c if gc is None else gc
    t = tanh(c)
    through = gh * _parts(gates, 4)[3] * (1 - t * t)
    return through if gc is None else through + gc


def _lstm_x(gh, gc, ggates, c, gates, memory):
    i, f, g, o = _parts(gates, 4)
    gc = _to_memory(gh, gc, c, gates)
    into = [gc * g, gc * memory, gc * i, 0 * o if gh is None else gh * tanh(c)]
    if ggates is not None:
        into = [a + b for a, b in zip(into, _parts(ggates, 4), strict=True)]
    slopes = [i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o)]
    return concat([a * slope for a, slope in zip(into, slopes, strict=True)], -1)


_lstm_cell.vjp(x=_lstm_x, memory=lambda gh, gc, c, gates: _to_memory(gh, gc, c, gates) * _parts(gates, 4)[1])


@explained
def lstm_cell(input: Any, hx: Sequence[Any], w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of long short-term memory: c' = f c + i g, h' = o tanh(c'); returns (h', c').

    input (N, I), hx = (h, c) of (N, H), w_ih (4 H, I), w_hh (4 H, H), b_ih and b_hh (4 H) or None; the gates i, f, o
    (sigmoids) and the proposal g (tanh) of w_ih input + w_hh h stand in the order i, f, g, o. Without N too.

    Raises ShapeError. Source: Hochreiter & Schmidhuber, Long short-term memory, 1997; Gers et al., 2000 (f).
    """
    h, c = hx
    return _lstm_cell(linear(input, w_ih, b_ih) + linear(h, w_hh, b_hh), c)[:2]


@fusable
def _lstm(x, w_ih, w_hh, b, h, c, *, reverse):
    """All steps: x (T, N, I), w_ih (4 H, I), w_hh (4 H, H), b (4 H) or None, h and c (N, H) -> h (T, N, H), last c."""
    outputs = []
    for z in _in_order(linear(x, w_ih, b), reverse):
        h, c = _lstm_cell(z + linear(h, w_hh), c)[:2]
        outputs.append(h)
    return _stacked(outputs, reverse), c


_lstm.macs(_macs)


# ---- gated recurrent unit ------------------------------------------------------------------------------------------
@op(outputs=("h", "gates"))
def _gru_cell(be, x: Array, r: Array, state: Array):
    _check("gru_cell", x, 3, h=state)
    gates = be.sigmoid(x + r)
    reset, update, new = _parts(gates, 3)
    be.multiply(reset, _parts(r, 3)[2], out=new)
    new += _parts(x, 3)[2]
    be.tanh(new, out=new)
    h = be.subtract(state, new)
    h *= update
    h += new
    return h, gates


def _gru_x(gh, ggates, gates, r, state):
    """What reaches the three sums in front of the gates."""
    reset, update, new = _parts(gates, 3)
    if gh is None:
        gh = 0 * new
    into_reset, into_update, into_new = (0, 0, 0) if ggates is None else _parts(ggates, 3)
    at_new = (into_new + gh * (1 - update)) * (1 - new * new)
    at_update = (into_update + gh * (state - new)) * (update * (1 - update))
    at_reset = (into_reset + at_new * _parts(r, 3)[2]) * (reset * (1 - reset))
    return concat([at_reset, at_update, at_new], -1)


def _gru_r(gh, ggates, gates, r, state):
    at_reset, at_update, at_new = _parts(_gru_x(gh, ggates, gates, r, state), 3)
    return concat([at_reset, at_update, at_new * _parts(gates, 3)[0]], -1)


_gru_cell.vjp(x=_gru_x, r=_gru_r, state=lambda gh, gates: None if gh is None else gh * _parts(gates, 3)[1])


@explained
def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a gated recurrent unit: h' = (1 - z) n + z h.

    input (N, I), hx = h (N, H), w_ih (3 H, I), w_hh (3 H, H), b_ih and b_hh (3 H) or None -> (N, H). The gates r and z
    are sigmoids, n = tanh(w_in input + b_in + r (w_hn h + b_hn)), in the order r, z, n. Without N too.

    Raises ShapeError. Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014.
    """
    return _gru_cell(linear(input, w_ih, b_ih), linear(hx, w_hh, b_hh), hx)[0]


@fusable
def _gru(x, w_ih, w_hh, b_ih, b_hh, h, *, reverse):
    """All steps: x (T, N, I), w_ih (3 H, I), w_hh (3 H, H), b_ih and b_hh (3 H) or None, h (N, H) -> (T, N, H)."""
    outputs = []
    for z in _in_order(linear(x, w_ih, b_ih), reverse):
        h = _gru_cell(z, linear(h, w_hh, b_hh), h)[0]
        outputs.append(h)
    return _stacked(outputs, reverse)


_gru.macs(_macs)


# ---- plain ---------------------------------------------------------------------------------------------------------
@explained
def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a plain recurrent network: h' = tanh(w_ih input + b_ih + w_hh h + b_hh).

    input (N, I), hx = h (N, H), w_ih (H, I), w_hh (H, H), b_ih and b_hh (H) or None -> (N, H). Without N too.
    Source: Elman, Finding structure in time, 1990.
    """
    return tanh(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


@explained
def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """`rnn_tanh_cell` with relu in place of tanh.  Source: Le, Jaitly & Hinton, 2015, arXiv:1504.00941."""
    return relu(linear(input, w_ih, b_ih) + linear(hx, w_hh, b_hh))


@fusable
def _rnn(x, w_ih, w_hh, b, h, *, reverse, rectified):
    """All steps: x (T, N, I), w_ih (H, I), w_hh (H, H), b (H) or None, h (N, H) -> (T, N, H); relu or tanh."""
    outputs, bend = [], relu if rectified else tanh
    for z in _in_order(linear(x, w_ih, b), reverse):
        h = bend(z + linear(h, w_hh))
        outputs.append(h)
    return _stacked(outputs, reverse)


_rnn.macs(_macs)


# ---- a layer -------------------------------------------------------------------------------------------------------
def layer(
    kind: str, x: Any, state: tuple, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *, reverse: bool
) -> tuple[Any, tuple]:
    """One layer in one direction.  x (T, N, I), state of (N, H) each -> ((T, N, H), last state).

    `kind` is RNN_TANH, RNN_RELU, LSTM or GRU. `w_hr` (P, H) projects h of an LSTM, if it is given.
    """
    b = b_ih if kind == "GRU" or b_hh is None else b_ih + b_hh
    if w_hr is None:
        if kind == "LSTM":
            y, *rest = _lstm(x, w_ih, w_hh, b, *state, reverse=reverse)
        elif kind == "GRU":
            y, rest = _gru(x, w_ih, w_hh, b, b_hh, *state, reverse=reverse), ()
        else:
            y, rest = _rnn(x, w_ih, w_hh, b, *state, reverse=reverse, rectified=kind == "RNN_RELU"), ()
        return y, (y[0 if reverse else -1], *rest)
    outputs = []
    h, c = state
    for z in _in_order(linear(x, w_ih, b), reverse):
        h, c = _lstm_cell(z + linear(h, w_hh), c)[:2]
        h = linear(h, w_hr)
        outputs.append(h)
    return _stacked(outputs, reverse), (h, c)
