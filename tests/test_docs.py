"""The examples in README and docs run, in the order in which they are read."""

import json
import math
import pathlib
import re

import attrs
import pytest
import torch

import deis

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ["README.md", "docs/quickstart.md", "docs/extending.md"]


@pytest.fixture
def registries(monkeypatch):
    """Registries in which examples may register names that are gone afterwards."""
    for registry in (deis.INTEGRATORS, deis.GRIDS):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page, registries, capsys):
    namespace = {
        "deis": deis,
        "attrs": attrs,
        "math": math,
        "torch": torch,
        "network": lambda x, t: torch.tanh(x),
        "alphas_cumprod": deis.DiscreteVP().alphas_cumprod,
    }
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)


def test_the_schedule_of_the_readme_can_be_sampled(registries):
    namespace = {"deis": deis, "attrs": attrs}
    block = next(
        b for b in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S) if "Sigmoid" in b
    )
    exec(block, namespace)
    ode = deis.GaussianMixture(torch.zeros(1, 2, dtype=torch.float64), std=1.0).ode(namespace["Sigmoid"]())
    solution = deis.sample(ode, (2,), [0, 1], nfe=50, dtype=torch.float64)
    start = deis.SampleNoise([0, 1]).initial((2,), torch.float64)
    assert torch.allclose(solution.x, start, rtol=3e-3)  # normal data of variance 1 stay as they are


def test_the_commands_of_the_readme_are_those_that_ci_calls():
    command = "pip install tox && tox"
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci" / "run").read_text()


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
