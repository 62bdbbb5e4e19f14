import json
import platform

import matplotlib.image
import numpy as np
import pytest
import torch

import deis as library
from deis import NonFiniteError, sample
from deis.cli.options import parse_seeds
from deis.study.images import image_grid
from deis.zoo import load
from deis.zoo.weights import load_classifier, load_images

FILES = {"samples.png", "samples.npz", "sample.json"}
EXACT = "sample --model digits-exact --nfe 4 --seeds 0-5 --outdir"


def numbers(folder):
    with np.load(folder / "samples.npz") as file:
        return file["samples"], file["seeds"]


def record(folder):
    return json.loads((folder / "sample.json").read_text())


def test_samples_are_those_of_the_library(deis, tmp_path):
    result = deis(EXACT, tmp_path / "new" / "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == FILES
    samples, seeds = numbers(tmp_path / "new" / "out")
    model = load("digits-exact")
    expected = sample(
        model.ode(), model.shape, range(6), nfe=4, integrator="default", grid="default", dtype=torch.float64
    )
    assert seeds.tolist() == list(range(6))
    assert np.array_equal(samples, expected.x.numpy())


def test_every_option_is_recorded_with_versions_and_timings(deis, tmp_path):
    deis(f"{EXACT} {tmp_path} --integrator tab1:corrector=true --label 3 --grid t1.5 --dtype float32")
    content = record(tmp_path)
    assert content["options"] == {
        "model": "digits-exact",
        "integrator": "tab1:corrector=true",
        "nfe": 4,
        "denoise": False,
        "label": 3,
        "guidance": 1.0,
        "grid": "t1.5",
        "seeds": "0-5",
        "batch": 64,
        "device": "cpu",
        "dtype": "float32",
        "outdir": str(tmp_path),
        "force": False,
    }
    assert "corrector=True" in content["integrator"]
    assert content["grid"] == "PowerGrid(clock='t', power=1.5, shift=1.0)"
    assert content["nfe"] == 4
    assert 0 < content["seconds_in_network"] <= content["seconds"]
    assert content["versions"]["deis"] == library.__version__
    assert content["versions"]["torch"] == torch.__version__
    assert content["versions"]["python"] == platform.python_version()
    assert content["versions"]["numpy"] == np.__version__


def test_the_last_call_may_denoise(deis, tmp_path):
    deis(f"{EXACT} {tmp_path} --denoise")
    model = load("digits-exact")
    options = {"nfe": 4, "integrator": "default", "grid": "default", "dtype": torch.float64}
    expected = sample(model.ode(), model.shape, range(6), denoise=True, **options)
    assert np.array_equal(numbers(tmp_path)[0], expected.x.numpy())
    assert record(tmp_path)["nfe"] == 4
    assert record(tmp_path)["options"]["denoise"] is True
    assert record(tmp_path)["integrator"].startswith("Denoised(")
    result = deis(f"sample --denoise --integrator dopri5 --outdir {tmp_path / 'other'}")
    assert (result.exit_code, "method must have a plan" in result.stderr) == (2, True)


def test_two_runs_write_the_same_bytes(deis, tmp_path):
    for name in ("a", "b"):
        deis(EXACT, tmp_path / name, "--integrator", "sddim")
    for file in ("samples.png", "samples.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("integrator", ["tab3", "sddim"])
def test_samples_do_not_depend_on_the_batch(deis, tmp_path, integrator):
    for batch in (1, 4, 64):
        deis(EXACT, tmp_path / str(batch), "--batch", batch, "--integrator", integrator)
    whole, _ = numbers(tmp_path / "64")
    for batch in (1, 4):
        assert np.abs(numbers(tmp_path / str(batch))[0] - whole).max() < 1e-9
        assert record(tmp_path / str(batch))["nfe"] == 4


def test_labels_choose_the_class(deis, tmp_path):
    deis(f"sample --model digits-exact --nfe 10 --seeds 0-7 --label 3 --outdir {tmp_path}")
    samples, _ = numbers(tmp_path)
    images, labels = load_images()
    distances = torch.cdist(torch.from_numpy(samples).float().flatten(1), images.flatten(1))
    assert (labels[distances.argmin(1)] == 3).all()


def test_without_a_label_the_trained_network_draws_every_digit_by_its_seed(deis, tmp_path):
    deis(f"sample --nfe 10 --seeds 20-39,7 --batch 8 --outdir {tmp_path}")
    samples = torch.from_numpy(np.load(tmp_path / "samples.npz")["samples"])
    digits = load_classifier()(samples).argmax(1)
    expected = torch.tensor([*range(10), *range(10), 7])
    assert (digits == expected).double().mean() > 0.9


def test_the_trained_network_takes_labels_and_guidance(deis, tmp_path):
    assert deis(f"sample --seeds 0-15 --nfe 8 --label 3 --guidance 2 --outdir {tmp_path}").exit_code == 0
    samples, _ = numbers(tmp_path)
    assert samples.dtype == np.float32
    found = load_classifier()(torch.from_numpy(samples)).argmax(1)
    assert (found == 3).float().mean() > 0.9


def test_dopri5_chooses_its_calls(deis, tmp_path):
    result = deis(
        f"sample --model digits-exact --integrator dopri5:rtol=1e-2 --seeds 0-2 --batch 2 --outdir {tmp_path}"
    )
    assert result.exit_code == 0
    assert record(tmp_path)["options"]["nfe"] is None
    assert record(tmp_path)["nfe"] > 6


def test_half_precision_is_stored_as_float32(deis, tmp_path):
    assert deis(EXACT, tmp_path, "--dtype", "bfloat16").exit_code == 0
    assert numbers(tmp_path)[0].dtype == np.float32


def test_the_image_shows_the_samples_enlarged_between_light_lines(deis, tmp_path):
    deis(EXACT, tmp_path)
    image = matplotlib.image.imread(tmp_path / "samples.png")[..., 0]
    assert image.shape == (2 * 66 + 2, 3 * 66 + 2)
    samples, _ = numbers(tmp_path)
    grey = load("digits-exact").images(torch.from_numpy(samples)).numpy()
    assert np.abs(image[68:132, 2:66][::8, ::8] - grey[3]).max() < 0.51 / 255
    assert np.allclose(image[66:68], 0.85, atol=0.51 / 255)


@pytest.mark.parametrize(("count", "shape"), [(1, (66 + 2, 66 + 2)), (5, (134, 200)), (10_000, (901, 901))])
def test_image_grids_are_near_square_and_bounded(count, shape):
    assert image_grid(np.zeros((count, 8, 8), dtype=np.float32)).shape == shape


def test_the_image_shows_no_more_than_can_be_seen(deis, tmp_path):
    deis(f"sample --model digits-exact --integrator euler --nfe 1 --seeds 0-1100 --batch 2000 --outdir {tmp_path}")
    assert matplotlib.image.imread(tmp_path / "samples.png").shape[:2] == (32 * 33 + 1, 32 * 33 + 1)
    assert len(numbers(tmp_path)[0]) == 1101


def test_existing_results_stay_unless_forced(deis, tmp_path, no_network):
    (tmp_path / "sample.json").write_text("precious")
    result = deis(EXACT, tmp_path)
    assert result.exit_code == 1
    assert result.stderr == f"error: {tmp_path} already holds sample.json; choose another folder, or use --force\n"
    assert (tmp_path / "sample.json").read_text() == "precious"


def test_force_replaces_results(deis, tmp_path):
    (tmp_path / "sample.json").write_text("old")
    assert deis(EXACT, tmp_path, "--force").exit_code == 0
    assert record(tmp_path)["nfe"] == 4


def test_folders_that_cannot_be_written_are_found_before_any_work(deis, tmp_path, no_network):
    (tmp_path / "file").write_text("")
    result = deis(EXACT, tmp_path / "file" / "out")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: cannot write to the folder")
    assert result.stderr.count("\n") == 1


def test_failures_are_one_line_and_leave_no_files(deis, tmp_path, monkeypatch):
    def draw(*arguments):
        raise NonFiniteError("the nonlinearity returned NaN")

    monkeypatch.setattr("deis.cli.sample.draw", draw)
    result = deis(EXACT, tmp_path)
    assert (result.exit_code, result.stderr) == (1, "error: the nonlinearity returned NaN\n")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_writing_leaves_no_partial_file(deis, tmp_path, monkeypatch):
    def imsave(file, *rest, **options):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("deis.study.images.imsave", imsave)
    assert deis(EXACT, tmp_path).exit_code == 1
    assert {path.name for path in tmp_path.iterdir()} == {"samples.npz"}


WRONG = {
    "--seeds 5-2": "rise",
    "--seeds a-b": "numbers and ranges",
    "--seeds -1": "numbers and ranges",
    "--seeds 9223372036854775808": "at most 2^63 - 1",
    "--seeds 0-9223372036854775807": "at most 1000000 numbers",
    "--seeds 1,1": "once",
    "--seeds 1,,2": "numbers and ranges",
    "--nfe 0": "--nfe",
    "--nfe ten": "--nfe",
    "--label 10": "label must be a whole number from 0 to 9, got 10",
    "--label 3 --guidance 2": "takes no guidance",
    "--guidance nan": "guidance must be a number",
    "--guidance 2": "give a label",
    "--integrator tab": "near it: tab0, tab1, tab2, tab3",
    "--integrator tab3:corector=true": "near it: corrector",
    "--integrator tab3:steps=9": "steps must be a whole number from 1 to 6",
    "--integrator tab3:predict=x1": "x1",
    "--integrator tab3:clock=time": "has no clock 'time'",
    "--integrator rhork-heun2 --nfe 5": "ask for 4 or 6",
    "--integrator dopri5 --nfe 5": "leave --nfe out",
    "--grid t2x": "no grid named 't2x'",
    "--grid log:power=2": "power must be 1",
    "--model digit": "near it: digits",
    "--model digits:x=1": "digits takes no options, got 'x'; write digits",
    "--batch 0": "--batch",
    "--device nowhere": "device must be one that this machine has",
    "--device meta": "device must be one that this machine has",
    "--dtype int8": "--dtype",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, no_network, words):
    result = deis(f"sample --model digits-exact --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_the_folder_has_a_default(deis, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert deis("sample --model digits-exact --nfe 2 --seeds 1").exit_code == 0
    assert {path.name for path in (tmp_path / "deis-results" / "sample").iterdir()} == FILES


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", (3,)), ("0-2", (0, 1, 2)), ("1, 5,9-10", (1, 5, 9, 10)), ("7-7", (7,))]
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


def test_an_empty_folder_name_is_refused(deis, tmp_path, monkeypatch, no_network):
    monkeypatch.chdir(tmp_path)
    result = deis("sample --model digits-exact --outdir", "")
    assert result.exit_code == 2
    assert "--outdir" in result.stderr
    assert "must name a folder" in result.stderr
    assert list(tmp_path.iterdir()) == []
