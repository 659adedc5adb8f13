"""tensorgraph.data: files that are missing, damaged or foreign, downloads from a local folder, and batches."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import data
from tensorgraph.data import fetch, idx, sets

DATA = Path(os.environ.get("TENSORGRAPH_DATA") or Path(__file__).parents[2] / "shared" / "data")


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


@pytest.fixture
def tiny(tmp_path):
    """A folder like torchvision's with five test images; returns the folder of the files."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    (raw / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(5, dtype=np.uint8)))
    return raw


# ---- sets ------------------------------------------------------------------------------------------------------------
def test_digits_are_split_without_overlap():
    images, labels = data.load_digits()
    (x, y), (x_held_out, y_held_out) = data.load_digits(train=True), data.load_digits(train=False)
    assert images.shape == (1797, 1, 8, 8) and images.dtype == np.float32 and labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 1 and set(labels) == set(range(10))
    assert (len(x), len(y), len(x_held_out), len(y_held_out)) == (1437, 1437, 360, 360)
    both = np.concatenate([x, x_held_out]).reshape(1797, 64)
    assert np.array_equal(np.unique(both, axis=0), np.unique(images.reshape(1797, 64), axis=0))


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(tg.MissingPackageError, match=r"scikit-learn[^$]*tensorgraph\[data\]") as caught:
        data.load_digits()
    assert isinstance(caught.value, ImportError)


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder with MNIST is not here (TENSORGRAPH_DATA)")
def test_the_published_files():
    images, labels = data.mnist(DATA, train=False)
    assert images.shape == (10000, 1, 28, 28) and images.dtype == np.float32 and labels.shape == (10000,)
    assert images.min() == 0 and images.max() == 1 and labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.fashion_mnist(DATA, train=False)[1][:5].tolist() == [9, 2, 1, 1, 6]
    with pytest.raises(tg.CorruptDataError, match="not the one that MNIST publishes"):
        data.mnist(DATA / "FashionMNIST" / "raw", train=False)


@pytest.mark.parametrize("where", ["torchvision's root", "the folder itself", "the environment"])
def test_where_files_are_found(tiny, where, monkeypatch):
    root = {"torchvision's root": tiny.parents[1], "the folder itself": tiny}.get(where)
    monkeypatch.setenv("TENSORGRAPH_DATA", str(tiny.parents[1]))
    images, labels = data.mnist(root, train=False, verify=False)
    assert images.shape == (5, 1, 4, 3) and np.allclose(images.ravel(), np.arange(60) / 255)
    assert labels.tolist() == [0, 1, 2, 3, 4]


def test_missing_files_say_what_where_and_how(tmp_path):
    with pytest.raises(tg.MissingDataError) as caught:
        data.mnist(tmp_path / "nowhere")
    said = str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)
    for part in ("train-images-idx3-ubyte.gz and train-labels", "MNIST/raw (no such folder)", "download=True", "root="):
        assert part in said.replace(os.sep, "/")


def _cut(raw: Path) -> None:
    path = raw / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])


def _cut_inside(raw: Path) -> None:
    path = raw / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-2])


def _wrong_magic(raw: Path) -> None:
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"<html>404</html>")


def _swapped(raw: Path) -> None:
    (raw / "t10k-images-idx3-ubyte").write_bytes((raw / "t10k-labels-idx1-ubyte").read_bytes())


def _too_few_labels(raw: Path) -> None:
    (raw / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(4, dtype=np.uint8)))


def _huge_header(raw: Path) -> None:
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\xff\xff\xff\xff\1\2")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_cut, "t10k-images-idx3-ubyte.gz: a truncated or damaged gzip file"),
        (_cut_inside, "11 bytes, but its header announces 13: truncated"),
        (_wrong_magic, "not an idx file; it starts with 3c 68 74 6d"),
        (_swapped, "an idx file of 1 axes where 3 are expected"),
        (_too_few_labels, "5 images but 4 labels"),
        (_huge_header, "10 bytes, but its header announces 4,294,967,303: truncated"),
        (lambda raw: None, "its content has md5"),
    ],
)
def test_damaged_files(tiny, damage, says):
    damage(tiny)
    with pytest.raises(tg.CorruptDataError) as caught:
        data.mnist(tiny, train=False)
    assert says in str(caught.value) and "hint" in str(caught.value)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float32, np.float64])
def test_idx_element_types(tmp_path, dtype):
    code = {"int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}[np.dtype(dtype).name]
    values = np.array([[-3, 1, 2]], dtype)
    head = bytes([0, 0, code, 2, 0, 0, 0, 1, 0, 0, 0, 3])
    (tmp_path / "a").write_bytes(head + values.astype(values.dtype.newbyteorder(">")).tobytes())
    found = data.read_idx(tmp_path / "a")
    assert found.dtype == dtype and np.array_equal(found, values)
    with pytest.raises(tg.MissingDataError, match="there is no such file"):
        data.read_idx(tmp_path / "b")


# ---- downloads, from folders of this machine -------------------------------------------------------------------------
@pytest.fixture
def published(tiny, monkeypatch):
    """The tiny set as if it were the published MNIST; returns the address of its mirror."""
    labels = tiny / "t10k-labels-idx1-ubyte"
    (tiny / f"{labels.name}.gz").write_bytes(gzip.compress(labels.read_bytes()))
    sums = {p.name[:-3]: idx.md5_of(idx.uncompressed(p)) for p in tiny.glob("*.gz")}
    monkeypatch.setattr(sets, "MNIST", sets._Published("MNIST", ("file:///nowhere", tiny.as_uri()), sums))
    return tiny


def test_download_from_the_mirror_that_has_it(published, tmp_path):
    root = tmp_path / "new"
    images, labels = data.mnist(root, train=False, download=True)
    assert images.shape == (5, 1, 4, 3) and labels.tolist() == [0, 1, 2, 3, 4]
    names = {p.name for p in (root / "MNIST" / "raw").iterdir()}
    assert names == {"t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"}
    for path in published.iterdir():
        path.unlink()
    assert len(data.mnist(root, train=False, download=True)[1]) == 5  # what is there is not fetched again


def test_downloads_that_fail_leave_nothing(published, tmp_path, monkeypatch):
    (published / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(tg.MissingDataError, match="no mirror delivered it") as caught:
        data.mnist(tmp_path / "new", train=False, download=True)
    said = str(caught.value)
    assert "file:///nowhere/t10k" in said and "what came has another md5" in said and "by hand" in said

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "_copy", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.mnist(tmp_path / "new", train=False, download=True)
    assert list((tmp_path / "new" / "MNIST" / "raw").iterdir()) == []


def test_progress_is_shown_on_a_terminal(published, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    data.mnist(tmp_path / "new", train=False, download=True)
    assert "\rt10k-images-idx3-ubyte.gz: 0.0 of 0.0 MB" in capsys.readouterr().err


# ---- batches ---------------------------------------------------------------------------------------------------------
X, Y = np.arange(20, dtype=np.float64).reshape(10, 2), np.arange(10)


def test_batches_in_order():
    loader = data.batches(X, Y, batch_size=4)
    got = list(loader)
    assert len(loader) == 3 and [len(y) for _, y in got] == [4, 4, 2]
    assert all(isinstance(x, tg.Tensor) and x.dtype == np.float64 and not x.requires_grad for x, _ in got)
    assert np.array_equal(np.concatenate([x.numpy() for x, _ in got]), X)
    got[0][0].array[:] = 99  # a batch is a copy
    assert X[0, 0] == 0
    assert [len(y) for _, y in data.batches(X, Y, batch_size=4, drop_last=True)] == [4, 4]
    (x,) = next(iter(data.batches(tg.tensor([1.0, 2.0], requires_grad=True), batch_size=1)))
    assert x.tolist() == [1.0] and not x.requires_grad


def test_shuffling_is_a_function_of_seed_and_epoch():
    def order(loader):
        return [int(i) for _, y in loader for i in y.numpy()]

    one = data.batches(X, Y, batch_size=3, shuffle=True, seed=7)
    first, second = order(one), order(one)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    np.random.seed(0)
    again = data.batches(X, Y, batch_size=3, shuffle=True, seed=7)
    again.epoch = 1
    assert order(again) == second
    for x, y in one:
        assert np.array_equal(x.numpy(), X[y.numpy()])
    loose = data.batches(X, Y, batch_size=3, shuffle=True)
    tg.manual_seed(5)
    first = order(loose)
    assert order(loose) != first
    tg.manual_seed(5)
    assert order(loose) == first
    assert order(data.batches(X, Y, batch_size=3, shuffle=True, generator=tg.Generator(5))) == first


class Sentences(data.Dataset[dict]):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        if i == 2:
            raise RuntimeError("no such sentence")
        return {"text": "ab"[i], "pair": (float(i), i), "vector": np.full(2, i, np.float16)}


def test_any_data_set_is_collated():
    loader = data.DataLoader(Sentences(), batch_size=2)
    batches = iter(loader)
    got = next(batches)
    assert got["text"] == ["a", "b"] and got["vector"].dtype == np.float16
    assert got["pair"][0].dtype == np.float32 and got["pair"][1].dtype == np.int64
    assert got["vector"].tolist() == [[0, 0], [1, 1]]
    with pytest.raises(RuntimeError) as caught:
        next(batches)
    assert "raised by sample 2 of Sentences" in caught.value.__notes__
    assert next(iter(data.DataLoader([1, 2, 3], 2, collate_fn=sum))) == 3
    assert next(iter(data.DataLoader(Sentences(), 1, device="cpu")))["vector"].device == "cpu"


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: data.DataLoader([]), tg.ArgumentError, "the data set is empty"),
        (lambda: data.batches(X[:0], batch_size=2), tg.ArgumentError, "the data set is empty"),
        (lambda: data.batches(X, batch_size=0), tg.ArgumentError, "batch_size must be at least 1, got 0"),
        (lambda: data.batches(X, batch_size=2.5), tg.DtypeError, "a whole number, got 2.5"),  # pyright: ignore
        (lambda: data.batches(X, batch_size=11, drop_last=True), tg.ArgumentError, "10 samples, batches of 11"),
        (lambda: data.batches(X, Y[:9], batch_size=2), tg.ShapeError, "different lengths: 10, 9"),
        (lambda: data.batches(batch_size=2), tg.ArgumentError, "no arrays given"),
        (lambda: data.DataLoader(iter([1])), tg.DtypeError, "list_iterator is no data set"),  # pyright: ignore
        (lambda: data.batches(X, batch_size=2, seed=1, generator=tg.Generator(1)), tg.ArgumentError, "one of them"),
        (lambda: data.DataLoader([1], device="gpu"), tg.BackendError, "unknown device 'gpu'"),
        (lambda: data.collate([np.ones(2), np.ones(3)]), tg.ShapeError, r"f64\[2\] and f64\[3\]"),
        (lambda: data.collate([(1, 2), (1,)]), tg.ShapeError, "different numbers of entries"),
    ],
)
def test_bad_input(make, error, says):
    with pytest.raises(error, match=says):
        make()
