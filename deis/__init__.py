"""Exponential integrators for semilinear ODEs in PyTorch, with diffusion sampling as their first use."""

from deis.diffusion import (
    EDM,
    PREDICTIONS,
    SCHEDULES,
    VE,
    DiscreteVP,
    GaussianMixture,
    NetworkTime,
    NoiseSchedule,
    ProbabilityFlowODE,
    RectifiedFlow,
    SampleNoise,
    SubVP,
    VPCosine,
    VPLinear,
    convert,
    sample,
)
from deis.grids import GRIDS, CosineGrid, GridFamily, IntegerGrid, PowerGrid, TimeGrid, make_grid
from deis.integrators import (
    INTEGRATORS,
    IPNDM,
    BlackBox,
    Dopri5,
    Euler,
    ExponentialEuler,
    Integrator,
    Plan,
    PolynomialEIAB,
    RhoRungeKutta,
    Row,
    Stage,
    Step,
    StochasticDDIM,
)
from deis.odes import (
    PROBLEMS,
    Bernoulli,
    DenseODE,
    DiagonalODE,
    HochbruckOstermann,
    Problem,
    ProtheroRobinson,
    SemilinearODE,
)
from deis.solve import Solution, iterate, solve
from deis.version import __version__
