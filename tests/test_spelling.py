"""PyTorch's spelling where it means the same: keywords, methods, functions; elsewhere an error names both ways."""

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import spelling

X = np.arange(24.0).reshape(2, 3, 4)


def test_every_name_of_the_table_is_the_function_it_stands_for():
    for theirs, ours in spelling.FUNCTIONS.items():
        assert getattr(tg, theirs) is getattr(tg, ours), theirs
    for theirs, ours in spelling.METHODS.items():
        assert getattr(tg.Tensor, theirs) is getattr(tg.Tensor, ours), theirs


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (lambda x: x.sum(dim=1, keepdim=True), lambda x: x.sum(axis=1, keepdims=True)),
        (lambda x: tg.mean(x, dim=(0, 2)), lambda x: x.mean(axis=(0, 2))),
        (lambda x: tg.cat([x, x], dim=1), lambda x: np.concatenate([x, x], axis=1)),
        (lambda x: x.unsqueeze(0), lambda x: x[None]),
        (lambda x: x[:1].squeeze(0).view(6, -1), lambda x: x[0].reshape(6, -1)),
        (lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1)),
        (lambda x: x.flatten(1), lambda x: x.reshape(2, 12)),
        (lambda x: x.flatten(start_dim=0, end_dim=1), lambda x: x.reshape(6, 4)),
        (lambda x: x[:, :1].expand(-1, 3, -1), lambda x: np.broadcast_to(x[:, :1], (2, 3, 4))),
        (lambda x: x.argmax(dim=2), lambda x: x.argmax(axis=2)),
        (lambda x: x.clamp(min=3, max=7), lambda x: x.clip(3, 7)),
        (lambda x: x.mul(2).add(x).sub(1).div(3), lambda x: (x * 2 + x - 1) / 3),
        (lambda x: x.softmax(dim=-1), lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
        (lambda x: x.type_as(tg.zeros(1)).double(), lambda x: x),
        (lambda x: x.T, lambda x: x.T),
        (lambda x: x.mT, lambda x: x.swapaxes(1, 2)),
        (lambda x: tg.rot90(x, dims=(1, 2)), lambda x: np.rot90(x, axes=(1, 2))),
        (lambda x: tg.fft.irfftn(tg.fft.rfftn(x, dim=(0, 2)), dim=(0, 2)), lambda x: x),
        (lambda x: x.quantile(0.3, dim=1, interpolation="nearest"), lambda x: np.quantile(x, 0.3, 1, method="nearest")),
        (lambda x: tg.stack(x.unbind(dim=1)), lambda x: x.swapaxes(0, 1)),
    ],
)  # fmt: skip
def test_same_meaning_other_words(theirs, ours):
    np.testing.assert_allclose(theirs(tg.tensor(X)).numpy(), ours(X), rtol=1e-12)


def test_questions_about_a_tensor():
    x = tg.tensor(X)
    assert x.size() == (2, 3, 4) and x.size(1) == 3 and x.size(dim=-1) == 4
    assert x.size == 24 and isinstance(x.size, int)
    assert x.dim() == x.ndim == 3 and x.numel() == 24
    assert x.is_floating_point() and not x.long().is_floating_point()
    assert len(x) == 2 and [row.shape for row in x] == [(3, 4), (3, 4)]
    assert 5.0 in x and 99.0 not in x
    assert x.float().dtype == tg.float32 and x.half().dtype == tg.float16 and x.int().dtype == tg.int32
    assert x.bool().dtype == tg.bool and x.cpu() is x and x.contiguous() is x


def test_a_call_that_can_only_mean_the_other_thing_names_both_ways():
    x = tg.tensor(X)
    with pytest.raises(tg.ArgumentError, match=r"swapaxes\(1, 2\).*PyTorch.*NumPy"):
        x.transpose(1, 2)
    with pytest.raises(tg.ShapeError, match="as in NumPy"):
        tg.split(x, 2, axis=1)
    assert tg.tensor(X[0]).transpose(1, 0).shape == (4, 3)
