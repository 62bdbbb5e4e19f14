import attrs
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from deis import DiagonalODE, OutputError, PolynomialEIAB, SampleNoise, TimeGrid
from deis.tuning.ensemble import Ensemble
from deis.tuning.pairs import make_pairs
from deis.tuning.progress import Progress
from deis.tuning.trainable import Trainable
from deis.tuning.training import Training

ODE = DiagonalODE(-1.0, lambda t, x: x.sin())
TRAINABLE = Trainable(PolynomialEIAB(steps=2), ODE, TimeGrid([0.0, 0.3, 0.6, 1.0]))
TRAINING = Training(iterations=7)


def solved(seeds, ode=ODE):
    return make_pairs(Ensemble(lambda s: ode, lambda s: SampleNoise(s).initial((2,), torch.float64)), seeds, 24)


PAIRS, APART = solved(range(4)), solved(range(10, 13))


UNITS = torch.randn(TRAINABLE.size, TRAINABLE.size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def begun():
    return Progress.begun(TRAINABLE, PAIRS, APART, TRAINING, UNITS)


def resumed(path, trainable=TRAINABLE, pairs=PAIRS, apart=APART, training=TRAINING):
    return Progress.resumed(path, trainable, pairs, apart, training)


def advanced(path):
    """Progress that has been made, and is kept in a file."""
    progress, generator = begun(), torch.Generator().manual_seed(0)
    for n in range(3):
        progress.parameters.grad = torch.randn(TRAINABLE.size, generator=generator, dtype=torch.float64)
        progress.step(0.1)
        progress.look(-1.0 - n, -0.1 / 3 * n)
    progress.save(path)
    return progress


def same(one, other):
    names = ("units", "parameters", "best", "mean", "square")
    tensors = all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)
    return tensors and (one.key, one.iteration, one.history) == (other.key, other.iteration, other.history)


def test_it_begins_at_zero():
    progress = begun()
    assert (progress.iteration, progress.history) == (0, [])
    assert not progress.parameters.detach().any()
    assert progress.parameters.requires_grad
    assert torch.equal(progress.units, UNITS)


def test_steps_are_those_of_adam():
    progress, generator = begun(), torch.Generator().manual_seed(1)
    expected, mean, square = (torch.zeros(TRAINABLE.size, dtype=torch.float64) for _ in range(3))
    for n in range(1, 7):  # algorithm 1 of arXiv 1412.6980
        grad = torch.randn(TRAINABLE.size, generator=generator, dtype=torch.float64)
        mean, square = 0.9 * mean + 0.1 * grad, 0.95 * square + 0.05 * grad**2
        expected = expected - (0.1 / n) * (mean / (1 - 0.9**n)) / ((square / (1 - 0.95**n)).sqrt() + 1e-8)
        progress.parameters.grad = grad
        progress.step(0.1 / n)
        torch.testing.assert_close(progress.parameters.detach(), expected, rtol=1e-11, atol=1e-13)


def test_the_parameters_with_the_least_errors_set_apart_are_kept():
    progress = begun()
    for value, apart in ((1.0, -1.0), (2.0, -3.0), (3.0, -2.0), (4.0, float("inf")), (5.0, -3.0)):
        progress.parameters = torch.full((TRAINABLE.size,), value, dtype=torch.float64)
        progress.look(0.0, apart)
    assert progress.best.unique().tolist() == [2.0]


@pytest.mark.parametrize("apart", [float("inf"), float("nan")])
def test_what_overflows_is_never_the_best(apart):
    progress = begun()
    progress.parameters = torch.ones(TRAINABLE.size, dtype=torch.float64)
    progress.look(0.0, apart)
    assert not progress.best.any()


@pytest.mark.parametrize(
    ("apart", "ended"),
    [
        ([], False),
        ([3, 2, 1], False),
        ([1, 2], False),
        ([1, 2, 3], True),
        ([3, 1, 2], False),
        ([3, 1, 2, 1.5], True),
        ([1, 1, 1], True),
        ([float("inf")] * 3, True),
    ],
)
def test_it_ends_after_looks_without_progress(apart, ended):
    progress = begun()
    for value in apart:
        progress.look(0.0, value)
    assert progress.ended(100, patience=2) == ended


def test_it_ends_after_all_iterations():
    progress = begun()
    progress.iteration = 6
    assert not progress.ended(7, patience=2)
    progress.iteration = 7
    assert progress.ended(7, patience=2)


def test_what_is_kept_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "state"
    kept, back = advanced(path), resumed(path)
    assert same(kept, back)
    assert torch.equal(back.units @ back.parameters, kept.units @ kept.parameters)
    for progress in (kept, back):
        progress.parameters.grad = torch.ones(TRAINABLE.size, dtype=torch.float64)
        progress.step(0.05)
    assert same(kept, back)


def test_without_a_path_nothing_is_taken_up():
    assert resumed(None) is None


def test_nothing_is_kept_without_a_path(tmp_path):
    begun().save(None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(OutputError):
        begun().save(tmp_path / "no" / "state")


@pytest.mark.parametrize("content", [b"", b"nonsense", None, "cut"])
def test_a_damaged_file_is_started_anew(tmp_path, content):
    path = tmp_path / "state"
    advanced(path)
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
    assert resumed(path) is None


@pytest.mark.parametrize("loss", ["metadata", "tensor", "units", "shape", "dtype"])
def test_a_file_of_another_content_is_started_anew(tmp_path, loss):
    path = tmp_path / "state"
    advanced(path)
    assert resumed(path) is not None
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        about = None if loss == "metadata" else file.metadata()
    if loss == "tensor":
        del tensors["mean"]
    if loss == "units":
        tensors["units"] = tensors["units"][0].clone()
    if loss == "shape":
        tensors["mean"] = tensors["mean"][1:].clone()
    if loss == "dtype":
        tensors["mean"] = tensors["mean"].float()
    save_file(tensors, path, about)
    assert resumed(path) is None


OTHERS = {
    "grid": {"trainable": attrs.evolve(TRAINABLE, grid=TimeGrid([0.0, 0.3, 0.7, 1.0]))},
    "integrator": {"trainable": attrs.evolve(TRAINABLE, integrator=PolynomialEIAB(steps=3))},
    "width": {"trainable": attrs.evolve(TRAINABLE, width=1)},
    "parts": {"trainable": attrs.evolve(TRAINABLE, parts=("grid",))},
    "training": {"training": Training(iterations=8)},
    "features": {"training": attrs.evolve(TRAINING, features=torch.square)},
    "seeds": {"pairs": solved(range(1, 5))},
    "order": {"pairs": solved([1, 0, 2, 3])},
    "model": {"pairs": solved(range(4), DiagonalODE(-1.0, lambda t, x: x.cos()))},
    "apart": {"apart": solved(range(11, 14))},
}


@pytest.mark.parametrize("name", OTHERS)
def test_the_progress_of_another_task_is_not_taken_up(tmp_path, name):
    path = tmp_path / "state"
    advanced(path)
    assert resumed(path) is not None
    assert resumed(path, **OTHERS[name]) is None


def test_features_are_known_by_their_values(tmp_path):
    path = tmp_path / "state"
    one, same_values, other = (
        attrs.evolve(TRAINING, features=features)
        for features in (lambda x: 2 * x.square(), lambda x: x.square() * 2, lambda x: 3 * x.square())
    )
    Progress.begun(TRAINABLE, PAIRS, APART, one, UNITS).save(path)
    assert resumed(path, training=same_values) is not None
    assert resumed(path, training=other) is None
