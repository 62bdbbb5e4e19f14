"""The examples in README and docs run, in the order in which they are read."""

import json
import math
import os
import pathlib
import re
import subprocess
import sys

import attrs
import pytest
import torch

import deis
from deis.testing import IntegratorConformance

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ["README.md", "docs/quickstart.md", "docs/conventions.md", "docs/extending.md"]


def examples(page):
    """The Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.S)


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
        "u": lambda x, s: x * s[:, None],
        "alphas_cumprod": deis.DiscreteVP().alphas_cumprod,
    }
    blocks = examples(page)
    assert blocks
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)


def test_the_inherited_tests_of_the_page_on_extending_run_and_pass(tmp_path):
    blocks = examples("docs/extending.md")
    page = tmp_path / "test_page.py"
    page.write_text("\n\n".join(blocks))
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", os.devnull, str(page)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[-4000:]
    passed = set(re.findall(r"TestMidpoint::(\w+)\S* PASSED", result.stdout))
    skipped = set(re.findall(r"TestMidpoint::(\w+)\S* SKIPPED", result.stdout))
    inherited = {name for name in dir(IntegratorConformance) if name.startswith("test_")}
    assert passed | skipped == inherited
    assert {"test_has_the_order_it_claims", "test_keeps_its_budget"} <= passed
    assert skipped <= {"test_without_noise_it_is_ddim", "test_the_loop_does_not_wait_for_the_gpu"}


def test_the_example_on_flow_matching_samples_its_data(registries):
    mean, std = torch.tensor([3.0, -1.0]), 0.5

    def u(x, s):
        """Exact E[data - noise | x_s] for data N(mean, std^2 I) and x_s = s data + (1 - s) noise."""
        s = s[:, None]
        rest = (x - s * mean) / (s**2 * std**2 + (1 - s) ** 2)
        return mean + s * std**2 * rest - (1 - s) * rest

    namespace = {"u": u}
    (example,) = examples("docs/conventions.md")
    exec(example, namespace)
    start = deis.SampleNoise(range(16)).initial((2,))
    exact = mean + std * start  # noise of a Gaussian goes to the data of the same quantile
    assert namespace["solution"].nfe == 20
    assert torch.allclose(namespace["solution"].x, exact, atol=0.02)


def test_the_schedule_of_the_readme_can_be_sampled(registries):
    namespace = {"deis": deis, "attrs": attrs}
    exec(next(block for block in examples("README.md") if "Sigmoid" in block), namespace)
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
