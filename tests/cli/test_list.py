import pytest

from deis import GRIDS, INTEGRATORS, PROBLEMS, SCHEDULES, make_grid, zoo

REGISTRIES = {
    "integrators": INTEGRATORS,
    "schedules": SCHEDULES,
    "grids": GRIDS,
    "models": zoo.MODELS,
    "problems": PROBLEMS,
}


@pytest.mark.parametrize("kind", list(REGISTRIES))
def test_every_registered_name_has_one_line(deis, kind):
    result = deis(f"list {kind}")
    assert result.exit_code == 0
    firsts = [line.split()[0] for line in result.stdout.splitlines() if line]
    for name in REGISTRIES[kind]:
        assert firsts.count(name) == 1


def test_everything_is_listed_without_a_kind(deis):
    result = deis("list")
    assert [line for line in result.stdout.splitlines() if line.isupper()] == [kind.upper() for kind in REGISTRIES]


def test_a_line_tells_order_evaluations_kind_and_options(deis):
    lines = deis("list integrators").stdout.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line}
    assert rows["rhork-kutta3"] == ["rhork-kutta3", "3", "3", "deterministic", "tableau=kutta3", "clock=rho"]
    assert rows["sddim"][1:4] == ["1", "1", "stochastic"]


def test_families_show_their_summary_and_source(deis):
    lines = deis("list integrators").stdout.splitlines()
    family = next(n for n, line in enumerate(lines) if line.startswith("ddim "))
    assert lines[family - 2].startswith("# Exact in L")
    assert "2010.02502" in lines[family - 1]


def test_columns_are_aligned(deis):
    lines = [line for line in deis("list integrators").stdout.splitlines() if " deterministic" in line]
    assert len({line.index("deterministic") for line in lines}) == 1


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_listed_options_describe_the_integrator(deis, name):
    row = next(line for line in deis("list integrators").stdout.splitlines() if line.startswith(f"{name} "))
    assert INTEGRATORS.create(":".join([name, *row.split()[4:]])) == INTEGRATORS.create(name)


def test_the_examples_for_writing_options_work(deis):
    text = deis("list").stdout
    assert "tab3:corrector=true, polynomial:predict=x0:clock=lambda:steps=2" in text
    INTEGRATORS.create("tab3:corrector=true")
    INTEGRATORS.create("polynomial:predict=x0:clock=lambda:steps=2")
    assert "t1.5, rho5, vp-t2.5" in text
    for grid in ("t1.5", "rho5", "vp-t2.5"):
        make_grid(grid)


def test_unknown_kinds_are_usage_errors(deis):
    result = deis("list integrator")
    assert result.exit_code == 2
    assert "integrators" in result.stderr
