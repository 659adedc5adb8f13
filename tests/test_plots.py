"""`nn.plots`: the numbers against plain computations, and that what is drawn holds them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.errors import ArgumentError, DtypeError, GraphError, MissingPackageError, OutOfRangeError, ShapeError

matplotlib = pytest.importorskip("matplotlib", reason="the plots are drawn with matplotlib (extra viz)")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


class Linear(nn.Module):
    """Scores that are known in closed form: x . w for each class."""

    def __init__(self, weights):
        super().__init__()
        self.w = nn.Parameter(tg.tensor(weights))

    def forward(self, x):
        return x.flatten(1) @ self.w


def test_saliency_is_the_largest_slope_over_the_channels():
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((3 * 4 * 5, 6)).astype(np.float32)
    x = tg.tensor(rng.standard_normal((2, 3, 4, 5)).astype(np.float32))
    found = nn.plots.saliency(Linear(weights), x, target=[4, 1])
    expected = np.abs(weights.T[[4, 1]].reshape(2, 3, 4, 5)).max(1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    best = (x.numpy().reshape(2, -1) @ weights).argmax(1)
    np.testing.assert_array_equal(nn.plots.saliency(Linear(weights), x), nn.plots.saliency(Linear(weights), x, best))


def test_occlusion_against_a_plain_loop():
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((1 * 7 * 6, 3)).astype(np.float32)
    x = rng.standard_normal((2, 1, 7, 6)).astype(np.float32)

    def probability(image, k):
        e = np.exp(image.reshape(-1) @ weights)
        return e[k] / e.sum()

    lost, covered = np.zeros((2, 7, 6)), np.zeros((7, 6))
    for top in (0, 2, 4):  # 3 pixels, every second one, the last patch at the edge
        for left in (0, 2, 3):
            covered[top : top + 3, left : left + 3] += 1
            for n, k in enumerate((2, 0)):
                y = x[n].copy()
                y[:, top : top + 3, left : left + 3] = 0.25
                lost[n, top : top + 3, left : left + 3] += probability(x[n], k) - probability(y, k)
    found = nn.plots.occlusion(Linear(weights), tg.tensor(x), [2, 0], size=3, stride=2, value=0.25)
    np.testing.assert_allclose(found, lost / covered, atol=1e-6)


def test_explanations_leave_no_gradients_and_refuse_nonsense():
    model = Linear(np.ones((4, 2), np.float32))
    x = tg.ones(1, 1, 2, 2)
    nn.plots.saliency(model, x)
    assert model.w.grad is None and not x.requires_grad
    with pytest.raises(OutOfRangeError, match="target 2 is not among the 2 classes"):
        nn.plots.saliency(model, x, 2)
    with pytest.raises(ShapeError, match=r"expected images \(N, C, H, W\)"):
        nn.plots.occlusion(model, x[0])
    with pytest.raises(DtypeError, match="a floating tensor"):
        nn.plots.saliency(model, tg.tensor([1, 2]))
    with pytest.raises(ArgumentError, match="a patch of 3 with stride 1 does not go over images of 2x2"):
        nn.plots.occlusion(model, x, size=3, stride=1)


def test_activations_are_what_the_modules_return():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4 * 4, 2))
    x = tg.randn(2, 1, 6, 6)
    found = nn.plots.activations(model, x)
    assert list(found) == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(found["1"].numpy(), np.maximum(found["0"].numpy(), 0))
    np.testing.assert_array_equal(found["3"].numpy(), model(x).detach().numpy())
    assert not found["0"].requires_grad and list(nn.plots.activations(model, x, ["1"])) == ["1"]
    assert all(not m._after for m in model.modules())
    with pytest.raises(ArgumentError, match="there is no module 'conv9'"):
        nn.plots.activations(model, x, ["conv9"])
    grid = nn.plots.activation_maps(found["0"], image=1)
    drawn = [ax.images[0].get_array() for ax in grid.flat if ax.images]
    maps = found["0"].numpy()[1]
    for picture, values in zip(drawn, maps, strict=True):
        np.testing.assert_allclose(picture, (values - values.min()) / np.ptp(values), atol=1e-6)


def test_filters_of_one_three_and_many_channels():
    for channels, pictures in ((1, 5), (3, 5), (4, 20)):
        layer = nn.Conv2d(channels, 5, 3)
        grid = nn.plots.filters(layer)
        drawn = [ax.images[0].get_array() for ax in grid.flat if ax.images]
        assert len(drawn) == pictures
        assert drawn[0].shape == ((3, 3, 3) if channels == 3 else (3, 3))
        assert all(p.min() == 0 and p.max() == pytest.approx(1) for p in drawn)
    with pytest.raises(ShapeError, match=r"expected a weight \(K, C, R, S\)"):
        nn.plots.filters(nn.Linear(2, 2))


def test_image_grid_keeps_one_scale_for_all_and_says_what_it_cannot_draw():
    grid = nn.plots.image_grid([[[0.0, 1.0]], [[2.0, 4.0]]], columns=2, titles=["a", "b"])
    assert [ax.get_title() for ax in grid.flat] == ["a", "b"]
    np.testing.assert_allclose(grid.flat[1].images[0].get_array(), [[0.5, 1.0]])
    with pytest.raises(ShapeError, match=r"expected images \(N, H, W\)"):
        nn.plots.image_grid(np.ones((2, 5, 4, 4)))
    with pytest.raises(ArgumentError, match="1 titles for 2 images"):
        nn.plots.image_grid(np.ones((2, 4, 4)), titles=["a"])


def test_training_curves_put_losses_and_the_rest_apart():
    history = {"epoch": [2, 4], "loss": [1.0, 0.5], "val_loss": [2.0, None], "accuracy": [0.1, 0.9]}
    left, right = nn.plots.training_curves(history)
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in left.lines}
    assert drawn == {"loss": ([2, 4], [1.0, 0.5]), "val_loss": ([2], [2.0])}
    assert list(right.lines[0].get_ydata()) == [0.1, 0.9] and right.get_ylabel() == "accuracy"
    with pytest.raises(ArgumentError, match="the history is empty"):
        nn.plots.training_curves({"epoch": [1]})


def test_curves_grow_and_are_written(tmp_path):
    curves = nn.plots.Curves()
    curves.add(loss=tg.tensor(2.0))
    curves.add(loss=1.0, accuracy=0.5)
    curves.add(accuracy=0.75)
    assert curves.history == {"loss": [2.0, 1.0, None], "accuracy": [None, 0.5, 0.75]}
    curves.save(tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not plt.get_fignums()


def test_curves_draw_themselves_in_a_notebook(monkeypatch):
    shown = []

    class Display:
        def update(self, figure):
            shown.append(("update", len(figure.axes[0].lines[0].get_ydata())))

        @staticmethod
        def display(figure, display_id):
            shown.append(("display", display_id))
            return Display()

    monkeypatch.setattr("tensorgraph.nn.plots.curves._notebook", lambda: Display)
    curves = nn.plots.Curves(every=2)
    for i in range(6):
        curves.add(loss=i)
    assert shown == [("display", True), ("update", 4), ("update", 6)]
    assert not plt.get_fignums()


def test_gradient_flow_shows_every_layer_and_marks_the_dead():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(2, 2))
    with pytest.raises(GraphError, match="no parameter has a gradient"):
        nn.plots.gradient_flow(model)
    model[0].weight.grad = tg.full((3, 2), -4.0)
    model[1].weight.grad = tg.zeros(2, 3)
    ax = nn.plots.gradient_flow(model)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "2"]
    assert ax.patches[0].get_height() == 4.0 and {t.get_text() for t in ax.texts} == {"zero", "none"}


def test_a_confusion_matrix_is_coloured_by_rows():
    ax = nn.plots.confusion_matrix([[8, 2], [0, 40]], ["cat", "dog"])
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.8, 0.2], [0, 1]])
    assert [t.get_text() for t in ax.texts] == ["8", "2", "40"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    with pytest.raises(ShapeError, match=r"expected \(C, C\)"):
        nn.plots.confusion_matrix([[1, 2]])
    with pytest.raises(ArgumentError, match="1 names for 2 classes"):
        nn.plots.confusion_matrix(np.eye(2), ["cat"])


def test_activation_functions_and_their_derivatives():
    grid = nn.plots.activation_functions(["sigmoid", tg.sin], -2, 2)
    for ax, f, slope in (
        (grid.flat[0], lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
        (grid.flat[1], np.sin, np.cos),
    ):
        value, derivative = (line for line in ax.lines if len(line.get_xdata()) == 1001)
        np.testing.assert_allclose(value.get_ydata(), f(value.get_xdata()), atol=1e-12)
        np.testing.assert_allclose(derivative.get_ydata(), slope(value.get_xdata()), atol=1e-12)
    with pytest.raises(ArgumentError, match=r"nn\.functional has no 'swosh'"):
        nn.plots.activation_functions(["swosh"])


def test_a_heat_map_lies_over_its_image():
    ax = nn.plots.heat_map(np.ones((3, 4, 5)), np.arange(20.0).reshape(4, 5) - 10)
    assert ax.images[1].get_clim() == (-10, 10)
    with pytest.raises(ShapeError, match="does not lie over an image"):
        nn.plots.heat_map(np.ones((3, 4, 5)), np.ones((5, 4)))


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match="matplotlib is not installed"):
        nn.plots.confusion_matrix([[1]])


def test_importing_nn_does_not_import_matplotlib():
    code = "import sys, tensorgraph.nn; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
