"""Checkpoints: a run that was cut goes on bit for bit, a kill leaves a whole file, a wrong file changes nothing."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.nn.train import load_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

RUN = '''
"""folder epochs [end-after-batch | slow]: everything that has a state, and every source of random numbers."""
import os, random, sys, time
import numpy as np
import tensorgraph as tg
from tensorgraph import nn
from tensorgraph.data import batches

folder, epochs, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""
tg.manual_seed(1); np.random.seed(2); random.seed(3)
rng = np.random.default_rng(0)
x = rng.normal(size=(70, 6)).astype("float32")
t = (x[:, 0] > 0).astype("int64") + (x[:, 1] > 0)

model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
optimizer = nn.optim.Adam(model.parameters(), 0.01)
warm = nn.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=100)
plateau = nn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.05)

class Noisy(nn.train.Trainer):
    def compute(self, batch):
        x, t = batch
        if self.model.training:
            noise = np.random.normal(scale=0.1, size=x.shape).astype("float32")
            x = x * (1 + 0.1 * random.random()) + tg.tensor(noise) + 0.1 * tg.randn(*x.shape)
        return super().compute((x, t))

class Mode(nn.train.Callback):
    order = 2
    def on_batch_end(self, trainer):
        if mode == "slow":
            time.sleep(0.004)
        elif mode and trainer.step == int(mode):
            os._exit(9)
    def on_epoch_end(self, trainer):
        print("epoch", trainer.epoch, flush=True)

checkpoint = nn.train.Checkpoint(folder, "val_loss", every_batches=1)
trainer = Noisy(model, nn.CrossEntropyLoss(), optimizer, progress=False,
    metrics={"accuracy": nn.train.Accuracy(), "confusion": nn.train.ConfusionMatrix(3)},
    callbacks=[nn.train.LRSchedule(warm, every="batch"), nn.train.LRSchedule(plateau), checkpoint, Mode(),
        nn.train.EMA(nn.ExponentialMovingAverage(model, 0.9)), nn.train.ClipGradients(1.0),
        nn.train.EarlyStopping("val_loss", 100, restore_best=True), nn.train.StabilityGuard(model),
        nn.train.CSVLog(folder + "/log.csv")])
trainer.fit(batches(x, t, batch_size=16, shuffle=True), epochs, resume=True,
    validation=batches(x, t, batch_size=35))
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The program, and the folder that ten epochs in one go leave."""
    folder = tmp_path_factory.mktemp("run")
    path = folder / "run.py"
    path.write_text(RUN)
    whole = folder / "whole"
    run(path, whole, 10)
    return path, whole


def start(path, folder, epochs, mode=""):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(path), str(folder), str(epochs), mode]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(path, folder, epochs, mode="", expect=0):
    process = start(path, folder, epochs, mode)
    out, err = process.communicate(timeout=120)
    assert process.returncode == expect, err
    return out


def content(folder):
    """Everything in `last.npz` but times."""
    found = nn.load(folder / "last.npz")
    found["parts"]["trainer"]["seconds"] = None
    for row in found["parts"]["History"]["rows"]:
        row["seconds"] = None
    found["parts"]["trainer"]["logs"].pop("seconds", None)
    return found


def differences(a, b, path=""):
    """Paths at which two nested states are not equal to the last bit."""
    if isinstance(a, tg.Tensor):
        same = isinstance(b, tg.Tensor) and a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()
        return [] if same else [path]
    if type(a) is not type(b):
        return [path]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{path}: {a.keys() ^ b.keys()}"]
        return [found for key in a for found in differences(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            return [f"{path}: {len(a)} and {len(b)} entries"]
        return [found for i, (x, y) in enumerate(zip(a, b)) for found in differences(x, y, f"{path}[{i}]")]
    return [] if repr(a) == repr(b) else [f"{path}: {a!r} and {b!r}"]


def assert_same(folder, whole):
    assert differences(content(folder), content(whole)) == []
    rows = [[row.rpartition(",")[0] for row in (f / "log.csv").read_text().splitlines()] for f in (folder, whole)]
    assert rows[0] == rows[1] and len(rows[0]) == 11


@pytest.mark.slow
def test_run_10_is_run_5_resume_run_5(script, tmp_path):
    path, whole = script
    state = content(whole)
    assert state["parts"]["trainer"]["epoch"] == 10 and state["parts"]["trainer"]["step"] == 50
    assert {"model", "optimizer", "loader", "EMA", "LRSchedule", "LRSchedule2"} <= state["parts"].keys()
    run(path, tmp_path / "cut", 5)
    assert differences(content(tmp_path / "cut"), state)  # the comparison sees a difference where there is one
    run(path, tmp_path / "cut", 10)
    assert_same(tmp_path / "cut", whole)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [13, 15])  # within an epoch, and behind the last batch of one
def test_a_run_that_dies_within_an_epoch_goes_on_bit_for_bit(script, tmp_path, batch):
    path, whole = script
    run(path, tmp_path / "cut", 10, str(batch), expect=9)
    assert content(tmp_path / "cut")["parts"]["trainer"]["batch"] == (batch - 1) % 5 + 1
    run(path, tmp_path / "cut", 10)
    assert_same(tmp_path / "cut", whole)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_run_that_is_stopped_by_a_signal_goes_on_bit_for_bit(script, tmp_path, name):
    path, whole = script
    process = start(path, tmp_path / "cut", 10, "slow")
    for _ in range(3):
        assert process.stdout.readline().startswith("epoch")
    time.sleep(random.Random(name).random() * 0.02)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    if name == "SIGINT":
        assert "KeyboardInterrupt" in err and "finishing this batch" in err
    assert 3 <= content(tmp_path / "cut")["parts"]["trainer"]["epoch"] < 10
    run(path, tmp_path / "cut", 10)
    assert_same(tmp_path / "cut", whole)


KILL = """
import os, random, signal, sys, time
import numpy as np
import tensorgraph as tg
from tensorgraph.nn.train import load_checkpoint, save_checkpoint

path = sys.argv[1]
dice = random.Random(0)
half_written = 0
for attempt in range(20):
    save_checkpoint(path, n=0, **{f"a{i}": np.zeros(50_000) for i in range(5)})
    child = os.fork()
    if not child:
        n = 0
        while True:
            n += 1
            save_checkpoint(path, n=n, **{f"a{i}": np.full(50_000, float(n)) for i in range(5)})
    time.sleep(0.002 + 0.06 * dice.random())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = load_checkpoint(path)
    n = found.pop("n")
    assert len(found) == 5 and all((a.numpy() == n).all() for a in found.values()), n
    left = [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tmp")]
    half_written += len(left)
    for name in left:
        os.unlink(os.path.join(os.path.dirname(path), name))
print(half_written)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_kill_at_any_instant_leaves_a_whole_file(tmp_path, suffix):
    command = [sys.executable, "-c", KILL, str(tmp_path / f"a.{suffix}")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0  # some were hit in the middle of writing


def test_what_a_killed_run_left_half_written_is_swept_away(tmp_path):
    (tmp_path / ".last.npz.abc.tmp").write_bytes(b"half")
    (tmp_path / ".mine.tmp").write_bytes(b"not ours")
    nn.train.Checkpoint(tmp_path).save(epoch=1, model=nn.Linear(1, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", "last.npz"]


# ---- by hand -------------------------------------------------------------------------------------------------------
def parts(seed=0, cls=nn.optim.Adam, features=3):
    tg.manual_seed(seed)
    model = nn.Sequential(nn.Linear(features, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = cls(model.parameters(), 0.01)
    schedule = nn.optim.lr_scheduler.StepLR(optimizer, 2)
    x = tg.randn(8, features)
    for _ in range(3):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
    return {"model": model, "optimizer": optimizer, "schedule": schedule}


def states(parts):
    return copy.deepcopy({name: part.state_dict() for name, part in parts.items()})


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_parts_values_and_generators_come_back(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    saved, noise, own, twister = parts(), np.random.default_rng(5), tg.Generator(6), np.random.RandomState(7)
    pythons = random.Random(8)
    sources = {"noise": noise, "own": own, "twister": twister, "pythons": pythons}
    np.random.random(3)
    history = [{"loss": 0.5, "nan": float("nan")}]
    save_checkpoint(path, **saved, **sources, epoch=3, history=history, table=np.arange(3))

    def draws():
        sources = (noise.random(), tg.rand(1, generator=own).item(), twister.random(), pythons.random())
        return [*sources, np.random.random(), random.random(), tg.rand(1).item()]

    first = draws()
    others = parts(seed=1)
    values = load_checkpoint(path, **others, **sources)
    assert draws() == first
    assert differences(states(others), states(saved)) == []
    assert values["epoch"] == 3 and repr(values["history"]) == repr(history) and values["table"].tolist() == [0, 1, 2]


def test_one_part_alone_and_the_random_states_left_alone(tmp_path):
    path, saved = tmp_path / "a.npz", parts()
    save_checkpoint(path, **saved, epoch=1)
    other = parts(seed=1)
    before, wanted = tg.get_rng_state(), states({"model": saved["model"]})
    load_checkpoint(path, random_states=False, model=other["model"])
    assert tg.get_rng_state() == before
    assert differences(states({"model": other["model"]}), wanted) == []


def test_a_loop_written_by_hand_goes_on_bit_for_bit(tmp_path):
    x, t = np.random.default_rng(0).normal(size=(20, 3)).astype("float32"), np.arange(20) % 2

    def train(epochs, folder):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 2))
        optimizer = nn.optim.Adam(model.parameters(), 0.01)
        loader = tg.data.batches(x, t, batch_size=6, shuffle=True)
        checkpoint = nn.train.Checkpoint(folder, "loss", every=2, keep=1)
        parts = {"model": model, "optimizer": optimizer, "loader": loader}
        epoch = checkpoint.load(**parts)["epoch"] if checkpoint.last.exists() else 0
        while epoch < epochs:
            for xb, tb in loader:
                loss = nn.functional.cross_entropy(model(xb), tb)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            epoch += 1
            checkpoint.save(loss, epoch=epoch, **parts)
        return model.state_dict()

    whole = train(6, tmp_path / "whole")
    train(3, tmp_path / "cut")
    tg.rand(5)
    assert differences(train(6, tmp_path / "cut"), whole) == []
    assert sorted(p.name for p in (tmp_path / "whole").iterdir()) == ["best.npz", "epoch_0006.npz", "last.npz"]
    assert differences(nn.load(tmp_path / "whole" / "best.npz"), nn.load(tmp_path / "cut" / "best.npz")) == []


def test_a_loader_with_workers_goes_on_within_an_epoch(tmp_path):
    """What the workers had made ahead when the run was interrupted is made again, whatever their number."""
    x = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")

    class Interrupt(nn.train.Callback):
        def on_batch_end(self, trainer):
            if trainer.step == interrupt_at:
                signal.raise_signal(signal.SIGINT)

    def run(folder, workers):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 2))
        optimizer = nn.optim.Adam(model.parameters(), 0.01)
        data = tg.data.ArrayDataset(x, np.arange(40) % 2)
        loader = tg.data.DataLoader(data, 8, shuffle=True, num_workers=workers, workers="threads")
        callbacks = [nn.train.Checkpoint(folder), Interrupt()]
        trainer = nn.train.Trainer(model, nn.CrossEntropyLoss(), optimizer, callbacks=callbacks, progress=False)
        trainer.fit(loader, 3, resume=True)
        return model.state_dict()

    interrupt_at = 8
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 2)
    interrupt_at = None
    assert differences(run(tmp_path / "cut", 1), run(tmp_path / "whole", 0)) == []


def test_kept_undoes_everything():
    all_of_it = parts()
    before, random_state = states(all_of_it), tg.get_rng_state()
    with pytest.raises(ZeroDivisionError), nn.train.kept(*all_of_it.values()):
        all_of_it["model"][0].weight.data[...] = 7
        all_of_it["optimizer"].param_groups[0]["lr"] = 5.0
        tg.rand(3)
        raise ZeroDivisionError
    assert differences(states(all_of_it), before) == [] and tg.get_rng_state() == random_state


# ---- files that do not fit -----------------------------------------------------------------------------------------
def broken(path, change):
    """A good checkpoint whose content was changed."""
    save_checkpoint(path, **parts(), epoch=1)
    content = nn.load(path)
    change(content)
    nn.save(content, path)
    return path


def put(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


def other(**settings):
    def make(path):
        save_checkpoint(path, **parts(**settings), epoch=1)
        return path

    return make


def cut(path):
    save_checkpoint(path, **parts(), epoch=1)
    path.write_bytes(path.read_bytes()[:-50])
    return path


def state_dict(path):
    nn.save(parts()["model"], path)
    return path


def text(path):
    path.write_text("hello")
    return path


MODEL = ("parts", "model")
RANDOM = ("random", "tensorgraph", "cpu", "state")
WRONG = {
    "truncated": (cut, tg.CorruptDataError, "truncated, damaged"),
    "text": (text, tg.CorruptDataError, "truncated, damaged"),
    "a state dict": (state_dict, tg.CorruptDataError, r"but a state dict of 9 tensors[\s\S]*load_state_dict"),
    "newer": (lambda p: broken(p, put("checkpoint", "format", value=9)), tg.CorruptDataError, "newer.*format 9"),
    "no section": (lambda p: broken(p, put("parts", value=[1])), tg.CorruptDataError, "section 'parts' is list"),
    "another model": (other(features=5), tg.StateDictError, r"model: [\s\S]*0.weight is f32\[4,3\] here, f32\[4,5\]"),
    "another optimiser": (other(cls=nn.optim.RMSprop), tg.StateDictError, "saved by RMSprop, here it is Adam"),
    "a part is missing": (lambda p: broken(p, lambda c: c["parts"].pop("optimizer")), tg.StateDictError,
                          r"holds no optimizer[\s\S]*its parts: model, schedule"),
    "an entry is missing": (lambda p: broken(p, lambda c: c["parts"]["model"].pop("2.bias")), tg.StateDictError,
                            "missing     2.bias"),
    "no tensor": (lambda p: broken(p, put(*MODEL, "2.bias", value="x")), tg.StateDictError, "no tensor"),
    "no optimiser state": (lambda p: broken(p, put("parts", "optimizer", value=3)), tg.StateDictError, "optimizer: "),
    "optimiser of nonsense": (lambda p: broken(p, put("parts", "optimizer", "state", value=[1])), tg.CorruptDataError,
                              "optimizer cannot be restored"),
    "a schedule that overwrites methods": (lambda p: broken(p, put("parts", "schedule", "step", value=1)),
                                           tg.StateDictError, "only there: step"),
    "random states of nonsense": (lambda p: broken(p, put(*RANDOM, value="x")), tg.CorruptDataError, "random states"),
    "no random states": (lambda p: broken(p, put("random", value={})), tg.StateDictError, "the random states"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_named_and_changes_nothing(tmp_path, name):
    make, error, match = WRONG[name]
    path = make(tmp_path / "a.npz")
    here = parts(seed=9)
    before, random_state = states(here), nn.train.get_random_state()
    with pytest.raises(error, match=match) as caught:
        load_checkpoint(path, **here)
    assert str(path) in str(caught.value)
    assert differences(states(here), before) == []
    assert repr(nn.train.get_random_state()) == repr(random_state)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_no_truncation_and_no_flipped_bit_gets_through(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    saved = parts()
    save_checkpoint(path, **saved, epoch=1)
    whole, wanted = path.read_bytes(), states(saved)
    rng = np.random.default_rng(0)
    harmless = 0
    for attempt in range(60):
        damaged = bytearray(whole)
        if attempt % 2:
            damaged = damaged[: rng.integers(len(whole))]
        else:
            damaged[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        here = parts(seed=9)
        before = states(here)
        try:
            assert load_checkpoint(path, **here)["epoch"] == 1
            harmless += 1
            assert differences(states(here), wanted) == []  # a bit that says nothing: a date in the zip directory
        except (tg.CorruptDataError, tg.StateDictError):
            assert differences(states(here), before) == []
    assert harmless < 25


def test_bad_calls_say_so(tmp_path):
    with pytest.raises(tg.DtypeError, match=r"save_checkpoint: thing.a is object[\s\S]*a part has state_dict"):
        save_checkpoint(tmp_path / "a.npz", thing={"a": object()})
    assert list(tmp_path.iterdir()) == []
    save_checkpoint(tmp_path / "a.npz", epoch=1)
    with pytest.raises(tg.DtypeError, match="epoch is int 3, which has no load_state_dict"):
        load_checkpoint(tmp_path / "a.npz", epoch=3)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_checkpoint(tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        save_checkpoint(tmp_path / "no" / "a.npz", epoch=1)
    with pytest.raises(tg.ArgumentError, match="no value is given"):
        nn.train.Checkpoint(tmp_path, "loss").save(epoch=1)
    with pytest.raises(tg.ArgumentError, match="cannot be called 'checkpoint'"):
        nn.train.Checkpoint(tmp_path).save(epoch=1, checkpoint=3)
    with pytest.raises(tg.ArgumentError, match="keep is the number"):
        nn.train.Checkpoint(tmp_path, keep=2)


def test_a_generator_of_a_device_that_is_not_here_is_left_out():
    state = nn.train.get_random_state()
    state["tensorgraph"]["cuda:7"] = {"seed": 1}
    with pytest.warns(UserWarning, match="cuda:7 is not here"):
        nn.train.set_random_state(state)


def test_nothing_in_the_file_is_pickle(tmp_path):
    save_checkpoint(tmp_path / "a.npz", **parts(), epoch=1)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        arrays = [file[name] for name in file.files if not name.endswith(".json")]
    assert arrays and all(a.dtype.kind in "biufc" for a in arrays)
    shutil.unpack_archive(tmp_path / "a.npz", tmp_path / "out", "zip")
    (structure,) = (tmp_path / "out").glob("*.json")
    assert json.loads(structure.read_text())["checkpoint"]["format"] == 1
