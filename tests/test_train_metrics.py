"""Metrics: batch by batch the same as all at once, equal to plain loops; wrong shapes and classes are errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph.nn import train

C = 6


@pytest.fixture
def scores(rng):
    """Scores with ties and their classes."""
    return np.round(rng.normal(size=(200, C)), 1).astype("float32"), rng.integers(C, size=200)


def streamed(metric, *arrays, size=37):
    for i in range(0, len(arrays[0]), size):
        metric.update(*(tg.tensor(a[i : i + size]) for a in arrays))
    return metric.compute()


def rank(row, own):
    """How many classes come before `own` in a stable sort from the highest score."""
    return sorted(range(C), key=lambda c: -row[c]).index(own)


@pytest.mark.parametrize("k", [1, 2, 5, C])
def test_top_k_against_a_loop(scores, k):
    y, t = scores
    expected = sum(rank(row, own) < k for row, own in zip(y, t)) / len(t)
    assert streamed(train.TopK(k), y, t) == expected
    if k == 1:
        assert streamed(train.Accuracy(), y, t) == expected == (y.argmax(1) == t).mean()


def test_confusion_matrix_against_scikit_learn(scores):
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the reference")
    y, t = scores
    metric = train.ConfusionMatrix(C, names="abcdef")
    called = y.argmax(1)
    np.testing.assert_array_equal(streamed(metric, y, t), sklearn.confusion_matrix(t, called))
    precision, recall, f1, _ = sklearn.precision_recall_fscore_support(t, called)
    np.testing.assert_allclose(metric.precision(), precision)
    np.testing.assert_allclose(metric.recall(), recall)
    np.testing.assert_allclose(metric.f1(), f1)
    assert metric.accuracy() == (called == t).mean()
    np.testing.assert_array_equal(streamed(train.ConfusionMatrix(C), called, t), metric.compute())
    lines = str(metric).splitlines()
    assert lines[1].split() == [*"abcdef", "recall"] and len({len(line) for line in lines[1:]}) == 1


def test_means_weigh_batches_by_their_size(rng):
    x, t = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    assert streamed(train.MeanSquaredError(), x, t) == pytest.approx(((x - t) ** 2).mean())
    assert streamed(train.MeanAbsoluteError(), x, t) == pytest.approx(abs(x - t).mean())
    mean = train.Mean()
    assert math.isnan(mean.compute())
    for value, weight in ((tg.tensor(2.0), 3), (5.0, 1), (np.float32(1.0), 4)):
        mean.update(value, weight=weight)
    assert mean.compute() == (6 + 5 + 4) / 8
    mean.update(tg.tensor([1.0, 2.0]))
    assert mean.compute() == 18 / 10
    mean.reset()
    assert math.isnan(mean.compute())


def test_segmentation_probabilities_two_classes_and_ignored_targets(rng):
    y, t = rng.normal(size=(4, C, 5, 5)).astype("float32"), rng.integers(C, size=(4, 5, 5))
    right = y.argmax(1) == t
    assert streamed(train.Accuracy(), y, t) == right.mean()
    t[0] = -100
    assert streamed(train.Accuracy(), y, t) == right[1:].mean()
    assert streamed(train.ConfusionMatrix(C), y, t).sum() == 75
    soft = np.eye(C, dtype="float32")[[1, 2]]
    assert streamed(train.Accuracy(), np.eye(C)[[1, 3]], soft) == 0.5
    two = train.Accuracy(threshold=0.0)
    assert streamed(two, np.array([[-1.0], [2.0], [3.0], [float("nan")]]), np.array([0, 1, 0, 0])) == 0.5


def test_a_score_that_is_nan_is_never_right():
    y = np.full((2, 3), np.nan, "float32")
    assert streamed(train.Accuracy(), y, np.array([0, 1])) == 0
    assert streamed(train.TopK(3), y, np.array([0, 1])) == 0


def test_equal_scores_are_no_hits():
    """A model that says the same of every class is right for the first one only."""
    assert streamed(train.Accuracy(), np.zeros((C, C)), np.arange(C)) == 1 / C


def test_a_state_goes_on_counting(scores):
    y, t = scores
    for make in (train.Accuracy, train.Mean, lambda: train.ConfusionMatrix(C), lambda: train.TopK(2)):
        whole, first, second = make(), make(), make()
        whole.update(y, t)
        first.update(y[:90], t[:90])
        state = {name: tg.tensor(v) if isinstance(v, np.ndarray) else v for name, v in first.state_dict().items()}
        second.load_state_dict(state)
        second.update(y[90:], t[90:])
        np.testing.assert_array_equal(whole.compute(), second.compute())


def test_arrays_of_another_device(fence, scores):
    y, t = scores
    for metric in (train.Accuracy(), train.TopK(2), train.ConfusionMatrix(C)):
        value = streamed(metric, y, t)
        metric.reset()
        metric.update(tg.tensor(y, device="fence"), tg.tensor(t, device="fence"))
        np.testing.assert_array_equal(metric.compute(), value)
        metric.reset()
        metric.update(tg.tensor(y, device="fence"), t)
        np.testing.assert_array_equal(metric.compute(), value)


@pytest.mark.parametrize("call, error, match", [
    (lambda: train.Accuracy().update(np.zeros((4, 3)), np.zeros(5, int)), tg.ShapeError, r"output f64\[4,3\]"),
    (lambda: train.Accuracy().update(np.zeros((4, 1)), np.zeros(4)), tg.ShapeError, "classes are integers"),
    (lambda: train.Accuracy().update(np.zeros(4), np.zeros(4, int)), tg.ShapeError, r"threshold=0.0"),
    (lambda: train.Accuracy().update(np.zeros((2, 3)), np.array([0, 3])), tg.OutOfRangeError, "class 3"),
    (lambda: train.TopK(0), tg.ArgumentError, "k must be a positive integer"),
    (lambda: train.TopK(4).update(np.zeros((2, 3)), np.zeros(2, int)), tg.ArgumentError, "the 4 highest of 3"),
    (lambda: train.ConfusionMatrix(2).update(np.array([0, 5]), np.array([0, 1])), tg.OutOfRangeError, "0 to 5"),
    (lambda: train.ConfusionMatrix(2).update(np.zeros((2, 3)), np.array([0, 1])), tg.ShapeError, "for 2 classes"),
    (lambda: train.ConfusionMatrix(2, names=["a"]), tg.ArgumentError, "1 names for 2 classes"),
    (lambda: train.MeanSquaredError().update(np.zeros((3, 1)), np.zeros(3)), tg.ShapeError, "squeeze"),
    (lambda: train.Mean().update(1.0, weight=-1), tg.ArgumentError, "got -1"),
    (lambda: train.Mean().load_state_dict({"matrix": 1}), tg.StateDictError, "expected total, count, got matrix"),
    (lambda: train.ConfusionMatrix(2).load_state_dict({"matrix": np.zeros((3, 3))}), tg.StateDictError, r"f64\[3,3\]"),
])  # fmt: skip
def test_what_does_not_fit_is_named(call, error, match):
    with pytest.raises(error, match=match):
        call()
