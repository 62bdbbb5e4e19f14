import json

import matplotlib.image
import numpy as np
import pytest
import torch

from deis import interpolate, make_grid, sample
from deis.zoo import load

FILES = {"interpolate.npz", "interpolate.png", "interpolate.json"}
EXACT = "interpolate --model digits-exact --nfe 6 --count 5 --outdir"


def arrays(folder):
    with np.load(folder / "interpolate.npz") as file:
        return file["samples"], file["latents"]


def test_a_path_joins_the_samples_of_two_seeds(deis, tmp_path):
    result = deis(EXACT, tmp_path, "--seeds", "3,8")
    assert (result.exit_code, result.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == FILES
    model = load("digits-exact")
    ends = sample(model.ode(), model.shape, [3, 8], nfe=6, dtype=torch.float64).x.numpy()
    samples, latents = arrays(tmp_path)
    assert samples.shape == latents.shape == (5, 1, 8, 8)
    assert np.abs(samples[[0, -1]] - ends).max() < 1e-9
    assert np.abs(samples[2] - ends).max() > 0.1
    assert "5 samples on a path in 6 network calls" in result.stdout


def test_latents_change_their_norm_linearly(deis, tmp_path):
    deis(EXACT, tmp_path)
    norms = np.linalg.norm(arrays(tmp_path)[1].reshape(5, -1), axis=1)
    assert np.allclose(norms, np.linspace(norms[0], norms[-1], 5))


def test_a_path_joins_the_first_two_samples_of_a_file(deis, tmp_path):
    x = 0.5 * np.random.default_rng(0).standard_normal((3, 1, 8, 8))
    np.savez(tmp_path / "given.npz", samples=x)
    assert deis(EXACT, tmp_path / "out", "--images", tmp_path / "given.npz").exit_code == 0
    a, b = torch.from_numpy(x[:2, None])
    path = interpolate(load("digits-exact").ode(), a, b, 5, nfe=6)
    samples, latents = arrays(tmp_path / "out")
    assert np.abs(samples - path.x[:, 0].numpy()).max() < 1e-9
    assert np.abs(latents - path.latents[:, 0].numpy()).max() < 1e-9
    assert json.loads((tmp_path / "out" / "interpolate.json").read_text())["nfe"] == 12


def test_results_do_not_depend_on_the_batch(deis, tmp_path):
    for batch in (2, 64):
        deis(EXACT, tmp_path / str(batch), "--batch", batch)
    assert np.abs(arrays(tmp_path / "2")[0] - arrays(tmp_path / "64")[0]).max() < 1e-9


def test_what_was_done_is_recorded(deis, tmp_path):
    deis(EXACT, tmp_path)
    content = json.loads((tmp_path / "interpolate.json").read_text())
    assert content["options"]["seeds"] == "0,1"
    assert content["options"]["images"] is None
    assert content["options"]["count"] == 5
    assert content["grid"] == repr(make_grid("default"))
    assert content["nfe"] == 6


def test_the_picture_is_one_row(deis, tmp_path):
    deis(EXACT, tmp_path)
    picture = matplotlib.image.imread(tmp_path / "interpolate.png")[..., 0]
    assert picture.shape == (66 + 2, 5 * 66 + 2)
    grey = load("digits-exact").images(torch.from_numpy(arrays(tmp_path)[0])).numpy()
    assert np.abs(picture[2:66, 2 + 66 * 3 :][:, :64][::8, ::8] - grey[3]).max() < 0.51 / 255


def test_the_trained_network_takes_a_label(deis, tmp_path):
    assert deis(f"interpolate --label 3 --nfe 8 --count 3 --outdir {tmp_path}").exit_code == 0
    assert arrays(tmp_path)[0].dtype == np.float32


WRONG = {
    "--seeds 1": "seeds must be two, got '1'; for example 0,1",
    "--seeds 1-3": "seeds must be two",
    "--seeds 2,2": "once",
    "--seeds 1,x": "numbers and ranges",
    "--count 1": "--count",
    "--integrator sddim": "integrator must be deterministic",
    "--integrator rhork-kutta3 --nfe 10": "ask for 9 or 12",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, no_network, words):
    result = deis(f"interpolate --model digits-exact --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"), [([], "images must hold two samples, got 1"), (["--seeds", "0,1"], "exclude each other")]
)
def test_one_image_or_both_kinds_of_ends_make_no_path(deis, tmp_path, no_network, more, message):
    np.savez(tmp_path / "given.npz", samples=np.ones((1, 1, 8, 8)))
    result = deis(EXACT, tmp_path / "out", "--images", tmp_path / "given.npz", *more)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_help_has_an_example(deis):
    assert "deis interpolate --model digits --seeds 3,8" in deis("interpolate --help").stdout
