import csv
import json
import re

import matplotlib.image
import pytest

from deis import DeisError, sample
from deis.analysis import geometric_mean_rmse, rmse
from deis.cli.compare import _verdict
from deis.cli.options import parse_budgets, parse_integrators
from deis.study import Request, Result, frechet_to_digits, reference_samples
from deis.study.figures import comparison_figure
from deis.study.measures import digits
from deis.text import listed
from deis.zoo import load

FILES = {"compare.csv", "compare.json", "compare.png"}
SMALL = "compare --model digits-exact --seeds 0-39 --integrators ddim,tab2,rhork-heun2,sddim --nfe 1,5,8 --outdir"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Result and folder of one comparison."""
    from click.testing import CliRunner

    from deis.cli.root import cli

    folder = tmp_path_factory.mktemp("compare")
    result = CliRunner().invoke(cli, [*SMALL.split(), str(folder)])
    assert (result.exit_code, result.stderr) == (0, "")
    return result, folder


def record(folder):
    return json.loads((folder / "compare.json").read_text())


def rows(folder):
    return {(row["integrator"], row["budget"]): row for row in record(folder)["results"]}


def table(text):
    """The numbers of the printed table by (integrator, NFE)."""
    lines = [line.lstrip("* ").split() for line in text.splitlines()]
    return {(line[0], line[1]): line[2:] for line in lines if len(line) == 6 and line[1] != "NFE"}


def test_files_are_written(compared):
    assert {path.name for path in compared[1].iterdir()} == FILES
    assert matplotlib.image.imread(compared[1] / "compare.png").shape[0] == 800


def test_errors_are_those_to_a_converged_solution_of_the_same_noise(compared):
    model = load("digits-exact")
    ode = model.ode()
    request = Request(lambda seeds: ode, model.shape, tuple(range(40)), None, 40, model.dtype, "cpu")
    target = reference_samples(request, nfe=480).x
    x = sample(ode, model.shape, range(40), nfe=8, integrator="tab2", dtype=model.dtype).x
    row = rows(compared[1])["tab2", 8]
    assert row["rmse"] == pytest.approx(rmse(x, target), rel=1e-2)
    assert row["geometric_rmse"] == pytest.approx(geometric_mean_rmse(x, target), rel=1e-2)
    assert row["frechet"] == pytest.approx(frechet_to_digits()(x))


def test_methods_make_the_calls_that_fit_and_are_left_out_when_none_do(compared):
    calls = {key: row["nfe"] for key, row in rows(compared[1]).items()}
    assert [calls["rhork-heun2", budget] for budget in (1, 5, 8)] == [None, 4, 8]
    assert [calls["tab2", budget] for budget in (1, 5, 8)] == [1, 5, 8]
    assert "rhork-heun2: nfe must be at least 2" in compared[0].stdout


def test_stochastic_methods_have_a_frechet_distance_only(compared):
    row = rows(compared[1])["sddim", 5]
    assert row["rmse"] is row["geometric_rmse"] is None
    assert row["frechet"] > 0
    assert table(compared[0].stdout)["sddim", "5"][:2] == ["-", "-"]


def test_the_best_of_each_budget_is_marked_and_named(compared):
    result, folder = compared
    marked = [line.split()[1:3] for line in result.stdout.splitlines() if line.startswith("* ")]
    by_error = {}
    for (name, budget), row in rows(folder).items():
        if row["geometric_rmse"] is not None:
            by_error.setdefault(budget, []).append((row["geometric_rmse"], name))
    winners = {budget: min(found)[1] for budget, found in by_error.items()}
    assert {int(nfe): name for name, nfe in marked} == winners
    assert record(folder)["best"] == {str(budget): name for budget, name in winners.items()}
    assert result.stdout.splitlines()[-1].startswith("Best by error per sample: ")


def test_the_printed_numbers_are_those_of_the_files(compared):
    result, folder = compared
    with (folder / "compare.csv").open() as file:
        stored = list(csv.DictReader(file))
    assert len(stored) == 12
    printed = table(result.stdout)
    for row in stored:
        if row["geometric_rmse"]:
            assert float(printed[row["integrator"], row["nfe"]][0]) == pytest.approx(
                float(row["geometric_rmse"]), rel=5e-3
            )
        assert row == {
            key: "" if value is None else str(value)
            for key, value in rows(folder)[row["integrator"], int(row["budget"])].items()
        }


def test_the_reference_is_reported_with_its_uncertainty(compared):
    result, folder = compared
    reference = record(folder)["reference"]
    assert reference["nfe"] == 240
    assert 0 < reference["uncertainty"] < 1e-4
    assert f"The reference is uncertain by {reference['uncertainty']:.1e} (RMSE)." in result.stdout
    assert re.search(r"^ *reference +240 +- +- ", result.stdout, re.MULTILINE)


def test_the_reference_grows_with_the_budgets(deis, tmp_path):
    deis(f"compare --model digits-exact --seeds 0-3 --integrators tab3 --nfe 60 --outdir {tmp_path}")
    assert record(tmp_path)["reference"]["nfe"] == 300


def test_every_option_is_recorded(compared):
    content = record(compared[1])
    assert content["options"] == {
        "model": "digits-exact",
        "integrators": "ddim,tab2,rhork-heun2,sddim",
        "nfe": "1,5,8",
        "label": None,
        "guidance": 1.0,
        "grid": "default",
        "seeds": "0-39",
        "batch": 256,
        "device": "cpu",
        "dtype": "float64",
        "outdir": str(compared[1]),
        "force": False,
    }
    assert set(content["versions"]) == {"deis", "torch", "numpy", "python"}
    assert content["integrators"]["ddim"] == "ExponentialEuler(predict=None)"


def test_results_depend_neither_on_the_run_nor_on_the_batch(deis, compared, tmp_path):
    assert deis(SMALL, tmp_path, "--batch", 16).exit_code == 0
    for key, row in rows(tmp_path).items():
        for field in ("rmse", "geometric_rmse", "frechet"):
            other = rows(compared[1])[key][field]
            assert row[field] == (other and pytest.approx(other, rel=1e-6))


def test_few_seeds_go_without_frechet_distance(deis, tmp_path):
    result = deis(f"compare --model digits-exact --seeds 0-31 --integrators tab1 --nfe 4 --outdir {tmp_path}")
    assert result.exit_code == 0
    assert "No Frechet distance: it takes more than 32 seeds." in result.stdout
    assert rows(tmp_path)["tab1", 4]["frechet"] is None


def test_stochastic_methods_alone_are_ranked_by_frechet_distance(deis, tmp_path):
    result = deis(f"compare --model digits-exact --seeds 0-39 --integrators sddim --nfe 4 --outdir {tmp_path}")
    assert result.stdout.splitlines()[-1] == "Best by Frechet distance: sddim at NFE 4."
    assert record(tmp_path)["reference"] is None


def test_methods_that_cannot_be_ranked_are_said_to_be_unranked(deis, tmp_path):
    words = f"compare --model digits-exact --seeds 0-3 --integrators sddim,dopri5 --nfe 4 --outdir {tmp_path}"
    result = deis(words)
    assert result.exit_code == 0
    last = "No integrator is ranked: with noise there is no error, and no Frechet distance up to 32 seeds."
    assert result.stdout.splitlines()[-1] == last


def test_labels_are_compared_to_their_class(deis, tmp_path):
    result = deis(f"compare --model digits-exact --label 3 --seeds 0-39 --integrators tab1 --nfe 8 --outdir {tmp_path}")
    assert result.exit_code == 0
    x = sample(load("digits-exact").ode(3), (1, 8, 8), range(40), nfe=8, integrator="tab1").x
    assert rows(tmp_path)["tab1", 8]["frechet"] == pytest.approx(frechet_to_digits(3)(x), rel=1e-3)
    assert frechet_to_digits(3)(x) < frechet_to_digits(4)(x)


def test_the_trained_network_is_compared(deis, tmp_path):
    result = deis(f"compare --seeds 0-7 --integrators ddim,tab3 --nfe 8 --outdir {tmp_path}")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "Best by error per sample: tab3 at NFE 8."
    assert record(tmp_path)["options"]["dtype"] == "float32"


def test_a_method_that_fails_leaves_the_others_alone(deis, tmp_path, monkeypatch):
    from deis import NonFiniteError
    from deis.study import comparison

    draw = comparison.draw

    def failing(request, method, nfe):
        if nfe == 4:
            raise NonFiniteError("the nonlinearity returned NaN at evaluation 2")
        return draw(request, method, nfe)

    monkeypatch.setattr(comparison, "draw", failing)
    result = deis(f"compare --model digits-exact --seeds 0-3 --integrators tab1 --nfe 4,5 --outdir {tmp_path}")
    assert result.exit_code == 0
    assert "tab1: the nonlinearity returned NaN at evaluation 2" in result.stdout
    assert result.stdout.splitlines()[-1] == "Best by error per sample: tab1 at NFE 5."


WRONG = {
    "--nfe 0": "nfe must be whole numbers from 1",
    "--nfe 5,,x": "nfe must be whole numbers from 1",
    "--nfe 999999": "nfe must be whole numbers from 1 to 100000",
    "--integrators tab3,tabb": "no integrator named 'tabb'; near it: tab0",
    "--integrators tab3,": "no integrator named ''",
    "--integrators ddim,tab3,ddim": "integrators must name each one once, got 'ddim'",
    "--integrators rhork-rk4 --nfe 2,3": "no integrator can make any of these budgets",
    "--integrators dopri5": "keeps no number of evaluations",
    "--integrators tab3,tab3:clock=time": "has no clock 'time'",
    "--grid ddim-linear": "domain must start and end at whole numbers",
    "--seeds 5-2": "rise",
    "--label 99": "label must be",
}


@pytest.mark.parametrize("words", list(WRONG))
def test_wrong_input_is_explained_before_any_work(deis, tmp_path, no_network, words):
    result = deis(f"compare --model digits-exact --outdir {tmp_path / 'out'} {words}")
    assert result.exit_code == 2
    assert WRONG[words] in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_existing_results_stay_unless_forced(deis, tmp_path, no_network):
    (tmp_path / "compare.csv").write_text("precious")
    result = deis(SMALL, tmp_path)
    assert result.exit_code == 1
    assert "already holds compare.csv" in result.stderr
    assert (tmp_path / "compare.csv").read_text() == "precious"


def test_missing_weights_are_one_clear_line(deis, tmp_path, monkeypatch):
    def missing():
        raise DeisError("cannot load digits_classifier.safetensors")

    monkeypatch.setattr("deis.study.measures._classifier", missing)
    digits.cache_clear()
    result = deis(SMALL, tmp_path)
    assert (result.exit_code, result.stderr) == (1, "error: cannot load digits_classifier.safetensors\n")


def test_the_default_is_a_set_of_deterministic_integrators_that_exist(deis):
    from deis.cli.compare import compare

    option = next(param for param in compare.params if param.name == "integrators")
    methods = parse_integrators(option.default)
    assert len(methods) == 11
    assert not any(method.stochastic for method in methods.values())


def test_all_are_those_without_noise_that_keep_a_budget(deis, tmp_path):
    words = f"compare --model digits-exact --seeds 0-3 --integrators all --nfe 4 --grid vp-t2 --outdir {tmp_path}"
    result = deis(words)
    assert result.exit_code == 0
    compared = {name for name, _ in rows(tmp_path)}
    assert {"default", "ddim", "tab3", "unipc-3", "dpm-solver-fast", "rhork-rk4", "pndm"} <= compared
    assert compared.isdisjoint({"sddim", "ddpm", "dopri5", "dop853", "adaptive-dp54", "all"})


def test_budgets_rise_without_repetition():
    assert parse_budgets("20, 5,10,5") == (5, 10, 20)


def test_the_verdict_joins_neighbouring_budgets():
    results = [
        Result(name, budget, geometric_rmse=error)
        for name, errors in {"a": (1, 1, 3), "b": (2, 2, 2)}.items()
        for budget, error in zip((5, 10, 20), errors, strict=True)
    ]
    assert _verdict(results) == "Best by error per sample: a at NFE 5 and 10; b at NFE 20."
    assert _verdict([Result("a", 5, note="failed")]) == "No integrator could be measured."


def test_the_figure_bears_many_integrators_and_none():
    many = [Result(f"method{n}", 5, 5, 0.1 + n, 0.1, None, 1.0) for n in range(14)]
    figure = comparison_figure(many, "title", {"geometric_rmse": 1e-5, "frechet": None})
    lines = figure.axes[0].get_lines()[:14]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}
    assert len(looks) == 14
    assert len(figure.legends[0].get_texts()) == 15
    comparison_figure([Result("a", 5, note="failed")], "title", {})


def test_words_are_listed():
    assert listed(["a", "b", "c"]) == "a, b and c"
