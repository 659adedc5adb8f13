"""What programs take from torchvision: data sets of single pictures, transforms, grids of pictures."""

import numpy as np
import pytest

import tensorgraph as tg
import tensorgraph.torch as torch
from tensorgraph.torch.vision import datasets, models, transforms, utils

RAMP = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)


def forms():
    """The same picture as an array, a tensor, and a picture of Pillow."""
    Image = pytest.importorskip("PIL.Image")
    return RAMP, torch.from_numpy(np.moveaxis(RAMP, -1, 0).copy()), Image.fromarray(RAMP)


def pixels(picture):
    return np.moveaxis(picture.numpy(), 0, -1) if isinstance(picture, tg.Tensor) else np.asarray(picture)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (transforms.RandomHorizontalFlip(p=1.0), RAMP[:, ::-1]),
        (transforms.RandomVerticalFlip(p=1.0), RAMP[::-1]),
        (transforms.RandomHorizontalFlip(p=0.0), RAMP),
        (transforms.CenterCrop((3, 2)), RAMP[1:4, 1:3]),
        (transforms.Pad((1, 2), fill=9), np.pad(RAMP, ((2, 2), (1, 1), (0, 0)), constant_values=9)),
        (transforms.RandomCrop((5, 4)), RAMP),
        (transforms.RandomApply([transforms.RandomVerticalFlip(1.0)], p=1.0), RAMP[::-1]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_forms_of_a_picture_are_changed_alike(transform, expected):
    for picture in forms():
        changed = transform(picture)
        assert type(changed) is type(picture) or not isinstance(picture, (np.ndarray, tg.Tensor))
        np.testing.assert_array_equal(pixels(changed), expected)


def test_to_tensor_and_normalize():
    y = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.25, 0.5, 1.0))])(RAMP)
    expected = (np.moveaxis(RAMP, -1, 0) / 255 - 0.5) / np.array([0.25, 0.5, 1.0]).reshape(3, 1, 1)
    assert y.dtype == torch.float32
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-5)
    with pytest.raises(tg.DtypeError, match="ToTensor"):
        transforms.Normalize((0.5,), (0.5,))(RAMP)
    with pytest.raises(tg.ShapeError, match="2 means"):
        transforms.Normalize((0.5, 0.5), (1, 1))(y)
    assert transforms.ToTensor()(RAMP[:, :, 0]).shape == (1, 5, 4)


def test_random_transforms_follow_the_seed():
    chain = transforms.Compose(
        [transforms.RandomCrop(4, padding=2), transforms.ColorJitter(0.5, 0.5, 0.5, 0.2), transforms.ToTensor(),
         transforms.RandomErasing(p=0.5)]
    )  # fmt: skip

    def run():
        torch.manual_seed(3)
        return [chain(RAMP).tolist() for _ in range(4)]

    first = run()
    assert first == run() and len({str(one) for one in first}) > 1 and np.shape(first) == (4, 3, 4, 4)


def test_pictures_that_need_pillow():
    _, tensor, picture = forms()
    turned = transforms.RandomRotation((90, 90))(picture.resize((5, 5)))
    np.testing.assert_array_equal(np.asarray(turned), np.rot90(np.asarray(picture.resize((5, 5)))))
    assert transforms.Resize(10)(picture).size == (10, 12) and transforms.Resize((2, 3))(tensor.float()).shape == (
        3,
        2,
        3,
    )
    assert transforms.RandomResizedCrop(6)(picture).size == (6, 6)
    assert np.asarray(transforms.Grayscale()(picture)).shape == (5, 4)
    np.testing.assert_array_equal(pixels(transforms.ToPILImage()(transforms.ToTensor()(picture))), RAMP)


def test_data_sets(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    fake = datasets.FakeData(6, (3, 8, 8), num_classes=4, transform=transforms.ToTensor())
    x, y = next(iter(torch.utils.data.DataLoader(fake, batch_size=6)))
    assert x.shape == (6, 3, 8, 8) and y.max().item() < 4 and torch.equal(fake[2][0], x[2])
    for name, colour in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 3), (colour, 0, 0)).save(tmp_path / name / "1.png")
    folder = datasets.ImageFolder(tmp_path, transform=transforms.ToTensor(), target_transform=lambda t: t + 10)
    assert folder.classes == ["cat", "dog"] and len(folder) == 2
    picture, target = folder[1]
    assert picture.shape == (3, 3, 4) and target == 11 and picture[0].max().item() == pytest.approx(200 / 255)
    with pytest.raises(tg.MissingDataError):
        datasets.ImageFolder(tmp_path / "cat")


def test_mnist_reads_what_the_readers_read(monkeypatch):
    images = np.linspace(0, 1, 3 * 784, dtype=np.float32).reshape(3, 1, 28, 28)
    reader = staticmethod(lambda root, train, download: (np.rint(images * 255) / np.float32(255), np.array([7, 1, 4])))
    monkeypatch.setattr(datasets.MNIST, "_read", reader)
    digits = datasets.MNIST("data", train=False, download=True, transform=transforms.ToTensor())
    assert (
        digits.data.shape == (3, 28, 28) and digits.data.dtype == torch.uint8 and digits.targets.tolist() == [7, 1, 4]
    )
    picture, label = digits[0]
    assert label == 7 and picture.shape == (1, 28, 28)
    np.testing.assert_allclose(picture.numpy(), np.rint(images[0] * 255) / 255, rtol=1e-6)


def test_grids_and_models(tmp_path):
    grid = utils.make_grid(torch.ones(5, 1, 4, 6), nrow=3, padding=2)
    assert grid.shape == (3, 14, 26) and grid.sum().item() == 3 * 5 * 24
    assert utils.make_grid(torch.arange(24.0).view(1, 1, 4, 6), normalize=True).max().item() == 1
    pytest.importorskip("PIL")
    utils.save_image(torch.ones(2, 3, 4, 4), tmp_path / "grid.png")
    assert (tmp_path / "grid.png").stat().st_size > 0
    assert isinstance(models.alexnet(num_classes=5), tg.nn.Module)
    with pytest.raises(tg.ArgumentError, match="load_state_dict"):
        models.resnet18(pretrained=True)
    with pytest.raises(AttributeError, match=r"no torch\.vision\.models\.mobilenet_v2"):
        models.mobilenet_v2()
