"""Image folders, HDF5 and LMDB: what is read, by whom; files that are missing, damaged or hostile."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import data
from tensorgraph.data import augment

RNG = np.random.default_rng(0)
WORKERS = {
    "in this process": {},
    "processes": {"num_workers": 2},
    "threads": {"num_workers": 2, "workers": "threads"},
}
each_way = pytest.mark.parametrize("how", WORKERS.values(), ids=WORKERS)


# ---- folders ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def photos(tmp_path):
    """Two classes, three pictures, things that are none; returns the folder and the pictures, by name."""
    Image = pytest.importorskip("PIL.Image")
    root = tmp_path / "photos"
    pictures = {}
    for name, size in (("cat/b.png", (4, 5, 3)), ("cat/deep/a.PNG", (6, 3, 3)), ("ant/c.png", (2, 2, 3))):
        pictures[name] = RNG.integers(0, 256, size, np.uint8)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures[name]).save(root / name, format="png")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / ".hidden.png").write_text("no image")
    (root / ".cache").mkdir()
    return root, pictures


def test_images_of_a_folder(photos):
    root, pictures = photos
    found = data.ImageFolder(root)
    assert found.classes == ["ant", "cat"] and found.class_to_idx == {"ant": 0, "cat": 1}
    assert [p.relative_to(root).as_posix() for p, _ in found.samples] == ["ant/c.png", "cat/b.png", "cat/deep/a.PNG"]
    assert len(found) == 3 and found.targets == [0, 1, 1] and "3 images, 2 classes" in repr(found)
    image, label = found[1]
    assert image.dtype == np.float32 and label == 1
    np.testing.assert_allclose(image, pictures["cat/b.png"].transpose(2, 0, 1) / 255, rtol=1e-6)
    raw, _ = data.ImageFolder(root, dtype="uint8", transform=lambda image: image[:, ::-1])[1]
    assert np.array_equal(raw, pictures["cat/b.png"].transpose(2, 0, 1)[:, ::-1])
    assert data.ImageFolder(root, mode="L", dtype="uint8")[0][0].shape == (1, 2, 2)


@each_way
def test_images_of_a_folder_in_batches(photos, how):
    root, _ = photos
    found = data.ImageFolder(root, augment.RandomResizedCrop(4))
    x, y = next(iter(data.DataLoader(found, 3, seed=1, **how)))
    expected, _ = next(iter(data.DataLoader(found, 3, seed=1)))
    assert x.shape == (3, 3, 4, 4) and y.tolist() == [0, 1, 1] and x.tolist() == expected.tolist()


def test_the_camera_was_held_upright(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    Image.fromarray(np.zeros((2, 4, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert data.read_image(tmp_path / "a.jpg").shape == (3, 4, 2)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def _text(path):
    path.write_text("<html>404</html>")


def _nothing(path):
    path.write_bytes(b"")


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[40:60] = bytes(20)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _text, _nothing, _flipped])
def test_damaged_images(photos, damage):
    root, _ = photos
    damage(root / "cat" / "b.png")
    found = data.ImageFolder(root)
    with pytest.raises(tg.CorruptDataError, match=r"b\.png: no image, damaged or truncated") as caught:
        found[1]
    assert str(root / "cat" / "b.png") in str(caught.value) and "skip" in str(caught.value)
    with pytest.raises(tg.CorruptDataError, match=r"b\.png") as caught:
        list(data.DataLoader(found, 1, num_workers=1))
    assert "raised by sample 1 of ImageFolder" in caught.value.__notes__
    some = data.ImageFolder(root, on_error="skip")
    assert len(some) == 2 and [path.name for path, _ in some.skipped] == ["b.png"]
    assert "no image, damaged" in some.skipped[0][1] and all(image.size for image, _ in some)


def test_folders_without_images(photos, tmp_path, monkeypatch):
    root, _ = photos
    with pytest.raises(tg.MissingDataError, match="there is no folder"):
        data.ImageFolder(tmp_path / "nowhere")
    with pytest.raises(tg.MissingDataError, match="no class folders") as caught:
        data.ImageFolder(root / "ant")
    assert "images lie in it directly, as c.png" in str(caught.value) and "<root>/<class>" in str(caught.value)
    (root / "bee").mkdir()
    with pytest.raises(tg.MissingDataError, match="no images in bee"):
        data.ImageFolder(root)
    (root / "bee" / "x.jpg").write_text("no image")
    with pytest.raises(tg.MissingDataError, match=r"no readable images in bee[^$]*skipped .*x\.jpg"):
        data.ImageFolder(root, on_error="skip")
    for options in ({"mode": "CMYK"}, {"dtype": "int8"}, {"on_error": "ignore"}):
        with pytest.raises(tg.ArgumentError, match=r"got '(CMYK|int8|ignore)'"):
            data.ImageFolder(root, **options)
    with pytest.raises(tg.MissingDataError, match="there is no such file"):
        data.read_image(tmp_path / "no.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(tg.MissingPackageError, match=r"Pillow[^$]*tensorgraph\[data\]"):
        data.ImageFolder(root)


# ---- HDF5 ------------------------------------------------------------------------------------------------------------
X, Y = RNG.integers(0, 256, (11, 3, 4, 4), np.uint8), np.arange(11)


@pytest.fixture
def hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"], file["labels"], file["more/images"], file["more/few"] = X, Y, X[::-1], Y[:3]
        file["one"] = 3.0
    return tmp_path / "a.h5"


@each_way
def test_arrays_of_an_hdf5_file(hdf5, how):
    found = data.HDF5Dataset(hdf5, "images", "labels")
    assert len(found) == 11 and found[-1][1] == 10 and np.array_equal(found[2][0], X[2])  # it is open here
    loader = data.DataLoader(found, 4, True, seed=1, transform=augment.ToFloat(), **how)
    for _ in range(2):
        got = list(loader)
        order = np.concatenate([y.numpy() for _, y in got])
        assert sorted(order) == list(range(11)) and list(order) != sorted(order)
        np.testing.assert_allclose(np.concatenate([x.numpy() for x, _ in got]), X[order] / 255, atol=1e-7)
    x, y = next(iter(data.DataLoader(found, sampler=[3, 0, 3, 9], batch_size=4, **how)))
    assert y.tolist() == [3, 0, 3, 9] and np.array_equal(x.numpy(), X[[3, 0, 3, 9]])


def test_hdf5_details(hdf5, tmp_path):
    h5py = pytest.importorskip("h5py")
    both = data.HDF5Dataset(hdf5, "more/images", "/labels")
    assert np.array_equal(both[0][0], X[10]) and "11 samples" in repr(both)
    assert pickle.loads(pickle.dumps(both))[3][1] == 3
    both.close()
    assert both[3][1] == 3
    with pytest.raises(tg.OutOfRangeError, match="no sample 11 of 11"):
        both[11]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["y"], file["x"] = Y, X
    assert data.HDF5Dataset(tmp_path / "b.h5").names == ("x", "y")


@pytest.mark.parametrize(
    ("names", "error", "says"),
    [
        (("pictures",), tg.MissingDataError, r"no array 'pictures' in a\.h5[^$]*there are: images, labels"),
        (("more",), tg.MissingDataError, "no array 'more'"),
        (("images", "more/few"), tg.ShapeError, r"different lengths: images \(11, 3, 4, 4\), more/few \(3,\)"),
        ((), tg.ShapeError, r"different lengths: .*one \(\)"),
    ],
)
def test_hdf5_files_of_another_content(hdf5, names, error, says):
    with pytest.raises(error, match=says):
        data.HDF5Dataset(hdf5, *names)


def test_damaged_hdf5_files(hdf5, tmp_path, monkeypatch):
    with pytest.raises(tg.MissingDataError, match=r"no\.h5: there is no such file"):
        data.HDF5Dataset(tmp_path / "no.h5")
    content = hdf5.read_bytes()
    for damaged in (b"", b"<html>404</html>", content[: len(content) // 2]):
        (tmp_path / "bad.h5").write_bytes(damaged)
        with pytest.raises(tg.CorruptDataError, match=r"bad\.h5: no HDF5 file, damaged or truncated"):
            data.HDF5Dataset(tmp_path / "bad.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(tg.MissingPackageError, match=r"h5py[^$]*tensorgraph\[data\]"):
        data.HDF5Dataset(hdf5)


# ---- LMDB ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def lmdb():
    return pytest.importorskip("lmdb")


def put(lmdb, path, pairs):
    with lmdb.open(str(path), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        for key, value in pairs.items():
            transaction.put(key, value)
    return path


@each_way
def test_what_is_written_into_lmdb_is_read(lmdb, tmp_path, how):
    data.write_lmdb(tmp_path / "sub" / "a.lmdb", data.ArrayDataset(X, Y))
    assert os.listdir(tmp_path / "sub") == ["a.lmdb"] and os.listdir(tmp_path / "sub" / "a.lmdb") == ["data.mdb"]
    found = data.LMDBDataset(tmp_path / "sub" / "a.lmdb")
    assert len(found) == 11 and "11 samples" in repr(found) and len(pickle.loads(pickle.dumps(found))) == 11
    assert np.array_equal(found[-1][0], X[10]) and found[4][0].dtype == np.uint8 and found[4][1] == 4
    twin = data.LMDBDataset(tmp_path / "sub" / "a.lmdb" / "data.mdb") if not how else data.LMDBDataset(found.path)
    assert len(twin) == 11  # the same database twice in one process
    got = list(data.DataLoader(found, 4, **how))
    assert np.array_equal(np.concatenate([x.numpy() for x, _ in got]), X)
    assert [int(i) for _, y in got for i in y.numpy()] == list(range(11))
    assert twin[5][1] == 5
    found.close()
    assert found[5][1] == 5


def test_large_samples_and_all_kinds_of_numbers(lmdb, tmp_path):
    samples = [(np.full((1 << 20,), i, np.float64), tg.tensor([1.5]), i, True, np.float16(i), np.zeros((0, 2)).T)
               for i in range(5)]  # 40 MB: beyond the first size of the map  # fmt: skip
    data.write_lmdb(tmp_path / "a", samples)
    for i, got in enumerate(data.LMDBDataset(tmp_path / "a")[k] for k in range(5)):
        assert got[0].nbytes == 1 << 23 and (got[0] == i).all() and got[1] == 1.5 and got[1].dtype == np.float32
        assert got[2] == i and got[3].dtype == bool and got[4].dtype == np.float16 and got[5].shape == (2, 0)
    data.write_lmdb(tmp_path / "b", [np.ones(2), np.zeros(2)])  # samples that are no tuples
    assert data.LMDBDataset(tmp_path / "b")[0][0].tolist() == [1, 1]


def test_a_database_that_cannot_be_written_is_not_there(lmdb, tmp_path):
    for samples, error, says in (
        ([(1, 2), (1,)], tg.ArgumentError, "sample 1 has 1 entries, those before have 2"),
        ([1, "text"], tg.DtypeError, "sample 1 holds str 'text'"),
        ([1, np.array([None])], tg.DtypeError, "sample 1 holds"),
        ([], tg.ArgumentError, "the data set is empty"),
        (iter([1]), tg.DtypeError, "no data set"),
    ):
        with pytest.raises(error, match=says):
            data.write_lmdb(tmp_path / "a", samples)
        assert os.listdir(tmp_path) == []
    (tmp_path / "a").mkdir()
    with pytest.raises(tg.ArgumentError, match="exists"):
        data.write_lmdb(tmp_path / "a", [1])


def npy(array, pickled=False):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=pickled)
    return out.getvalue()


class Bomb:
    def __reduce__(self):
        return os.system, ("echo executed",)


ABOUT = json.dumps({"format": 1, "samples": 1, "arrays": 1}).encode()
KEY = bytes(8)


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ({b"tensorgraph": b"{"}, "its description is b'{'"),
        ({b"tensorgraph": b"[]"}, "its description"),
        ({b"tensorgraph": ABOUT.replace(b'"format": 1', b'"format": 9')}, "its format is 9; this version reads 1"),
        ({b"tensorgraph": ABOUT}, "sample 0 of 1 is missing"),
        ({b"tensorgraph": ABOUT, KEY: b"nonsense"}, "sample 0 is damaged"),
        ({b"tensorgraph": ABOUT, KEY: npy(X)[:-1]}, "sample 0 is damaged"),
        ({b"tensorgraph": ABOUT, KEY: npy(X) + b"x"}, "something follows"),
        ({b"tensorgraph": ABOUT, KEY: npy(np.array([Bomb()]), True)}, "sample 0 is damaged"),
        ({b"tensorgraph": ABOUT, KEY: pickle.dumps(Bomb())}, "sample 0 is damaged"),
        ({b"key": b"value"}, r"taken for a Datum of Caffe\) 0 is damaged"),
        ({b"key": b"\x08\xff\xff"}, "taken for a Datum"),
    ],
)
def test_damaged_and_hostile_databases(lmdb, tmp_path, capfd, pairs, says):
    put(lmdb, tmp_path / "a", pairs)
    with pytest.raises(tg.CorruptDataError, match=says):
        data.LMDBDataset(tmp_path / "a")[0]
    assert "executed" not in capfd.readouterr().out


def test_what_is_no_database(lmdb, tmp_path, monkeypatch):
    with pytest.raises(tg.MissingDataError, match="no database at"):
        data.LMDBDataset(tmp_path / "nowhere")
    with pytest.raises(tg.MissingDataError, match=r"holds data\.mdb"):
        data.LMDBDataset(tmp_path)
    for content in (b"", b"<html>404</html>" * 400):
        (tmp_path / "data.mdb").write_bytes(content)
        with pytest.raises(tg.CorruptDataError, match="no LMDB database, or damaged"):
            data.LMDBDataset(tmp_path)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    for make in (lambda: data.LMDBDataset(tmp_path), lambda: data.write_lmdb(tmp_path / "new", [1])):
        with pytest.raises(tg.MissingPackageError, match=r"lmdb[^$]*tensorgraph\[data\]"):
            make()


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def datum(image=None, label=0, floats=None, encoded=None):
    """A message of the type caffe.Datum, put together by hand."""
    shape = (image if image is not None else floats).shape if encoded is None else (0, 0, 0)
    out = b"".join(bytes([8 * (i + 1)]) + varint(n) for i, n in enumerate(shape) if n)
    content = encoded or (image.tobytes() if image is not None else b"")
    if content:
        out += b"\x22" + varint(len(content)) + content
    out += b"\x28" + varint(label % 2**64)
    if floats is not None:
        out += b"".join(b"\x35" + value.tobytes() for value in floats.astype("<f4").ravel())
    return out + (b"\x38\x01" if encoded else b"")


def test_databases_of_caffe(lmdb, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    picture = io.BytesIO()
    Image.fromarray(X[0].transpose(1, 2, 0)).save(picture, format="png")
    floats = RNG.random((2, 1, 3)).astype(np.float32)
    messages = [datum(X[0], 7), datum(X[1], 300), datum(floats=floats, label=-1), datum(encoded=picture.getvalue())]
    put(lmdb, tmp_path / "a", {b"%08d_name" % i: message for i, message in enumerate(messages)})
    found = data.LMDBDataset(tmp_path / "a")
    assert len(found) == 4 and [label for _, label in (found[i] for i in range(4))] == [7, 300, -1, 0]
    assert np.array_equal(found[0][0], X[0]) and np.array_equal(found[1][0], X[1])
    assert np.array_equal(found[2][0], floats) and found[2][0].dtype == np.float32
    assert np.array_equal(found[3][0], X[0])
    x, y = next(iter(data.DataLoader(data.Subset(found, [0, 1]), 2, num_workers=1)))
    assert x.dtype == np.uint8 and y.tolist() == [7, 300]
