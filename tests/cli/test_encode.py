import io
import json
import zipfile

import matplotlib.image
import numpy as np
import pytest
import torch

from deis import reconstruct
from deis.zoo import load
from deis.zoo.weights import load_images

FILES = {"latents.npz", "encode.png", "encode.json"}
EXACT = "encode --model digits-exact --nfe 6 --count 5 --outdir"


def arrays(folder, name="latents.npz"):
    with np.load(folder / name) as file:
        return {key: file[key] for key in file.files}


def saved(path, **values):
    np.savez(path, **values)
    return path


def test_latents_and_reconstructions_are_those_of_the_library(deis, tmp_path):
    result = deis(EXACT, tmp_path / "new" / "out")
    assert (result.exit_code, result.stderr) == (0, "")
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == FILES
    found = arrays(tmp_path / "new" / "out")
    x = load_images()[0][:5].double()
    cycle = reconstruct(load("digits-exact").ode(), x, nfe=6)
    assert np.array_equal(found["samples"], x.numpy())
    assert np.array_equal(found["latents"], cycle.latents.numpy())
    assert np.array_equal(found["reconstructions"], cycle.x.numpy())
    assert np.array_equal(found["error"], cycle.error.numpy())
    assert "5 images there and back in 12 network calls" in result.stdout


def test_every_option_is_recorded(deis, tmp_path):
    deis(EXACT, tmp_path, "--integrator", "tab1", "--grid", "t1.5", "--label", 3, "--dtype", "float32")
    content = json.loads((tmp_path / "encode.json").read_text())
    assert content["options"] == {
        "count": 5,
        "images": None,
        "integrator": "tab1",
        "nfe": 6,
        "model": "digits-exact",
        "label": 3,
        "guidance": 1.0,
        "grid": "t1.5",
        "batch": 64,
        "device": "cpu",
        "dtype": "float32",
        "outdir": str(tmp_path),
        "force": False,
    }
    assert content["integrator"].startswith("PolynomialEIAB(")
    assert content["nfe"] == 12
    assert len(content["error"]) == 5
    assert content["versions"]["torch"] == torch.__version__


def test_the_images_are_those_of_the_label(deis, tmp_path):
    deis(EXACT, tmp_path, "--label", 7)
    images, labels = load_images()
    assert np.array_equal(arrays(tmp_path)["samples"], images[labels == 7][:5].double().numpy())


def test_samples_of_another_command_can_be_encoded(deis, tmp_path):
    deis(f"sample --model digits-exact --nfe 4 --seeds 0-3 --outdir {tmp_path / 'a'}")
    drawn = arrays(tmp_path / "a", "samples.npz")["samples"]
    assert deis(EXACT, tmp_path / "b", "--images", tmp_path / "a" / "samples.npz").exit_code == 0
    assert np.array_equal(arrays(tmp_path / "b")["samples"], drawn)
    content = json.loads((tmp_path / "b" / "encode.json").read_text())
    assert content["options"]["images"] == str(tmp_path / "a" / "samples.npz")


def test_results_do_not_depend_on_the_batch(deis, tmp_path):
    for batch in (2, 64):
        deis(EXACT, tmp_path / str(batch), "--batch", batch)
    a, b = arrays(tmp_path / "2"), arrays(tmp_path / "64")
    assert all(np.abs(a[name] - b[name]).max() < 1e-9 for name in a)


def test_the_trained_network_gets_its_digits_back(deis, tmp_path):
    assert deis(f"encode --count 4 --outdir {tmp_path}").exit_code == 0
    found = arrays(tmp_path)
    assert found["latents"].dtype == np.float32
    assert found["error"].max() < 0.01
    assert 0.7 < found["latents"].std() < 1.3


def test_half_precision_and_methods_that_choose_their_steps_are_taken(deis, tmp_path):
    words = f"encode --model digits-exact --count 2 --integrator dopri5:rtol=1e-2 --dtype bfloat16 --outdir {tmp_path}"
    assert deis(words).exit_code == 0
    assert arrays(tmp_path)["latents"].dtype == np.float32
    content = json.loads((tmp_path / "encode.json").read_text())
    assert content["options"]["nfe"] is None
    assert content["nfe"] > 12


def test_the_picture_has_images_above_latents_above_reconstructions(deis, tmp_path):
    deis("encode --model digits-exact --nfe 50 --count 3 --outdir", tmp_path)
    picture = matplotlib.image.imread(tmp_path / "encode.png")[..., 0]
    assert picture.shape == (3 * 66 + 2, 3 * 66 + 2)
    found, model = arrays(tmp_path), load("digits-exact")
    for row, name in ((0, "samples"), (2, "reconstructions")):
        grey = model.images(torch.from_numpy(found[name])).numpy()
        tile = picture[2 + 66 * row :][:64, 68:132][::8, ::8]
        assert np.abs(tile - grey[1]).max() < 0.51 / 255


def test_existing_results_stay_unless_forced(deis, tmp_path, no_network):
    (tmp_path / "encode.png").write_text("precious")
    result = deis(EXACT, tmp_path)
    assert result.exit_code == 1
    assert "already holds encode.png" in result.stderr
    assert (tmp_path / "encode.png").read_text() == "precious"


WRONG = {
    "--integrator sddim": "integrator must be deterministic",
    "--integrator tab": "near it: tab0",
    "--integrator rhork-heun2 --nfe 5": "ask for 4 or 6",
    "--integrator dopri5 --nfe 5": "nfe must be None",
    "--integrator tab3:clock=time": "has no clock 'time'",
    "--grid t2x": "no grid named",
    "--nfe 0": "--nfe",
    "--count 0": "--count",
    "--label 10": "label must be a whole number from 0 to 9",
    "--images nowhere.npz": "images must be an .npz file with an array 'samples'",
    "--seeds 1,2": "No such option",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, no_network, words):
    result = deis(f"encode --model digits-exact --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


GOOD = np.zeros((2, 1, 8, 8))


def damaged(path):
    content = bytearray(saved(path, samples=np.random.default_rng(0).random((2, 1, 8, 8))).read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)
    return path


def plain_array(path):
    buffer = io.BytesIO()
    np.save(buffer, GOOD)
    path.write_bytes(buffer.getvalue())
    return path


def cut(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("samples.npy", b"\x93NUMPY")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: saved(path, other=GOOD), "with an array 'samples'"),
        (lambda path: saved(path, samples=np.array([{}], dtype=object)), "with an array 'samples'"),
        (lambda path: saved(path, samples=GOOD.astype(np.int64)), "must hold float32 or float64 'samples'"),
        (lambda path: saved(path, samples=GOOD[:0]), "must hold float32 or float64 'samples'"),
        (lambda path: saved(path, samples=np.float64(1.0)), "must hold float32 or float64 'samples'"),
        (lambda path: saved(path, samples=GOOD + np.nan), "must hold finite 'samples'"),
        (lambda path: saved(path, samples=GOOD[:, 0]), "must hold samples of shape (1, 8, 8), as the model has them"),
        (damaged, "with an array 'samples'"),
        (plain_array, "with an array 'samples'"),
        (cut, "with an array 'samples'"),
        (lambda path: (path.write_text("no numbers"), path)[1], "with an array 'samples'"),
        (lambda path: (path.touch(), path)[1], "with an array 'samples'"),
        (lambda path: (path.mkdir(), path)[1], "with an array 'samples'"),
    ],
)
def test_files_that_hold_no_samples_are_refused(deis, tmp_path, no_network, make, message):
    path = make(tmp_path / "given.npz")
    result = deis(EXACT, tmp_path / "out", "--images", path)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_help_has_an_example(deis):
    assert "deis encode --model digits" in deis("encode --help").stdout
