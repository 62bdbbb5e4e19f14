"""The models of the zoo: what they are, and what they refuse."""

import pytest
import torch

import deis
from deis.errors import ArgumentError, CapabilityError, UnknownNameError
from deis.zoo.weights import load_classifier, load_images, load_unet


@pytest.fixture(params=list(deis.zoo.MODELS))
def model(request):
    return deis.zoo.load(request.param)


def test_a_model_is_sampled_in_its_own_shape_and_precision(model):
    solution = deis.sample(model.ode(), model.shape, [0, 1, 2], nfe=5, dtype=model.dtype)
    assert solution.x.shape == (3, *model.shape)
    assert solution.x.dtype == model.dtype
    images = model.images(solution.x)
    assert images.shape == (3, 8, 8)
    assert 0 <= images.min() < images.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_network_takes_states_of_any_precision(dtype):
    model = deis.zoo.load("digits")
    assert deis.sample(model.ode(3), model.shape, [0], nfe=5, dtype=dtype).x.dtype == dtype


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_samples_of_a_label_are_that_digit(guidance):
    model = deis.zoo.load("digits")
    x = deis.sample(model.ode(7, guidance), model.shape, range(32), nfe=10).x
    assert (load_classifier()(x).argmax(1) == 7).float().mean() > 0.9


def test_a_label_a_sample_is_taken():
    model = deis.zoo.load("digits")
    labels = model.labels(range(5, 25))
    x = deis.sample(model.ode(labels), model.shape, range(5, 25), nfe=10).x
    assert labels == [seed % 10 for seed in range(5, 25)]
    assert (load_classifier()(x).argmax(1) == torch.tensor(labels)).float().mean() > 0.9


def test_the_exact_model_covers_all_classes_and_takes_one_label_at_a_time():
    model = deis.zoo.load("digits-exact")
    assert model.labels([0, 1]) is None
    with pytest.raises(CapabilityError, match="takes one label for all samples"):
        model.ode([0, 1])


def test_guidance_costs_no_further_evaluations_and_changes_the_samples():
    model = deis.zoo.load("digits")
    plain, guided = (deis.sample(model.ode(7, scale), model.shape, [0], nfe=5) for scale in (1.0, 3.0))
    assert plain.nfe == guided.nfe == 5
    assert not torch.allclose(plain.x, guided.x, atol=1e-3)


def test_the_exact_model_of_a_label_knows_that_digit_only():
    model = deis.zoo.load("digits-exact")
    x = deis.sample(model.ode(4), model.shape, range(16), nfe=20, dtype=torch.float64).x
    images, labels = load_images()
    nearest = torch.cdist(x.flatten(1), images.double().flatten(1)).argmin(1)
    assert (labels[nearest] == 4).all()


@pytest.mark.parametrize("label", [-1, 10, 2.5, True, "3", [0, 10]])
def test_labels_that_do_not_exist_are_refused(model, label):
    with pytest.raises(ArgumentError, match="label must be a whole number from 0 to 9"):
        model.ode(label)


@pytest.mark.parametrize("guidance", [-1, float("nan"), "2"])
def test_guidance_that_is_no_strength_is_refused(model, guidance):
    with pytest.raises(ArgumentError, match="guidance must be a number of at least 0"):
        model.ode(3, guidance)


def test_guidance_without_a_label_is_refused(model):
    with pytest.raises(ArgumentError, match="guidance must be 1 without a label"):
        model.ode(None, 2.0)


def test_the_exact_model_takes_no_guidance():
    with pytest.raises(CapabilityError, match="takes no guidance"):
        deis.zoo.load("digits-exact").ode(3, 2.0)


def test_near_misses_of_names_are_shown():
    with pytest.raises(UnknownNameError, match="no model named 'digit'; near it: digits"):
        deis.zoo.load("digit")


def test_the_trained_network_predicts_noise_it_has_not_seen():
    images, labels = load_images()
    schedule = deis.VPLinear()
    generator = torch.Generator().manual_seed(1)
    eps = torch.randn(images.shape, generator=generator)
    t = torch.full((len(images),), 0.3)
    alpha, sigma = (float(f(torch.tensor(0.3, dtype=torch.float64))) for f in (schedule.alpha, schedule.sigma))
    error = (load_unet()(alpha * images + sigma * eps, t, labels) - eps).square().mean()
    assert error < 0.1  # predicting nothing costs 1
