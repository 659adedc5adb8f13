"""Augmentation against SciPy, Pillow and plain loops; and its randomness: a function of seed, epoch and index."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from scipy import ndimage, stats

import tensorgraph as tg
from tensorgraph import data
from tensorgraph.data import SampleRandom, augment

RNG = np.random.default_rng(0)
FLOATS = RNG.random((6, 3, 9, 12)).astype(np.float32)
BYTES = RNG.integers(0, 256, (6, 3, 9, 12), np.uint8)
COLOURS = augment.PCANoise.fit(FLOATS)

EVERY = [
    augment.CenterCrop((7, 8)),
    augment.ColorJitter(0.4, 0.4, 0.4, 0.2),
    augment.Cutout(4),
    augment.GaussianNoise(0.1),
    augment.Pad((1, 2), 0.5),
    COLOURS,
    augment.RandomAffine(20, 0.2, (0.8, 1.2), 10),
    augment.RandomApply(augment.RandomVerticalFlip(1)),
    augment.RandomCrop((9, 12), 2),
    augment.RandomHorizontalFlip(),
    augment.RandomResizedCrop((5, 6)),
    augment.RandomRotation(30),
    augment.RandomScale((0.5, 2)),
    augment.RandomTranslation(0.3),
    augment.RandomVerticalFlip(),
    augment.Resize((5, 20)),
    augment.ToFloat(),
    augment.Compose([augment.RandomCrop(8), augment.ToFloat(), augment.Normalize([0.5, 0.4, 0.3], 0.2)]),
]
every = pytest.mark.parametrize("change", EVERY, ids=lambda change: type(change).__name__)


def test_every_augmentation_is_tried():
    names = {name for name in augment.__all__ if name not in ("Transform", "Mixup", "Normalize")}
    assert {type(change).__name__ for change in EVERY} == names


@every
@pytest.mark.parametrize("images", [FLOATS, FLOATS.astype(np.float64), BYTES], ids=lambda a: a.dtype.name)
def test_what_all_have_in_common(change, images):
    before = images.copy()
    got = change(images, rng=SampleRandom(7, 2, range(6)))
    assert np.array_equal(images, before) and isinstance(got, np.ndarray) and got.flags.c_contiguous
    makes_floats = isinstance(change, (augment.ToFloat, augment.Compose))
    assert got.dtype == (np.float32 if makes_floats and images.dtype == np.uint8 else images.dtype)
    # an image's randomness is its own: not that of its batch, and not that of the dtype
    part = change(images[[4, 1]], rng=SampleRandom(7, 2, [4, 1]))
    np.testing.assert_allclose(part, got[[4, 1]], atol=1e-6)
    alone = change(images[3], rng=SampleRandom(7, 2, [3]))
    np.testing.assert_allclose(alone, got[3], atol=1e-6)
    # views of another layout, tensors, and what goes along
    turned = np.asfortranarray(images)
    tensor, label = change(tg.tensor(turned), "label", rng=SampleRandom(7, 2, range(6)))
    assert isinstance(tensor, tg.Tensor) and label == "label"
    np.testing.assert_allclose(tensor.numpy(), got, atol=1e-6)
    assert change(images[:0], rng=0).shape == (0, *got.shape[1:])
    if makes_floats or images.dtype != np.uint8:
        return
    floats = change((images / 255).astype(np.float64), rng=SampleRandom(7, 2, range(6)))
    if not isinstance(change, augment.Pad):  # its fill is a value of a pixel
        assert np.abs(np.clip(floats * 255, 0, 255) - got).max() <= 1.01


@every
def test_random_ones_differ_from_image_to_image_and_epoch_to_epoch(change):
    same = np.repeat(FLOATS[:1], 6, axis=0)
    first, again, later, other = (
        change(same, rng=SampleRandom(seed, epoch, range(6))) for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    assert np.array_equal(first, again)
    if type(change) in (augment.CenterCrop, augment.Pad, augment.Resize, augment.ToFloat):
        assert np.array_equal(first, later) and np.array_equal(first[0], first[1])
    else:
        assert not np.array_equal(first, later) and not np.array_equal(first, other)
        assert len({image.tobytes() for image in first}) > 1


def test_without_numbers_the_default_generator_starts_them():
    change = augment.RandomCrop(4)
    tg.manual_seed(3)
    one, two = change(FLOATS), change(FLOATS)
    tg.manual_seed(3)
    assert np.array_equal(change(FLOATS), one) and not np.array_equal(one, two)
    assert np.array_equal(change(FLOATS, rng=5), change(FLOATS, rng=SampleRandom(5, 0, range(6))))


# ---- the numbers -----------------------------------------------------------------------------------------------------
def test_numbers_of_samples_are_random():
    draw = SampleRandom(0, 0, range(4000))
    u, v, z = draw.uniform(), draw.uniform(2, 4), draw.normal(1, 3, (5,))
    assert u.min() >= 0 and u.max() < 1 and v.min() >= 2 and v.max() < 4
    # chosen once, these seeds pass at a level at which one test in a thousand would not
    assert stats.kstest(u, "uniform").pvalue > 1e-3 and stats.kstest(v / 2 - 1, "uniform").pvalue > 1e-3
    assert all(stats.kstest((z[:, k] - 1) / 3, "norm").pvalue > 1e-3 for k in range(5))
    assert abs(np.corrcoef(u, v)[0, 1]) < 0.08 and abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.08
    neighbours = [SampleRandom(seed, epoch, range(4000)).uniform() for seed, epoch in ((0, 0), (1, 0), (0, 1))]
    assert np.abs(np.corrcoef(neighbours) - np.eye(3)).max() < 0.08
    whole = draw.integers(-2, 3, (3,))
    assert set(np.unique(whole)) == {-2, -1, 0, 1, 2} and stats.chisquare(np.bincount(whole.ravel() + 2)).pvalue > 1e-3
    assert abs(draw.chance(0.3).mean() - 0.3) < 0.04
    assert np.array_equal(np.sort(draw.permutations(5)), np.tile(np.arange(5), (4000, 1)))
    one, two = (generator.random(2) for generator in SampleRandom(0, 0, [1, 2]).generators())
    assert not np.array_equal(one, two)
    with pytest.raises(tg.ArgumentError, match="from 0 on, got -1 and 0"):
        SampleRandom(-1, 0, [0])


# ---- against references ----------------------------------------------------------------------------------------------
def drawn(**limits):
    """The numbers that an augmentation of six images draws, in its order, as a list per image."""
    draw = SampleRandom(5, 1, range(6))
    return [draw.uniform(*limit) for limit in limits.values()]


def numbers():
    return SampleRandom(5, 1, range(6))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_padding_cropping_and_flipping_are_slices(mode):
    got = augment.RandomCrop((6, 11), (3, 2), 0.25, mode)(FLOATS, rng=numbers())
    draw = numbers()
    tops, lefts = draw.integers(0, 9 + 6 - 6 + 1), draw.integers(0, 12 + 4 - 11 + 1)
    assert len(set(tops)) > 1 and len(set(lefts)) > 1
    extra = {"constant_values": 0.25} if mode == "constant" else {}
    for image, result, top, left in zip(FLOATS, got, tops, lefts):
        padded = np.pad(image, ((0, 0), (3, 3), (2, 2)), mode, **extra)
        assert np.array_equal(result, padded[:, top : top + 6, left : left + 11])
    assert np.array_equal(augment.CenterCrop((4, 5))(FLOATS), FLOATS[:, :, 2:6, 3:8])
    assert np.array_equal(augment.RandomHorizontalFlip(1)(FLOATS), FLOATS[..., ::-1])
    assert np.array_equal(augment.RandomVerticalFlip(1.0)(FLOATS), FLOATS[:, :, ::-1])
    assert np.array_equal(augment.RandomHorizontalFlip(0)(FLOATS), FLOATS)
    some = augment.RandomHorizontalFlip(0.5)(np.arange(4.0).reshape(1, 1, 1, 4).repeat(2000, 0), rng=1)
    assert abs((some[:, 0, 0, 0] == 3).mean() - 0.5) < 0.06


def test_crops_reach_every_place_equally_often():
    positions = np.arange(16.0).reshape(1, 1, 4, 4).repeat(6000, 0)
    corners = augment.RandomCrop(2)(positions, rng=1)[:, 0, 0, 0].astype(int)
    counts = np.bincount(corners, minlength=16).reshape(4, 4)
    assert counts[3].sum() == counts[:, 3].sum() == 0 and stats.chisquare(counts[:3, :3].ravel()).pvalue > 1e-3


def test_cutout_by_a_loop():
    got = augment.Cutout((3, 4), fill=0.5)(FLOATS, rng=numbers())
    draw = numbers()
    rows, columns = draw.integers(0, 9), draw.integers(0, 12)
    for i in range(6):
        expected = FLOATS[i].copy()
        for y in range(9):
            for x in range(12):
                if rows[i] - 1 <= y < rows[i] + 2 and columns[i] - 2 <= x < columns[i] + 2:
                    expected[:, y, x] = 0.5
        assert np.array_equal(got[i], expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_affine_against_scipy(interpolation, dtype):
    change = augment.RandomAffine((10, 50), (0.1, 0.2), (0.7, 1.4), (-20, 20), interpolation, fill=0.3)
    images = FLOATS.astype(dtype)
    got = change(images, rng=numbers())
    turn, shear, scale, down, right = drawn(
        turn=(10, 50), shear=(-20, 20), scale=(0.7, 1.4), down=(-0.9, 0.9), right=(-2.4, 2.4)
    )
    middle = np.array([4.0, 5.5])
    for i in range(6):
        a, b = np.deg2rad(turn[i]), np.deg2rad(shear[i])
        rotate = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])  # (y, x), y down: counterclockwise
        skew = np.array([[1, 0], [np.tan(b), 1]])
        back = np.linalg.inv(scale[i] * rotate @ skew)
        offset = middle - back @ (middle + [down[i], right[i]])
        for channel, result in zip(images[i], got[i]):
            expected = ndimage.affine_transform(
                channel.astype(np.float64),
                back,
                offset,
                order=interpolation == "bilinear",
                mode="grid-constant",
                cval=0.3,
            )
            np.testing.assert_allclose(result, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


def test_directions_of_rotation_and_translation():
    dot = np.zeros((1, 1, 5, 5), np.float32)
    dot[0, 0, 2, 4] = 1  # at the right
    assert augment.RandomRotation((90, 90))(dot)[0, 0, 0, 2] == pytest.approx(1)  # counterclockwise: at the top
    assert augment.RandomScale((0.5, 0.5))(dot)[0, 0, 2, 3] == pytest.approx(1)
    moved = augment.RandomTranslation((0.4, 0), "nearest")(dot.repeat(200, 0), rng=0)
    assert set(np.flatnonzero(moved.sum(axis=(0, 1, 3)))) == {0, 1, 2, 3, 4} and (moved[..., :4] == 0).all()


@pytest.mark.parametrize("size", [(4, 5), (20, 30), (9, 12), (1, 1), (3, 40)])
def test_resizing_against_pillow(size):
    Image = pytest.importorskip("PIL.Image")
    got = augment.Resize(size)(FLOATS)
    got_bytes = augment.Resize(size)(BYTES)
    for i in range(6):
        for c in range(3):
            expected = Image.fromarray(FLOATS[i, c]).resize(size[::-1], Image.Resampling.BILINEAR)
            np.testing.assert_allclose(got[i, c], np.asarray(expected), atol=2e-6)
            expected = Image.fromarray(BYTES[i, c]).resize(size[::-1], Image.Resampling.BILINEAR)
            assert np.abs(got_bytes[i, c].astype(int) - np.asarray(expected)).max() <= 1  # Pillow rounds twice
    assert augment.Resize(6)(FLOATS).shape == (6, 3, 6, 8)
    assert augment.Resize(6)(FLOATS.swapaxes(2, 3)).shape == (6, 3, 8, 6)


def test_resized_crops_against_pillow():
    Image = pytest.importorskip("PIL.Image")
    change = augment.RandomResizedCrop((5, 7), (0.2, 0.9), (0.5, 2))
    got = change(FLOATS, rng=numbers())
    windows = set()
    for image, result in zip(FLOATS, got):
        matches = []
        for top in range(9):
            for left in range(12):
                for h in range(1, 10 - top):
                    for w in range(1, 13 - left):
                        if not (0.15 < h * w / 108 < 0.95 and 0.4 < w / h < 2.3):
                            continue
                        window = Image.fromarray(image[0]).crop((left, top, left + w, top + h))
                        made = np.asarray(window.resize((7, 5), Image.Resampling.BILINEAR))
                        if np.abs(made - result[0]).max() < 1e-5:
                            matches.append((top, left, h, w))
        assert len(matches) == 1  # it is one window, resized, of a permitted area and shape
        windows.add(matches[0])
    assert len(windows) > 3
    narrow = augment.RandomResizedCrop(4, (1, 1), (0.1, 0.1))(FLOATS)  # nothing fits: the middle
    expected = augment.Resize((4, 4))(np.ascontiguousarray(FLOATS[..., 5:6]))
    np.testing.assert_allclose(narrow, expected, atol=1e-6)


def test_colour_jitter_by_a_loop():
    change = augment.ColorJitter((0.5, 1.5), (0.5, 1.5), (0, 2), (-0.4, 0.4))
    got = change(FLOATS, rng=numbers())
    brightness, contrast, saturation, hue = drawn(a=(0.5, 1.5), b=(0.5, 1.5), c=(0, 2), d=(-0.4, 0.4))

    def grey(pixel):
        return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]

    for i in range(6):
        pixels = [np.minimum(FLOATS[i, :, y, x] * brightness[i], 1) for y in range(9) for x in range(12)]
        mean = sum(map(grey, pixels)) / len(pixels)
        pixels = [np.clip(mean + (p - mean) * contrast[i], 0, 1) for p in pixels]
        pixels = [np.clip(grey(p) + (p - grey(p)) * saturation[i], 0, 1) for p in pixels]
        for n, pixel in enumerate(pixels):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            expected = colorsys.hsv_to_rgb((h + hue[i]) % 1, s, v)
            np.testing.assert_allclose(got[i, :, n // 12, n % 12], expected, atol=2e-5)
    one = augment.ColorJitter(0.5, 0.5, 0.5, 0.5)(FLOATS[:, :1], rng=0)
    assert one.shape == (6, 1, 9, 12)


@pytest.mark.parametrize("images", [FLOATS, BYTES], ids=["floats", "bytes"])
def test_pca_noise_as_krizhevsky_gives_it(images):
    change = augment.PCANoise.fit(images, std=0.1)
    scale = 255 if images.dtype == np.uint8 else 1
    pixels = images.transpose(1, 0, 2, 3).reshape(3, -1) / scale
    covariance = np.cov(pixels, ddof=0)
    vectors, values = change.eigenvectors, change.eigenvalues
    np.testing.assert_allclose(covariance @ vectors, vectors * values, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-12)
    alpha = numbers().normal(0, 0.1, (3,))
    got = change(images, rng=numbers())
    for i in range(6):
        shift = sum(vectors[:, k] * alpha[i, k] * values[k] for k in range(3)) * scale
        expected = images[i] + shift[:, None, None]
        if scale == 255:
            expected = np.clip(np.rint(expected), 0, 255)
        np.testing.assert_allclose(got[i], expected, atol=1e-5 if scale == 1 else 1)
    many = augment.PCANoise([1.0, 2.0, 3.0], np.eye(3))(np.zeros((4000, 3, 1, 1)), rng=0)[:, :, 0, 0]
    np.testing.assert_allclose(many.std(axis=0), [0.1, 0.2, 0.3], rtol=0.06)


def test_noise_normalisation_and_floats():
    noise = augment.GaussianNoise(0.5)(np.zeros((2, 1, 100, 100)), rng=0)
    assert stats.kstest(noise[0].ravel() / 0.5, "norm").pvalue > 1e-3 and not np.array_equal(noise[0], noise[1])
    mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.7])
    expected = (FLOATS - mean[:, None, None]) / std[:, None, None]
    got = augment.Normalize(mean.tolist(), tg.tensor(std))(FLOATS)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_allclose(augment.ToFloat()(BYTES), BYTES / 255, atol=1e-7)


def test_mixup():
    images = np.eye(5, dtype=np.float32).reshape(5, 5, 1, 1)
    labels = np.array([0, 1, 2, 2, 1])
    mixed, parts = augment.Mixup(3, alpha=1.0)(images, labels, rng=3)
    assert parts.shape == (5, 3) and parts.dtype == np.float32 and mixed.dtype == np.float32
    np.testing.assert_allclose(parts.sum(axis=1), 1, rtol=1e-6)
    one_hot = np.eye(3)[labels]
    np.testing.assert_allclose(parts, mixed[:, :, 0, 0] @ one_hot, atol=1e-6)  # the images say who was mixed with whom
    assert np.count_nonzero((mixed > 0.05) & (mixed < 0.95)) > 0
    x, y = augment.Compose([augment.RandomVerticalFlip(), augment.Mixup(3)])(tg.tensor(images), tg.tensor(labels))
    assert isinstance(x, tg.Tensor) and isinstance(y, tg.Tensor) and y.shape == (5, 3)


# ---- in a loader -----------------------------------------------------------------------------------------------------
CHANGE = augment.Compose([augment.RandomCrop(9, 2), augment.RandomHorizontalFlip()])
MANY, LABELS = RNG.random((23, 3, 9, 9)).astype(np.float32), np.arange(23)


class Pictures(data.Dataset):
    """Augments by itself, sample by sample."""

    def __len__(self):
        return 23

    def __getitem__(self, i):
        return CHANGE(MANY[i]), i


def by_index(loader):
    return {int(i): x for images, labels in loader for x, i in zip(images.numpy(), labels.numpy())}


@pytest.mark.parametrize(
    "how",
    [{}, {"num_workers": 2}, {"num_workers": 2, "workers": "threads"}],
    ids=["in this process", "processes", "threads"],
)
def test_in_a_loader_it_depends_on_seed_epoch_and_index(how):
    dataset = data.ArrayDataset(MANY, LABELS)
    loader = data.DataLoader(dataset, 5, True, seed=4, transform=CHANGE, **how)
    first, second = by_index(loader), by_index(loader)
    expected = CHANGE(MANY, rng=SampleRandom(4, 0, range(23)))
    assert all(np.array_equal(first[i], expected[i]) for i in range(23))
    assert not all(np.array_equal(first[i], second[i]) for i in range(23))
    # one by one, in the data set itself
    one = by_index(data.DataLoader(Pictures(), 5, True, seed=4, **how))
    other = by_index(data.DataLoader(Pictures(), 7, seed=4))
    assert all(np.array_equal(one[i], other[i]) for i in range(23))


def test_functions_as_transforms():
    def brighter(images, labels, rng):
        return images + rng.uniform()[:, None, None, None], labels * 10

    loader = data.batches(MANY, LABELS, batch_size=10, seed=1, transform=brighter)
    x, y = next(iter(loader))
    assert isinstance(x, tg.Tensor) and isinstance(y, tg.Tensor) and y.tolist() == [10 * i for i in range(10)]
    np.testing.assert_allclose((x.numpy() - MANY[:10])[:, 0, 0, 0], SampleRandom(1, 0, range(10)).uniform(), atol=1e-6)
    (z,) = next(iter(data.batches(MANY, batch_size=10, transform=lambda images: (images * 0,))))
    assert z.shape == (10, 3, 9, 9) and not z.numpy().any()
    mixed = next(iter(data.batches(MANY, LABELS, batch_size=10, transform=augment.Mixup(23))))
    assert mixed[1].shape == (10, 23)
    steps = augment.Compose(
        [lambda images: 1 - images, lambda images, rng: images + rng.chance(0.5)[:, None, None, None]]
    )
    assert set(np.unique((steps(MANY, rng=0) - (1 - MANY)).round(5))) == {0, 1}


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: augment.RandomCrop(0), tg.ArgumentError, "size is a whole number from 1 on, .* got 0"),
        (lambda: augment.RandomCrop((3, 4, 5)), tg.ArgumentError, r"got \(3, 4, 5\)"),
        (lambda: augment.RandomCrop(20)(FLOATS), tg.ShapeError, r"f32\[6,3,9,12\] .* smaller than \(20, 20\)"),
        (lambda: augment.Pad(2, padding_mode="mirror"), tg.ArgumentError, "got 'mirror'"),
        (lambda: augment.Pad(20, padding_mode="reflect")(FLOATS), tg.ShapeError, "reflecting"),
        (lambda: augment.CenterCrop(10)(FLOATS), tg.ShapeError, "smaller"),
        (lambda: augment.RandomHorizontalFlip(1.5), tg.ArgumentError, "from 0 to 1, got 1.5"),
        (lambda: augment.RandomRotation(-3), tg.ArgumentError, "degrees is a number from 0 on, or .* got -3"),
        (lambda: augment.RandomAffine(scale=(0, 1)), tg.ArgumentError, r"above 0, got \(0, 1\)"),
        (lambda: augment.RandomAffine(translate=2), tg.ArgumentError, "from 0 to 1, .* got 2"),
        (lambda: augment.RandomAffine(interpolation="cubic"), tg.ArgumentError, "got 'cubic'"),
        (lambda: augment.RandomResizedCrop(4, ratio=(0, 1)), tg.ArgumentError, "must be above 0"),
        (lambda: augment.ColorJitter(hue=0.6), tg.ArgumentError, "hue"),
        (lambda: augment.ColorJitter(1)(FLOATS[:, :2]), tg.ShapeError, r"3 \(RGB\), got f32\[6,2,9,12\]"),
        (lambda: augment.PCANoise([1.0], np.eye(3)), tg.ShapeError, r"f64\[1\] and f64\[3,3\]"),
        (lambda: COLOURS(FLOATS[:, :1]), tg.ShapeError, "made for 3 channels"),
        (lambda: augment.GaussianNoise(-1), tg.ArgumentError, "got -1"),
        (lambda: augment.Normalize(0, 0), tg.ArgumentError, "std above 0"),
        (lambda: augment.Normalize(0, 1)(BYTES), tg.DtypeError, r"ToFloat\(\)"),
        (lambda: augment.Normalize([0, 0], [1, 1])(FLOATS), tg.ShapeError, "for 2 channels"),
        (lambda: augment.Mixup(3)(FLOATS), tg.ArgumentError, "labels .* got none"),
        (lambda: augment.Mixup(3)(FLOATS, np.arange(6)), tg.OutOfRangeError, "from 0 to 5, num_classes=3"),
        (lambda: augment.Compose([3]), tg.DtypeError, "no transform"),
        (lambda: augment.Compose([lambda x: 3])(FLOATS), tg.ShapeError, "made int 3"),
        (lambda: augment.RandomApply(augment.Resize(3))(FLOATS), tg.ShapeError, "RandomApply"),
        (lambda: augment.Cutout(3)(FLOATS[0, 0]), tg.ShapeError, r"\(N, C, H, W\) or \(C, H, W\), got f32\[9,12\]"),
        (lambda: augment.Cutout(3)(FLOATS.astype(int)), tg.DtypeError, "floats or bytes"),
        (lambda: augment.Cutout(3)([1, 2]), tg.DtypeError, "must be an array of NumPy"),
        (lambda: augment.Cutout(3)(FLOATS, rng=SampleRandom(0, 0, [1])), tg.ShapeError, "6 images, .* for 1"),
        (lambda: augment.Transform()(FLOATS), NotImplementedError, "no apply"),
    ],
)  # fmt: skip
def test_bad_input(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_what_they_say_of_themselves():
    assert repr(augment.RandomHorizontalFlip(0.3)) == "RandomHorizontalFlip(p=0.3)"
    assert repr(augment.Compose([augment.Cutout(4)])) == "Compose(transforms=[Cutout(size=(4, 4), fill=0.0, p=1.0)])"
