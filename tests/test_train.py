"""The trainer does what a loop written by hand does; callbacks do the same in both; what goes wrong has a name."""

from __future__ import annotations

import csv
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches
from tensorgraph.nn import train

ROOT = Path(__file__).resolve().parents[1]


def problem(n=60, seed=0):
    """Points of the plane in two classes, and a network for them."""
    tg.manual_seed(seed)
    x = np.random.default_rng(seed).normal(size=(n, 2)).astype("float32")
    t = (x[:, 0] * x[:, 1] > 0).astype("int64")
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    return model, nn.optim.Adam(model.parameters(), 0.02), x, t


def trainer(callbacks=(), **settings):
    model, optimizer, x, t = problem()
    made = train.Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=list(callbacks), progress=False, **settings)
    return made, batches(x, t, batch_size=16, shuffle=True)


def values(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# ---- the trainer against a loop ------------------------------------------------------------------------------------
def test_the_trainer_is_the_loop_written_by_hand():
    model, optimizer, x, t = problem()
    schedule = nn.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
    ema = nn.ExponentialMovingAverage(model, 0.9)
    criterion, loader, rows = nn.CrossEntropyLoss(), batches(x, t, batch_size=16, shuffle=True), []
    for _ in range(3):
        total = right = 0.0
        for xb, tb in loader:
            output = model(xb)
            loss = criterion(output, tb)
            optimizer.zero_grad()
            loss.backward()
            nn.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            ema.update()
            total += loss.item() * len(tb)
            right += int((output.argmax(axis=1) == tb).sum())
        model.eval()
        with tg.no_grad(), ema.swapped():
            validation = criterion(model(x), t).item()
        model.train()
        rows.append((total / len(t), right / len(t), validation))

    other, again, x, t = problem()
    average = nn.ExponentialMovingAverage(other, 0.9)
    same = train.Trainer(
        other,
        nn.CrossEntropyLoss(),
        again,
        metrics={"accuracy": train.Accuracy()},
        callbacks=[
            train.EMA(average),
            train.ClipGradients(0.5),
            train.LRSchedule(nn.optim.lr_scheduler.CosineAnnealingLR(again, 12), every="batch"),
        ],
        progress=False,
    )
    history = same.fit(batches(x, t, batch_size=16, shuffle=True), 3, validation=batches(x, t, batch_size=60))
    assert_equal(values(other), values(model))
    assert_equal({k: v.numpy() for k, v in average.average.items()}, {k: v.numpy() for k, v in ema.average.items()})
    np.testing.assert_allclose(history["loss"], [row[0] for row in rows], rtol=1e-6)
    assert history["accuracy"] == [row[1] for row in rows]
    np.testing.assert_allclose(history["val_loss"], [row[2] for row in rows], rtol=1e-6)
    assert history["epoch"] == [1, 2, 3] and history["step"] == [4, 8, 12]


def test_a_sum_is_divided_by_the_samples_and_lbfgs_gets_its_closure():
    model, _, x, t = problem()
    loss = nn.CrossEntropyLoss(reduction="sum")
    made = train.Trainer(model, loss, nn.optim.LBFGS(model.parameters(), 0.1), progress=False)
    history = made.fit([(tg.tensor(x), tg.tensor(t))], 4)
    assert history["loss"][0] == pytest.approx(np.log(2), abs=0.4)
    assert history["loss"][-1] < history["loss"][0]


def test_compute_is_overridden_for_batches_of_another_kind():
    class Autoencoder(train.Trainer):
        def compute(self, batch):
            output = self.model(batch["x"])
            return output, batch["x"], self.loss_fn(output, batch["x"])

    model = nn.Linear(3, 3)
    made = Autoencoder(model, nn.MSELoss(), nn.optim.SGD(model.parameters(), 0.1), progress=False)
    history = made.fit([{"x": tg.ones(4, 3)}], 20)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


def test_modules_that_were_in_evaluation_mode_stay_so():
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[1].eval()
    made = train.Trainer(model, nn.CrossEntropyLoss(), nn.optim.SGD(model.parameters(), 0.1), progress=False)
    x, t = np.ones((4, 2), "float32"), np.array([0, 1, 0, 1])
    made.fit(batches(x, t, batch_size=4), 2, validation=batches(x, t, batch_size=4))
    assert model.training and not model[1].training and model[1].num_batches_tracked.item() == 0


def test_evaluate_and_predict_leave_the_model_alone():
    made, loader = trainer(metrics={"accuracy": train.Accuracy()})
    made.fit(loader, 2)
    before = values(made.model)
    numbers = made.evaluate(loader)
    output = made.predict(loader)
    assert output.shape == (60, 2) and not output.requires_grad and made.model.training
    assert set(numbers) == {"loss", "accuracy"}
    assert_equal(values(made.model), before)
    np.testing.assert_array_equal(made.predict([tg.ones(3, 2), tg.ones(1, 2)]).shape, (4, 2))


def test_epochs_count_from_the_beginning_and_fit_goes_on():
    made, loader = trainer()
    made.fit(loader, 2)
    made.fit(loader, 3)
    assert made.history["epoch"] == [1, 2, 3]
    with pytest.warns(UserWarning, match="nothing to do up to epoch 3: the training has had 3"):
        made.fit(loader, 3)


def test_on_another_device(fence, tmp_path):
    model, _, x, t = problem()
    model.to(device="fence")
    optimizer = nn.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    made = train.Trainer(
        model,
        nn.CrossEntropyLoss(),
        optimizer,
        metrics={"accuracy": train.Accuracy(), "confusion": train.ConfusionMatrix(2)},
        callbacks=[
            train.StabilityGuard(model),
            train.ClipGradients(1.0),
            train.UpdateRatio(model),
            train.EMA(nn.ExponentialMovingAverage(model)),
            train.Checkpoint(tmp_path),
        ],
        progress=False,
    )
    loader = [(tg.tensor(x, device="fence"), tg.tensor(t, device="fence"))]
    made.fit(loader, 3, validation=loader)
    assert made.history["loss"][2] < made.history["loss"][0] and made.history["confusion"][2].sum() == 60
    other = problem(seed=3)[0]
    train.load_checkpoint(tmp_path / "last.npz", random_states=False, model=other)  # onto the CPU
    np.testing.assert_array_equal(other[0].weight.detach().numpy(), model[0].weight.detach().to("cpu").numpy())


# ---- callbacks -----------------------------------------------------------------------------------------------------
class Recorder(train.Callback):
    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_") or name == "close":
            self.calls.append(name)
        return super().__getattribute__(name)


def test_hooks_come_in_their_order():
    recorder = Recorder()
    made, loader = trainer([recorder])
    made.fit([next(iter(loader))], 1, validation=loader)
    assert recorder.calls == ["on_fit_begin", "on_epoch_begin", "on_gradients", "on_batch_end", "on_validation_begin",
                              "on_validation_end", "on_epoch_end", "on_fit_end", "close"]  # fmt: skip


def test_an_error_in_a_callback_names_it_and_the_rest_is_closed():
    class Broken(train.Callback):
        def on_batch_end(self, trainer):
            if trainer.step == 3:
                raise KeyError("oops")

    recorder = Recorder()
    made, loader = trainer([Broken(), recorder])
    with pytest.raises(KeyError) as caught:
        made.fit(loader, 2)
    assert caught.value.__notes__ == ["raised by the callback Broken.on_batch_end (epochs done: 0, batches: 3)"]
    assert recorder.calls[-1] == "close"


def test_early_stopping_by_hand():
    model = nn.Linear(1, 1)
    stop = train.EarlyStopping("val_loss", patience=2, restore_best=True)
    stopped = []
    for i, loss in enumerate([3.0, 2.0, float("nan"), 1.0, 1.5, 1.0, 0.5]):
        model.weight.data[...] = i
        stopped.append(stop.step(loss, model))
    assert stopped == [False, False, False, False, False, True, False]
    model.weight.data[...] = 99
    stop.restore(model)
    assert model.weight.item() == 6
    small = train.EarlyStopping("accuracy", patience=1, min_delta=0.1)
    assert [small.step(a) for a in (0.5, 0.55, 0.65)] == [False, True, False]


def test_early_stopping_in_a_trainer_restores_the_best_epoch():
    class Script(train.Callback):
        def on_epoch_end(self, trainer):
            trainer.logs["score"] = [1, 5, 4, 3, 2][trainer.epoch - 1]
            kept.append(values(trainer.model))

    kept = []
    made, loader = trainer([Script(), train.EarlyStopping("score", 2, restore_best=True)])
    made.fit(loader, 5)
    assert made.epoch == 4 and made.stopped == "score has not been better than 5 for 2 epochs"
    assert_equal(values(made.model), kept[1])
    with pytest.warns(UserWarning, match="was stopped behind epoch 4: score"):
        made.fit(loader, 5)


def test_reduce_on_plateau_watches_the_validation():
    model, optimizer, x, t = problem()
    plateau = nn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=1e9)
    made = train.Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=[train.LRSchedule(plateau)], progress=False)
    history = made.fit(batches(x, t, batch_size=30), 3, validation=batches(x, t, batch_size=60))
    assert history["lr"] == [0.02, 0.02, 0.01] and plateau.best <= max(history["val_loss"])


def test_clipping_by_hand_and_in_the_history():
    w = nn.Parameter(tg.tensor([3.0, 4.0]))
    (w * tg.tensor([3.0, 4.0])).sum().backward()
    assert train.ClipGradients(max_norm=1.0)([w]).item() == pytest.approx(5)
    np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    assert train.ClipGradients(max_value=0.7)([w]) is None
    np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.7], rtol=1e-5)
    made, loader = trainer([train.ClipGradients(1e-3)])
    assert made.fit(loader, 1)["grad_norm"][0] > 1e-3


# ---- checkpoints and resuming --------------------------------------------------------------------------------------
class Interrupt(train.Callback):
    """Presses Ctrl-C once, in the middle of a batch."""

    def __init__(self, step):
        self.step = step

    def on_gradients(self, trainer):
        if trainer.step == self.step:
            self.step = -1
            import signal

            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_saves_and_the_same_trainer_goes_on(tmp_path, capsys):
    whole, loader = trainer()
    whole.fit(loader, 3)
    made, loader = trainer([train.Checkpoint(tmp_path), Interrupt(5)])
    with pytest.raises(KeyboardInterrupt):
        made.fit(loader, 3)
    assert (made.epoch, made.batch, made.step) == (1, 2, 6)
    assert "finishing this batch" in capsys.readouterr().err
    with pytest.raises(tg.ArgumentError, match="epoch 2 broke off behind batch 2"):
        made.fit([(tg.ones(2, 2), tg.tensor([0, 1]))], 3)
    made.fit(loader, 3)
    assert_equal(values(made.model), values(whole.model))
    again, loader = trainer([train.Checkpoint(tmp_path)])
    with pytest.warns(UserWarning, match="nothing to do"):
        again.fit(loader, 3, resume=True)


def test_a_loader_without_a_state_is_exact_at_the_ends_of_epochs(tmp_path):
    made, loader = trainer([train.Checkpoint(tmp_path, every_batches=1), Interrupt(5)])
    plain = list(loader)
    with pytest.warns(UserWarning, match=r"list has no state_dict\(\)"), pytest.raises(KeyboardInterrupt):
        made.fit(plain, 3)
    assert nn.load(tmp_path / "last.npz")["parts"]["trainer"]["batch"] == 0
    again, _ = trainer()
    with pytest.warns(UserWarning, match="it has a state of Checkpoint, which is not here"):
        again.fit(plain, 3, resume=tmp_path / "last.npz")
    whole, loader = trainer()
    whole.fit(list(loader), 3)
    assert_equal(values(again.model), values(whole.model))


def test_a_checkpoint_within_an_epoch_needs_the_loader(tmp_path):
    made, loader = trainer([Interrupt(5), train.Checkpoint(tmp_path)])
    with pytest.raises(KeyboardInterrupt):
        made.fit(loader, 3)
    again, loader = trainer()
    with pytest.raises(tg.StateDictError, match="saved within an epoch"):
        again.fit(list(loader), 3, resume=tmp_path / "last.npz")


def test_best_last_and_every_k_epochs(tmp_path):
    class Script(train.Callback):
        def on_epoch_end(self, trainer):
            trainer.logs["score"] = [1, 3, 2, 2, 2, 2][trainer.epoch - 1]

    keeper = train.Checkpoint(tmp_path / "new" / "folder", "score", every=2, keep=2, suffix=".safetensors")
    made, loader = trainer([keeper, Script()])
    made.fit(loader, 6)
    names = sorted(path.stem for path in keeper.folder.iterdir())
    assert names == ["best", "epoch_0004", "epoch_0006", "last"]
    assert nn.load(keeper.best)["parts"]["trainer"]["epoch"] == 2
    assert nn.load(keeper.last)["parts"]["trainer"]["epoch"] == 6
    assert nn.load(keeper.of_epoch(4))["parts"]["trainer"]["epoch"] == 4
    other = problem(seed=5)[0]
    train.load_checkpoint(keeper.last, model=other)
    assert_equal(values(other), values(made.model))


def test_files_are_written_where_a_second_name_cannot_be_given(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    nn.train.Checkpoint(tmp_path, "loss").save(0.5, epoch=1, model=nn.Linear(1, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.npz", "last.npz"]


def test_resume_says_what_is_new_and_what_is_gone(tmp_path):
    made, loader = trainer([train.Checkpoint(tmp_path), train.EarlyStopping("loss", 50)])
    made.fit(loader, 1)
    again, loader = trainer([train.Checkpoint(tmp_path), train.CSVLog(tmp_path / "log.csv")])
    with pytest.warns(UserWarning, match="no state of CSVLog, which begins anew; it has a state of EarlyStopping"):
        again.fit(loader, 2, resume=True)
    assert again.history["epoch"] == [1, 2]
    other, loader = trainer(metrics={"accuracy": train.Accuracy()})
    before = values(other.model)
    with pytest.raises(tg.StateDictError, match="the metrics loss, the trainer loss, accuracy"):
        other.fit(loader, 2, resume=tmp_path / "last.npz")
    assert_equal(values(other.model), before)
    with pytest.raises(FileNotFoundError, match=r"resume=True takes[\s\S]*no Checkpoint"):
        other.fit(loader, 2, resume=True)


# ---- records -------------------------------------------------------------------------------------------------------
def test_csv_log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("an,old,file\n1,2,3\n")
    log = train.CSVLog(path)
    assert path.read_text().startswith("an,old")  # nothing is lost before the first row
    log.write(epoch=1, loss=tg.tensor(0.5), matrix=np.eye(2))
    log.write(epoch=2, loss=0.25, note="a, b")
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"epoch": "1", "loss": "0.5", "note": ""},
            {"epoch": "2", "loss": "0.25", "note": "a, b"},
        ]
    state = log.state_dict()
    log.write(epoch=3, loss=0.1)
    resumed = train.CSVLog(path)
    resumed.load_state_dict(state)
    assert len(path.read_text().splitlines()) == 4
    resumed.write(epoch=3, loss=0.2)
    train.CSVLog(path, append=True).write(epoch=4, loss=0.3)
    assert path.read_text().splitlines() == ["epoch,loss,note", "1,0.5,", '2,0.25,"a, b"', "3,0.2,", "4,0.3,"]
    train.CSVLog(tmp_path / "new" / "log.csv").write(epoch=1)
    assert (tmp_path / "new" / "log.csv").read_text().split() == ["epoch", "1"]


def test_history(tmp_path):
    history = train.History()
    for epoch, loss in enumerate([3.0, 1.0, float("nan"), 2.0], 1):
        history.append(epoch=epoch, loss=tg.tensor(loss), **({"top1": 0.5} if epoch > 1 else {}))
    assert history["top1"] == [None, 0.5, 0.5, 0.5] and history.best("loss")["epoch"] == 2
    assert "epoch 2  loss 1  top1 50.00%" in str(history)
    with pytest.raises(tg.ArgumentError, match=r"no 'acc'[\s\S]*there are epoch, loss, top1"):
        history["acc"]
    pytest.importorskip("matplotlib", reason="the curves are drawn with matplotlib")
    figure = history.plot(tmp_path / "curves.png")
    assert [len(axes.lines) for axes in figure.axes] == [1, 1] and (tmp_path / "curves.png").stat().st_size > 1000


def test_tensorboard_reads_the_points_and_drops_those_behind_a_resumed_step(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with train.TensorBoardLog(tmp_path) as log:
        log.write(1, loss=0.5, matrix=np.eye(2))
        log.write(2, loss=tg.tensor(0.25))
        state = log.state_dict()
        log.write(3, loss=9.0)
    again = train.TensorBoardLog(tmp_path)
    again.load_state_dict(state)
    again.write(4, loss=0.125)
    again.close()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert found.Tags()["scalars"] == ["loss"]
    assert [(point.step, point.value) for point in found.Scalars("loss")] == [(1, 0.5), (2, 0.25), (4, 0.125)]


def test_the_bar_and_its_stand_in(capsys, monkeypatch):
    for _ in range(2):  # into a log, then on a terminal with tqdm where it is installed
        model, optimizer, x, t = problem()
        made = train.Trainer(model, nn.CrossEntropyLoss(), optimizer)
        made.fit(batches(x, t, batch_size=16), 2)
        said = capsys.readouterr().out.splitlines()
        assert len(said) == 2
        assert said[0].startswith("epoch 1/2  loss 0.") and said[0].endswith("0:00 left")
        assert said[1].startswith("epoch 2/2") and said[1].endswith(" s")
        assert list(train.progress([1, 2, 3], "label")) == [1, 2, 3]
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def test_the_stand_in_on_a_terminal(monkeypatch):
    from tensorgraph.nn.train import progress_bar

    written = []
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "write", written.append)
    clock = iter(np.arange(0, 1000, 10.0))
    monkeypatch.setattr(progress_bar.time, "perf_counter", lambda: float(next(clock)))
    assert list(train.progress([1, 2, 3, 4], "epoch 1")) == [1, 2, 3, 4]
    assert "epoch 1: 1/4, 0:30 left, 0.1 batch/s" in written[0] and written[-1] == "\r\x1b[K"
    written.clear()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert list(train.progress(range(14), "log")) == list(range(14))
    assert written == ["log: 6/14, 1:20 left, 0.1 batch/s\n", "log: 12/14, 0:20 left, 0.1 batch/s\n"]


def test_importing_it_loads_none_of_the_optional_packages():
    code = "import sys; from tensorgraph import nn; print({'tqdm', 'matplotlib', 'tensorboard'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(tg.MissingPackageError, match=r"tensorgraph\[train\]"):
        train.TensorBoardLog(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(tg.MissingPackageError, match=r"tensorgraph\[train\]"):
        train.History().plot()


# ---- bad input -----------------------------------------------------------------------------------------------------
MODEL, OPTIMIZER, X, T = problem()
PLATEAU = nn.optim.lr_scheduler.ReduceLROnPlateau(OPTIMIZER)


def make(*args, **settings):
    given = [MODEL, nn.CrossEntropyLoss(), OPTIMIZER]
    given[: len(args)] = args
    return train.Trainer(*given, progress=False, **settings)


@pytest.mark.parametrize("call, error, match", [
    (lambda: make("model"), tg.DtypeError, "model is str 'model', not of class Module"),
    (lambda: make(MODEL, 3), tg.DtypeError, "loss is int 3"),
    (lambda: make(MODEL, nn.MSELoss(), MODEL), tg.DtypeError, "optimizer is Sequential"),
    (lambda: make(callbacks=[print]), tg.DtypeError, "is no callback"),
    (lambda: make(metrics={"a": len}), tg.DtypeError, "the metric 'a'"),
    (lambda: make(metrics={"loss": train.Mean()}), tg.ArgumentError, "cannot be called 'loss'"),
    (lambda: make(nn.Linear(1, 1)), tg.ArgumentError, "holds no parameter of the model"),
    (lambda: make().fit([], 0), tg.ArgumentError, "epochs must be a positive integer"),
    (lambda: make().fit([], 1), tg.ArgumentError, "has no batches"),
    (lambda: make().fit(iter([]), 1), tg.ArgumentError, "once per epoch"),
    (lambda: make().fit([tg.ones(2)], 1), tg.DtypeError, r"a batch is f32\[2\][\s\S]*override Trainer.compute"),
    (lambda: make().evaluate([]), tg.ArgumentError, "evaluate: the loader .* has no batches"),
    (lambda: make().predict([]), tg.ArgumentError, "predict: the loader .* has no batches"),
    (lambda: make(callbacks=[train.EarlyStopping()]).fit(batches(X, T, batch_size=60), 1), tg.ArgumentError,
     r"no 'val_loss' to watch \(numbers of the validation[\s\S]*there are epoch, step, loss, lr"),
    (lambda: train.EarlyStopping("speed"), tg.ArgumentError, r"high or a low 'speed' good[\s\S]*mode="),
    (lambda: train.EarlyStopping(patience=0), tg.ArgumentError, "patience must be a positive integer, got 0"),
    (lambda: train.EarlyStopping(restore_best=True).step(1.0), tg.ArgumentError, "needs the model"),
    (lambda: train.LRSchedule(OPTIMIZER), tg.DtypeError, "is no schedule"),
    (lambda: train.LRSchedule(PLATEAU, every="step"), tg.ArgumentError, "'epoch', 'batch'"),
    (lambda: train.LRSchedule(PLATEAU, every="batch"), tg.ArgumentError, "judges epochs"),
    (lambda: train.LRSchedule(PLATEAU).load_state_dict({"kind": "StepLR"}), tg.StateDictError, "is of StepLR"),
    (lambda: train.EMA(MODEL), tg.DtypeError, "is no average"),
    (lambda: train.ClipGradients(), tg.ArgumentError, "neither"),
    (lambda: train.ClipGradients(0), tg.ArgumentError, "max_norm must be a number of more than 0, got 0"),
    (lambda: train.Checkpoint("x", suffix=".pt"), tg.ArgumentError, "'.npz', '.safetensors'"),
    (lambda: train.Checkpoint("x", "loss", every=0), tg.ArgumentError, "every must be a positive integer"),
    (lambda: train.History().best("loss"), tg.ArgumentError, "no row has"),
])  # fmt: skip
def test_bad_input_is_named(call, error, match):
    with pytest.raises(error, match=match), warnings.catch_warnings():
        warnings.simplefilter("error")
        call()


@pytest.mark.parametrize("callback", [
    train.EMA(nn.ExponentialMovingAverage(nn.Linear(1, 1))),
    train.LRSchedule(nn.optim.lr_scheduler.StepLR(nn.optim.SGD(nn.Linear(1, 1).parameters(), 1), 1)),
], ids=["EMA", "LRSchedule"])  # fmt: skip
def test_tools_of_another_model_are_refused(callback):
    with pytest.raises(tg.ArgumentError, match="than the trainer's"):
        make(callbacks=[callback]).fit(batches(X, T, batch_size=60), 1)
