"""The scikit-learn estimators: in pipelines and searches, copied and stored, with data and targets of all kinds."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the estimators need scikit-learn")

from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn.sklearn import NeuralNetClassifier, NeuralNetRegressor

ROOT = Path(__file__).resolve().parents[1]


# Nothing is expected to fail. The check of sample weights compares with repeated samples, which holds exactly while all
# of them are one batch: they are few there.
@parametrize_with_checks([NeuralNetClassifier(), NeuralNetRegressor()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return StandardScaler().fit_transform(X)[order].astype(np.float32), y[order]


def quick(kind=NeuralNetClassifier, **settings):
    return kind(**({"lr": 0.02, "max_epochs": 15, "random_state": 0, "module__hidden": 16} | settings))


class Convolutions(nn.Module):
    def __init__(self, num_classes, in_channels, width=8):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes)
        )

    def forward(self, x):
        return self.layers(x)


class OneLogit(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.linear = nn.Linear(in_features, 1)

    def forward(self, x):
        return self.linear(x).squeeze(-1)


# ---- where scikit-learn takes an estimator -------------------------------------------------------------------------
def test_pipeline_and_cross_validation(iris):
    X, y = iris
    scores = cross_val_score(make_pipeline(StandardScaler(), quick()), X, y, cv=3)
    assert scores.shape == (3,) and scores.mean() > 0.9
    probabilities = cross_val_predict(quick(), X, y, cv=3, method="predict_proba")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_grid_search_reaches_every_part(iris):
    X, y = iris
    grid = {
        "neuralnetclassifier__module__hidden": [(4,), (32, 32)],
        "neuralnetclassifier__optimizer__weight_decay": [0.0, 0.01],
        "neuralnetclassifier__lr": [1e-6, 0.02],
    }
    found = GridSearchCV(make_pipeline(StandardScaler(), quick(max_epochs=5)), grid, cv=3).fit(X, y)
    assert found.best_params_["neuralnetclassifier__lr"] == 0.02 and found.best_score_ > 0.8
    best = found.best_estimator_[-1]
    sizes = [p.shape for p in best.module_.parameters()]
    assert sizes[0] == (np.atleast_1d(best.module__hidden)[0], 4) and sizes[-1] == (3,)
    assert best.optimizer_.param_groups[0]["weight_decay"] == best.optimizer__weight_decay


def test_random_search_in_two_processes(iris):
    X, y = iris
    draws = {"lr": loguniform(1e-3, 1e-1), "batch_size": [16, 32]}
    found = [
        RandomizedSearchCV(quick(max_epochs=3), draws, n_iter=2, cv=2, random_state=0, n_jobs=jobs).fit(X, y)
        for jobs in (1, 2)
    ]
    assert found[0].best_params_ == found[1].best_params_
    np.testing.assert_allclose(*(f.cv_results_["mean_test_score"] for f in found))


def test_a_diverging_candidate_does_not_end_the_search(iris):
    X, y = iris
    search = GridSearchCV(quick(NeuralNetRegressor, optimizer="SGD"), {"lr": [1e-3, 1e9]}, cv=2)
    with (
        np.errstate(all="ignore"),
        pytest.warns(FitFailedWarning, match="DivergenceError: the loss is (inf|nan) after epoch 1"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(X, y.astype(float))
    assert search.best_params_ == {"lr": 1e-3}
    assert np.isnan(search.cv_results_["mean_test_score"][1])


# ---- parameters, copies, files -------------------------------------------------------------------------------------
def test_parameters_with_prefixes_are_parameters():
    net = NeuralNetClassifier(optimizer="SGD", optimizer__momentum=0.9, module__hidden=8)
    assert net.get_params()["optimizer__momentum"] == 0.9
    assert clone(net).set_params(module__hidden=16, lr=0.5).get_params()["module__hidden"] == 16
    assert "optimizer__momentum=0.9" in repr(net) and "module__hidden=8" in net._repr_html_()


@pytest.mark.parametrize("change", [{"hiden": 3}, {"module_hidden": 3}, {"optimiser__momentum": 0.9}])
def test_unknown_parameters_are_refused(change):
    with pytest.raises(tg.ArgumentError, match="unknown parameter"):
        NeuralNetClassifier(**change)
    net = NeuralNetClassifier()
    with pytest.raises(ValueError):
        net.set_params(lr=0.5, **change)


def test_a_fitted_estimator_is_pickled_and_cloned(iris):
    X, y = iris
    net = quick(warm_start=True).fit(X, y)
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))
    assert X.nbytes < len(pickle.dumps(net)) < 20_000  # weights, optimiser and history, no data
    for each in (net, copy):  # both go on in the same way
        each.set_params(max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(copy.predict_proba(X), net.predict_proba(X))
    assert len(copy.history_) == 17 and not hasattr(clone(net), "module_")


def test_a_module_that_is_made_already_is_copied(iris):
    X, y = iris
    module = nn.Linear(4, 3)
    before = {name: value.tolist() for name, value in module.state_dict().items()}
    net = quick().set_params(module=module)
    with pytest.raises(tg.ArgumentError, match="module__hidden is set, but module is made already"):
        net.fit(X, y)
    net = NeuralNetClassifier(module, lr=1e-9, max_epochs=1).fit(X, y)
    assert {name: value.tolist() for name, value in module.state_dict().items()} == before
    np.testing.assert_allclose(net.module_.weight.tolist(), module.weight.tolist(), atol=1e-6)  # the start


def test_random_state_decides_everything_and_touches_nothing_else(iris):
    X, y = iris
    tg.manual_seed(5)
    expected = tg.rand(3).tolist()
    tg.manual_seed(5)
    first = quick(module__dropout=0.5).fit(X, y).predict_proba(X)
    assert tg.rand(3).tolist() == expected
    second = quick(module__dropout=0.5).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    assert (quick(random_state=1).fit(X, y).predict_proba(X) != first).any()
    tg.manual_seed(7)
    free = [quick(random_state=None, max_epochs=1).fit(X, y).predict_proba(X) for _ in range(2)]
    tg.manual_seed(7)
    np.testing.assert_array_equal(quick(random_state=None, max_epochs=1).fit(X, y).predict_proba(X), free[0])
    assert (free[0] != free[1]).any()


# ---- modules and data of all kinds ---------------------------------------------------------------------------------
def test_images_get_a_network_of_their_size():
    X, y = load_digits(return_X_y=True)
    X = (X[:400] / 16).reshape(-1, 1, 8, 8).astype(np.float32)
    net = NeuralNetClassifier(Convolutions, module__width=4, lr=0.01, max_epochs=6, random_state=0, batch_size=57)
    assert len(X) % 57 == 1  # one image is left over, and batch norm needs two
    net.fit(X, y[:400])
    assert net.score(X, y[:400]) > 0.9 and net.module_.layers[0].weight.shape == (4, 1, 3, 3)
    assert net.predict_proba(X).dtype == np.float32
    assert NeuralNetClassifier(max_epochs=1).fit(X, y[:400]).module_[1].weight.shape == (128, 64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_module_follows_the_dtype_of_the_data(iris, dtype):
    X, y = iris
    net = quick(max_epochs=1).fit(X.astype(dtype), y)
    assert {p.dtype for p in net.module_.parameters()} == {np.dtype(dtype)}
    assert net.predict_proba(X).dtype == dtype
    narrow = quick(max_epochs=1, dtype="float32").fit(X.astype(dtype), y)
    assert narrow.predict_proba(X.astype(dtype)).dtype == np.float32


def test_tokens_stay_integers(rng):
    class Words(nn.Module):
        def __init__(self, num_classes):
            super().__init__()
            self.embedding, self.linear = nn.Embedding(10, 4), nn.Linear(4, num_classes)

        def forward(self, tokens):
            return self.linear(self.embedding(tokens).mean(axis=1))

    X = rng.integers(0, 10, (200, 6))
    y = (X == 3).any(axis=1)
    net = NeuralNetClassifier(Words, dtype="int64", lr=0.05, max_epochs=30, random_state=0).fit(X, y)
    assert net.score(X, y) > 0.95 and net.predict(X).dtype == bool


def test_string_labels(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    net = quick().fit(X, names)
    assert list(net.classes_) == ["setosa", "versicolor", "virginica"] and net.score(X, names) > 0.9
    assert net.predict(X).dtype == names.dtype


@pytest.mark.parametrize("criterion", [None, "BCEWithLogitsLoss", nn.BCEWithLogitsLoss()])
def test_two_classes_with_one_logit(iris, criterion):
    X, y = iris
    names = np.where(y == 0, "yes", "no")
    net = NeuralNetClassifier(OneLogit, criterion=criterion, lr=0.05, max_epochs=20, random_state=0).fit(X, names)
    assert net.score(X, names) > 0.95
    probabilities = net.predict_proba(X)
    assert probabilities.shape == (len(X), 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(net.predict(X), net.classes_[probabilities.argmax(axis=1)])
    assert net.history_["accuracy"][-1] > 0.9


def test_several_labels_at_once():
    X, Y = make_multilabel_classification(200, n_features=10, n_classes=3, random_state=0)
    X = StandardScaler().fit_transform(X)
    net = quick(max_epochs=30).fit(X, Y)
    assert (net.predict(X) == Y).mean() > 0.85 and net.predict_proba(X).shape == Y.shape
    assert ((net.predict_proba(X) > 0.5) == net.predict(X)).all()
    assert ClassifierChain(quick(max_epochs=2)).fit(X, Y).predict(X).shape == Y.shape


def test_regression_of_one_number_and_of_several(rng):
    X = rng.normal(size=(300, 3))
    Y = np.stack([np.sin(X[:, 0]), X[:, 1] * 2], axis=1)
    settings = dict(kind=NeuralNetRegressor, max_epochs=40, lr=0.01, module__hidden=32)
    both = quick(**settings).fit(X, Y)
    assert both.predict(X).shape == (300, 2) and both.score(X, Y) > 0.9
    one = quick(**settings).fit(X, Y[:, 1])
    assert one.predict(X).shape == (300,) and one.score(X, Y[:, 1]) > 0.9
    column = quick(**settings, criterion="HuberLoss", criterion__delta=0.5).fit(X, Y[:, 1:])
    assert column.predict(X).shape == (300, 1) and column.criterion_.delta == 0.5
    flat = NeuralNetRegressor(OneLogit, max_epochs=1).fit(X, Y[:, 0])  # a module that returns (N,)
    assert flat.predict(X).shape == (300,)


def test_pandas_names_are_remembered(iris):
    pd = pytest.importorskip("pandas", reason="names of columns come with pandas")
    frame = pd.DataFrame(iris[0], columns=["a", "b", "c", "d"])
    net = quick(max_epochs=1).fit(frame, pd.Series(iris[1]))
    assert list(net.feature_names_in_) == ["a", "b", "c", "d"]
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[["b", "a", "c", "d"]])


# ---- weights ---------------------------------------------------------------------------------------------------------
def test_sample_weights_equal_repeated_samples(rng):
    X, times = rng.normal(size=(20, 3)), rng.integers(0, 4, 20)
    y = X[:, 0] - X[:, 1]
    settings = dict(kind=NeuralNetRegressor, batch_size=None, max_epochs=10)
    weighted = quick(**settings).fit(X, y, sample_weight=times)
    repeated = quick(**settings).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-9)
    assert abs(weighted.predict(X) - quick(**settings).fit(X, y).predict(X)).max() > 1e-3


def test_class_weights_equal_sample_weights(iris):
    X, y = iris
    by_class = quick(class_weight={0: 1, 1: 5, 2: 1}, max_epochs=3).fit(X, y)
    by_sample = quick(max_epochs=3).fit(X, y, sample_weight=np.where(y == 1, 5, 1))
    np.testing.assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))
    rare = np.r_[np.flatnonzero(y == 2), np.flatnonzero(y == 1)[:5]]
    found = [quick(class_weight=w, max_epochs=5).fit(X[rare], y[rare]).predict(X) for w in (None, "balanced")]
    assert (found[1] == 1).sum() > (found[0] == 1).sum()


# ---- going on, stopping ----------------------------------------------------------------------------------------------
def test_partial_fit_and_warm_start_go_on(iris):
    X, y = iris
    net = quick()
    for part in np.array_split(np.arange(len(X)), 3):
        net.partial_fit(X[part], y[part], classes=[0, 1, 2])
    assert len(net.history_) == 3
    with pytest.raises(tg.ArgumentError, match=r"label np.int64\(7\), which is none of the classes"):
        net.partial_fit(X, np.full(len(X), 7))
    weights = net.module_
    net.set_params(warm_start=True, max_epochs=2).fit(X, y)
    assert net.module_ is weights and net.history_["epoch"] == [1, 2, 3, 4, 5]
    net.set_params(warm_start=False).fit(X, y)
    assert net.module_ is not weights and net.history_["epoch"] == [1, 2]


def test_fits_in_one_go_equal_fits_in_two(iris):
    X, y = iris
    whole = quick(max_epochs=4).fit(X, y)
    parts = quick(max_epochs=2, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(whole.predict_proba(X), parts.predict_proba(X))


def test_patience_ends_the_training_with_the_best_weights(iris):
    X, y = iris
    net = quick(max_epochs=200, lr=0.1, validation_fraction=0.2, patience=3).fit(X, y)
    losses = net.history_["val_loss"]
    assert len(losses) < 200 and len(losses) == int(np.argmin(losses)) + 1 + 3
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"} <= net.history_.rows[0].keys()
    # the weights of the best epoch: training as many epochs as that, and no more, gives the same ones
    best = quick(max_epochs=int(np.argmin(losses)) + 1, lr=0.1, validation_fraction=0.2).fit(X, y)
    np.testing.assert_array_equal(best.predict_proba(X), net.predict_proba(X))


def test_schedules_and_callbacks(iris):
    class Note(nn.train.Callback):
        def __init__(self):
            self.epochs = []

        def on_epoch_end(self, trainer):
            self.epochs.append(trainer.epoch)
            if trainer.epoch == 3:
                trainer.stop("enough")

    X, y = iris
    note = Note()
    net = quick(scheduler="StepLR", scheduler__step_size=1, scheduler__gamma=0.5, callbacks=[note]).fit(X, y)
    assert net.history_["lr"] == [0.02, 0.01, 0.005] and note.epochs == []  # a copy of it was called
    plateau = quick(scheduler=nn.optim.lr_scheduler.ReduceLROnPlateau, scheduler__patience=0, max_epochs=2).fit(X, y)
    assert len(plateau.history_) == 2


def test_verbose_says_what_happens(iris, capsys):
    quick(max_epochs=2).fit(*iris)
    said = capsys.readouterr()
    assert said.out == said.err == ""
    quick(max_epochs=2, verbose=True).fit(*iris)
    assert "epoch 2/2" in capsys.readouterr().out


# ---- mistakes ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a positive integer, got 0"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"validation_fraction": 1.0}, "leaves nothing to learn from"),
        ({"patience": 0}, "patience"),
        ({"optimizer": "Adan"}, "optimizer must be one of .*'AdamW'.* got 'Adan'"),
        ({"lr": -1}, "lr must be a number of at least 0, got -1"),
        ({"module": nn.Linear, "module__out_features": 2}, "the module returns f32.2,2., and there are 3 classes"),
        ({"module": 5}, "module is int 5"),
        ({"module": lambda: 5}, "returned int 5, not a module"),
    ],
)
def test_mistakes_are_named_by_fit(iris, settings, message):
    net = NeuralNetClassifier(**settings)
    with pytest.raises(tg.TensorgraphError, match=message):
        net.fit(*iris)


def test_mistakes_in_weights_and_targets(iris):
    X, y = iris
    with pytest.raises(tg.ArgumentError, match="negative values"):
        quick().fit(X, y, sample_weight=np.where(y == 0, -1.0, 1.0))
    with pytest.raises(tg.ArgumentError, match=r"reduction` is 'mean', got <function"):
        quick(criterion=lambda output, target: output.sum()).fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(tg.ArgumentError, match="needs all labels at once"):
        quick(class_weight="balanced").partial_fit(X, y)
    with pytest.raises(tg.ShapeError, match="y has 2 columns"):
        NeuralNetRegressor(OneLogit).fit(X, np.zeros((len(X), 2)))
    net = quick(NeuralNetRegressor, max_epochs=1).fit(X, y)
    with pytest.raises(tg.ShapeError, match="2 columns, not 1"):
        net.partial_fit(X, np.zeros((len(X), 2)))


def test_without_scikit_learn_the_import_names_the_extra():
    code = """
import sys
sys.modules["sklearn"] = sys.modules["sklearn.utils.validation"] = None
import tensorgraph as tg
try:
    import tensorgraph.nn.sklearn
except tg.MissingPackageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "scikit-learn 1.6 or newer is not installed" in done.stdout and "tensorgraph[data]" in done.stdout, done
