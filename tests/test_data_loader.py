"""Loaders: where an epoch stands and going on there, samplers, and the same batches whatever makes them."""

from __future__ import annotations

import gc
import json
import random
import threading
from collections import Counter

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import data

X, Y = np.arange(40, dtype=np.float32).reshape(20, 2), np.arange(20)

WORKERS = {
    "in this process": {},
    "one process": {"num_workers": 1},
    "three processes": {"num_workers": 3, "prefetch_factor": 1},
    "threads": {"num_workers": 2, "workers": "threads"},
    "processes that stay": {"num_workers": 2, "persistent_workers": True},
}
each_way = pytest.mark.parametrize("how", WORKERS.values(), ids=WORKERS)


class Noisy(data.Dataset):
    """Samples that are random: by the generator of the sample, and by the global streams."""

    def __init__(self, n=12):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i, data.sample_rng().random(), data.sample_rng().random()


class Careless(Noisy):
    """Draws from the streams that everybody uses, as many programs do."""

    def __getitem__(self, i):
        return i, np.random.rand(), random.random(), float(tg.rand(1).item())


def labels(loader):
    return [int(i) for _, y in loader for i in y.numpy()]


def listed(loader, epochs=1):
    """Everything that a loader hands out, by the index of the sample in each epoch."""
    found = []
    for _ in range(epochs):
        entries = [entry for batch in loader for entry in zip(*(t.tolist() for t in batch))]
        found.append(entries)
    return found


# ---- the same whatever makes the batches -----------------------------------------------------------------------------
@pytest.mark.parametrize("dataset", [Noisy(), Careless()], ids=["sample_rng", "global streams"])
def test_random_samples_depend_on_seed_epoch_and_index(dataset):
    expected = listed(data.DataLoader(dataset, 5, True, seed=3), 2)
    first, second = ({i: numbers for i, *numbers in epoch} for epoch in expected)
    assert all(first[i] != second[i] for i in range(12)) and len({tuple(v) for v in first.values()}) == 12
    for how in WORKERS.values():
        if how.get("workers") == "threads" and isinstance(dataset, Careless):
            continue  # threads share the global streams: documented
        assert listed(data.DataLoader(dataset, 5, True, seed=3, **how), 2) == expected
    other = data.DataLoader(dataset, 2, seed=3)  # another order, other batches: the same numbers for each sample
    assert {i: numbers for i, *numbers in listed(other)[0]} == first
    assert listed(data.DataLoader(dataset, 5, True, seed=4))[0] != expected[0]


@each_way
def test_without_a_seed_the_default_generator_decides(how):
    tg.manual_seed(5)
    one = listed(data.DataLoader(Noisy(), 5, True), 2)
    tg.manual_seed(5)
    loader = data.DataLoader(Noisy(), 5, True, **how)
    assert listed(loader, 2) == one != listed(loader, 2)
    after = tg.rand(2).tolist()
    tg.manual_seed(5)
    listed(data.DataLoader(Noisy(), 5, True), 4)
    assert tg.rand(2).tolist() == after  # the loop took as much from the stream, whatever made the batches


def test_a_seeded_loader_leaves_the_global_streams_alone():
    random.seed(1), np.random.seed(1), tg.manual_seed(1)
    expected = random.random(), np.random.rand(), tg.rand(1).item()
    random.seed(1), np.random.seed(1), tg.manual_seed(1)
    list(data.DataLoader(Careless(), 5, True, seed=3))
    assert (random.random(), np.random.rand(), tg.rand(1).item()) == expected
    plain = data.DataLoader(Noisy(), 5)
    tg.manual_seed(1)
    list(plain)  # in order, without a seed: nothing is drawn
    assert tg.rand(1).item() == expected[2]


@each_way
def test_batches_of_every_kind_of_data_set(how):
    sets = [
        data.ArrayDataset(X, Y),
        data.TensorDataset(tg.tensor(X), tg.tensor(Y)),
        data.Subset(data.ArrayDataset(np.tile(X, (2, 1)), np.tile(Y, 2)), range(20)),
        data.ConcatDataset([data.ArrayDataset(X[:7], Y[:7]), list(zip(X[7:], Y[7:]))]),
        list(zip(X, Y)),
    ]
    for dataset in sets[:2] if how.get("persistent_workers") else sets:
        got = list(data.DataLoader(dataset, 6, **how))
        assert [y.shape for _, y in got] == [(6,), (6,), (6,), (2,)]
        assert all(isinstance(t, tg.Tensor) for batch in got for t in batch)
        np.testing.assert_array_equal(np.concatenate([x.numpy() for x, _ in got]), X)
        assert got[0][1].tolist() == list(range(6))
    got[0][0].array[:] = -1  # a batch can be written to
    assert X[0, 0] == 0


@each_way
def test_large_batches_and_what_keeps_them(how):
    """Beyond the size from which shared memory is used, and more batches at once than it keeps mapped."""
    big = np.random.default_rng(0).random((140, 1 << 14))
    loader = data.DataLoader(data.ArrayDataset(big, np.arange(140)), 1, **how)
    got = list(loader)
    gc.collect()
    assert np.array_equal(np.concatenate([x.numpy() for x, _ in got]), big)
    got[3][0].array[:] = 0
    assert np.array_equal(got[4][0].numpy()[0], big[4])


class Odd(data.Dataset):
    """Entries of many kinds."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        array = np.arange(40000.0).reshape(200, 200)
        return {"name": f"n{i}", "pair": (i, [array.T, array[::2, ::2]]), "empty": np.zeros((0, 3)), "flag": i > 1}


def test_batches_arrive_as_they_were_made():
    here = list(data.DataLoader(Odd(), 2))
    there = list(data.DataLoader(Odd(), 2, num_workers=1))
    for a, b in zip(here, there, strict=True):
        assert a["name"] == b["name"] and a["flag"].tolist() == b["flag"].tolist() and b["empty"].shape == (2, 0, 3)
        for one, other in zip(a["pair"][1], b["pair"][1], strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


class Whole(Careless):
    """Gives whole batches, with numbers from everybody's streams."""

    def batch(self, indices):
        return np.asarray(indices), np.random.rand(len(indices)), data.sample_rng().random(len(indices))


def careless(*entries):
    return *entries, np.random.rand(len(entries[0]))


@pytest.mark.parametrize("dataset", [Whole(), data.ArrayDataset(Y)], ids=["whole batches", "arrays"])
def test_careless_batches_and_transforms_are_reproducible_too(dataset):
    def made(**how):
        np.random.seed(3)
        found = [[t.tolist() for t in batch] for batch in data.DataLoader(dataset, 4, True, seed=3, **how)]
        return found, np.random.rand()

    (first, after), (again, _) = made(transform=careless), made(transform=careless, num_workers=2)
    assert first == again and len({number for batch in first for number in batch[-1]}) == len(dataset)
    np.random.seed(3)
    assert after == np.random.rand()


# ---- where it stands -------------------------------------------------------------------------------------------------
def made(way, **how):
    if way == "generator":
        return data.DataLoader(Noisy(20), 3, True, generator=tg.Generator(9), **how)
    if way == "default generator":
        tg.manual_seed(9)
        return data.DataLoader(Noisy(20), 3, True, **how)
    if way == "sampler":
        return data.DataLoader(Noisy(20), 3, sampler=data.WeightedRandomSampler(np.ones(20), 20), seed=9, **how)
    return data.DataLoader(Noisy(20), 3, True, seed=9, **how)


@pytest.mark.parametrize("way", ["seed", "generator", "default generator", "sampler"])
@pytest.mark.parametrize(("at", "how"), [(0, {}), (7, {}), *((2, how) for how in WORKERS.values())])
def test_going_on_in_the_middle_of_an_epoch(way, at, how):
    whole = listed(made(way), 3)
    loader = made(way, **how)
    assert listed(loader) == whole[:1]
    running = iter(loader)
    head = [entry for _ in range(at) for entry in zip(*(t.tolist() for t in next(running)))]
    state = json.loads(json.dumps(loader.state_dict()))
    streams = tg.get_rng_state()
    assert (state["epoch"], state["batch"]) == (1, at)
    del running, loader

    tg.manual_seed(77)
    other = made(way) if way != "default generator" else data.DataLoader(Noisy(20), 3, True)
    other.load_state_dict(state)
    tg.set_rng_state(streams)
    assert other.state_dict() == state
    assert head + listed(other)[0] == whole[1]
    assert listed(other)[0] == whole[2]


def test_between_epochs_and_after_the_last_batch():
    loader = data.batches(X, Y, batch_size=6, shuffle=True, seed=1)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (0, 0)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 4)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 0)
    again = data.batches(X, Y, batch_size=6, shuffle=True, seed=1)
    again.load_state_dict(state)
    assert labels(again) == [] and labels(again) == labels(loader)  # nothing is left of epoch 0; then epoch 1
    for _ in loader:
        break
    assert loader.state_dict()["batch"] == 1  # left early: it could be gone on with
    loader.epoch = 5
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (5, 0)
    for _ in again:
        pass
    again.set_epoch(5)
    assert labels(loader) == labels(again)


class Reversed:
    """A sampler of somebody else's, another order at each pass."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __iter__(self):
        return iter(np.random.permutation(self.n).tolist())


@pytest.mark.parametrize("batched", [False, True])
def test_the_order_of_a_foreign_sampler_is_kept(batched):
    def loader():
        if batched:
            return data.DataLoader(list(range(20)), batch_sampler=data.BatchSampler(Reversed(20), 4))
        return data.DataLoader(list(range(20)), 4, sampler=Reversed(20))

    one = loader()
    running = iter(one)
    head = next(running).tolist() + next(running).tolist()
    other = loader()
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    tail = [i for batch in other for i in batch.tolist()]
    assert tail == [i for batch in running for i in batch.tolist()] and sorted(head + tail) == list(range(20))
    assert len(one) == 5 and sorted(i for batch in other for i in batch.tolist()) == list(range(20))


def test_states_of_other_loaders_are_refused():
    loader = data.batches(X, Y, batch_size=4, seed=1, shuffle=True)
    next(iter(loader))
    state = loader.state_dict()
    with pytest.raises(tg.StateDictError, match="samples 20 there, 10 here"):
        data.batches(X[:10], batch_size=4).load_state_dict(state)
    with pytest.raises(tg.StateDictError, match="batch_size 4 there, 5 here"):
        data.batches(X, batch_size=5).load_state_dict(state)
    for foreign in ({}, {"epoch": 1}, None):
        with pytest.raises(tg.StateDictError, match="not what state_dict"):
            loader.load_state_dict(foreign)
    with pytest.raises(tg.StateDictError, match="batch 99"):
        loader.load_state_dict(state | {"batch": 99})
    assert loader.state_dict() == state


# ---- samplers --------------------------------------------------------------------------------------------------------
def test_samplers_by_themselves():
    assert list(data.SequentialSampler("abc")) == [0, 1, 2]
    tg.manual_seed(0)
    one, two = list(data.RandomSampler(range(9))), list(data.RandomSampler(range(9)))
    assert sorted(one) == sorted(two) == list(range(9)) and one != two
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=100, generator=tg.Generator(1)))
    assert len(drawn) == 100 and set(drawn) == {0, 1, 2}
    assert Counter(data.RandomSampler(range(3), num_samples=6)) == {0: 2, 1: 2, 2: 2}
    assert sorted(data.SubsetRandomSampler([4, 7, 2])) == [2, 4, 7]
    counts = Counter(data.WeightedRandomSampler([0, 1, 3], 4000, generator=tg.Generator(0)))
    assert counts[0] == 0 and abs(counts[2] - 3000) < 150  # 5 standard deviations
    assert sorted(data.WeightedRandomSampler([1, 0, 2, 5], 3, replacement=False)) == [0, 2, 3]
    sampler = data.BatchSampler(data.SequentialSampler(range(5)), 2, drop_last=True)
    assert list(sampler) == [[0, 1], [2, 3]] and len(sampler) == 2


def test_samplers_in_a_loader():
    loader = data.DataLoader(list(range(9)), 2, sampler=data.SubsetRandomSampler([1, 3, 5]), seed=2)
    assert len(loader) == 2 and sorted(i for b in loader for i in b.tolist()) == [1, 3, 5]
    loader = data.DataLoader(list(range(9)), batch_sampler=[[8, 1], [2]])
    assert [b.tolist() for b in loader] == [[8, 1], [2]] and len(loader) == 2
    one, two = (
        data.DataLoader(range(9), batch_sampler=data.BatchSampler(data.RandomSampler(range(9)), 9), seed=2)
        for _ in range(2)
    )
    assert next(iter(one)).tolist() == next(iter(two)).tolist() != list(range(9))
    single = data.DataLoader([(np.ones(2), 3)], batch_size=None)
    (x, y), *rest = list(single)
    assert not rest and isinstance(x, tg.Tensor) and x.shape == (2,) and y == 3
    one, two = (data.DataLoader(range(9), 9, sampler=data.RandomSampler(range(9)), seed=2) for _ in range(2))
    assert next(iter(one)).tolist() == next(iter(two)).tolist()


def test_parts_of_data_sets():
    whole = data.ArrayDataset(X, Y)
    parts = data.random_split(whole, [0.5, 0.3, 0.2], seed=0)
    assert [len(part) for part in parts] == [10, 6, 4]
    assert sorted(int(part[i][1]) for part in parts for i in range(len(part))) == list(range(20))
    assert labels(data.DataLoader(parts[1], 4)) == [int(i) for i in parts[1].indices]
    again = data.random_split(whole, [10, 6, 4], generator=tg.Generator(0))
    assert [len(part) for part in again] == [10, 6, 4]
    assert [len(p) for p in data.random_split(range(10), [1 / 3] * 3, seed=1)] == [4, 3, 3]
    both = parts[1] + parts[2]
    assert isinstance(both, data.ConcatDataset) and len(both) == 10 and both[-1][1] == parts[2][3][1]
    nested = data.Subset(parts[0], [0, 0, 3])
    assert [int(y) for _, y in nested[:2]] == [int(parts[0][0][1])] * 2
    tensors = data.TensorDataset(tg.tensor(X), tg.tensor(Y))
    assert isinstance(tensors[3][1], tg.Tensor) and tensors[2:4][0].shape == (2, 2) and len(tensors.tensors) == 2


class NoLength:
    def __getitem__(self, i):
        return i


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: data.DataLoader(Y, num_workers=-1), tg.ArgumentError, "num_workers must be 0 or more, got -1"),
        (lambda: data.DataLoader(Y, num_workers=1.5), tg.DtypeError, "num_workers must be a whole number, got 1.5"),
        (lambda: data.DataLoader(Y, num_workers=1, workers="fibres"), tg.ArgumentError, "got 'fibres'"),
        (lambda: data.DataLoader(Y, timeout=3), tg.ArgumentError, r"timeout=3\.0 without workers"),
        (lambda: data.DataLoader(Y, num_workers=1, timeout=-3), tg.ArgumentError, "timeout is in seconds"),
        (lambda: data.DataLoader(Y, persistent_workers=True), tg.ArgumentError, "persistent_workers=True without"),
        (lambda: data.DataLoader(Y, num_workers=1, prefetch_factor=0), tg.ArgumentError, "at least 1, got 0"),
        (lambda: data.DataLoader(Y, multiprocessing_context="threads"), tg.ArgumentError, "'threads'"),
        (lambda: data.DataLoader(Y, seed=-1), tg.ArgumentError, "an integer from 0 on, got -1"),
        (lambda: data.DataLoader(Y, sampler=iter([1])), tg.DtypeError, "gone through anew"),
        (lambda: data.DataLoader(Y, batch_sampler=(b for b in [[1]])), tg.DtypeError, "generator, which cannot"),
        (lambda: data.DataLoader(Y, shuffle=True, sampler=[1]), tg.ArgumentError, "shuffle=True and a sampler"),
        (lambda: data.DataLoader(Y, 4, batch_sampler=[[1]]), tg.ArgumentError, "decides alone"),
        (lambda: data.DataLoader(i for i in range(3)), tg.DtypeError, r"list\(\.\.\.\) of it"),
        (lambda: data.DataLoader(NoLength()), tg.DtypeError, "NoLength is no data set"),
        (lambda: data.DataLoader(Y, None, drop_last=True), tg.ArgumentError, "without batches"),
        (lambda: data.ArrayDataset(x for x in [1]), tg.DtypeError, "generator can be gone through only once"),
        (lambda: data.ArrayDataset(np.float64(3)), tg.ShapeError, "a single number without samples"),
        (lambda: data.Subset(Y, [20]), tg.OutOfRangeError, "there is no sample 20 of 20"),
        (lambda: data.Subset(Y, [0.5]), tg.DtypeError, "must be a list of whole numbers"),
        (lambda: data.ConcatDataset([]), tg.ArgumentError, "no data sets"),
        (lambda: data.ConcatDataset([Y])[20], tg.OutOfRangeError, "no sample 20 of 20"),
        (lambda: data.random_split(Y, [3, 4]), tg.ArgumentError, "add up to 7, the data set has 20"),
        (lambda: data.random_split(Y, [0.5, 0.4]), tg.ArgumentError, r"add up to 0\.9"),
        (lambda: data.random_split(Y, [-5, 25]), tg.ArgumentError, "from 0 on"),
        (lambda: data.WeightedRandomSampler([0, 0], 1), tg.ArgumentError, "all weights are 0"),
        (lambda: data.WeightedRandomSampler([1, -1], 1), tg.ArgumentError, "finite numbers from 0 on"),
        (lambda: data.WeightedRandomSampler([1, 0], 2, False), tg.ArgumentError, "only 1 weights above 0"),
        (lambda: data.collate([]), tg.ShapeError, "empty list"),
        (lambda: data.collate([{"a": 1}, {"b": 1}]), tg.ShapeError, "different keys"),
    ],
)
def test_bad_input(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_arrays_of_a_device_are_not_for_processes(fence):
    dataset = data.ArrayDataset(tg.tensor([1.0, 2.0], device="fence"))
    with pytest.raises(tg.ArgumentError, match="cannot be used in worker processes"):
        data.DataLoader(dataset, num_workers=1)
    (got,) = next(iter(data.DataLoader(dataset, 2)))
    assert got.device == "fence"
    moved = data.DataLoader(Noisy(), 4, device="fence", pin_memory=True, num_workers=1)
    assert all(t.device == "fence" for batch in moved for t in batch)


def test_pinning_without_a_gpu_changes_nothing():
    expected = data.DataLoader(data.ArrayDataset(X, Y), 4)
    for a, b in zip(data.DataLoader(data.ArrayDataset(X, Y), 4, pin_memory=True), expected, strict=True):
        assert a[0].device == "cpu" and a[0].tolist() == b[0].tolist()


def test_threads_end_with_the_loop():
    before = threading.active_count()
    for _ in data.DataLoader(Noisy(), 2, num_workers=3, workers="threads"):
        break
    assert threading.active_count() == before
