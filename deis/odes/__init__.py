"""Semilinear ODEs: the abstract class, constant linear parts, and problems with known solutions."""

from deis.odes.base import Clock, ConstantForm, SemilinearODE
from deis.odes.constant import DenseODE, DiagonalODE
from deis.odes.divergence import DivergenceODE, divergence
from deis.odes.problems import (
    PROBLEMS,
    Bernoulli,
    HochbruckOstermann,
    InitialValueProblem,
    Problem,
    ProtheroRobinson,
    SolvedProblem,
)

__all__ = [
    "PROBLEMS",
    "Bernoulli",
    "Clock",
    "ConstantForm",
    "DenseODE",
    "DiagonalODE",
    "DivergenceODE",
    "HochbruckOstermann",
    "InitialValueProblem",
    "Problem",
    "ProtheroRobinson",
    "SemilinearODE",
    "SolvedProblem",
    "divergence",
]
