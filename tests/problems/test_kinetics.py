import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from deis import make_grid, solve
from deis.errors import ArgumentError, UnknownNameError
from deis.problems import HIRES, PROBLEMS, LotkaVolterra, ReactionNetwork, Robertson, VanDerPol
from deis.problems.orders import CLASSICAL
from deis.problems.reactions import Reaction, conserved_sums

NAMES = ["van-der-pol", "lotka-volterra", "hires", "robertson", "reaction-network"]


def van_der_pol(y):
    return [y[1], ((1 - y[0] ** 2) * y[1] - y[0]) / 1e-6]


def lotka_volterra(y):
    return [y[0] * (1 - y[1]), y[1] * (y[0] - 2)]


def hires(y):
    return [
        -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
        1.71 * y[0] - 8.75 * y[1],
        -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
        8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
        -1.745 * y[4] + 0.43 * y[5] + 0.43 * y[6],
        -280 * y[5] * y[7] + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
        280 * y[5] * y[7] - 1.81 * y[6],
        -280 * y[5] * y[7] + 1.81 * y[6],
    ]


def robertson(y):
    return [
        -0.04 * y[0] + 1e4 * y[1] * y[2],
        0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2,
        3e7 * y[1] ** 2,
    ]


def pollution(y):  # Verwer (1994), table 1 and eq. 3.1
    k = [0, 0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88, 1.63e4, 4.8e6]
    k += [3.5e-4, 0.0175, 1e8, 4.44e11, 1240, 2.1, 5.78, 0.0474, 1780, 3.12]
    y = [0, *y]
    pairs = {2: (2, 4), 3: (5, 2), 6: (7, 6), 8: (9, 6), 9: (11, 2), 10: (11, 1), 12: (10, 2), 14: (1, 6), 20: (17, 6)}
    pairs |= {23: (1, 4), 24: (19, 1)}
    single = {1: 1, 4: 7, 5: 7, 7: 9, 11: 13, 13: 14, 15: 3, 16: 4, 17: 4, 18: 16, 19: 16, 21: 19, 22: 19, 25: 20}
    r = {i: k[i] * y[a] * y[b] for i, (a, b) in pairs.items()} | {i: k[i] * y[a] for i, a in single.items()}
    return [
        -r[1] - r[10] - r[14] - r[23] - r[24] + r[2] + r[3] + r[9] + r[11] + r[12] + r[22] + r[25],
        -r[2] - r[3] - r[9] - r[12] + r[1] + r[21],
        -r[15] + r[1] + r[17] + r[19] + r[22],
        -r[2] - r[16] - r[17] - r[23] + r[15],
        -r[3] + 2 * r[4] + r[6] + r[7] + r[13] + r[20],
        -r[6] - r[8] - r[14] - r[20] + r[3] + 2 * r[18],
        -r[4] - r[5] - r[6] + r[13],
        r[4] + r[5] + r[6] + r[7],
        -r[7] - r[8],
        -r[12] + r[7] + r[9],
        -r[9] - r[10] + r[8] + r[11],
        r[9],
        -r[11] + r[10],
        -r[13] + r[12],
        r[14],
        -r[18] - r[19] + r[16],
        -r[20],
        r[20],
        -r[21] - r[22] - r[24] + r[23] + r[25],
        -r[25] + r[24],
    ]


WRITTEN = dict(zip(NAMES, [van_der_pol, lotka_volterra, hires, robertson, pollution], strict=True))
# the Test Set for IVP Solvers, release 2.4
END = {
    "van-der-pol": (2.0, "1.706167732170483 -0.8928097010247975"),
    "robertson": (1e11, "2.083340149701255e-8 8.333360770334713e-14 0.9999999791665050"),
    "hires": (
        321.8122,
        "7.371312573325668e-4 1.442485726316185e-4 5.888729740967575e-5 1.175651343283149e-3 2.386356198831331e-3"
        " 6.238968252742796e-3 2.849998395185769e-3 2.850001604814231e-3",
    ),
    "reaction-network": (
        60.0,
        "5.646255480022769e-2 0.1342484130422339 4.139734331099427e-9 5.523140207484359e-3 2.018977262302196e-7"
        " 1.464541863493966e-7 7.784249118997964e-2 0.3245075353396018 7.494013383880406e-3 1.622293157301561e-8"
        " 1.135863833257075e-8 2.230505975721359e-3 2.087162882798630e-4 1.396921016840158e-5 8.964884856898295e-3"
        " 4.352846369330103e-18 6.899219696263405e-3 1.007803037365946e-4 1.772146513969984e-6 5.682943292316392e-5",
    ),
}


@functools.cache
def made(name):
    return PROBLEMS.create(name)


def published(name):
    end, digits = END[name]
    return end, np.array(digits.split(), dtype=float)


def random_states(problem, *batch):
    size = (*batch, len(problem.initial))
    return torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_those_of_equations_written_out(name):
    problem = PROBLEMS.create(name)
    for x in random_states(problem, 3):
        expected = torch.tensor(WRITTEN[name](x.tolist()), dtype=torch.float64)
        assert torch.allclose(problem.slope(x), expected, rtol=1e-12, atol=1e-15 * float(expected.abs().max()))


@pytest.mark.parametrize("name", list(END))
def test_solutions_end_where_the_literature_says(name):
    end, state = published(name)
    problem = PROBLEMS.create(name, domain=(0.0, end))
    slope, jacobian = problem.slope, torch.func.jacrev(problem.slope)
    found = solve_ivp(
        lambda t, y: slope(torch.tensor(y)).numpy(),
        problem.domain,
        problem.initial.numpy(),
        "LSODA",
        rtol=1e-7,
        atol=1e-14,
        jac=lambda t, y: jacobian(torch.tensor(y)).numpy(),
    )
    scale = np.maximum(np.abs(state), 1e-4)
    assert (np.abs(found.y[:, -1] - state) <= 1e-5 * scale).all()


@pytest.mark.parametrize("name", NAMES)
def test_linear_and_nonlinear_part_add_up_to_the_slope(name):
    problem = PROBLEMS.create(name)
    ode = problem.ode
    x = random_states(problem, 2, 3)
    linear = ode.linear_action(0.0, x)
    total, expected = linear + ode.nonlinearity(0.0, x), problem.slope(x)
    rounding = 4e-16 * ode.apply(ode.matrix.abs(), x.abs()) + 4e-16 * expected.abs()
    assert bool(((total - expected).abs() <= rounding).all())


@pytest.mark.parametrize("name", NAMES)
def test_the_linear_part_is_the_jacobian_by_differences_at_the_initial_state(name):
    problem = PROBLEMS.create(name)
    x, h = problem.initial, 2.0**-20  # slopes are of degree 3 at most, so that only h^2 is left
    columns = [(problem.slope(x + h * e) - problem.slope(x - h * e)) / (2 * h) for e in torch.eye(len(x)).double()]
    differences = torch.stack(columns, -1)
    matrix = problem.ode.matrix
    assert torch.allclose(matrix, differences, rtol=1e-9, atol=1e-9 * float(matrix.abs().max()))
    rest = torch.func.jacfwd(lambda y: problem.ode.nonlinearity(0.0, y))(x)
    assert float(rest.abs().max()) <= 1e-15 * float(matrix.abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_systems_of_a_batch_are_independent(name):
    problem = PROBLEMS.create(name)
    ode, x = problem.ode, random_states(problem, 2, 3)
    together = ode.nonlinearity(0.0, x)
    one_by_one = torch.stack([torch.stack([ode.nonlinearity(0.0, each) for each in row]) for row in x])
    mapped = torch.func.vmap(torch.func.vmap(lambda each: ode.nonlinearity(0.0, each)))(x)
    rounding = 1e-15 * float(ode.matrix.abs().max())
    assert together.shape == x.shape
    assert torch.allclose(together, one_by_one, rtol=1e-14, atol=rounding)
    assert torch.allclose(together, mapped, rtol=1e-14, atol=rounding)


@pytest.mark.parametrize("name", NAMES)
def test_the_nonlinearity_keeps_single_precision(name):
    problem = PROBLEMS.create(name)
    assert problem.ode.nonlinearity(0.0, random_states(problem).float()).dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_the_nonlinearity_has_derivatives_in_both_directions(name):
    problem = PROBLEMS.create(name)
    ode, x, direction = problem.ode, random_states(problem), random_states(problem).flip(0)

    def rest(y):
        return ode.nonlinearity(0.0, y)

    forward = torch.func.jvp(rest, (x,), (direction,))[1]
    backward = torch.func.jacrev(rest)(x) @ direction
    assert torch.allclose(forward, backward, rtol=1e-12, atol=1e-15 * float(problem.ode.matrix.abs().max()))
    with torch.inference_mode():  # what is kept for later calls must not be an inference tensor
        PROBLEMS.create(name).ode.nonlinearity(0.0, x)
        rest(x.float())
    assert torch.autograd.functional.jacobian(rest, x.float()).shape == (len(x), len(x))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "van-der-pol"])
@given(seed=st.integers(0, 2**32), decades=st.floats(0, 6))
@settings(max_examples=20, deadline=None)
def test_invariants_do_not_change_along_the_slope(name, seed, decades):
    problem = made(name)
    draws = torch.rand(len(problem.initial), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = 3 * 10 ** (-decades * draws)
    slope = problem.slope(x)
    assert problem.invariants
    for invariant in problem.invariants.values():
        gradient = torch.func.grad(invariant)(x)
        assert abs(float(gradient @ slope)) <= 1e-14 * float(gradient.abs() @ slope.abs())
        assert invariant(torch.stack([x, 2 * x])).shape == (2,)


def test_the_pollution_network_keeps_carbon_sulphur_and_nitrogen():
    assert list(ReactionNetwork().invariants) == [
        "HCHO + CO + 2 ALD + MEO2 + 2 C2O3 + CO2 + 2 PAN + CH3O",
        "SO2 + SO4",
        "NO2 + NO + PAN + HNO3 + NO3 + 2 N2O5",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_components_name_the_entries_of_a_state(name):
    problem = PROBLEMS.create(name)
    assert len(set(problem.components)) == len(problem.components) == problem.initial.shape[-1]
    assert torch.equal(problem.values(problem.initial), problem.initial)


def test_the_species_of_the_pollution_network_stand_in_verwers_order():
    assert " ".join(ReactionNetwork().components) == (
        "NO2 NO O3P O3 HO2 OH HCHO CO ALD MEO2 C2O3 CO2 PAN CH3O HNO3 O1D SO2 SO4 NO3 N2O5"
    )
    assert ReactionNetwork().initial.tolist() == [0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01] + [0] * 7 + [0.007, 0, 0, 0]


def test_robertson_is_a_reaction_network():
    network = ReactionNetwork({"A -> B": 0.04, "B + B -> B + C": 3e7, "B + C -> A + C": 1e4}, {"A": 1.0})
    x = random_states(network, 4)
    assert torch.allclose(network.slope(x), Robertson().slope(x), rtol=1e-14, atol=0)
    assert torch.allclose(network.ode.matrix, Robertson().ode.matrix, rtol=1e-15, atol=0)


def test_hires_is_a_reaction_network():
    network = ReactionNetwork(
        {
            "0 -> Pr": 0.0007,
            "Pr -> Pfr": 1.71,
            "Pfr -> Pr": 0.43,
            "PrX -> Pr": 8.32,
            "Pfr -> PfrX": 8.32,
            "PrX -> PfrX": 1.71,
            "PfrX -> PrX": 0.43,
            "PrX' -> PrX": 0.035,
            "PfrX -> PfrX'": 0.69,
            "PrX' -> PfrX'": 1.71,
            "PfrX' -> PrX'": 0.43,
            "PfrX' + E -> PfrX'E": 280.0,
            "PfrX'E -> PfrX' + E": 0.69,
            "PfrX'E -> PrX' + E": 0.43,
            "PfrX'E -> E": 0.69,
        },
        {"Pr": 1.0, "E": 0.0057},
    )
    x = random_states(network, 4)
    order = [network.components.index(name) for name in HIRES().components]
    assert torch.allclose(network.slope(x)[:, order], HIRES().slope(x[:, order]), rtol=1e-12, atol=1e-14)


def test_reactions_of_every_order_follow_mass_action():
    network = ReactionNetwork({"0 -> A": 5.0, "3 A + B -> 2 C": 2.0, "C -> 0": 0.5}, {"A": 1.0})
    a, b, c = x = torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64)
    speed = 2 * a**3 * b
    assert torch.equal(network.slope(x), torch.stack([5 - 3 * speed, -speed, 2 * speed - c / 2]))


def test_only_sources_make_a_constant_slope():
    network = ReactionNetwork({"0 -> A": 5.0, "0 -> 2 B": 1.0}, {})
    assert network.slope(random_states(network, 2)).tolist() == [[5, 2]] * 2


@given(st.lists(st.lists(st.integers(-2, 2), min_size=5, max_size=5), min_size=1, max_size=6))
def test_conserved_sums_are_a_basis_of_what_no_reaction_changes(changes):
    laws = conserved_sums(changes)
    assert all(sum(a * b for a, b in zip(law, row, strict=True)) == 0 for law in laws for row in changes)
    rank = int(np.linalg.matrix_rank(np.array(changes, dtype=float)))
    assert len(laws) == 5 - rank
    assert not laws or np.linalg.matrix_rank(np.array(laws, dtype=float)) == len(laws)
    assert all(math.gcd(*law) == 1 for law in laws)


def test_conserved_sums_are_exact_where_floating_point_would_round():
    assert conserved_sums([[3, -1, 0], [0, 10**17, -1]]) == [[1, 3, 3 * 10**17]]


def test_van_der_pol_jumps_twice():
    problem = VanDerPol(mu=100.0)
    found = solve_ivp(
        lambda t, y: problem.slope(torch.tensor(y)).numpy(), problem.domain, [2.0, 0.0], "LSODA", rtol=1e-8, atol=1e-8
    )
    assert int((np.diff(np.sign(found.y[0])) != 0).sum()) == 2


@functools.cache
def orbit(steps, method):
    problem = LotkaVolterra(domain=(0.0, 1.0))
    return solve(problem.ode, problem.initial, make_grid("t")(problem.ode, steps), method).x


@pytest.mark.parametrize("method", CLASSICAL)
def test_exponential_methods_have_the_recorded_orders_on_closed_orbits(method):
    reference = orbit(240, "hochbruck-ostermann")
    coarse, fine = (float((orbit(n, method) - reference).abs().max()) for n in (40, 80))
    assert math.log2(coarse / fine) == pytest.approx(LotkaVolterra().orders[method], abs=0.15)


def test_krogstad_keeps_the_first_integral_to_fourth_order():
    problem = LotkaVolterra()
    first = problem.first_integral(problem.initial)
    drift = []
    for steps in (100, 200):
        end = solve(problem.ode, problem.initial, make_grid("t")(problem.ode, steps), "krogstad").x
        drift.append(abs(float(problem.first_integral(end) - first)))
    assert drift[1] < 1e-5
    assert math.log2(drift[0] / drift[1]) == pytest.approx(4, abs=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["van-der-pol", "hires", "reaction-network"])
def test_recommended_integrators_reach_four_digits(name):
    problem = PROBLEMS.create(name)
    end, state = published(name)
    assert problem.domain == (0.0, end)
    found = solve(problem.ode, problem.initial, problem.domain, problem.recommended.integrator).x
    assert float((found - torch.tensor(state)).abs().max()) < 1e-4


@pytest.mark.parametrize("problem", [VanDerPol, LotkaVolterra, Robertson])
@pytest.mark.parametrize("value", [0, -1.0, math.inf, "1", True], ids=repr)
def test_rates_that_are_not_positive_are_refused(problem, value):
    option = {VanDerPol: "mu", LotkaVolterra: "death", Robertson: "k2"}[problem]
    with pytest.raises(ArgumentError, match=rf"^{option} must be a number above 0"):
        problem(**{option: value})


@pytest.mark.parametrize(
    "text", ["A", "A -> B -> C", "A + -> B", "2A -> B", "-> B", "A -> -1 B", "0 A -> B", 3], ids=repr
)
def test_malformed_reactions_are_refused(text):
    with pytest.raises(ArgumentError, match=r"must be written as A \+ 2 B -> C"):
        Reaction.parse(text, 1.0)


@pytest.mark.parametrize("rate", [0, -1.0, math.nan, "1"], ids=repr)
def test_reaction_rates_that_are_not_positive_are_refused(rate):
    with pytest.raises(ArgumentError, match=r"^rate of A -> B must be a number above 0"):
        ReactionNetwork({"A -> B": rate}, {"A": 1.0})


@pytest.mark.parametrize("reactions", [{}, "pollution", None], ids=repr)
def test_networks_without_reactions_are_refused(reactions):
    with pytest.raises(ArgumentError, match=r"^reactions must be a mapping"):
        ReactionNetwork(reactions, {})


def test_a_start_of_other_species_or_below_zero_is_refused():
    with pytest.raises(UnknownNameError, match="no species named 'C'"):
        ReactionNetwork({"A -> B": 1.0}, {"C": 1.0})
    with pytest.raises(ArgumentError, match="start of A must be a number of at least 0"):
        ReactionNetwork({"A -> B": 1.0}, {"A": -1.0})
    with pytest.raises(ArgumentError, match="start must be a mapping"):
        ReactionNetwork({"A -> B": 1.0}, [1.0])
