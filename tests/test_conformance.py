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
    StochasticDDIM,
    TorchDiffEqFixed,
    VPLinear,
)
from deis.testing import (
    BlackBoxConformance,
    IntegratorConformance,
    NoiseScheduleConformance,
    SemilinearODEConformance,
)

REGISTERED = {name: INTEGRATORS.create(name) for name in INTEGRATORS}
PLANNED = [pytest.param(i, id=name) for name, i in REGISTERED.items() if not isinstance(i, BlackBox)]
BLACK_BOXES = [pytest.param(i, id=name) for name, i in REGISTERED.items() if isinstance(i, BlackBox)]
RHO_FORMS = [Dopri5(form="rho"), SciPy("DOP853", form="rho"), TorchDiffEqFixed("rk4", form="rho")]
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
    @pytest.fixture(params=[*BLACK_BOXES, *(pytest.param(i, id=repr(i)) for i in RHO_FORMS)])
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


class TestRegisteredProblem(SemilinearODEConformance):
    @pytest.fixture(params=list(PROBLEMS))
    def problem(self, request: pytest.FixtureRequest) -> Problem:
        return PROBLEMS.create(request.param)

    @pytest.fixture
    def ode(self, problem):
        return problem.ode

    @pytest.fixture
    def state(self, problem):
        return problem.exact(problem.ode.domain[0])

    def test_exact_solves_the_equation(self, problem):
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
