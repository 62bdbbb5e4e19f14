"""Everything in the registries passes the suites that a user's own classes inherit."""

import attrs
import pytest
import torch

from deis import (
    INTEGRATORS,
    PROBLEMS,
    SCHEDULES,
    BlackBox,
    DenseODE,
    DiagonalODE,
    Dopri5,
    Integrator,
    NoiseSchedule,
    PolynomialEIAB,
    ProbabilityFlowODE,
    Problem,
    RhoRungeKutta,
    SciPy,
    SolvedProblem,
    StochasticDDIM,
    VPLinear,
)
from deis.integrators.foreign import Foreign
from deis.testing import (
    BlackBoxConformance,
    IntegratorConformance,
    NoiseScheduleConformance,
    SemilinearODEConformance,
)

REGISTERED = {name: INTEGRATORS.create(name) for name in INTEGRATORS}
PLANNED = [pytest.param(i, id=name) for name, i in REGISTERED.items() if not isinstance(i, BlackBox)]
BLACK_BOXES = {name: i for name, i in REGISTERED.items() if isinstance(i, BlackBox)}
FOREIGN = {name: i for name, i in BLACK_BOXES.items() if isinstance(i, Foreign)}
ON_A_GRID = [pytest.param(i, id=name) for name, i in BLACK_BOXES.items() if not i.chooses_steps]
# with finer tolerances, rounding errors of an estimate of high order decide about a step
ADAPTIVE = {name: attrs.evolve(i, rtol=1e-2, atol=1e-2) for name, i in FOREIGN.items() if i.chooses_steps}
OWN = [pytest.param(i, id=name) for name, i in BLACK_BOXES.items() if i.chooses_steps and name not in FOREIGN]
RAW_AND_RHO = [Dopri5(), Dopri5(form="rho"), SciPy("DOP853", form="rho")]
MEMBERS = [
    PolynomialEIAB("x0", "lambda", steps=2, corrector=True),
    PolynomialEIAB("eps", "rho", steps=3, corrector=True),
    PolynomialEIAB(None, "t", steps=4, start="runge-kutta"),
    PolynomialEIAB("x0", "t", steps=3, corrector=True, start="runge-kutta"),
    PolynomialEIAB("v", "sqrt_t", steps=2, lower_final=True),
    RhoRungeKutta("rk4", clock="t"),
    StochasticDDIM(0.5),
    StochasticDDIM(1.4, law="sde"),
]


class TestRegisteredIntegrator(IntegratorConformance):
    @pytest.fixture(params=PLANNED)
    def integrator(self, request: pytest.FixtureRequest) -> Integrator:
        return request.param


class TestMember(IntegratorConformance):
    @pytest.fixture(params=MEMBERS, ids=repr)
    def integrator(self, request: pytest.FixtureRequest) -> Integrator:
        return request.param


class TestRegisteredBlackBox(BlackBoxConformance):
    @pytest.fixture(params=[*OWN, *(pytest.param(i, id=repr(i)) for i in RAW_AND_RHO)])
    def integrator(self, request: pytest.FixtureRequest) -> Integrator:
        return request.param


class TestForeign(BlackBoxConformance):
    """Methods of other libraries, on an ODE whose linear part costs nothing: they ask for it at every evaluation."""

    def make_ode(self, network):
        return DiagonalODE(-1.0, lambda t, x: network(x, torch.tensor(t)), (1.0, 0.1))

    @pytest.fixture(params=[pytest.param(i, id=name) for name, i in ADAPTIVE.items()])
    def integrator(self, request: pytest.FixtureRequest) -> Integrator:
        return request.param


class TestOnAGrid(TestForeign):
    intervals = 7  # so that Adams methods leave their start behind

    @pytest.fixture(params=ON_A_GRID)
    def integrator(self, request: pytest.FixtureRequest) -> Integrator:
        return request.param


class TestRegisteredSchedule(NoiseScheduleConformance):
    @pytest.fixture(params=list(SCHEDULES))
    def schedule(self, request: pytest.FixtureRequest) -> NoiseSchedule:
        return SCHEDULES.create(request.param)


class TestScheduleByTwoFormulas(NoiseScheduleConformance):
    """What a user writes: alpha and sigma, and nothing else."""

    @pytest.fixture
    def schedule(self) -> NoiseSchedule:
        @attrs.frozen
        class Trigonometric(NoiseSchedule):
            t_min: float = 0.01
            t_max: float = 1.5

            def alpha(self, t):
                return t.cos()

            def sigma(self, t):
                return t.sin()

        return Trigonometric()


# The suite measures over lengths like 1 / |L|, which the rounding of times near the end of the domain would hide at
# rates of 3e6 and 1e13. L is constant: the first part of the domain holds as much of it.
FIRST_PARTS = {"van-der-pol": (0.0, 1e-5), "reaction-network": (0.0, 1e-11)}


class TestRegisteredProblem(SemilinearODEConformance):
    @pytest.fixture(params=list(PROBLEMS))
    def problem(self, request: pytest.FixtureRequest) -> Problem:
        problem = PROBLEMS.create(request.param)
        domain = FIRST_PARTS.get(request.param)
        return problem if domain is None else attrs.evolve(problem, domain=domain)

    @pytest.fixture
    def ode(self, problem):
        return problem.ode

    @pytest.fixture
    def state(self, problem):
        return problem.initial

    def test_exact_solves_the_equation(self, problem):
        if not isinstance(problem, SolvedProblem):
            pytest.skip("no closed form")
        ode, h = problem.ode, 1e-4
        for u in (0.1, 0.4, 0.85):
            t = ode.domain[0] + u * (ode.domain[1] - ode.domain[0])
            when, x = torch.tensor(t, dtype=torch.float64), problem.exact(t)
            near = problem.exact(t + h) - problem.exact(t - h)
            far = problem.exact(t + 2 * h) - problem.exact(t - 2 * h)
            linear = ode.apply(ode.linear(when), x)
            right = linear + ode.apply(ode.weight(when), ode.nonlinearity(t, x))
            error = (right - (8 * near - far) / (12 * h)).abs().max()
            assert error <= 1e-10 * max(1.0, float(linear.abs().max()))


class TestDiffusion(SemilinearODEConformance):
    @pytest.fixture(params=list(SCHEDULES))
    def schedule(self, request):
        return SCHEDULES.create(request.param)

    @pytest.fixture(params=["eps", "x0"])
    def ode(self, request, schedule):
        return ProbabilityFlowODE(schedule, lambda x, t: x.sin(), splitting=request.param)


class TestDiffusionInOtherSplittings(SemilinearODEConformance):
    @pytest.fixture(params=["score", "v", "flow", "denoiser"])
    def ode(self, request):
        return ProbabilityFlowODE(VPLinear(), lambda x, t: x.sin(), splitting=request.param)


class TestConstantLinearPart(SemilinearODEConformance):
    @pytest.fixture(
        params=[
            lambda n: DiagonalODE(0.0, n),
            lambda n: DiagonalODE(torch.tensor([-1.0, 0.0, -30.0]), n),
            lambda n: DiagonalODE(2j, n, (1.0, -0.5)),
            lambda n: DenseODE(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), n),
            lambda n: DenseODE(torch.tensor([[-1.0, 2.0, 0.0], [-2.0, -1.0, 0.0], [0.3, 0.0, -5.0]]), n),
        ],
        ids=["zero", "diagonal", "imaginary", "defective", "dense"],
    )
    def ode(self, request):
        return request.param(lambda t, x: x.sin() + t)
