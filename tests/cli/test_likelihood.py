import csv
import json
import math

import numpy as np
import pytest
import torch

from deis import ArgumentError, log_likelihood
from deis.cli.likelihood import parse_width, spread
from deis.zoo import load
from deis.zoo.weights import load_images

FILES = {"likelihood.csv", "likelihood.json"}
EXACT = "likelihood --model digits-exact --nfe 6 --count 3 --outdir"


def table(folder):
    with (folder / "likelihood.csv").open() as file:
        return list(csv.DictReader(file))


def column(folder, name):
    return np.array([float(row[name]) for row in table(folder)])


def record(folder):
    return json.loads((folder / "likelihood.json").read_text())


def test_the_table_is_that_of_the_library(deis, tmp_path):
    result = deis(EXACT, tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == FILES
    x = spread(load_images()[0][:3].double(), 1 / 8)
    expected = log_likelihood(load("digits-exact").ode(), x, nfe=6)
    assert column(tmp_path, "nats") == pytest.approx(expected.log_density.numpy())
    assert column(tmp_path, "bits_per_dim") == pytest.approx(expected.bits_per_dim(1 / 8).numpy())
    assert [row["image"] for row in table(tmp_path)] == ["0", "1", "2"]


def test_it_prints_mean_and_standard_error(deis, tmp_path):
    result = deis(EXACT, tmp_path)
    bits = column(tmp_path, "bits_per_dim")
    error = bits.std(ddof=1) / math.sqrt(3)
    assert f"{bits.mean():.4g} +- {error:.2g} bits per dimension" in result.stdout
    assert "3 images in 6 network calls each" in result.stdout
    alone = deis("likelihood --model digits-exact --nfe 6 --count 1 --outdir", tmp_path / "one")
    assert "+-" not in alone.stdout


def test_everything_is_recorded(deis, tmp_path):
    deis(EXACT, tmp_path, "--divergence", "hutchinson", "--probes", 3)
    content = record(tmp_path)
    chosen = {"count": 3, "divergence": "hutchinson", "probes": 3, "bin_width": "1/8", "nfe": 6, "grid": "vp-t2"}
    assert chosen.items() <= content["options"].items()
    assert content["integrator"] == "RhoRungeKutta(tableau='kutta3', clock='vp_t')"
    assert content["nfe"] == 6
    assert content["nats"]["each"] == pytest.approx(column(tmp_path, "nats"))
    assert content["bits_per_dim"]["mean"] == pytest.approx(column(tmp_path, "bits_per_dim").mean())


@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
def test_results_do_not_depend_on_the_batch(deis, tmp_path, divergence):
    for batch in (2, 64):
        deis(EXACT, tmp_path / str(batch), "--batch", batch, "--divergence", divergence)
    assert column(tmp_path / "2", "nats") == pytest.approx(column(tmp_path / "64", "nats"), rel=1e-9)


def test_continuous_data_are_taken_as_they_are(deis, tmp_path):
    deis(f"sample --model digits-exact --nfe 10 --seeds 0-2 --outdir {tmp_path / 'a'}")
    given = tmp_path / "a" / "samples.npz"
    assert deis(EXACT, tmp_path / "b", "--images", given, "--bin-width", 0).exit_code == 0
    with np.load(given) as file:
        expected = log_likelihood(load("digits-exact").ode(), torch.from_numpy(file["samples"]), nfe=6)
    assert column(tmp_path / "b", "nats") == pytest.approx(expected.log_density.numpy())
    assert column(tmp_path / "b", "bits_per_dim") == pytest.approx(expected.bits_per_dim().numpy())


def test_noise_fills_the_bins_evenly_and_belongs_to_the_sample():
    x = torch.zeros(400, 8, dtype=torch.float64)
    noise = spread(x, 0.25)
    assert float(noise.abs().max()) <= 0.125
    assert float(noise.std()) == pytest.approx(0.25 / math.sqrt(12), rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=0.005)
    assert torch.equal(spread(x[:5], 0.25), noise[:5])
    assert torch.equal(spread(x, 0.0), x)


def test_the_trained_network_finds_digits_likelier_than_noise(deis, tmp_path):
    words = "likelihood --divergence hutchinson --count 4 --nfe 18 --outdir"
    assert deis(words, tmp_path / "digits").exit_code == 0
    noise = np.random.default_rng(0).uniform(-1, 1, (4, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "noise.npz", samples=noise)
    assert deis(words, tmp_path / "noise", "--images", tmp_path / "noise.npz").exit_code == 0
    digits, noise = (column(tmp_path / name, "bits_per_dim") for name in ("digits", "noise"))
    assert digits.max() < math.log2(17) < noise.min()  # bits of 17 levels chosen blindly


def test_existing_results_stay_unless_forced(deis, tmp_path, no_network):
    (tmp_path / "likelihood.csv").write_text("precious")
    assert deis(EXACT, tmp_path).exit_code == 1
    assert (tmp_path / "likelihood.csv").read_text() == "precious"


WRONG = {
    "--divergence hutchison": "--divergence",
    "--probes 0": "--probes",
    "--bin-width -1": "--bin-width",
    "--bin-width nan": "bin-width must be a number from 0",
    "--bin-width 1/0": "bin-width must be a number from 0",
    "--dtype bfloat16": "dtype must be float32 or float64 for likelihoods",
    "--integrator sddim": "integrator must be deterministic",
    "--nfe 10": "ask for 9 or 12",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, no_network, words):
    result = deis(f"likelihood --model digits-exact --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_help_has_an_example(deis):
    assert "deis likelihood --model digits --count 64" in deis("likelihood --help").stdout


@pytest.mark.parametrize("text", ["1e999999999", "1/0", "nan", "-1", "1_000", "", "0x10", "2/256/2", "1e7"])
def test_widths_that_are_none_are_refused_at_once(text):
    with pytest.raises(ArgumentError, match="bin-width must be a number from 0 to 1000000"):
        parse_width(text)


@pytest.mark.parametrize(("text", "width"), [("1/8", 0.125), ("0", 0.0), (".5", 0.5), ("2.5e-3", 0.0025)])
def test_widths_are_numbers_and_fractions(text, width):
    assert parse_width(text) == width


def test_probes_without_hutchinson_are_refused(deis, tmp_path):
    result = deis("likelihood --probes 3 --outdir", tmp_path / "out")
    assert result.exit_code == 2
    assert "--probes belongs to --divergence hutchinson; leave it out" in result.stderr
    assert not (tmp_path / "out").exists()
