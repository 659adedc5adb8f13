"""CIFAR-10 in both formats: found, checked, fetched; pickles are read and never executed."""

import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

import tensorgraph as tg
from tensorgraph import data
from tensorgraph.data import cifar

DATA = Path(os.environ.get("TENSORGRAPH_DATA") or Path(__file__).parents[2] / "shared" / "data")


def records(labels, seed=0):
    """A binary batch of random images."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), np.uint8)
    return np.column_stack([np.array(labels, np.uint8), pixels]).tobytes()


def python2_pickle(labels, pixels, dtype=b"u1"):
    """A batch as Python 2 pickled it: strings are bytes, and the array is put together by NumPy's own functions."""

    def short(s):
        return b"U" + bytes([len(s)]) + s

    content = b"T" + len(pixels).to_bytes(4, "little") + pixels
    shape = b"J" + len(labels).to_bytes(4, "little") + b"M\x00\x0c\x86"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + short(b"b") + b"tR"
    kind = (
        b"cnumpy\ndtype\n("
        + short(dtype)
        + b"K\x00K\x01tR(K\x03"
        + short(b"|")
        + b"NNN"
        + b"J\xff\xff\xff\xff" * 2
        + b"K\x00tb"
    )
    state = b"(K\x01" + shape + kind + b"\x89" + content + b"tb"
    items = short(b"data") + array + state
    items += short(b"labels") + b"](" + b"".join(b"K" + bytes([n]) for n in labels) + b"e"
    return b"\x80\x02}(" + items + b"u."


@pytest.fixture
def tiny(tmp_path):
    """A folder like the unpacked archive, with two images in each batch; returns the folder of the files."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(records([i, i + 1], i))
    (folder / "test_batch.bin").write_bytes(records([9, 0]))
    return folder


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder with CIFAR-10 is not here (TENSORGRAPH_DATA)")
def test_the_published_file():
    images, labels = data.cifar10(DATA, files=["data_batch_1.bin"])
    assert images.shape == (10000, 3, 32, 32) and images.dtype == np.float32 and labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 1 and labels[:5].tolist() == [6, 9, 9, 4, 1]
    assert np.bincount(labels).tolist() == [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    some, classes = data.cifar10(DATA, files=["test_batch_first1000.bin"])
    assert some.shape == (1000, 3, 32, 32) and classes[:5].tolist() == [3, 8, 8, 0, 6]
    with pytest.raises(tg.MissingDataError, match=r"data_batch_2\.bin, data_batch_3\.bin"):
        data.cifar10(DATA)


def test_all_batches_in_order(tiny, monkeypatch):
    images, labels = data.cifar10(tiny.parent, verify=False)
    assert images.shape == (10, 3, 32, 32) and labels.tolist() == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6]
    expected = np.frombuffer((tiny / "data_batch_2.bin").read_bytes(), np.uint8).reshape(2, 3073)[1, 1:]
    np.testing.assert_allclose(images[3], expected.reshape(3, 32, 32) / 255, rtol=1e-6)
    assert data.cifar10(tiny, train=False, verify=False)[1].tolist() == [9, 0]
    monkeypatch.setenv("TENSORGRAPH_DATA", str(tiny.parent))
    assert data.cifar10(files=["test_batch.bin", "data_batch_1.bin"], verify=False)[1].tolist() == [9, 0, 1, 2]


def test_missing_files_say_what_where_and_how(tiny):
    (tiny / "data_batch_3.bin").unlink()
    with pytest.raises(tg.MissingDataError) as caught:
        data.cifar10(tiny.parent)
    said = str(caught.value).replace(os.sep, "/")
    for part in ("CIFAR-10: data_batch_3.bin not found", "/cifar-10-batches-py (no such folder)", "download=True"):
        assert part in said
    with pytest.raises(tg.ArgumentError, match=r"files must be a list of file names, got 'a.bin'"):
        data.cifar10(tiny, files="a.bin")


@pytest.mark.parametrize(("content", "match"), [
    (records([1])[:-1], "3,072 bytes, which is no multiple of 3,073"),
    (b"", "0 bytes, which is no multiple"),
    (b"<html>404</html>", "no multiple"),
    (records([10]), "a label 10, where there are only 0 to 9"),
    (records([1, 2]), "2 images, but the published file has 10,000"),
    (records([0] * 10000), "not the published one"),
])  # fmt: skip
def test_damaged_files(tiny, content, match):
    (tiny / "data_batch_1.bin").write_bytes(content)
    with pytest.raises(tg.CorruptDataError, match=match) as caught:
        data.cifar10(tiny, files=["data_batch_1.bin"])
    assert str(tiny) in str(caught.value)


# ---- the python format -----------------------------------------------------------------------------------------------
@pytest.fixture
def pickled(tmp_path):
    """The folder of an archive of pickles, with two images in its test batch."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "test_batch").write_bytes(python2_pickle([3, 7], bytes(range(256)) * 24))
    return folder


def test_pickles_of_python_2(pickled):
    images, labels = data.cifar10(pickled.parent, train=False, verify=False)
    assert labels.tolist() == [3, 7]
    np.testing.assert_allclose(images.ravel(), np.tile(np.arange(256), 24) / 255, rtol=1e-6)


def test_pickles_of_python_3(pickled):
    pixels = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
    for array in (pixels, np.asfortranarray(pixels)):
        content = pickle.dumps({"data": array, "labels": [3, 7], "batch_label": "testing batch 1 of 1"}, 2)
        (pickled / "test_batch").write_bytes(content)
        images, labels = data.cifar10(pickled, train=False, verify=False)
        assert labels.tolist() == [3, 7]
        np.testing.assert_allclose(images.reshape(2, -1), pixels / 255, rtol=1e-6)


class Bomb:
    def __reduce__(self):
        return os.system, ("echo executed",)


ROW = np.zeros((1, 3072), np.uint8)


@pytest.mark.parametrize(("content", "match"), [
    (pickle.dumps(Bomb(), 2), r"test_batch: it holds a \w+.system, which is not read: no code of a file is run"),
    (pickle.dumps({"data": ROW, "labels": [Bomb()]}, 2), "no code of a file is run"),
    (pickle.dumps({"data": ROW, "labels": [1]}, 2)[:-9], "truncated or damaged pickle"),
    (pickle.dumps([1, 2], 2), "a pickle without data"),
    (pickle.dumps({"data": ROW, "labels": [1, 2]}, 2), "a pickle without data"),
    (pickle.dumps({"data": ROW[:, :9], "labels": [1]}, 2), "a pickle without data"),
    (pickle.dumps({"data": ROW, "labels": ["cat"]}, 2), "labels that are no whole numbers"),
    (pickle.dumps({"data": ROW, "labels": [-1]}, 2), "a label -1"),
    (pickle.dumps({"data": ROW.astype(float), "labels": [1]}, 2), "an array that is not of bytes"),
    (python2_pickle([1], bytes(3072), b"O8"), "an array that is not of bytes"),
    (python2_pickle([1], bytes(3071)), "truncated or damaged pickle"),
    (python2_pickle([1], bytes(3072)), "1 images, but the published file has 10,000"),
])  # fmt: skip
def test_hostile_and_damaged_pickles(pickled, capfd, content, match):
    (pickled / "test_batch").write_bytes(content)
    with pytest.raises(tg.CorruptDataError, match=match):
        data.cifar10(pickled.parent, train=False)
    assert "executed" not in capfd.readouterr().out


# ---- download --------------------------------------------------------------------------------------------------------
@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that serves an archive with two batches, in the place of the published one."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, labels in (("data_batch_1.bin", [1, 2]), ("test_batch.bin", [9])):
            content = records(labels)
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    content = (folder / "cifar-10-binary.tar.gz").read_bytes()
    monkeypatch.setattr(cifar, "_MIRRORS", (folder.as_uri(),))
    monkeypatch.setattr(cifar, "_ARCHIVE_MD5", hashlib.md5(content).hexdigest())
    return folder


def test_download(mirror, tmp_path):
    root = tmp_path / "new" / "root"
    assert data.cifar10(root, train=False, download=True, verify=False)[1].tolist() == [9]
    assert os.listdir(root / "cifar-10-batches-bin") == ["test_batch.bin"]
    (mirror / "cifar-10-binary.tar.gz").unlink()  # it is kept: the other files need no network
    assert data.cifar10(root, files=["data_batch_1.bin"], download=True, verify=False)[1].tolist() == [1, 2]


def test_a_download_that_fails_leaves_nothing(mirror, tmp_path, monkeypatch):
    with pytest.raises(tg.CorruptDataError, match="without the files of CIFAR-10"):
        data.cifar10(tmp_path / "a", download=True, verify=False)  # batches 2 to 5 are not in it
    monkeypatch.setattr(cifar, "_ARCHIVE_MD5", "0" * 32)
    with pytest.raises(tg.MissingDataError, match="no mirror delivered it"):
        data.cifar10(tmp_path / "b", train=False, download=True)
    assert os.listdir(tmp_path / "b") == []
