"""Recurrent cells, gate by gate."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, S


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sums(x, h, w_ih, w_hh, b_ih=0.0, b_hh=0.0):
    return x @ w_ih.T + b_ih, h @ w_hh.T + b_hh


def lstm(x, h, c, *weights):
    i, f, g, o = np.split(np.add(*sums(x, h, *weights)), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, h, *weights):
    (xr, xz, xn), (hr, hz, hn) = (np.split(s, 3, -1) for s in sums(x, h, *weights))
    z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    return (1 - z) * n + z * h


def lstm_with_pair(x, h, c, *weights):
    return tg.lstm_cell(x, (h, c), *weights)


SAMPLES = [
    S("lstm_cell", A(2, 3), A(2, 2), A(2, 2), A(8, 3), A(8, 2), A(8), A(8), ref=lstm, f=lstm_with_pair),
    S("lstm_cell", A(3), A(2), A(2), A(8, 3), A(8, 2), ref=lstm, f=lstm_with_pair),
    S("lstm_cell", A(2, 3), A(2, 2), A(2, 2), A(8, 3), A(8, 2), ref=lambda *a: lstm(*a)[0],
      f=lambda *a: lstm_with_pair(*a)[0]),
    S("lstm_cell", A(2, 3), A(2, 1), A(2, 1), A(4, 3), A(4, 1), ref=lambda *a: lstm(*a)[1],
      f=lambda *a: lstm_with_pair(*a)[1]),
    S("lstm_cell", A(0, 3), A(0, 2), A(0, 2), A(8, 3), A(8, 2), ref=lstm, f=lstm_with_pair),
    S("gru_cell", A(2, 3), A(2, 2), A(6, 3), A(6, 2), A(6), A(6), ref=gru),
    S("gru_cell", A(3), A(2), A(6, 3), A(6, 2), ref=gru),
    S("rnn_tanh_cell", A(2, 3), A(2, 2), A(2, 3), A(2, 2), A(2), A(2), ref=lambda *a: np.tanh(np.add(*sums(*a)))),
    S("rnn_relu_cell", A(2, 3), A(2, 2), A(2, 3), A(2, 2), A(2), A(2),
      ref=lambda *a: np.maximum(np.add(*sums(*a)), 0)),
]  # fmt: skip

ERRORS = [
    E("lstm_cell", A(2, 3), A(2, 2), A(2, 3), A(8, 3), A(8, 2), f=lstm_with_pair, error=tg.ShapeError,
      match=r"c is f32\[2,3\], which does not go with 4 gates f32\[2,8\]"),
    E("gru_cell", A(2, 3), A(2, 2), A(4, 3), A(4, 2), error=tg.ShapeError, match="h is f32.*does not go with 3 gates"),
]  # fmt: skip
