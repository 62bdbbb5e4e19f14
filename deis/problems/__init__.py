"""Problems to measure integrators on, with known or converged solutions."""

from deis.problems.base import PROBLEMS, InitialValueProblem, Problem, Recipe, SolvedProblem
from deis.problems.diffusion_reaction import AllenCahn, Brusselator
from deis.problems.kinetics import HIRES, LotkaVolterra, Robertson, VanDerPol
from deis.problems.navier_stokes import NavierStokes
from deis.problems.patterns import AllenCahn2D, GrayScott
from deis.problems.reactions import ReactionNetwork
from deis.problems.solved import Bernoulli, HochbruckOstermann, ProtheroRobinson
from deis.problems.waves import Burgers, KortewegDeVries, KuramotoSivashinsky, NonlinearSchroedinger

__all__ = [
    "HIRES",
    "PROBLEMS",
    "AllenCahn",
    "AllenCahn2D",
    "Bernoulli",
    "Brusselator",
    "Burgers",
    "GrayScott",
    "HochbruckOstermann",
    "InitialValueProblem",
    "KortewegDeVries",
    "KuramotoSivashinsky",
    "LotkaVolterra",
    "NavierStokes",
    "NonlinearSchroedinger",
    "Problem",
    "ProtheroRobinson",
    "ReactionNetwork",
    "Recipe",
    "Robertson",
    "SolvedProblem",
    "VanDerPol",
]
