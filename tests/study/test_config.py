import pickle

import pytest

from deis import ArgumentError
from deis.study.config import Method, Study
from deis.study.places import MisplacedError, dotted
from deis.study.reading import StudyError, load_study
from deis.study.targets import ModelTarget, ProblemTarget

GOOD = """\
title = "Samplers"
budgets = [5, 8]
seeds = "0-39"
grids = ["t2", "t1.5"]
metrics = ["error", "rmse", "frechet"]
reference_nfe = 100
batch = 20

[[model]]
name = "digits"
label = 3
guidance = 2
dtype = "float64"

[[problem]]
name = "bernoulli:lam=3"

[[integrator]]
name = "tab3"
options = {corrector = true}
grids = ["t3"]
label = "tAB3, corrected"

[[integrator]]
name = "dopri5"
"""


@pytest.fixture
def load(tmp_path):
    """The study of a text."""

    def read(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return load_study(path)[0]

    return read


@pytest.fixture
def refused(load, tmp_path):
    """The faults of a text, without the path of the file."""

    def read(text):
        with pytest.raises(StudyError) as error:
            load(text)
        return [line.replace(f"{tmp_path}/study.toml:", "") for line in str(error.value).splitlines()]

    return read


def test_every_key_is_read(load):
    study = load(GOOD)
    assert study == Study(
        title="Samplers",
        budgets=(5, 8),
        seeds="0-39",
        grids=("t2", "t1.5"),
        metrics=("error", "rmse", "frechet"),
        reference_nfe=100,
        batch=20,
        model=(ModelTarget("digits", 3, 2, "float64"),),
        problem=(ProblemTarget("bernoulli:lam=3"),),
        integrator=(Method("tab3", {"corrector": True}, ("t3",), "tAB3, corrected"), Method("dopri5")),
    )
    assert study.integrator[0].integrator.corrector
    assert study.problem[0].problem.lam == 3
    assert [study.grids_of(method) for method in study.integrator] == [("t3",), ("t2", "t1.5")]


def test_the_text_comes_with_the_study(tmp_path):
    (tmp_path / "a.toml").write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert load_study(tmp_path / "a.toml")[1] == GOOD.replace("\n", "\r\n")


def test_little_is_needed(load):
    study = load("[[model]]\nname = 'digits'\n[[integrator]]\nname = 'ddim'\n")
    assert (study.seeds, study.grids, study.metrics, study.reference_nfe) == (
        "0-255",
        ("t2",),
        ("error", "frechet"),
        240,
    )


def test_titles_say_what_is_not_the_default(load):
    study = load(GOOD)
    assert study.targets[0].title == "digits, label 3, guidance 2, float64"
    assert [method.title for method in study.integrator] == ["tAB3, corrected", "dopri5"]
    assert Method("sddim", {"eta": 0.5}).title == "sddim, eta=0.5"


def test_studies_travel_between_processes(load):
    study = load(GOOD)
    assert pickle.loads(pickle.dumps(study)) == study
    error = MisplacedError(("grids", 1), "no")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "grids[2]: no"


WRONG = {
    'title = "Samplers"': ('title = " "', 1, "title: must be a line of text that is not empty, got ' '"),
    "budgets = [5, 8]": ("budgets = [5,\n0]", 3, "budgets[2]: must be a whole number from 1 to 100000, got 0"),
    "[5, 8]\n": ("[5, 8, 5]\n", 2, "budgets[3]: must differ from the others, got 5"),
    "[5, 8]\nseeds": ("5\nseeds", 2, "budgets: must be a list that is not empty, got 5"),
    'seeds = "0-39"': ('seeds = "9-2"', 3, "seeds: must have ranges that rise, got '9-2'; write 2-9"),
    '"0-39"\n': ("[1, 2]\n", 3, 'seeds: must be a text, got [1, 2]; for example "0-255"'),
    '"0-39"': ('"0-31"', 5, "metrics[3]: must have at least 33 seeds for 'frechet', got 32; name more"),
    '"t1.5"]': ('"tt"]', 4, "grids[2]: no grid named 'tt'; near it: t"),
    '"frechet"]': ('"freche"]', 5, "metrics[3]: no metric named 'freche'; near it: frechet"),
    "reference_nfe = 100": (
        'reference_nfe = "100"',
        6,
        "reference_nfe: must be a whole number from 14 to 100000, got '100'",
    ),
    "batch = 20": ("batch = true", 7, "batch: must be a whole number from 1 to 1000000, got True"),
    "batch": ("bach", 7, "bach: no key named 'bach'; near it: batch"),
    "[[model]]\nname": ("[model]\nname", 9, "model: must be a list of tables; write [[model]] above each"),
    '"digits"': ('"digit"', 10, "model[1].name: no model named 'digit'; near it: digits"),
    "label = 3": ("label = 10", 11, "model[1].label: must be a whole number from 0 to 9, got 10"),
    "float64": ("float65", 13, "model[1].dtype: no dtype named 'float65'; near it:"),
    "lam=3": ("lam=0", 16, "problem[1].name: must be a finite number other than 0, got 0"),
    "bernoulli:": ("bernouli:", 16, "problem[1].name: no problem named 'bernouli'; near it: bernoulli"),
    'name = "tab3"\n': ("", 18, "integrator[1].name: is missing"),
    '"tab3"': ("3", 19, "integrator[1].name: must be a name, got 3; one of "),
    "corrector": ("step", 20, "integrator[1].options.step: no option of 'tab3' named 'step'; near it: steps"),
    "= true": ("= 1", 20, "integrator[1].options.corrector: must be True or False, got 1"),
    "corrector = true": ('start = "ram"', 20, "integrator[1].options.start: no start named 'ram'; near it: ramp"),
    "{corrector = true}": ("7", 20, "integrator[1].options: must be a table, got 7; for example {corrector = true}"),
    '["t3"]': ('"t3"', 21, "integrator[1].grids: must be a list that is not empty, got 't3'"),
    'label = "tAB3': ('lable = "tAB3', 22, "integrator[1].lable: no key named 'lable'; near it: label"),
}


@pytest.mark.parametrize("part", list(WRONG))
def test_faults_name_the_line_the_key_the_rule_and_the_value(refused, part):
    assert GOOD.count(part) >= 1
    new, line, message = WRONG[part]
    found = refused(GOOD.replace(part, new, 1))
    assert len(found) == 1
    assert found[0].startswith(f"{line}: {message}")


def test_all_faults_are_named_in_the_order_of_lines(refused):
    text = GOOD.replace("label = 3", "label = 10").replace('["t3"]', "3\nx = 1").replace("dopri5", "dopri")
    found = refused(text)
    assert found[0].startswith("3 faults in ")
    assert [line.split(":")[0] for line in found[1:]] == ["11", "22", "26"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[integrator]]\nname = 'ddim'\n", "1: must have a [[model]] or a [[problem]]"),
        ("[[problem]]\nname = 'ho1'\n", "1: must have an [[integrator]]"),
        ("model = ['digits']\n", "1: model[1]: must be a table; write [[model]]"),
        (
            "[[problem]]\nname = 'ho1'\n[[problem]]\nname = 'ho1'\n[[integrator]]\nname = 'ddim'\n",
            "3: problem[2]: must differ",
        ),
        (
            "[[problem]]\nname = 'ho1'\n[[integrator]]\nname = 'tab3'\ngrids = ['t', 't3']\n"
            "[[integrator]]\nname = 'polynomial'\ngrids = ['t3']\n",
            "6: integrator[2]: must differ from the others, got PolynomialEIAB(",
        ),
        (
            "[[problem]]\nname = 'ho1'\n[[integrator]]\nname = 'tab3'\n[[integrator]]\nname = 'tab2'\nlabel = 'tab3'\n",
            "5: integrator[2]: must differ from the others, got tab3 on the grid t2 again",
        ),
        (
            "[[model]]\nname = 'digits-exact'\nlabel = 1\nguidance = 2\n[[integrator]]\nname = 'ddim'\n",
            "1: model[1]: digits-exact knows each class exactly and takes no guidance",
        ),
        (
            "[[problem]]\nname = 'ho1'\n[[integrator]]\nname = 'euler'\noptions = {x = 1}\n",
            "5: integrator[1].options.x: takes no",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(refused, text, message):
    assert refused(text)[0].startswith(message)


def test_the_same_integrator_may_run_on_other_grids(load):
    study = load(GOOD + "[[integrator]]\nname = 'tab3'\noptions = {corrector = true}\nlabel = 'again'\ngrids = ['t']\n")
    assert len(study.integrator) == 3


def test_syntax_errors_are_those_of_toml(refused):
    assert "is no TOML: " in refused("a = \n")[0]
    assert "line 1" in refused("a = \n")[0]


def test_files_that_are_no_text_are_named(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(StudyError, match=r"a\.toml must be text in UTF-8"):
        load_study(tmp_path / "a.toml")
    with pytest.raises(StudyError, match=r"cannot read .*missing"):
        load_study(tmp_path / "missing")


def test_missing_weights_are_named_with_their_model(refused, monkeypatch):
    from deis.zoo.weights import WeightsError

    def missing():
        raise WeightsError("digits.safetensors", "No such file")

    monkeypatch.setattr("deis.zoo.models.load_unet", missing)
    assert refused(GOOD)[0].startswith("9: model[1]: cannot load digits.safetensors")


def test_studies_made_in_python_are_checked_too():
    with pytest.raises(ArgumentError, match="budgets must be a list"):
        Study(budgets=())
    with pytest.raises(MisplacedError, match=r"options\.step: no option of 'tab3' named 'step'"):
        Method("tab3", {"step": 3})


def test_positions_count_from_one():
    assert dotted(("a", 0, "b", "c", 2)) == "a[1].b.c[3]"


@pytest.mark.parametrize("part", ["model", "problem", "integrator"])
@pytest.mark.parametrize("value", [None, "digits", ["digits"], ("digits",), 3])
def test_tables_given_in_python_must_be_of_their_kind(part, value):
    parts = {"model": (ModelTarget("digits"),), "integrator": (Method("ddim"),)} | {part: value}
    with pytest.raises(ArgumentError, match=f"{part} must be a tuple of"):
        Study(**parts)
