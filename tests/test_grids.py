import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import deis
from deis.errors import ArgumentError, CapabilityError, UnknownNameError
from deis.grids import GRIDS, CosineGrid, GridFamily, IntegerGrid, PowerGrid, TimeGrid, make_grid


def network(x, t):
    return x


def diffusion(schedule):
    return deis.ProbabilityFlowODE(schedule, network)


def discrete(count):
    return diffusion(deis.DiscreteVP(torch.linspace(0.999, 0.01, count, dtype=torch.float64)))


def plain(start, end):
    return deis.DiagonalODE(-1.0, lambda t, x: x, (start, end))


INTEGER = [name for name in GRIDS if GRIDS[name].cls is IntegerGrid]
SMOOTH = [name for name in GRIDS if name not in INTEGER]
ODES = {
    "vp-linear": diffusion(deis.VPLinear()),
    "vp-cosine": diffusion(deis.VPCosine()),
    "edm": diffusion(deis.EDM()),
    "ve": diffusion(deis.VE()),
    "rectified-flow": diffusion(deis.RectifiedFlow()),
    "vp-discrete": diffusion(deis.DiscreteVP()),
}
COUNTS = [1, 2, 5, 50]


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def uniform(values):
    """Whether values are equally spaced to rounding."""
    gaps = double(values).diff()
    return bool((gaps - gaps.mean()).abs().max() <= 1e-9 * gaps.abs().max())


def check(grid, ode, intervals):
    times = double(grid.times)
    assert len(grid) == intervals + 1
    assert grid.intervals == intervals
    assert (grid.times[0], grid.times[-1]) == ode.domain
    assert bool(((times.diff() < 0) == (ode.domain[1] < ode.domain[0])).all())
    assert bool((times.diff() != 0).all())


@pytest.mark.parametrize("intervals", COUNTS)
@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("ode", list(ODES.values()), ids=list(ODES))
def test_every_family_is_strictly_monotone_with_exact_ends_and_the_right_count(name, ode, intervals):
    check(make_grid(name)(ode, intervals), ode, intervals)


@pytest.mark.parametrize("intervals", [*COUNTS, 999])
@pytest.mark.parametrize("name", INTEGER)
def test_integer_families_are_strictly_monotone_with_exact_ends_and_the_right_count(name, intervals):
    check(make_grid(name)(ODES["vp-discrete"], intervals), ODES["vp-discrete"], intervals)


@pytest.mark.parametrize("name", ["t", "t2", "t1.5", "cosine", "ddim-linear", "ddim-quadratic"])
@pytest.mark.parametrize("domain", [(0.0, 20.0), (20.0, 0.0), (3.0, 25.0)], ids=str)
def test_families_in_t_work_in_either_direction_on_any_ode(name, domain):
    ode = plain(*domain)
    check(make_grid(name)(ode, 7), ode, 7)


@pytest.mark.parametrize(("name", "power"), [("t", 1), ("t2", 2), ("t3", 3), ("t1.5", 1.5), ("t0.5", 0.5)])
def test_power_grids_are_uniform_in_a_root_of_t(name, power):
    times = make_grid(name)(ODES["vp-linear"], 12).times
    assert uniform([t ** (1 / power) for t in times])
    assert power == 1 or not uniform(times)


def test_rho7_is_the_formula_of_karras():
    high, low, n = 80 ** (1 / 7), 0.002 ** (1 / 7), 18
    expected = [(high + i / n * (low - high)) ** 7 for i in range(n + 1)]
    assert make_grid("rho7")(ODES["edm"], n).times == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("ode", list(ODES.values()), ids=list(ODES))
def test_the_log_grid_is_uniform_in_lambda(ode):
    assert uniform(ode.schedule.lambda_(make_grid("log")(ode, 15).tensor()).tolist())


@pytest.mark.parametrize(("name", "power"), [("rho", 1), ("rho7", 7), ("rho3", 3)])
@pytest.mark.parametrize("ode", [ODES["vp-linear"], ODES["edm"], ODES["ve"]], ids=["vp-linear", "edm", "ve"])
def test_rho_grids_are_uniform_in_a_root_of_rho(name, power, ode):
    assert uniform((ode.schedule.rho(make_grid(name)(ode, 15).tensor()) ** (1 / power)).tolist())


@pytest.mark.parametrize(("name", "power"), [("vp-t", 1), ("vp-t2", 2), ("vp-t2.5", 2.5)])
@pytest.mark.parametrize("ode", [ODES["edm"], ODES["rectified-flow"], ODES["vp-discrete"]], ids=["edm", "flow", "vp"])
def test_vp_grids_are_uniform_in_the_vp_time_of_the_same_lambda(name, power, ode):
    lambdas = ode.schedule.lambda_(make_grid(name)(ode, 9).tensor())
    rho = (-lambdas).exp()
    # log(1 + rho^2) = -log alpha^2 = beta_0 t + (beta_1 - beta_0) t^2 / 2, with beta from 0.1 to 20
    exponent = torch.log1p(rho**2)
    vp_times = (-0.1 + (0.01 + 2 * 19.9 * exponent).sqrt()) / 19.9
    assert uniform((vp_times ** (1 / power)).tolist())


def test_on_the_vp_schedule_the_vp_grid_is_the_grid_in_t():
    ode = ODES["vp-linear"]
    assert make_grid("vp-t2")(ode, 10).times == pytest.approx(make_grid("t2")(ode, 10).times, rel=1e-10)


@pytest.mark.parametrize(("start", "end"), [(1.0, 1e-3), (-2.0, 3.0)])
def test_the_cosine_grid_is_its_formula_and_dense_at_the_end(start, end):
    times = CosineGrid()(plain(start, end), 8).times
    expected = [end + (start - end) * (1 - math.cos(math.pi / 2 * (1 - i / 8))) for i in range(9)]
    assert times == pytest.approx(expected, rel=1e-12)
    gaps = double(times).diff().abs()
    assert bool((gaps[1:] < gaps[:-1]).all())


@pytest.mark.parametrize("intervals", [1, 2, 4, 6, 10, 27, 500, 999])
def test_the_linear_integer_grid_takes_the_nearest_whole_numbers(intervals):
    times = make_grid("ddim-linear")(ODES["vp-discrete"], intervals).times
    for i, time in enumerate(reversed(times)):
        assert abs(Fraction(time) - Fraction(999 * i, intervals)) <= Fraction(1, 2)


@pytest.mark.parametrize("intervals", [1, 2, 5, 10, 30])
def test_the_quadratic_integer_grid_takes_the_nearest_whole_numbers(intervals):
    times = make_grid("ddim-quadratic")(ODES["vp-discrete"], intervals).times
    for i, time in enumerate(reversed(times)):
        assert abs(Fraction(time) - Fraction(999 * i * i, intervals**2)) <= Fraction(1, 2)


@given(count=st.integers(2, 60), share=st.floats(0, 1), spacing=st.sampled_from(["linear", "quadratic"]))
def test_integer_grids_are_unique_whole_numbers_inside_for_every_size(count, share, spacing):
    intervals = 1 + round(share * (count - 2))
    times = IntegerGrid(spacing)(discrete(count), intervals).times
    assert all(time == int(time) and 0 <= time <= count - 1 for time in times)
    assert len(set(times)) == intervals + 1
    assert list(times) == sorted(times, reverse=True)


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("count", [2, 3, 10, 1000])
def test_as_many_intervals_as_there_are_give_every_whole_number(name, count):
    times = make_grid(name)(discrete(count), count - 1).times
    assert list(times) == list(range(count - 1, -1, -1))


@pytest.mark.parametrize("name", INTEGER)
def test_more_intervals_than_whole_numbers_are_refused(name):
    with pytest.raises(ArgumentError, match="intervals must be at most 9 on an integer grid, got 10"):
        make_grid(name)(discrete(10), 10)


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("domain", [(1.0, 0.001), (9.5, 0.0)], ids=str)
def test_an_integer_grid_needs_a_domain_of_whole_numbers(name, domain):
    with pytest.raises(ArgumentError, match="domain must start and end at whole numbers"):
        make_grid(name)(plain(*domain), 3)


@pytest.mark.parametrize("intervals", [0, -1, True, 2.0, "3", None, math.nan], ids=repr)
@pytest.mark.parametrize("family", [PowerGrid(), CosineGrid(), IntegerGrid()], ids=lambda f: type(f).__name__)
def test_a_wrong_number_of_intervals_is_refused(family, intervals):
    with pytest.raises(ArgumentError) as caught:
        family(plain(10.0, 0.0), intervals)
    assert str(caught.value) == f"intervals must be a whole number of at least 1, got {intervals!r}"


@pytest.mark.parametrize("power", [0, -1, math.nan, math.inf, True, "2", None], ids=repr)
def test_a_wrong_power_is_refused(power):
    with pytest.raises(ArgumentError) as caught:
        PowerGrid("t", power)
    assert str(caught.value) == f"power must be a number above 0, got {power!r}"


@pytest.mark.parametrize("clock", ["lambda", "log_rho"])
def test_a_power_on_a_clock_with_negative_values_is_refused(clock):
    ode = ODES["vp-linear"]
    check(PowerGrid(clock)(ode, 5), ode, 5)
    with pytest.raises(
        ArgumentError, match=f"power must be 1 on the clock '{clock}', which takes negative values, got 2"
    ):
        PowerGrid(clock, 2)(ode, 5)
    with pytest.raises(ArgumentError, match="power must be 1 on the clock 't'"):
        PowerGrid("t", 2)(plain(-1.0, 1.0), 5)


def test_a_clock_that_the_ode_lacks_is_named():
    with pytest.raises(CapabilityError, match="DiagonalODE has no clock 'rho'; it has t"):
        make_grid("rho7")(plain(1.0, 0.1), 5)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("t", PowerGrid()),
        ("t1.5", PowerGrid("t", 1.5)),
        ("t2", PowerGrid("t", 2.0)),
        ("rho5", PowerGrid("rho", 5.0)),
        ("log", PowerGrid("log_rho")),
        ("vp-t2.5", PowerGrid("vp_t", 2.5)),
        ("t:power=4", PowerGrid("t", 4)),
        ("cosine", CosineGrid()),
        ("ddim-quadratic", IntegerGrid("quadratic")),
        (CosineGrid(), CosineGrid()),
    ],
)
def test_text_names_a_family(text, family):
    assert make_grid(text) == family


@pytest.mark.parametrize(
    ("text", "near"),
    [("cosin", "cosine"), ("rho-7", "rho7"), ("ddim-linaer", "ddim-linear"), ("vpt2", "vp-t2"), ("logg", "log")],
)
def test_a_misspelt_family_shows_near_misses(text, near):
    with pytest.raises(UnknownNameError, match=f"no grid named '{text}'; near it: .*{near}"):
        make_grid(text)


@pytest.mark.parametrize("text", ["", "t-2", "t2.", "2", "t1.5x", 5, None, ["t"], 2.0])
def test_what_names_no_family_is_refused(text):
    with pytest.raises(UnknownNameError, match="no grid named"):
        make_grid(text)


def test_a_power_of_zero_in_text_is_refused():
    with pytest.raises(ArgumentError, match=r"power must be a number above 0, got 0\.0"):
        make_grid("t0")


def test_an_unknown_spacing_is_refused():
    with pytest.raises(UnknownNameError, match="no spacing named 'quadratc'; near it: quadratic"):
        IntegerGrid("quadratc")


@pytest.mark.parametrize(
    "values",
    [[1.0, 0.5, 0.1], (1, 0.5, 0.1), double([1.0, 0.5, 0.1]), iter([1.0, 0.5, 0.1]), double([1.0, 0.5, 0.1]).numpy()],
    ids=["list", "tuple", "tensor", "iterator", "array"],
)
def test_a_grid_is_made_from_any_sequence_of_numbers(values):
    grid = TimeGrid(values)
    assert grid == TimeGrid([1.0, 0.5, 0.1])
    assert list(grid) == [1.0, 0.5, 0.1]
    assert all(type(time) is float for time in grid)


def test_a_grid_gives_float64_and_its_reverse():
    grid = TimeGrid([1.0, 0.5, 0.1])
    assert grid.tensor().dtype == torch.float64
    assert grid.tensor().tolist() == list(grid.times)
    assert grid.reversed().times == (0.1, 0.5, 1.0)
    assert grid.reversed().reversed() == grid
    assert len({grid, TimeGrid(grid.times)}) == 1


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ([1.0, 0.5, 0.7], "must be strictly monotone, but 0.5 is followed by 0.7"),
        ([0.1, 0.5, 0.3], "must be strictly monotone, but 0.5 is followed by 0.3"),
        ([1.0, 0.5, 0.5], "must be strictly monotone, but 0.5 is followed by 0.5"),
        ([1.0, 1.0, 0.5], "must be strictly monotone, but 1.0 is followed by 1.0"),
        ([1.0, math.nan], "must be finite"),
        ([math.inf, 1.0], "must be finite"),
        ([1.0], "must hold at least two times"),
        ([], "must hold at least two times"),
    ],
)
def test_times_that_make_no_grid_are_refused_with_the_rule_and_the_value(values, rule):
    with pytest.raises(ArgumentError) as caught:
        TimeGrid(values)
    assert (caught.value.argument, caught.value.rule) == ("times", rule)
    assert str(caught.value) == f"times {rule}, got {tuple(values)!r}"


@pytest.mark.parametrize("values", [5, None, "ab", [1.0, "a"], [1j, 0.5], [[1.0], [0.5]], torch.tensor(1.0), [None, 1]])
def test_times_that_are_no_numbers_are_refused(values):
    with pytest.raises(ArgumentError, match=r"^times must be numbers, got"):
        TimeGrid(values)


@pytest.mark.parametrize(
    "values",
    [
        "10",
        b"10",
        ["1.0", "0.5"],
        [True, False],
        torch.tensor([True, False]),
        {1.0: 0, 0.5: 0},
        {1.0, 0.5},
        [10**400, 1],
    ],
    ids=["text", "bytes", "texts", "flags", "flag tensor", "dict", "set", "too large"],
)
def test_what_only_resembles_numbers_is_refused(values):
    with pytest.raises(ArgumentError, match=r"^times must be"):
        TimeGrid(values)


@pytest.mark.parametrize("domain", [(1.0, 0.001), (0.001, 1.0)])
def test_times_outside_a_domain_are_named_whatever_its_direction(domain):
    TimeGrid([1.0, 0.5, 0.001]).check_inside(domain)
    TimeGrid([1.0 + 1e-12, 0.001 - 1e-12]).check_inside(domain)  # rounding is no fault
    for times, culprit in [([1.1, 0.5], 1.1), ([0.5, 0.0005], 0.0005)]:
        with pytest.raises(ArgumentError) as caught:
            TimeGrid(times).check_inside(domain)
        rule = "must lie between 0.001 and 1, where the ODE is defined"
        assert (caught.value.argument, caught.value.rule, caught.value.value) == ("times", rule, culprit)


def test_a_family_whose_points_are_not_monotone_is_found_out():
    class Folded(GridFamily):
        def points(self, ode, intervals):
            return double([1.0, 0.2, 0.6, 0.0])

    with pytest.raises(ArgumentError, match=r"times must be strictly monotone, but 0\.2 is followed by 0\.6"):
        Folded()(plain(1.0, 0.0), 3)


def test_a_new_family_needs_only_points_and_gets_exact_ends():
    class Middle(GridFamily):
        def points(self, ode, intervals):
            return torch.linspace(0.1 + 0.2, 0.9, intervals + 1, dtype=torch.float64)

    ode = plain(0.3, 0.9)  # 0.1 + 0.2 is not 0.3
    check(Middle()(ode, 4), ode, 4)
