import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from deis import EDM, ArgumentError, Bernoulli, GaussianMixture, PowerGrid, RectifiedFlow, VPLinear, make_grid
from deis.tuning.bent import BentGrid, grid_clock, times_of

ODES = {
    "plain": Bernoulli().ode,
    "backward": Bernoulli(domain=(1.0, 0.0)).ode,
    **{
        type(schedule).__name__: GaussianMixture(torch.zeros(1, 1), 1.0).ode(schedule)
        for schedule in (VPLinear(), EDM(), RectifiedFlow())
    },
}
BASE = {name: make_grid("t" if "vp_t" not in ode.clocks else "vp-t3") for name, ode in ODES.items()}
every_ode = pytest.mark.parametrize("name", ODES)


@every_ode
@pytest.mark.parametrize("bends", [(), (0.0,), (0.0, 0.0, 0.0)])
def test_no_bend_leaves_the_grid_as_it_is(name, bends):
    ode, base = ODES[name], BASE[name]
    assert BentGrid(base, bends)(ode, 6).times == pytest.approx(base(ode, 6).times, rel=1e-9)


@every_ode
@given(bends=st.lists(st.floats(-1.5, 1.5), max_size=5), intervals=st.integers(1, 9))
def test_bent_times_are_monotone_and_keep_the_ends(name, bends, intervals):
    ode = ODES[name]
    times = BentGrid(BASE[name], bends)(ode, intervals).times
    assert (times[0], times[-1], len(times)) == (*ode.domain, intervals + 1)
    sign = math.copysign(1.0, ode.domain[1] - ode.domain[0])
    assert all(sign * (b - a) > 0 for a, b in pairwise(times))


def test_steps_are_multiplied_by_the_exponential_of_cosines():
    bends, n = (0.4, -0.3), 5
    times = BentGrid(PowerGrid(), bends)(ODES["plain"], n).times
    shares = [(k + 0.5) / n for k in range(n)]
    wanted = [math.exp(sum(b * math.cos(math.pi * (m + 1) * u) for m, b in enumerate(bends))) for u in shares]
    found = [b - a for a, b in pairwise(times)]
    assert found == pytest.approx([w / sum(wanted) for w in wanted])


def test_steps_of_a_diffusion_are_measured_in_log_rho():
    ode, logs = ODES["EDM"], torch.tensor([0.5, 0.0, -0.7], dtype=torch.float64)
    times = times_of(ode, make_grid("log")(ode, 3).tensor(), logs)  # rho = t
    steps = times.log().diff()
    torch.testing.assert_close(steps / steps.sum(), logs.softmax(0))


def test_the_clock_is_log_rho_where_there_is_one():
    half = torch.tensor(0.5, dtype=torch.float64)
    assert float(grid_clock(ODES["EDM"]).of(half)) == pytest.approx(math.log(0.5))
    assert float(grid_clock(ODES["plain"]).of(half)) == 0.5


@every_ode
def test_a_common_factor_of_all_steps_changes_nothing(name):
    ode = ODES[name]
    base = BASE[name](ode, 4).tensor()
    logs = torch.tensor([0.3, -0.2, 0.1, 0.5], dtype=torch.float64)
    torch.testing.assert_close(times_of(ode, base, logs + 2.5), times_of(ode, base, logs), rtol=1e-9, atol=1e-12)


@every_ode
def test_times_are_differentiable(name):
    ode = ODES[name]
    base = BASE[name](ode, 4).tensor()
    logs = torch.tensor([0.2, -0.1, 0.0, 0.3], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda logs: times_of(ode, base, logs), logs, atol=1e-6, rtol=1e-5)
    assert not bool(torch.autograd.grad(times_of(ode, base, logs)[[0, -1]].sum(), logs)[0].any())  # the ends stay


@pytest.mark.parametrize("bends", [[300.0], [1e300]])
def test_bends_that_leave_no_room_for_steps_are_refused(bends):
    with pytest.raises(ArgumentError, match="times must be"):
        BentGrid(PowerGrid(), bends)(ODES["plain"], 4)


@pytest.mark.parametrize("bend", [math.nan, math.inf, "1", True])
def test_bends_are_finite_numbers(bend):
    with pytest.raises(ArgumentError, match="bends must be finite numbers"):
        BentGrid(PowerGrid(), (0.1, bend))


def test_what_is_bent_is_a_family_of_grids():
    with pytest.raises(ArgumentError, match="grid must be a GridFamily"):
        BentGrid("vp-t3", (0.1,))


def test_bent_grids_are_values():
    assert BentGrid(PowerGrid(), [0.1, 0.2]) == BentGrid(PowerGrid(), (0.1, 0.2))
    assert len({BentGrid(PowerGrid(), (0.1,)), BentGrid(PowerGrid(), [0.1]), BentGrid(PowerGrid(), ())}) == 2
    assert BentGrid(BentGrid(PowerGrid(), (0.3,)), (0.2,))(ODES["plain"], 3).intervals == 3  # and bend again
