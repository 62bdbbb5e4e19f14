"""Files that ship with the package: small, whole, and refused when damaged."""

from importlib import resources

import pytest
import safetensors.torch
import torch

from deis.errors import DeisError
from deis.zoo import weights

LOADERS = {
    weights.UNET_FILE: weights.load_unet,
    weights.CLASSIFIER_FILE: weights.load_classifier,
    weights.IMAGES_FILE: weights.load_images,
}


def contents(file: str) -> bytes:
    return resources.files("deis.zoo").joinpath("data", file).read_bytes()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's data that a test may damage."""
    data = tmp_path / "data"
    data.mkdir()
    for file in LOADERS:
        (data / file).write_bytes(contents(file))
    monkeypatch.setattr(weights.resources, "files", lambda package: tmp_path)
    return data


def test_the_network_is_at_most_four_megabytes():
    assert len(contents(weights.UNET_FILE)) <= 4_000_000


def test_networks_come_ready_for_sampling():
    for module in (weights.load_unet(), weights.load_classifier()):
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())


def test_the_images_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = weights.load_images()
    assert torch.equal(images.flatten(1).double(), torch.from_numpy(digits.data) / 8 - 1)
    assert labels.tolist() == digits.target.tolist()


def test_the_classifier_reaches_its_accuracy_on_images_it_has_not_seen():
    images, labels = weights.load_images()
    shifted = torch.roll(images, 1, dims=-1)  # still readable
    classifier = weights.load_classifier()
    assert (classifier(images).argmax(1) == labels).double().mean() >= 0.97
    assert (classifier(shifted).argmax(1) == labels).double().mean() >= 0.9


@pytest.mark.parametrize("file", LOADERS)
@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x00" * 64], ids=["half", "empty", "zeros"]
)
def test_damaged_files_are_named(package, file, damage):
    (package / file).write_bytes(damage(contents(file)))
    with pytest.raises(DeisError, match=file):
        LOADERS[file]()


@pytest.mark.parametrize("file", LOADERS)
def test_missing_files_are_named(package, file):
    (package / file).unlink()
    with pytest.raises(DeisError, match=file):
        LOADERS[file]()


@pytest.mark.parametrize("file", LOADERS)
def test_files_with_other_tensors_are_named(package, file):
    safetensors.torch.save_file({"something": torch.zeros(3)}, package / file)
    with pytest.raises(DeisError, match=file):
        LOADERS[file]()
