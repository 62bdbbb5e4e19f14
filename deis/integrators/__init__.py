"""Integrators: one family of methods a file."""

from deis.integrators.adaptive import Adaptive
from deis.integrators.analytic_ddim import AnalyticDDIM, SecondMoments
from deis.integrators.ancestral import Ancestral
from deis.integrators.base import INTEGRATORS, Account, BlackBox, Integrator, Stepping, Trajectory
from deis.integrators.churn import Churn
from deis.integrators.denoised import Denoised
from deis.integrators.euler import Euler
from deis.integrators.euler_maruyama import EulerMaruyama
from deis.integrators.exponential_euler import ExponentialEuler
from deis.integrators.exponential_runge_kutta import ExponentialRungeKutta
from deis.integrators.ipndm import IPNDM
from deis.integrators.langevin import LangevinCorrected
from deis.integrators.plan import HERE, Draw, Plan, Row, Stage, Step
from deis.integrators.plan_files import load_plans, save_plans
from deis.integrators.plan_json import plan_from_json, plan_to_json
from deis.integrators.planned import Planned
from deis.integrators.pndm import PNDM
from deis.integrators.polynomial import PolynomialEIAB
from deis.integrators.rho_runge_kutta import RhoRungeKutta
from deis.integrators.rosenbrock import ExponentialRosenbrock
from deis.integrators.scipy_methods import SciPy
from deis.integrators.singlestep import SinglestepDPM
from deis.integrators.stochastic import Stochastic
from deis.integrators.stochastic_ddim import StochasticDDIM
from deis.integrators.torchdiffeq_methods import Dopri5, TorchDiffEq, TorchDiffEqFixed

__all__ = [
    "HERE",
    "INTEGRATORS",
    "IPNDM",
    "PNDM",
    "Account",
    "Adaptive",
    "AnalyticDDIM",
    "Ancestral",
    "BlackBox",
    "Churn",
    "Denoised",
    "Dopri5",
    "Draw",
    "Euler",
    "EulerMaruyama",
    "ExponentialEuler",
    "ExponentialRosenbrock",
    "ExponentialRungeKutta",
    "Integrator",
    "LangevinCorrected",
    "Plan",
    "Planned",
    "PolynomialEIAB",
    "RhoRungeKutta",
    "Row",
    "SciPy",
    "SecondMoments",
    "SinglestepDPM",
    "Stage",
    "Step",
    "Stepping",
    "Stochastic",
    "StochasticDDIM",
    "TorchDiffEq",
    "TorchDiffEqFixed",
    "Trajectory",
    "load_plans",
    "plan_from_json",
    "plan_to_json",
    "save_plans",
]
