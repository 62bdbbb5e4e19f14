"""README and docs: their examples and commands run, and every public name is in the reference."""

import importlib.util
import inspect
import json
import os
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import click
import pytest
import torch

import deis
from deis.cli.root import cli
from deis.study import Method, ModelTarget, ProblemTarget, Study, StudyError, load_study
from deis.study.measures import METRICS
from deis.testing import IntegratorConformance, NoiseScheduleConformance, SemilinearODEConformance

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCES = [ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "auto_gallery" not in path.parts)]
NUMBER = re.compile(r"arXiv (\d{4}\.\d{4,5})")
EQUATION = re.compile(r":eq:`([\w-]+)`")
PACKAGES = ["deis", "deis.analysis", "deis.study", "deis.tuning", "deis.zoo", "deis.testing"]


def label(path):
    """A page as a test's parameter."""
    return str(path.relative_to(ROOT))


def examples(path, language=r"(?:python|\{example\})"):
    """The blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.S)


def tables(page, *head):
    """The tables of a page whose heads begin with ``head``, as rows of cells without code marks; the head is a row."""
    found, inside = [], False
    for line in page.read_text().splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.split("|")[1:-1]]
        if cells[: len(head)] == list(head):
            found.append([])
            inside = True
        inside = inside and bool(cells)
        if inside and set(cells[0]) != {"-"}:
            found[-1].append(cells)
    return found


@pytest.fixture
def registries(monkeypatch):
    """Registries in which examples may register names that are gone afterwards."""
    for registry in (deis.INTEGRATORS, deis.GRIDS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.mark.parametrize("path", [path for path in SOURCES if examples(path)], ids=label)
def test_the_examples_of_a_page_run(path, registries, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__", "u": lambda x, s: x * s[:, None]}  # on the page, the reader's own network
    for block in examples(path):
        exec(compile(block, str(path), "exec"), namespace)


@pytest.mark.parametrize(
    ("page", "suite", "skippable"),
    [
        (
            "own-integrator.md",
            IntegratorConformance,
            {"test_without_noise_it_solves_the_ode", "test_the_loop_does_not_wait_for_the_gpu"},
        ),
        ("own-sde.md", NoiseScheduleConformance, set()),
        ("own-ode.md", SemilinearODEConformance, None),
    ],
)
def test_the_inherited_tests_of_a_page_run_and_pass(page, suite, skippable, tmp_path):
    module = tmp_path / "test_page.py"
    module.write_text("\n\n".join(examples(DOCS / page)))
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", os.devnull, str(module)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[-4000:]
    passed = set(re.findall(r"::(test_\w+)\S* PASSED", result.stdout))
    skipped = set(re.findall(r"::(test_\w+)\S* SKIPPED", result.stdout))
    assert passed | skipped == {name for name in dir(suite) if name.startswith("test_")}
    assert skippable is None or skipped <= skippable


def test_burgers_equation_of_the_page_has_the_known_solution(capsys):
    namespace = {"__name__": "page"}
    for block in examples(DOCS / "own-ode.md")[:2]:
        exec(block, namespace)
    # by an independent pseudospectral solution with 256 points
    assert float(namespace["u"].max()) == pytest.approx(0.866675592903, abs=1e-7)
    assert float(namespace["u"].square().mean().sqrt()) == pytest.approx(0.331437311654, abs=1e-7)


def test_the_example_on_flow_matching_samples_its_data(registries):
    mean, std = torch.tensor([3.0, -1.0]), 0.5

    def u(x, s):
        """Exact E[data - noise | x_s] for data N(mean, std^2 I) and x_s = s data + (1 - s) noise."""
        s = s[:, None]
        rest = (x - s * mean) / (s**2 * std**2 + (1 - s) ** 2)
        return mean + s * std**2 * rest - (1 - s) * rest

    namespace = {"u": u}
    (example,) = examples(DOCS / "conventions.md")
    exec(example, namespace)
    start = deis.SampleNoise(range(16)).initial((2,))
    exact = mean + std * start  # noise of a Gaussian goes to the data of the same quantile
    assert namespace["solution"].nfe == 20
    assert torch.allclose(namespace["solution"].x, exact, atol=0.02)


def test_the_schedule_of_the_readme_can_be_sampled(registries):
    namespace = {"deis": deis, "attrs": attrs}
    exec(next(block for block in examples(ROOT / "README.md") if "Sigmoid" in block), namespace)
    ode = deis.GaussianMixture(torch.zeros(1, 2, dtype=torch.float64), std=1.0).ode(namespace["Sigmoid"]())
    solution = deis.sample(ode, (2,), [0, 1], nfe=50, dtype=torch.float64)
    start = deis.SampleNoise([0, 1]).initial((2,), torch.float64)
    assert torch.allclose(solution.x, start, rtol=3e-3)  # normal data of variance 1 stay as they are


def commands():
    """Every ``deis`` command that a page shows."""
    lines = [line for path in SOURCES for block in examples(path, "console") for line in block.splitlines()]
    parts = [part.partition("#")[0].strip() for line in lines for part in line.removeprefix("$ ").split("&&")]
    return sorted({part.removeprefix("deis ") for part in parts if part.startswith("deis ")})


def write_what_earlier_commands_wrote(name, arguments):
    """The study that ``study run`` reads, and the plans of each ``tune`` that a page shows."""
    for file in (word for word in arguments if word.endswith(".toml") and name == "run"):
        Path(file).touch()
    ode = deis.zoo.load("digits").ode()
    for words in (command.split() for command in commands() if command.startswith("tune ")):
        budgets = words[words.index("--nfe") + 1].split(",")
        plans = [deis.make_plan(ode, deis.make_grid("t2")(ode, int(nfe)), "ddim") for nfe in budgets]
        deis.save_plans(words[words.index("--outdir") + 1], plans)


@pytest.mark.parametrize("command", commands())
def test_the_commands_of_the_pages_are_understood(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    group, (name, *arguments) = cli, command.split()
    while isinstance(command := group.commands[name], click.Group):
        group, (name, *arguments) = command, arguments
    write_what_earlier_commands_wrote(name, arguments)
    command.make_context(name, arguments)  # parses and checks, and runs nothing


def test_the_commands_of_the_readme_are_those_that_ci_calls():
    command = "pip install tox && tox"
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci" / "run").read_text()


def test_the_files_that_the_readme_links_to_exist():
    links = re.findall(r"\]\(([^):#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_table_of_the_readme_holds_the_committed_results():
    results = json.loads((ROOT / "benchmarks" / "results" / "compare" / "compare.json").read_text())
    cells = {(row["integrator"], row["budget"]): row for row in results["results"]}
    member = "polynomial:predict=x0:clock=t:steps=4:corrector=true"
    labels = {"DDIM": "ddim", "rhoAB3": "rhoab3", "tAB3": "tab3", "x0, t, 4 points, corrector": member}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (ROOT / "README.md").read_text().splitlines()]
    quoted = {row[0]: row[1:] for row in rows if row and row[0] in labels}
    assert quoted.keys() == labels.keys()
    for label, name in labels.items():
        found = [cells[name, budget] for budget in (5, 10, 20)]
        assert quoted[label] == [f"{row['geometric_rmse']:.2g} / {row['frechet']:.2g}" for row in found]


def test_the_error_tables_of_the_uses_hold_the_committed_results():
    results = json.loads((ROOT / "benchmarks" / "results" / "uses.json").read_text())
    (((_, *names), *rows),) = tables(DOCS / "uses.md", "std")
    methods = [results["likelihood"][f"{name.removesuffix(' (default)')}, vp-t2"] for name in names]
    assert {std: cells for std, *cells in rows} == {
        std: [f"{errors[std]:.1e}" for errors in methods] for std in methods[0]
    }
    ((_, *rows),) = tables(DOCS / "uses.md", "integrator", "20 calls each way")
    assert [name for name, *_ in rows] == list(results["cycle"])
    for name, *cells in rows:
        expected = results["cycle"][name]["errors"]
        asked = zip((20, 40, 80, 160), expected.items(), strict=True)
        assert cells == [f"{e:.1e}" + ("" if int(nfe) == budget else f" ({nfe})") for budget, (nfe, e) in asked]


@pytest.mark.parametrize("page", ["uses.md", "limits.md"])
def test_the_spreads_for_which_likelihoods_are_said_to_be_accurate_are_those_measured(page):
    results = json.loads((ROOT / "benchmarks" / "results" / "uses.json").read_text())["likelihood"]
    text = " ".join((DOCS / page).read_text().split())
    quoted = re.search(r"standard deviation (\S+ to [\d.]+).*? `rho` for (\S+ to \d\.\d)", text).groups()
    for spreads, method in zip(quoted, ("rhork-kutta3:clock=vp_t", "rhork-kutta3"), strict=True):
        accurate = [float(std) for std, error in results[f"{method}, vp-t2"].items() if abs(error) < 1e-3]
        assert [float(end) for end in spreads.split(" to ")] == [min(accurate), max(accurate)]
    assert min(abs(errors["0.1"]) for errors in results.values()) > 1e-3


def test_the_study_of_the_page_can_be_run_and_its_keys_are_those_explained(tmp_path):
    page, path = DOCS / "studies.md", tmp_path / "study.toml"
    path.write_text(*examples(page, "toml"))
    study, _ = load_study(path)
    assert [method.title for method in study.integrator] == ["ddim", "tab3", "x0, 4 points, corrector"]
    keys = {}
    for _, *rows in tables(page, "key", "default"):
        for key, default, _ in rows:
            keys.setdefault(key, default)
    fields = [field for cls in (Study, ModelTarget, ProblemTarget, Method) for field in attrs.fields(cls)]
    assert keys.keys() == {field.name for field in fields} - {"model", "problem", "integrator"}
    for field in attrs.fields(Study):
        if field.name in keys:
            said = tomllib.loads(f"x = {keys[field.name]}")["x"]
            assert (tuple(said) if isinstance(said, list) else said) == field.default
    ((_, *rows),) = tables(page, "metric")
    named = [name.strip() for names, _ in rows for name in names.split(",")]
    assert sorted(named) == sorted(METRICS)


def test_the_fault_that_the_page_on_studies_shows_is_what_a_file_with_it_gives(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("[[model]]\nname = 'digits'\n[[integrator]]\nname = 'tab3'\noptions = {step = 2}\n")
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert examples(DOCS / "studies.md", "text") == [str(caught.value).replace(f"{tmp_path}/", "") + "\n"]


def test_the_equations_that_docstrings_cite_have_their_labels_in_the_pages():
    cited = {label for path in (ROOT / "deis").rglob("*.py") for label in EQUATION.findall(path.read_text())}
    labels = {label for page in SOURCES for label in re.findall(r"\$\$ \(([\w-]+)\)$", page.read_text(), flags=re.M)}
    assert cited
    assert cited - labels == set()


def test_the_tables_of_sample_sizes_hold_the_committed_results():
    results = json.loads((ROOT / "benchmarks" / "results" / "tuning" / "sizes.json").read_text())
    ((_, *rows),) = tables(DOCS / "tuning.md", "pilot samples")
    assert len(results["pilots"]) == 3 * len(rows)
    for count, *cells in rows:
        sets = [results["pilots"][f"{count}, set {number}"] for number in range(3)]
        own, held_out = ([one[where]["ratio"][0] for one in sets] for where in ("own", "held_out"))
        means = [f"{statistics.geometric_mean(ratios):.2f}" for ratios in (own, held_out)]
        assert cells == [*means, ", ".join(f"{ratio:.2f}" for ratio in held_out)]
    ((head, *rows),) = tables(DOCS / "tuning.md", "pairs")
    expected = (("last", "own"), ("last", "held_out"), ("kept", "held_out"))
    for (_, *cells), (plan, where) in zip(rows, expected, strict=True):
        assert cells == [f"{results['pairs'][n][plan][where]['ratio'][0]:.2f}" for n in head[1:]]


def test_the_table_of_grids_holds_the_committed_results():
    results = json.loads((ROOT / "benchmarks" / "results" / "tuning" / "grids.json").read_text())["cells"]
    errors = {(row["grid"], row["integrator"], row["nfe"]): f"{row['error']:.2g}" for row in results}
    (((_, *heads), *rows),) = tables(DOCS / "tuning.md", "grid", "5 calls")
    methods = ["polynomial:predict=x0:clock=vp_t:steps=4:corrector=true"] * 3 + ["tab3"] * 3
    assert [int(re.findall(r"(\d+) calls", text)[0]) for text in heads] == [5, 8, 10] * 2
    for grid, *cells in rows:
        assert cells == [errors[grid, name, nfe] for name, nfe in zip(methods, [5, 8, 10] * 2, strict=True)]


def extension(name):
    """A module of the extensions with which the pages are built."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_tuning_holds_what_was_measured_and_a_dash_for_what_was_not():
    chosen = {"sampler": "a", "grid": "g", "error": [0.02, 0.01, 0.03], "ratio": [0.5, 0.4, 0.6]}
    learnt = {**chosen, "ratio": [0.25, 0.2, 0.3], "frechet": 0.1234}
    published = {"sampler": "tab3", "grid": "t2", "error": [0.04, 0.03, 0.05], "frechet": 0.5}
    budgets = {
        "10": {"returned": "learnt", "published": published, "chosen": chosen, "learnt": learnt},
        "5": {"returned": "chosen", "published": published, "chosen": chosen},
        "4": {"returned": "chosen", "published": chosen, "chosen": chosen},
    }
    heading, *rows = extension("tuning_rows").rows({"model": "plane", "budgets": budgets})
    assert heading == ["``plane``"]
    assert rows == [
        ["4", "``a``", "0.02", "**0.5** (0.4 to 0.6)", "-", "-"],
        ["5", "``tab3``", "0.04", "**0.5** (0.4 to 0.6)", "-", "0.5, -"],
        ["10", "``tab3``", "0.04", "0.5 (0.4 to 0.6)", "**0.25** (0.2 to 0.3)", "0.5, 0.12"],
    ]


def defined_in(package, prefixes, excluded):
    """The rule by which the directive ``public-names`` chooses what a page holds."""
    return extension("public").defined_in(importlib.import_module(package), prefixes, excluded)


def referenced(package):
    """Names of a package in the reference, each as often as it is there."""
    pages = [path.read_text() for path in sorted((DOCS / "api").glob("*.md"))]
    found = []
    for page in pages:
        for named, prefixes, excluded in re.findall(r"\{public-names\} (\S+) (.*)\n(?::except: (\S+))?", page):
            found += defined_in(named, prefixes.split(), excluded) if named == package else []
        for named, block in re.findall(r"currentmodule:: (\S+)(.*?)(?=\.\. currentmodule|```)", page, flags=re.S):
            found += re.findall(r"py:data:: (\w+)", block) if named == package else []
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference_once(package):
    module = importlib.import_module(package)
    names = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
    assert sorted(referenced(package)) == sorted(names)


def test_every_paper_that_the_code_cites_is_in_the_bibliography():
    cited = {number for path in (ROOT / "deis").rglob("*.py") for number in NUMBER.findall(path.read_text())}
    listed = set(re.findall(r"eprint = \{(.*?)\}", (DOCS / "references.bib").read_text()))
    assert cited
    assert cited - listed == set()
