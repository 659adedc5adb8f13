"""Normalisation, against mean and variance written out."""

import numpy as np

import tensorgraph as tg
from tests.samples import A, E, Given, Pos, S


def standardized(x, axis, eps, center=True):
    d = x - x.mean(axis, keepdims=True) if center else x
    return d / np.sqrt((d**2).mean(axis, keepdims=True) + eps)


def affine(y, weight, bias, shape):
    y = y if weight is None else y * np.reshape(weight, shape)
    return y if bias is None else y + np.reshape(bias, shape)


def channels(x):
    return (1, x.shape[1]) + (1,) * (x.ndim - 2)


def batch(
    x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, *, activation=None, residual=0
):
    if training:
        y = standardized(x, (0, *range(2, x.ndim)), eps)
    else:
        y = (x - mean.reshape(channels(x))) / np.sqrt(var.reshape(channels(x)) + eps)
    y = affine(y, weight, bias, channels(x)) + residual
    return y if activation is None else np.maximum(y, 0)


def instance(x, mean=None, var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    if not use_input_stats:
        return batch(x, mean, var, weight, bias, eps=eps)
    return affine(standardized(x, tuple(range(2, x.ndim)), eps), weight, bias, channels(x))


def layer(x, shape, weight=None, bias=None, eps=1e-5):
    axes = tuple(range(x.ndim - np.size(shape), x.ndim))
    return affine(standardized(x, axes, eps), weight, bias, shape)


def rms(x, shape, weight=None, eps=0.0):
    axes = tuple(range(x.ndim - np.size(shape), x.ndim))
    return affine(standardized(x, axes, eps, center=False), weight, None, shape)


def group(x, groups, weight=None, bias=None, eps=1e-5):
    parted = x.reshape(len(x), groups, -1)
    return affine(standardized(parted, 2, eps).reshape(x.shape), weight, bias, channels(x))


def normalized(x, p=2.0, axis=1, eps=1e-12):
    return x / np.maximum((np.abs(x) ** p).sum(axis, keepdims=True) ** (1 / p), eps)


def weight_normed(v, g, dim=0):
    axes = None if dim is None else tuple(i for i in range(v.ndim) if i != dim)
    return g * v / np.sqrt((v**2).sum(axes, keepdims=True))


def spectral(w, u, v, dim=0):
    matrix = np.moveaxis(w, dim, 0).reshape(w.shape[dim], -1)
    return w / (u @ matrix @ v)


SAMPLES = [
    S("batch_norm", A(4, 3), None, None, kw=dict(training=True), ref=batch, tol=2),
    S("batch_norm", A(2, 3, 2, 2), None, None, A(3), A(3), True, ref=batch, tol=2),
    S("batch_norm", A(2, 3, 4), None, None, A(3), None, True, 0.1, 0.5, ref=batch, tol=2),
    S("batch_norm", A(2, 3, 2), A(3), Pos(3), A(3), A(3), ref=batch, tol=2),
    S("batch_norm", A(2, 3), A(3), Pos(3), kw=dict(eps=0.1), ref=batch, tol=2),
    S("batch_norm", Given(np.full((4, 2), 3.0)), None, None, A(2), A(2), True, ref=batch, tol=2),
    S("batch_norm", A(4, 3), None, None, A(3), A(3), True, kw=dict(activation="relu"), ref=batch, tol=2),
    S("batch_norm", A(2, 3, 2, 2), None, None, A(3), A(3), True, kw=dict(activation="relu", residual=A(2, 3, 2, 2)),
      ref=batch, tol=2),
    S("batch_norm", A(2, 3, 4), None, None, kw=dict(training=True, residual=A(2, 3, 4)), ref=batch, tol=2),
    S("batch_norm", A(2, 3, 2), A(3), Pos(3), A(3), A(3), kw=dict(activation="relu", residual=A(2, 3, 2)), ref=batch,
      tol=2),
    S("instance_norm", A(2, 3, 4), ref=instance, tol=2),
    S("instance_norm", A(2, 3, 2, 2), None, None, A(3), A(3), ref=instance, tol=2),
    S("instance_norm", A(2, 3, 4), A(3), Pos(3), A(3), A(3), False, ref=instance, tol=2),
    S("layer_norm", A(2, 3, 4), 4, ref=layer, tol=2),
    S("layer_norm", A(2, 3, 4), (3, 4), A(3, 4), A(3, 4), ref=layer, tol=2),
    S("layer_norm", A(4), [4], A(4), None, 0.5, ref=layer, tol=2),
    S("layer_norm", A(0, 4), 4, A(4), ref=layer, second=False, why="nothing there"),
    S("rms_norm", A(2, 3, 4), (4,), ref=rms, tol=2),
    S("rms_norm", A(2, 3, 4), (3, 4), A(3, 4), 0.1, ref=rms, tol=2),
    S("group_norm", A(2, 4, 3), 2, ref=group, tol=2),
    S("group_norm", A(2, 4, 2, 2), 2, A(4), A(4), ref=group, tol=2),
    S("group_norm", A(2, 4), 2, A(4), None, ref=group, tol=2),
    S("normalize", A(2, 3), ref=normalized),
    S("normalize", A(2, 3), 3.0, 0, ref=normalized),
    S("normalize", A(2, 3), kw=dict(dim=-1, eps=9.0), ref=lambda x, dim, eps: normalized(x, axis=dim, eps=eps)),
    S("weight_norm", A(3, 2, 2), A(3, 1, 1), ref=weight_normed),
    S("weight_norm", A(3, 2), A(1, 2), 1, ref=weight_normed),
    S("weight_norm", A(3, 2), A(), None, ref=weight_normed),
    S("spectral_norm", A(3, 4), Pos(3), Pos(4), ref=spectral, tol=4),
    S("spectral_norm", A(2, 3, 2), Pos(3), Pos(4), 1, ref=spectral, tol=4),
]  # fmt: skip

ERRORS = [
    E("batch_norm", A(1, 3), None, None, kw=dict(training=True), error=tg.ArgumentError,
      match=r"f32\[1,3\] has 1 value per channel[\s\S]*model.eval\(\)"),
    E("batch_norm", A(3), None, None, error=tg.ShapeError, match=r"expected \(N, C\)"),
    E("batch_norm", A(2, 3), None, None, error=tg.ArgumentError, match="needs running_mean and running_var"),
    E("batch_norm", A(2, 3), A(4), A(4), error=tg.ShapeError,
      match=r"running_mean is f32\[4\], the input has 3 channels"),
    E("batch_norm", np.ones((2, 3), int), None, None, error=tg.DtypeError, match="floating dtype"),
    E("batch_norm", A(2, 3), A(3), Pos(3), kw=dict(activation="gelu"), error=tg.ArgumentError,
      match="batch_norm: activation is \"relu\" or None, got 'gelu'"),
    E("batch_norm", A(2, 3), A(3), Pos(3), kw=dict(residual=A(2, 1)), error=tg.ShapeError,
      match=r"residual is f32\[2,1\], the input is f32\[2,3\]"),
    E("instance_norm", A(2, 3), error=tg.ShapeError, match="something to normalise over"),
    E("instance_norm", A(2, 3, 1), error=tg.ArgumentError, match="1 value per channel"),
    E("instance_norm", A(2, 3, 2), kw=dict(use_input_stats=False), error=tg.ArgumentError, match="needs running_mean"),
    E("layer_norm", A(2, 3), 4, error=tg.ShapeError,
      match=r"last axes of input f32\[2,3\] are not normalized_shape=\(4,\)"),
    E("layer_norm", A(2, 3), 3, A(2), error=tg.ShapeError, match=r"weight is f32\[2\]"),
    E("rms_norm", A(2, 3), (), error=tg.ShapeError, match="normalized_shape"),
    E("group_norm", A(2, 3), 2, error=tg.ArgumentError, match="3 channels cannot be parted into num_groups=2"),
    E("group_norm", A(3), 1, error=tg.ShapeError, match="expected"),
]  # fmt: skip
