"""The further models that samplers are checked on: trained, as recorded, and what they say they are."""

import json
import math
import sys
from pathlib import Path

import attrs
import pytest
import torch

import deis

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the models are no part of the package

from benchmarks.models import load, train  # noqa: E402
from benchmarks.models.model import WEIGHTS  # noqa: E402

NAMES = ("plane", "patches")
RECORD = json.loads(train.RESULTS.read_text())


@pytest.fixture(scope="module")
def data():
    """Both data sets."""
    return {name: load(name).data() for name in NAMES}


def denoised(model, samples, t):
    """x0 as the network sees it in noise of time ``t``, and the noisy states."""
    time = torch.tensor(t, dtype=torch.float64)
    alpha, sigma = float(model.schedule.alpha(time)), float(model.schedule.sigma(time))
    x = alpha * samples + sigma * torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    return model.ode().split("x0").nonlinearity(t, x), x, alpha, sigma


@pytest.mark.parametrize("name", NAMES)
def test_models_come_ready_for_sampling(name, data):
    model = load(name)
    assert data[name].train.shape[1:] == model.shape
    assert not model.network.training
    assert not any(parameter.requires_grad for parameter in model.network.parameters())
    for dtype in (torch.float32, torch.float64):
        value = model.ode().nonlinearity(model.schedule.t_max / 2, torch.randn(3, *model.shape, dtype=dtype))
        assert value.shape == (3, *model.shape)
        assert value.dtype == dtype
        assert value.isfinite().all()


def test_a_name_that_does_not_exist_is_refused():
    with pytest.raises(deis.UnknownNameError, match="no model named 'plan'; near it: plane"):
        load("plan")


def test_all_weights_together_are_small():
    files = list(WEIGHTS.iterdir())
    assert {file.name for file in files} == {f"{name}.safetensors" for name in NAMES}
    assert sum(file.stat().st_size for file in files) < 4_000_000


def test_the_table_of_the_patches_is_a_quarter_cosine_with_its_last_step_held_back():
    abar = load("patches").schedule.alphas_cumprod
    angles = [(i / 1000 + 0.008) / 1.008 * math.pi / 2 for i in range(1001)]
    exact = [math.cos(angle) ** 2 / math.cos(angles[0]) ** 2 for angle in angles[1:-1]]
    torch.testing.assert_close(abar[:-1], torch.tensor(exact, dtype=torch.float64), rtol=1e-10, atol=0)
    assert float(abar[-1] / abar[-2]) == pytest.approx(1 - 0.999)


def test_the_patches_are_windows_of_the_photographs(data):
    from sklearn.datasets import load_sample_images

    photograph = torch.from_numpy(load_sample_images().images[0].copy()).double()
    window = photograph[:24, :24].reshape(12, 2, 12, 2, 3).mean(dim=(1, 3, 4)) / 127.5 - 1
    torch.testing.assert_close(data["patches"].train[0, 0].double(), window, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "count"), [("plane", 512), pytest.param("patches", 128, marks=pytest.mark.slow)])
def test_samples_have_the_mean_spread_and_correlation_of_the_data(name, count, data):
    model, train_set = load(name), data[name].train
    solution = deis.sample(model.ode(), model.shape, range(count), nfe=50, integrator="tab3", grid="vp-t2")
    assert solution.x.isfinite().all()
    samples, known = solution.x.flatten(1), train_set.flatten(1)
    spread = known.std()
    assert (samples.mean() - known.mean()).abs() < 0.1 * spread
    assert samples.std() == pytest.approx(float(spread), rel=0.1)
    # neighbouring coordinates move together as in the data
    assert (samples.T.corrcoef()[0, 1] - known.T.corrcoef()[0, 1]).abs() < 0.1


def test_samples_of_the_plane_lie_on_the_moons(data):
    model = load("plane")
    solution = deis.sample(model.ode(), model.shape, range(512), nfe=50, integrator="tab3", grid="vp-t2")
    distance = torch.cdist(solution.x, data["plane"].train).amin(dim=1)
    assert (distance < 0.1).double().mean() > 0.98  # the moons are about 2 wide, 0.1 thick


@pytest.mark.parametrize(("name", "t"), [("plane", 0.5), ("patches", 400.0)])
def test_denoising_beats_the_best_linear_estimate_on_samples_set_apart(name, t, data):
    model, held_out, known = load(name), data[name].held_out[::20], data[name].train.flatten(1).double()
    x0, x, alpha, sigma = denoised(model, held_out, t)
    # alpha C (alpha^2 C + sigma^2)^-1 (x - alpha m) + m, with mean m and covariance C of the data
    mean, covariance = known.mean(dim=0), known.T.cov()
    noisy = alpha**2 * covariance + sigma**2 * torch.eye(len(covariance), dtype=torch.float64)
    gain = alpha * torch.linalg.solve(noisy, covariance)
    linear = mean + (x.flatten(1).double() - alpha * mean) @ gain
    flat = held_out.flatten(1)
    error, linear_error = ((guess.flatten(1) - flat).square().mean() for guess in (x0, linear))
    assert error < 0.9 * linear_error


@pytest.mark.parametrize("name", ["plane", pytest.param("patches", marks=pytest.mark.slow)])
def test_the_record_is_that_of_the_weights(name, data):
    model, last = load(name), RECORD[name]["history"][-1]
    assert train.fixed_loss(model, model.network, data[name].held_out) == pytest.approx(last["held_out"], rel=1e-3)
    assert RECORD[name]["steps"] == last["step"]
    assert RECORD[name]["parameters"] == sum(parameter.numel() for parameter in model.network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_record_names_the_recipe(name):
    assert {key: RECORD[name][key] for key in attrs.asdict(train.RECIPES[name])} == attrs.asdict(train.RECIPES[name])


def test_training_learns(data, monkeypatch):
    monkeypatch.setattr(train, "FIXED", 1024)
    model = load("plane")
    recipe = train.Recipe(steps=100, batch=256, rate=2e-3, warmup=10, mean_decay=0.9)
    network, record = train.train(model, recipe, seed=1)
    losses = [entry["held_out"] for entry in record["history"]]
    assert losses[-1] < losses[0]
    assert train.fixed_loss(model, network, data["plane"].held_out) == losses[-1]
